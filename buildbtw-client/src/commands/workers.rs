//! `bbtw workers`

use std::collections::BTreeMap;
use std::io::{self, Write};

use buildbtw_api::workers::Worker;
use buildbtw_api::{ProblemType, RunId};
use jiff::Timestamp;

use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::ago;

/// Lists workers and what they build.
pub async fn run(session: &Session) -> Outcome {
    let workers = session.client.workers().await?;
    if session.json {
        return session.print_json(&workers);
    }
    let mut names = BTreeMap::new();
    for run in workers.iter().flat_map(|worker| &worker.runs) {
        match session.client.run(*run).await {
            Ok(details) => {
                names.insert(
                    *run,
                    format!("{} in {}", details.pkgbase, details.namespace),
                );
            }
            // It may have ended meanwhile.
            Err(error)
                if error
                    .problem()
                    .is_some_and(|problem| problem.kind == ProblemType::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    session.print(|out| write(out, &workers, &names, session.width))
}

fn write(
    out: &mut dyn Write,
    workers: &[Worker],
    names: &BTreeMap<RunId, String>,
    width: usize,
) -> io::Result<()> {
    if workers.is_empty() {
        return writeln!(
            out,
            "No worker has registered yet. Start one with buildbtw-worker."
        );
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["NAME", "BUILDER", "ARCHITECTURES", "BUSY", "SEEN", "BUILDS"]);
    for worker in workers {
        let architectures: Vec<&str> = worker
            .offer
            .architectures
            .iter()
            .map(|one| one.as_str())
            .collect();
        let builds: Vec<String> = worker
            .runs
            .iter()
            .map(|run| names.get(run).cloned().unwrap_or_else(|| run.to_string()))
            .collect();
        table.row([
            Cell::new(&worker.name, style::STRONG),
            worker.offer.builder.as_str().into(),
            architectures.join(", ").into(),
            format!("{}/{}", worker.runs.len(), worker.offer.slots).into(),
            match worker.seen_at {
                Some(seen) => ago(seen, now).into(),
                None => Cell::new("not lately", style::ODD),
            },
            Cell::new(builds.join(", "), style::BUSY),
        ]);
    }
    table.write(out, width)
}
