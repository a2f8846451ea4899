//! Runs of iterations whose place a newer one took.
//!
//! A run belongs to its input. One whose input is likely the same in the newer iteration goes on where
//! it is, in the older one; what it makes serves the newer one by the key of its input, as every run's
//! packages do (see [`super::reuse`]). So a guess decides whether a run goes on, and never what is
//! published. What nobody waits for any more is called off.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use buildbtw_api::BuildStatus;
use sqlx::SqliteConnection;

use super::steps;
use crate::Server;
use crate::db::iterations::StoredIteration;
use crate::db::keys::{BuildKey, BuildSetKey, IterationKey, NamespaceKey, RunKey};
use crate::db::superseded::{self, OpenRun};
use crate::db::{DbResult, builds};

/// How long to wait after a failure of the server's own before the next look.
const PAUSE: Duration = Duration::from_secs(2);

/// Calls off what an iteration has not finished, but for the runs that the one in its place most
/// likely has a use for; hands back the runs that end.
pub async fn give_way(
    server: &Server,
    db: &mut SqliteConnection,
    older: IterationKey,
    newer: &StoredIteration,
    reason: &str,
) -> DbResult<Vec<buildbtw_api::RunId>> {
    let kept = worth_keeping(server, &mut *db, older, newer).await?;
    for build in &kept {
        let build = builds::state(&mut *db, *build).await?;
        let reason = format!("{reason}; this run goes on, for its packages may serve there");
        builds::set_reason(&mut *db, &build, &reason).await?;
    }
    steps::cancel_iteration(db, older, &kept, reason).await
}

/// The builds of an older iteration whose runs are to go on.
async fn worth_keeping(
    server: &Server,
    db: &mut SqliteConnection,
    older: IterationKey,
    newer: &StoredIteration,
) -> DbResult<HashSet<BuildKey>> {
    let mut kept = HashSet::new();
    let mut likely: HashMap<BuildSetKey, Vec<BuildKey>> = HashMap::new();
    let may_serve = newer.reason()?.allows_reuse();
    for run in superseded::open_runs(&mut *db, older).await? {
        // What is built needs no worker any more.
        if run.publishing || is_waited_for_elsewhere(server, &mut *db, &run).await? {
            kept.insert(run.build);
        } else if run.serves_others && may_serve {
            likely.entry(run.set).or_default().push(run.build);
        }
    }
    for (set, builds) in likely {
        let Some(now) = superseded::set_on_equal_bases(&mut *db, newer.key, set).await? else {
            continue;
        };
        let others = superseded::with_other_inputs(&mut *db, &builds, now).await?;
        kept.extend(builds.into_iter().filter(|build| !others.contains(build)));
    }
    Ok(kept)
}

/// Whether a build of another namespace waits for what a run makes.
async fn is_waited_for_elsewhere(
    server: &Server,
    db: &mut SqliteConnection,
    run: &OpenRun,
) -> DbResult<bool> {
    for build in server.dispatch.waiting_for(run.key) {
        let state = builds::state(&mut *db, build).await?;
        if state.namespace != run.namespace && state.status()? == BuildStatus::Pending {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Calls off the runs that went on and that nobody waits for any more, until the server stops.
pub async fn watch(server: Server) {
    let mut changed = server.feed.follow();
    loop {
        let next = async {
            match call_off(&server).await {
                Ok(0) => server.dispatch.kept.notified().await,
                Ok(_) => {
                    // Whatever ends the need for a run is recorded as an event.
                    let _ = changed.changed().await;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot tell which runs nobody waits for");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = next => {}
            () = server.shutdown.cancelled() => return,
        }
    }
}

/// Calls off what nobody waits for; hands back how many runs of superseded iterations go on.
///
/// # Errors
///
/// When the database fails; what was called off until then stays so.
pub async fn call_off(server: &Server) -> DbResult<usize> {
    let kept = superseded::kept_runs(&mut *server.db.read().await?).await?;
    let mut left = kept.len();
    for (run, awaited) in kept {
        if !awaited && call_off_one(server, run.key).await? {
            left -= 1;
        }
    }
    Ok(left)
}

async fn call_off_one(server: &Server, key: RunKey) -> DbResult<bool> {
    let mut tx = server.db.write().await?;
    // It may be over by now, or somebody may have come to wait for it.
    let now = superseded::kept_runs(&mut tx).await?;
    let Some((run, false)) = now.into_iter().find(|(run, _)| run.key == key) else {
        return Ok(false);
    };
    if is_waited_for_elsewhere(server, &mut tx, &run).await? {
        return Ok(false);
    }
    let build = builds::state(&mut tx, run.build).await?;
    let reason = "a newer iteration took its place, and nobody waits for its packages any more";
    let stopped = steps::cancel_build(&mut tx, &build, reason).await?;
    tx.commit().await?;
    for run in stopped {
        server.dispatch.stop(run, reason).await;
        server.close_log(run, reason).await;
    }
    server.feed.wake();
    Ok(true)
}

/// Calls off what superseded iterations of a namespace still run; hands back the runs.
pub async fn stop_all(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    reason: &str,
) -> DbResult<Vec<buildbtw_api::RunId>> {
    let mut stopped = Vec::new();
    for iteration in superseded::still_running(&mut *db, namespace).await? {
        let all = HashSet::new();
        stopped.extend(steps::cancel_iteration(&mut *db, iteration, &all, reason).await?);
    }
    Ok(stopped)
}
