//! A worker asks for a run, and waits until there is one.

use std::time::Duration;

use buildbtw_api::runs::{Assignment, BuildOrder, NetworkMode, Outcome};
use buildbtw_api::{BuildStatus, OutcomeClass, RunId, WorkerId};

use super::reuse::{self, Reuse};
use super::{expected, situation, steps};
use crate::db::builds::{self, BuildState};
use crate::db::inputs::{self, BuildInput};
use crate::db::keys::BuildKey;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, now, ready, runs, shares, word, workers};
use crate::scheduler::{Idle, Situation};
use crate::{Server, clock};

/// How long a worker waits for an answer. Shorter than what proxies and clients allow.
const POLL: Duration = Duration::from_secs(25);

/// Hands a run to a worker as soon as there is one for it; `None` when it is to ask again.
pub async fn claim(server: &Server, worker: WorkerId) -> DbResult<Option<Assignment>> {
    let end = tokio::time::Instant::now() + POLL;
    loop {
        // Taken before the look, so that what becomes ready during it is not missed.
        let ready = server.dispatch.ready.notified();
        server.dispatch.leases.note_seen(worker, clock::instant());
        if let Some(assignment) = try_claim(server, worker).await? {
            return Ok(Some(assignment));
        }
        let delay = next_delay(server).await?;
        tokio::select! {
            () = ready => {}
            () = delay => {}
            () = tokio::time::sleep_until(end) => return Ok(None),
            () = server.shutdown.cancelled() => return Ok(None),
        }
    }
}

/// The time until a build that was put off may be handed out.
async fn next_delay(server: &Server) -> DbResult<impl Future<Output = ()> + use<>> {
    let mut tx = server.db.read().await?;
    let micros = ready::next_delay(&mut tx)
        .await?
        .map(|at| u64::try_from(at - now()).unwrap_or(0));
    Ok(async move {
        match micros {
            // A moment later, so that the wait is not cut into ever smaller pieces.
            Some(micros) => {
                tokio::time::sleep(Duration::from_micros(micros) + Duration::from_millis(10)).await
            }
            None => std::future::pending().await,
        }
    })
}

/// Hands a run to a worker if there is one for it now.
pub async fn try_claim(server: &Server, id: WorkerId) -> DbResult<Option<Assignment>> {
    let _turn = server.dispatch.turn.lock().await;
    let mut each = situation::FIRST;
    loop {
        let (worker, gathered) = {
            let mut tx = server.db.read().await?;
            let Some(worker) = workers::by_id(&mut tx, id).await? else {
                return Ok(None);
            };
            (worker, situation::gather(server, &mut tx, each).await?)
        };
        let workplace = situation::workplace(server, &worker);
        let situation = gathered.situation;
        let candidates = situation.candidates(&workplace);
        for key in candidates.iter().flatten() {
            if let Some(assignment) = hand_out(server, &worker, *key, &situation).await? {
                return Ok(Some(assignment));
            }
        }
        // What was looked at is not for this worker; something further down the line may be.
        match (candidates, gathered.more) {
            (Ok(_) | Err(Idle::NothingFits(_) | Idle::LeftToOthers), true) => {
                each = each.saturating_mul(16);
            }
            _ => return Ok(None),
        }
    }
}

