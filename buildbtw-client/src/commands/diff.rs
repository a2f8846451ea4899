//! `bbtw diff`

use std::io::{self, Write};

use buildbtw_api::namespaces::{DifferenceQuery, IterationDifference};
use buildbtw_graph::{BuildKey, ChangedBuild, SetDifference};

use crate::asking::iteration;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{commit, count};

/// Shows what changed from one iteration to another.
pub async fn run(session: &Session, arguments: &cli::Diff) -> Outcome {
    let name = &arguments.namespace;
    let details = session.client.namespace_with(name, arguments.to).await?;
    let to = iteration(&details, arguments.to)?.number;
    let query = DifferenceQuery {
        from: arguments.from,
    };
    let difference = session.client.difference(name, to, &query).await?;
    if session.json {
        return session.print_json(&difference);
    }
    session.print(|out| write(out, &difference, session.width))
}

fn write(out: &mut dyn Write, compared: &IterationDifference, width: usize) -> io::Result<()> {
    let IterationDifference {
        from,
        to,
        difference,
    } = compared;
    if difference.is_empty() {
        return writeln!(
            out,
            "Iterations {from} and {to} have the same builds, of the same commits, in the same order."
        );
    }
    let strong = style::STRONG;
    writeln!(out, "From iteration {from} to iteration {to}:")?;
    for (architecture, set) in &difference.architectures {
        writeln!(out, "\n{strong}{architecture}{strong:#}: {}", in_short(set))?;
        write_set(out, set, width)?;
    }
    Ok(())
}

/// How much of each kind there is.
fn in_short(set: &SetDifference) -> String {
    let counts = [
        (set.added.len(), "added"),
        (set.removed.len(), "removed"),
        (set.changed.len(), "changed"),
    ];
    let mut parts: Vec<String> = counts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    if !set.order.is_empty() {
        parts.push(format!(
            "the order of {} changed",
            count(set.order.len(), "build")
        ));
    }
    parts.join(", ")
}

fn write_set(out: &mut dyn Write, set: &SetDifference, width: usize) -> io::Result<()> {
    let mut table = Table::bare().indented(2);
    for build in &set.added {
        table.row([Cell::new("+", style::GOOD), shown(build).into(), "".into()]);
    }
    for build in &set.removed {
        table.row([Cell::new("-", style::BAD), shown(build).into(), "".into()]);
    }
    for change in &set.changed {
        table.row([
            Cell::new("~", style::ODD),
            shown(&change.build).into(),
            what_changed(change).into(),
        ]);
    }
    for change in &set.order {
        let list = |what: &str, builds: &[BuildKey]| {
            let names: Vec<String> = builds.iter().map(shown).collect();
            (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
        };
        let parts: Vec<String> = [
            list("now after", &change.now_after),
            list("no longer after", &change.no_longer_after),
        ]
        .into_iter()
        .flatten()
        .collect();
        table.row([
            Cell::new("↕", style::FAINT),
            shown(&change.build).into(),
            parts.join("; ").into(),
        ]);
    }
    table.write(out, width)
}

fn shown(build: &BuildKey) -> String {
    match build.pass {
        1 => build.pkgbase.to_string(),
        pass => format!("{} (pass {pass})", build.pkgbase),
    }
}

fn what_changed(change: &ChangedBuild) -> String {
    let mut parts = Vec::new();
    if let Some((from, to)) = &change.commit {
        parts.push(format!("commit {} → {}", commit(from), commit(to)));
    }
    if let Some((from, to)) = &change.version {
        parts.push(format!("version {from} → {to}"));
    }
    match change.nocheck {
        Some((_, true)) => parts.push("now without its check".to_owned()),
        Some((_, false)) => parts.push("now with its check".to_owned()),
        None => {}
    }
    parts.join(", ")
}
