//! What is known of a build, gathered to explain why it stands where it stands.

use std::time::Instant;

use buildbtw_api::builds::Build;
use buildbtw_api::{IterationStatus, NamespaceStatus, RunStatus};
use sqlx::SqliteConnection;

use super::claim::ready_builds;
use crate::Server;
use crate::db::keys::BuildKey;
use crate::db::{DbResult, builds, timestamp, workers};
use crate::scheduler::candidates;
use crate::scheduler::explain::{Facts, LiveWorker, OpenRun};

/// Where the namespace and the iteration of a build stand.
#[derive(Debug, Clone, Copy)]
pub struct Stands {
    /// The namespace.
    pub namespace: NamespaceStatus,
    /// The iteration.
    pub iteration: IterationStatus,
}

/// Gathers all that is known of a build.
pub async fn facts(
    server: &Server,
    db: &mut SqliteConnection,
    key: BuildKey,
    build: &Build,
    stands: Stands,
) -> DbResult<Facts> {
    let waits_for = builds::state(&mut *db, key).await?.waits_for;
    let (not_before, refers_to) = builds::obstacles(&mut *db, key).await?;
    let ready = ready_builds(&mut *db).await?;
    let order = candidates(&ready, std::slice::from_ref(&build.architecture));
    let ahead = order.iter().position(|other| *other == key).unwrap_or(0);
    let (leases, now) = (&server.dispatch.leases, Instant::now());
    let workers = workers::all(&mut *db).await?.into_iter();
    let workers = workers
        .filter(|worker| leases.is_alive(worker.id, now))
        .map(|worker| LiveWorker {
            architectures: worker
                .offer
                .architectures
                .iter()
                .map(ToString::to_string)
                .collect(),
            slots: worker.offer.slots,
            running: u32::try_from(leases.of_worker(worker.id).len()).unwrap_or(u32::MAX),
        })
        .collect();
    let run = build.run.as_ref();
    Ok(Facts {
        status: build.status,
        message: build.reason.clone(),
        architecture: build.architecture.to_string(),
        refers_to,
        iteration: stands.iteration,
        namespace: stands.namespace,
        waits_for,
        front: builds::front(&mut *db, key).await?,
        run: run
            .filter(|run| run.status != RunStatus::Ended)
            .map(|run| OpenRun {
                worker: run.worker.clone(),
                since: run.claimed_at,
                publishing: run.status == RunStatus::Publishing,
            }),
        class: run.and_then(|run| Some(run.outcome.as_ref()?.class)),
        not_before: not_before.map(timestamp).transpose()?,
        equal_input: server.dispatch.equal_input(key),
        workers,
        ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
    })
}