/// Makes a run of a ready build and gives it to the worker. `None` if the build cannot be handed
/// out after all: its dependencies cannot be installed, which ends it.
async fn hand_out(
    server: &Server,
    worker: &StoredWorker,
    key: BuildKey,
    situation: &Situation<BuildKey>,
) -> DbResult<Option<Assignment>> {
    let (state, input, installation) = {
        let mut tx = server.db.read().await?;
        let state = builds::state(&mut tx, key).await?;
        let input = inputs::input(&mut tx, key).await?;
        let installation = expected::installation(server, &mut tx, &state, &input).await?;
        (state, input, installation)
    };
    server.dispatch.waits_for_equal_input(key, None);
    let mut tx = server.db.write().await?;
    // Claims take turns, but a cancel may have come in between.
    if builds::state(&mut tx, key).await?.status()? != BuildStatus::Pending {
        return Ok(None);
    }
    let installation = match installation {
        Ok(installation) => installation,
        Err(reason) => {
            refuse(server, &mut tx, &state, &input, reason).await?;
            tx.commit().await?;
            server.feed.wake();
            return Ok(None);
        }
    };
    let input_id =
        match reuse::decide(server, &mut tx, &state, &input, worker, &installation).await? {
            Reuse::Build(input) => input,
            Reuse::Wait(known) => {
                server.dispatch.waits_for_equal_input(key, Some(known));
                return Ok(None);
            }
            Reuse::TakeOver(known) => {
                if reuse::take_over(server, &mut tx, &state, &known).await? {
                    tx.commit().await?;
                    server.feed.wake();
                    server.dispatch.wake();
                    return Ok(None);
                }
                // What was begun of it is undone; the build has an input of its own.
                drop(tx);
                tx = server.db.write().await?;
                inputs::assign(&mut tx, key, None, "{}").await?
            }
        };
    let run = RunId::generate();
    let fence = runs::insert(
        &mut tx,
        run,
        &state,
        input_id,
        Some(worker.key),
        &installation.expected,
    )
    .await?;
    builds::set_status(&mut tx, &state, BuildStatus::Scheduled, None).await?;
    if let Some((served, virtual_time)) = situation.account(key) {
        shares::charge(&mut tx, state.namespace, served, virtual_time).await?;
    }
    tx.commit().await?;
    let leases = &server.dispatch.leases;
    leases.grant(run, worker.id, fence, clock::instant());
    server.dispatch.granted.notify_one();
    server.feed.wake();
    let build = order(server, run, &state, &input, installation)?;
    Ok(Some(Assignment {
        run,
        fence,
        lease_seconds: server.config.lease_seconds,
        namespace: word("namespace", &input.namespace)?,
        iteration: input.iteration,
        build,
    }))
}

/// Ends a build whose dependencies cannot be installed: as a run that no worker ever gets, so that
/// its class and message stand where people look for them.
async fn refuse(
    server: &Server,
    db: &mut sqlx::SqliteConnection,
    state: &BuildState,
    input: &BuildInput,
    reason: String,
) -> DbResult<()> {
    let run = RunId::generate();
    runs::insert(&mut *db, run, state, input.input_id, None, &[(); 0]).await?;
    builds::set_status(&mut *db, state, BuildStatus::Scheduled, None).await?;
    let outcome = Outcome {
        class: OutcomeClass::Dependencies,
        message: reason,
        exit_code: None,
        failed_step: Some("dependencies".to_owned()),
    };
    if let Some(run) = runs::state(&mut *db, run).await? {
        steps::end_run(db, &run, &outcome, server.config.infrastructure_tries).await?;
    }
    Ok(())
}

fn order(
    server: &Server,
    run: RunId,
    state: &BuildState,
    input: &BuildInput,
    installation: expected::Installation,
) -> DbResult<BuildOrder> {
    Ok(BuildOrder {
        pkgbase: word("pkgbase", &input.pkgbase)?,
        architecture: word("architecture", &state.architecture)?,
        pass: input.pass,
        version: word("version", &input.version)?,
        pkgnames: input.pkgnames()?,
        source: format!("/api/v1/runs/{run}/source"),
        source_date_epoch: u64::try_from(input.committed_at).unwrap_or(0),
        packager: input
            .owner
            .clone()
            .unwrap_or_else(|| server.config.packager.clone()),
        check: !input.nocheck,
        root_mode: server.config.root_mode,
        network: NetworkMode::Sources,
        repositories: installation.repositories,
        install: input.install()?,
        assumed: input.assumed()?,
        expected: installation.expected,
    })
}
