//! `bbtw workers`

use std::io::{self, Write};

use buildbtw_api::modes::{WorkerModeNote, WorkerModeRequest};
use buildbtw_api::workers::Worker;
use buildbtw_api::{WorkerId, WorkerMode};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{self, WorkerChange};
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{ago, harmless, wrap};

/// Lists workers, or changes what one of them gets.
pub async fn run(session: &Session, arguments: &cli::Workers) -> Outcome {
    match &arguments.change {
        None => list(session).await,
        Some(WorkerChange::Drain(stop)) => {
            let reason = Some(stop.reason.clone());
            set(session, &stop.worker, WorkerMode::Draining, reason).await
        }
        Some(WorkerChange::Pause(stop)) => {
            let reason = Some(stop.reason.clone());
            set(session, &stop.worker, WorkerMode::Paused, reason).await
        }
        Some(WorkerChange::Activate(activate)) => {
            let reason = activate.reason.clone();
            set(session, &activate.worker, WorkerMode::Active, reason).await
        }
    }
}

async fn list(session: &Session) -> Outcome {
    let workers = session.client.workers().await?;
    if session.json {
        return session.print_json(&workers);
    }
    session.print(|out| write(out, &workers, session.width))
}

fn write(out: &mut dyn Write, workers: &[Worker], width: usize) -> io::Result<()> {
    if workers.is_empty() {
        return writeln!(
            out,
            "No worker has registered yet. Start one with buildbtw-worker."
        );
    }
    let now = Timestamp::now();
    let mut table = Table::new(&[
        "NAME", "MODE", "BUILDER", "ARCH", "BUSY", "SPEED", "SEEN", "BUILDS",
    ]);
    for worker in workers {
        let architectures: Vec<&str> = worker
            .offer
            .architectures
            .iter()
            .map(|one| one.as_str())
            .collect();
        table.row([
            Cell::new(&worker.name, style::STRONG),
            Cell::new(worker.mode.mode.as_str(), colour(worker.mode.mode)),
            worker.offer.builder.as_str().into(),
            architectures.join(", ").into(),
            format!("{}/{}", worker.runs.len(), worker.offer.slots).into(),
            // Nothing while no run has told.
            worker
                .speed
                .map_or(String::new(), |speed| format!("{speed:.2}"))
                .into(),
            match worker.seen_at {
                Some(seen) => ago(seen, now).into(),
                None => Cell::new("not lately", style::ODD),
            },
            builds(worker, now),
        ]);
    }
    table.write(out, width)
}

/// What a worker builds; or, where that explains more, why it gets nothing.
fn builds(worker: &Worker, now: Timestamp) -> Cell {
    let mut builds: Vec<String> = worker
        .running
        .iter()
        .map(|build| {
            let since = ago(build.since, now);
            format!("{} in {} ({since})", build.pkgbase, build.namespace)
        })
        .collect();
    // Servers of earlier versions give only the ids.
    if worker.running.is_empty() {
        builds.extend(worker.runs.iter().map(ToString::to_string));
    }
    let reason = worker.idle.as_ref().map(ToString::to_string);
    match (builds.is_empty(), worker.mode.mode, reason) {
        (true, _, Some(reason)) => Cell::new(reason, style::FAINT),
        (false, mode, Some(reason)) if mode != WorkerMode::Active => {
            Cell::from(format!("{}; {reason}", builds.join(", ")))
        }
        _ => Cell::new(builds.join(", "), style::BUSY),
    }
}

fn colour(mode: WorkerMode) -> anstyle::Style {
    match mode {
        WorkerMode::Active => style::GOOD,
        WorkerMode::Draining | WorkerMode::Paused => style::ODD,
        WorkerMode::SetAside => style::BAD,
    }
}

/// What `--json` prints of a change.
#[derive(Serialize)]
struct Changed<'a> {
    id: WorkerId,
    name: &'a str,
    #[serde(flatten)]
    mode: &'a WorkerModeNote,
}

async fn set(session: &Session, wanted: &str, mode: WorkerMode, reason: Option<String>) -> Outcome {
    let workers = session.client.workers().await?;
    let worker = find(&workers, wanted)?;
    let request = WorkerModeRequest { mode, reason };
    let note = session.client.set_worker_mode(worker.id, &request).await?;
    if session.json {
        return session.print_json(&Changed {
            id: worker.id,
            name: &worker.name,
            mode: &note,
        });
    }
    let busy = worker.runs.len();
    let next = match (note.mode, busy) {
        (WorkerMode::Active, _) => "it gets runs again".to_owned(),
        (WorkerMode::Draining, 0) => "its program ends now".to_owned(),
        (WorkerMode::Draining, _) => {
            "what it builds goes on; then its program ends with exit code 0".to_owned()
        }
        (_, 0) => "it gets no runs until `bbtw workers activate`".to_owned(),
        (_, _) => {
            "what it builds goes on; it gets no more until `bbtw workers activate`".to_owned()
        }
    };
    let (strong, paint) = (style::STRONG, colour(note.mode));
    session.print(|out| {
        let name = harmless(&worker.name);
        writeln!(
            out,
            "Worker {strong}{name}{strong:#} is {paint}{}{paint:#}.",
            note.mode
        )?;
        for line in wrap(&next, session.width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    })
}

/// The worker of that name or id.
fn find<'a>(workers: &'a [Worker], wanted: &str) -> Result<&'a Worker, Failure> {
    if let Ok(id) = wanted.parse::<WorkerId>()
        && let Some(worker) = workers.iter().find(|worker| worker.id == id)
    {
        return Ok(worker);
    }
    let named: Vec<&Worker> = workers
        .iter()
        .filter(|worker| worker.name == wanted)
        .collect();
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::new(format!("there is no worker {wanted}"))
            .hint("`bbtw workers` lists those that are known")),
        several => {
            let now = Timestamp::now();
            let ids: Vec<String> = several
                .iter()
                .map(|worker| match worker.seen_at {
                    Some(seen) => format!("{} (seen {})", worker.id, ago(seen, now)),
                    None => format!("{} (not seen lately)", worker.id),
                })
                .collect();
            let count = several.len();
            Err(Failure::new(format!("{count} workers are called {wanted}"))
                .hint(format!("give the id instead: {}", ids.join(", "))))
        }
    }
}
