//! What is known of a build, gathered to explain why it stands where it stands.

use buildbtw_api::builds::Build;
use buildbtw_api::{IterationStatus, NamespaceStatus, RunStatus};
use sqlx::SqliteConnection;

use super::situation::{FIRST, Others, gather, requirements};
use crate::Server;
use crate::db::keys::BuildKey;
use crate::db::{DbResult, builds, modes, ready, timestamp};
use crate::scheduler::Situation;
use crate::scheduler::explain::{Facts, OpenRun};

/// Where the namespace and the iteration of a build stand.
#[derive(Debug, Clone, Copy)]
pub struct Stands {
    /// The namespace.
    pub namespace: NamespaceStatus,
    /// The iteration.
    pub iteration: IterationStatus,
}

/// Gathers what there is to decide, for the facts of however many builds.
pub async fn situation(
    server: &Server,
    db: &mut SqliteConnection,
) -> DbResult<Situation<BuildKey>> {
    Ok(gather(server, db, FIRST, Others::All).await?.situation)
}

/// Gathers all that is known of a build.
pub async fn facts(
    server: &Server,
    db: &mut SqliteConnection,
    situation: &Situation<BuildKey>,
    key: BuildKey,
    build: &Build,
    stands: Stands,
) -> DbResult<Facts> {
    let state = builds::state(&mut *db, key).await?;
    let waits_for = state.waits_for;
    let (not_before, refers_to) = builds::obstacles(&mut *db, key).await?;
    let failed_on = ready::failed_on(&mut *db, key).await?;
    let order = situation.line(&build.architecture);
    let ahead = order.iter().position(|other| *other == key).unwrap_or(0);
    let run = build.run.as_ref();
    let left_to = situation.waits_for_faster(key).map(|left| left.to);
    Ok(Facts {
        status: build.status,
        message: build.reason.clone(),
        architecture: build.architecture.clone(),
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
                pipeline: run.pipeline.clone(),
            }),
        class: run.and_then(|run| Some(run.outcome.as_ref()?.class)),
        not_before: not_before.map(timestamp).transpose()?,
        equal_input: server.dispatch.equal_input(key),
        requirements: requirements(server, build.pkgbase.as_str(), state.place()?),
        failed_on: failed_on.into_iter().map(|worker| worker.0).collect(),
        server: modes::server(&mut *db).await?,
        workers: situation.workers.clone(),
        ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
        left_to,
    })
}
