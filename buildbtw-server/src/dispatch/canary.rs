//! Trying out a worker that was set aside: a build that passed elsewhere is run once more on it. Nothing
//! of that is published, and no build changes by it; when it passes, the worker gets runs again.

use buildbtw_api::runs::{Assignment, Outcome};
use buildbtw_api::{RunId, ServerMode, WorkerMode};
use sqlx::SqliteConnection;

use super::{claim, expected};
use crate::Server;
use crate::db::runs::{NewRun, RunState};
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, builds, inputs, modes, runs, suspicions};

/// Hands a worker that was set aside a canary, if it is time for one. One claim at a time comes here.
pub async fn hand_out(server: &Server, worker: &StoredWorker) -> DbResult<Option<Assignment>> {
    let (state, input, installation) = {
        let mut tx = server.db.read().await?;
        if modes::server(&mut tx).await?.mode != ServerMode::Run {
            return Ok(None);
        }
        let Some(build) = suspicions::canary_due(&mut tx, worker.key).await? else {
            return Ok(None);
        };
        let set = builds::state(&mut tx, build).await?.set;
        let found = expected::look_up(server, &mut tx, build, set).await?;
        expected::installation(server, &mut tx, found).await?
    };
    let mut tx = server.db.write().await?;
    // Somebody may have brought it back meanwhile.
    if suspicions::canary_due(&mut tx, worker.key).await? != Some(state.key) {
        return Ok(None);
    }
    suspicions::put_canary_off(&mut tx, worker.key).await?;
    let Ok(installation) = installation else {
        // What it needs cannot be installed any more; later there may be another one.
        tx.commit().await?;
        return Ok(None);
    };
    let run = RunId::generate();
    let own = inputs::of_canary(&mut tx).await?;
    let new = NewRun {
        id: run,
        build: &state,
        input: Some(own),
        worker: Some(worker.key),
        expected: &installation.expected,
    };
    let fence = runs::insert(&mut tx, &new).await?;
    runs::mark_canary(&mut tx, run).await?;
    tx.commit().await?;
    claim::assign(server, worker, run, fence, &state, &input, installation).map(Some)
}

/// A canary passed: its worker is active again.
pub async fn pass(db: &mut SqliteConnection, run: &RunState) -> DbResult<()> {
    let build = builds::state(&mut *db, run.build).await?;
    let outcome = Outcome {
        class: buildbtw_api::OutcomeClass::Success,
        message: "it only tried its worker out: nothing of it is published".to_owned(),
        exit_code: Some(0),
        failed_step: None,
    };
    runs::end(&mut *db, run, &build, &outcome).await?;
    let Some(worker) = suspicions::canary_passed(&mut *db, run.key).await? else {
        return Ok(());
    };
    // Whom a person drained or paused meanwhile stays so.
    if modes::worker(&mut *db, worker).await?.mode == WorkerMode::SetAside {
        let reason = format!("{} failed on it before and passed now", build.pkgbase);
        modes::set_worker(db, worker, WorkerMode::Active, Some(&reason), None).await?;
    }
    Ok(())
}
