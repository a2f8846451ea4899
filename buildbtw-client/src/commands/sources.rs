//! `bbtw sources`

use std::io::{self, Write};

use buildbtw_api::sources::{SourceQuery, SourceRepository};

use crate::asking::next_page;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{commit, count};

/// The largest page of source repositories that a server gives.
const PAGE: u32 = 1000;

/// Lists source repositories.
pub async fn run(session: &Session, arguments: &cli::Sources) -> Outcome {
    let mut query = SourceQuery {
        problems: arguments.problems,
        after: None,
        limit: Some(PAGE),
    };
    let mut sources = Vec::new();
    loop {
        let page = session.client.sources(&query).await?;
        let next = next_page(&page, query.after.as_ref())?;
        sources.extend(page.items);
        if next.is_none() {
            break;
        }
        query.after = next;
    }
    if session.json {
        return session.print_json(&sources);
    }
    session.print(|out| write(out, &sources, arguments.problems, session.width))
}

fn write(
    out: &mut dyn Write,
    sources: &[SourceRepository],
    problems: bool,
    width: usize,
) -> io::Result<()> {
    if sources.is_empty() {
        return writeln!(
            out,
            "{}",
            if problems {
                "No package source has a problem."
            } else {
                "The server knows no package sources. Is it still reading them?"
            }
        );
    }
    let mut table = Table::new(&["PKGBASE", "VERSION", "BRANCH", "COMMIT", "REMARKS"]);
    let (mut broken, mut odd) = (0, 0);
    for source in sources {
        let remarks = match &source.problem {
            Some(problem) => {
                broken += 1;
                Cell::new(format!("problem: {problem}"), style::BAD)
            }
            None if source.warnings.is_empty() => Cell::default(),
            None => {
                odd += 1;
                Cell::new(source.warnings.join("; "), style::ODD)
            }
        };
        let version = source.version.as_ref().map(ToString::to_string);
        table.row([
            source.pkgbase.as_str().into(),
            version.unwrap_or_default().into(),
            source.default_branch.as_deref().unwrap_or_default().into(),
            Cell::new(
                commit(source.commit.as_deref().unwrap_or_default()),
                style::FAINT,
            ),
            remarks,
        ]);
    }
    table.write(out, width)?;
    let total = count(sources.len(), "package source");
    writeln!(
        out,
        "\n{total}: {broken} cannot be planned with, {odd} with warnings"
    )
}
