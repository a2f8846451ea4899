//! `bbtw list`

use std::io::{self, Write};

use buildbtw_api::BuildStatus;
use buildbtw_api::namespaces::{Namespace, NamespaceQuery};
use jiff::Timestamp;

use super::mode;
use crate::asking::next_page;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{ago, some_of};

/// The largest page of namespaces that a server gives.
const PAGE: u32 = 500;

/// Lists namespaces.
pub async fn run(session: &Session, arguments: &cli::List) -> Outcome {
    let mut query = NamespaceQuery {
        archived: arguments.archived,
        ..NamespaceQuery::default()
    };
    let mut namespaces: Vec<Namespace> = Vec::new();
    let more = loop {
        let missing = (arguments.limit as usize).saturating_sub(namespaces.len());
        query.limit = Some(PAGE.min(u32::try_from(missing).unwrap_or(PAGE)));
        let page = session.client.namespaces(&query).await?;
        let next = next_page(&page, query.after.as_ref())?;
        namespaces.extend(page.items);
        if next.is_none() || namespaces.len() >= arguments.limit as usize {
            break next.is_some();
        }
        query.after = next;
    };
    if session.json {
        return session.print_json(&namespaces);
    }
    let mode = mode::asked(session).await;
    session.print(|out| {
        write(out, &namespaces, more, session.width)?;
        match &mode {
            Some(mode) => mode::write(out, mode, session.width),
            None => Ok(()),
        }
    })
}

fn write(
    out: &mut dyn Write,
    namespaces: &[Namespace],
    more: bool,
    width: usize,
) -> io::Result<()> {
    if namespaces.is_empty() {
        return writeln!(
            out,
            "There are no namespaces. `bbtw new PKGBASE/BRANCH` makes one."
        );
    }
    let now = Timestamp::now();
    let mut table = Table::new(&[
        "NAME",
        "STATUS",
        "ITERATION",
        "DONE",
        "FAILED",
        "CREATED",
        "CHANGESETS",
    ]);
    for namespace in namespaces {
        let done = namespace.count(BuildStatus::releases_dependents);
        let total = namespace.count(|_| true);
        let failed = namespace.count(BuildStatus::is_failure_itself);
        let changesets: Vec<String> = namespace
            .changesets
            .iter()
            .map(ToString::to_string)
            .collect();
        table.row([
            Cell::new(namespace.name.to_string(), style::STRONG),
            match namespace.stands_still() {
                true => Cell::new("stands still", style::BAD),
                false => Cell::new(
                    namespace.status.as_str(),
                    style::namespace(namespace.status),
                ),
            },
            match &namespace.iteration {
                Some(iteration) => Cell::from(iteration.number.to_string()),
                None => Cell::default(),
            },
            Cell::from(format!("{done}/{total}")),
            match failed {
                0 => Cell::default(),
                _ => Cell::new(failed.to_string(), style::BAD),
            },
            Cell::from(ago(namespace.created_at, now)),
            Cell::from(some_of(&changesets, 3)),
        ]);
    }
    table.write(out, width)?;
    if more {
        writeln!(
            out,
            "There are older ones: --limit {} shows more.",
            namespaces.len() * 2
        )?;
    }
    Ok(())
}
