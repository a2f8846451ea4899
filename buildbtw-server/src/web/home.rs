//! The home page: namespaces, workers, sources.

use askama::Template;
use axum::extract::State;
use buildbtw_api::namespaces::Namespace;
use buildbtw_api::{BuildStatus, WorkerId, WorkerMode};

use super::page::{PageResult, render, time};
use crate::Server;
use crate::api::namespace_as_shown;
use crate::db::{modes, namespaces, workers};

/// How many namespaces the page shows.
const NAMESPACES: u32 = 100;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    namespaces: Vec<Row>,
    workers: Vec<WorkerRow>,
    sources: usize,
    source_problems: usize,
    in_sync: bool,
    /// What is said when the server hands out no runs.
    mode: Option<String>,
}

struct Row {
    namespace: Namespace,
    done: u32,
    failed: u32,
    total: u32,
    created: String,
}

struct WorkerRow {
    id: WorkerId,
    name: String,
    builder: String,
    slots: u32,
    running: usize,
    seen: Option<String>,
    mode: WorkerMode,
}

/// The home page.
pub async fn show(State(server): State<Server>) -> PageResult {
    let mut tx = server.db.read().await?;
    let mut rows = Vec::new();
    for stored in namespaces::page(&mut tx, false, None, NAMESPACES).await? {
        let namespace = namespace_as_shown(&server, &mut tx, &stored).await?;
        let count = |pick: fn(BuildStatus) -> bool| {
            let sets = namespace
                .iteration
                .iter()
                .flat_map(|iteration| iteration.build_sets.values());
            sets.map(|set| set.count(pick)).sum()
        };
        rows.push(Row {
            done: count(BuildStatus::releases_dependents),
            failed: count(BuildStatus::is_failure),
            total: count(|_| true),
            created: time(&namespace.created_at),
            namespace,
        });
    }
    let leases = &server.dispatch.leases;
    let workers = workers::all(&mut tx)
        .await?
        .into_iter()
        .map(|worker| WorkerRow {
            running: leases.of_worker(worker.id).len(),
            seen: leases.seen_at(worker.id).as_ref().map(time),
            id: worker.id,
            name: worker.name,
            mode: worker.mode,
            builder: worker.offer.builder,
            slots: worker.offer.slots,
        })
        .collect();
    let mode = modes::server(&mut tx).await?;
    let (sources, source_problems) = server.sources.counts();
    let in_sync = *server.sources.in_sync().borrow();
    render(&Home {
        namespaces: rows,
        workers,
        sources,
        source_problems,
        in_sync,
        mode: mode.remark(),
    })
}
