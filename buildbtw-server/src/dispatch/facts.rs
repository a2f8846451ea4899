//! What is known of a build, gathered to explain why it stands where it stands.

use buildbtw_api::builds::Build;
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, RunStatus};
use buildbtw_graph::Architecture;
use sqlx::SqliteConnection;

use super::situation::{FIRST, Others, gather, requirements};
use crate::Server;
use crate::db::builds::BuildState;
use crate::db::keys::BuildKey;
use crate::db::{DbResult, builds, modes, now, ready, suspicions, timestamp};
use crate::scheduler::explain::{Facts, OpenRun};
use crate::scheduler::{Queue, Situation, handed_out_before};

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
    let ahead = match build.status {
        BuildStatus::Pending => {
            ahead(&mut *db, situation, key, &state, &build.architecture).await?
        }
        _ => 0,
    };
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
        direct: match waits_for {
            0 => Vec::new(),
            _ => builds::waited_for(&mut *db, key).await?,
        },
        front: builds::front(&mut *db, key).await?,
        suspects: suspicions::suspected_for(&mut *db, key).await?,
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
        ahead,
        left_to,
    })
}

/// How many ready builds are handed out before one.
async fn ahead(
    db: &mut SqliteConnection,
    situation: &Situation<BuildKey>,
    key: BuildKey,
    build: &BuildState,
    architecture: &Architecture,
) -> DbResult<u32> {
    let line = situation.line(Some(architecture));
    let place = line.iter().position(|other| *other == key);
    let place = place.and_then(|place| u32::try_from(place).ok());
    match place {
        // What the situation does not show of a build set comes behind so many that it shows.
        Some(place) if place < FIRST => return Ok(place),
        _ if !situation.more => return Ok(place.unwrap_or(0)),
        _ => {}
    }
    let at = now();
    let queues: Vec<Queue> = ready::counts(&mut *db, architecture, at)
        .await?
        .into_iter()
        .map(|(namespace, ready)| Queue {
            namespace: namespace.0,
            share: situation.share(namespace.0),
            ready,
        })
        .collect();
    let place = ready::before_in_set(db, key, at).await?;
    let virtual_time = situation.virtual_time;
    Ok(handed_out_before(
        &queues,
        build.namespace.0,
        place,
        virtual_time,
    ))
}
