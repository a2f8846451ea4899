//! A worker asks for a run, and waits until there is one.

use std::time::Duration;

use buildbtw_api::runs::{Assignment, BuildOrder, Fence, NetworkMode, Outcome};
use buildbtw_api::workers::WorkerOffer;
use buildbtw_api::{BuildStatus, OutcomeClass, RunId, WorkerId, WorkerMode};

use super::quiet::Offering;
use super::reuse::{self, Reuse};
use super::situation::{Gathered, Others};
use super::{canary, expected, fleet, situation, steps, suspicion};
use crate::db::builds::{self, BuildState};
use crate::db::inputs::BuildInput;
use crate::db::keys::{BuildKey, WorkerKey};
use crate::db::runs::NewRun;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, Statements, Tx, now, ready, runs, shares, word};
use crate::scheduler::{Expected, Idle};
use crate::{Server, clock};

/// How long a worker waits for an answer. Shorter than what proxies and clients allow.
const POLL: Duration = Duration::from_secs(25);

/// What a worker gets that asks.
#[derive(Debug)]
pub enum Claim {
    /// A run.
    Given(Box<Assignment>),
    /// Nothing, before something happens or this time comes, in stored form.
    Nothing(Option<i64>),
}

impl Claim {
    /// The run, if it got one.
    pub fn given(self) -> Option<Assignment> {
        match self {
            Self::Given(assignment) => Some(*assignment),
            Self::Nothing(_) => None,
        }
    }
}

/// Hands a run to a worker as soon as there is one for it; `None` when it is to ask again.
pub async fn claim(server: &Server, worker: WorkerId) -> DbResult<Option<Assignment>> {
    let end = tokio::time::Instant::now() + POLL;
    loop {
        // Taken before the look, so that what becomes ready during it is not missed.
        let ready = server.dispatch.ready.notified();
        server.dispatch.leases.note_seen(worker, clock::instant());
        let until = match try_claim(server, worker).await? {
            Claim::Given(assignment) => return Ok(Some(*assignment)),
            Claim::Nothing(until) => until,
        };
        tokio::select! {
            () = ready => {}
            () = reached(until) => {}
            () = tokio::time::sleep_until(end) => return Ok(None),
            () = server.shutdown.cancelled() => return Ok(None),
        }
    }
}

/// Waits for a time, in stored form; for ever where there is none.
async fn reached(at: Option<i64>) {
    match at {
        Some(at) => {
            let micros = u64::try_from(at - now()).unwrap_or(0);
            // A moment later, so that the wait is not cut into ever smaller pieces.
            tokio::time::sleep(Duration::from_micros(micros) + Duration::from_millis(10)).await;
        }
        None => std::future::pending().await,
    }
}

/// Hands a run to a worker if there is one for it now. Many may ask at once, and mostly there is
/// nothing: who offers the same as one that got nothing a moment ago is not looked up for again.
pub async fn try_claim(server: &Server, id: WorkerId) -> DbResult<Claim> {
    let dispatch = &server.dispatch;
    let _turn = dispatch.turn.lock().await;
    if let Some(quiet) = dispatch.quiet.nothing_for(id, now()) {
        return Ok(Claim::Nothing(quiet));
    }
    let news = dispatch.quiet.news();
    let mut each = situation::NEXT;
    let mut reviewed = false;
    loop {
        // This reads where it is going to write: what is chosen cannot change in between, and nothing is read twice. The
        // transaction begins only where there is something to hand out.
        let (mut tx, worker, line) = ready::look(&server.db, id, now(), each).await?;
        let Some(worker) = worker else {
            return Ok(Claim::Nothing(None));
        };
        // What is held against it may be settled by now.
        if worker.mode == WorkerMode::SetAside && !std::mem::replace(&mut reviewed, true) {
            drop(tx);
            suspicion::review(server).await?;
            continue;
        }
        if worker.mode == WorkerMode::SetAside {
            drop(tx);
            let canary = canary::hand_out(server, &worker).await?;
            let given = canary.map(|canary| Claim::Given(Box::new(canary)));
            return Ok(given.unwrap_or(Claim::Nothing(None)));
        }
        let others = Others::ThatMatter(Some(&worker));
        let gathered = situation::gather_from(server, &mut tx, line, each, others).await?;
        let workplace = situation::workplace(server, &worker);
        let candidates = gathered.situation.candidates(&workplace);
        let mut open = Some(tx);
        for key in candidates.iter().flatten() {
            let tx = match open.take() {
                Some(tx) => tx,
                None => server.db.write().await?,
            };
            let taker = Taker::Worker(&worker);
            match hand_out(server, tx, taker, *key, &gathered).await? {
                Handed::Given(assignment) => return Ok(Claim::Given(assignment)),
                Handed::Nothing(tx) => open = tx,
            }
        }
        drop(open);
        // What was looked at is not for this worker; something further down the line may be. Of so many as are
        // weighed one is not left to faster ones.
        if gathered.more
            && matches!(
                candidates,
                Ok(_) | Err(Idle::NothingFits(_) | Idle::LeftToOthers | Idle::LeftToFaster(_))
            )
        {
            each = each.saturating_mul(situation::WIDER);
            continue;
        }
        let mut until = gathered.until;
        if let Err(Idle::LeftToFaster(left)) = &candidates {
            let again = now().saturating_add(left.again_ms.saturating_mul(1_000));
            until = Some(until.map_or(again, |until| until.min(again)));
        }
        let taker = Offering {
            worker: id,
            offer: &worker.offer,
            speed: workplace.speed,
        };
        dispatch.quiet.note(&taker, &candidates, news, until);
        return Ok(Claim::Nothing(until));
    }
}

/// Who gets a run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taker<'a> {
    /// A worker that asks.
    Worker(&'a StoredWorker),
    /// Some runner of GitLab's, which offers this.
    Fleet(&'a WorkerOffer),
}

impl Taker<'_> {
    fn offer(&self) -> &WorkerOffer {
        match self {
            Self::Worker(worker) => &worker.offer,
            Self::Fleet(offer) => offer,
        }
    }

    fn key(&self) -> Option<WorkerKey> {
        match self {
            Self::Worker(worker) => Some(worker.key),
            Self::Fleet(_) => None,
        }
    }
}

/// What came of handing a build out.
pub(super) enum Handed {
    /// A run of it.
    Given(Box<Assignment>),
    /// Nothing. The transaction comes back if nothing was done in it.
    Nothing(Option<Tx>),
}

/// Makes a run of a ready build and gives it to a worker, or to GitLab. Nothing comes of a build that cannot be
/// handed out after all: one whose dependencies cannot be installed, which ends it, or one for which
/// there is, or will be, a run of an equal input.
pub(super) async fn hand_out(
    server: &Server,
    mut tx: Tx,
    taker: Taker<'_>,
    key: BuildKey,
    gathered: &Gathered,
) -> DbResult<Handed> {
    let Some(set) = gathered.sets.get(&key) else {
        return Ok(Handed::Nothing(Some(tx)));
    };
    let found = expected::look_up(server, &mut tx, key, *set).await?;
    // One that was handed out before may have ended this one.
    if found.state.status()? != BuildStatus::Pending {
        return Ok(Handed::Nothing(Some(tx)));
    }
    let (state, input, installation) = expected::installation(server, &mut tx, found).await?;
    server.dispatch.waits_for_equal_input(key, None);
    let installation = match installation {
        Ok(installation) => installation,
        Err(reason) => {
            refuse(server, &mut tx, &state, &input, reason).await?;
            tx.commit().await?;
            server.feed.wake();
            return Ok(Handed::Nothing(None));
        }
    };
    let mut writes = Statements::default();
    runs::add_fence(&mut writes);
    let decided = reuse::decide(
        server,
        &mut tx,
        &state,
        &input,
        taker.offer(),
        &installation,
    );
    match decided.await? {
        Reuse::Build(assigned) => assigned.add(&mut writes, key),
        Reuse::Wait(known) => {
            server.dispatch.waits_for_equal_input(key, Some(known));
            return Ok(Handed::Nothing(Some(tx)));
        }
        Reuse::TakeOver(known) => {
            if reuse::take_over(server, &mut tx, &state, &known).await? {
                tx.commit().await?;
                server.feed.wake();
                server.dispatch.wake();
                suspicion::review(server).await?;
                return Ok(Handed::Nothing(None));
            }
            // What was begun of it is undone; the build has an input of its own.
            drop(tx);
            tx = server.db.write().await?;
            let own = reuse::an_own_input(&mut tx, key).await?;
            own.add(&mut writes, key);
        }
    }
    let run = RunId::generate();
    let new = NewRun {
        id: run,
        build: &state,
        input: None,
        worker: taker.key(),
        expected: &installation.expected,
    };
    runs::add(&mut writes, &new);
    builds::add_status(&mut writes, &state, BuildStatus::Scheduled, None);
    let situation = &gathered.situation;
    if let Some((served, virtual_time)) = situation.account(key) {
        shares::add_charge(&mut writes, state.namespace, served, virtual_time);
    }
    let assignment = match taker {
        Taker::Worker(worker) => {
            let fence = runs::told_fence(&mut tx.commit_with(writes).await?)?;
            let assignment = assign(server, worker, run, fence, &state, &input, installation)?;
            let chosen = situation.ready.iter().find(|build| build.key == key);
            let expected = chosen.map_or_else(Expected::default, |build| Expected {
                own_ms: build.weight.own_ms,
                behind_ms: build.weight.remaining_ms - build.weight.own_ms,
                namespace: build.namespace,
            });
            let leases = &server.dispatch.leases;
            leases.expect(run, clock::instant(), expected);
            assignment
        }
        Taker::Fleet(_) => {
            let fence = runs::told_fence(&mut writes.fetch(&mut tx).await?)?;
            let assignment = assignment(server, run, fence, &state, &input, installation)?;
            fleet::hand_over::note(server, &mut tx, &assignment, situation, key).await?;
            tx.commit().await?;
            server.feed.wake();
            assignment
        }
    };
    Ok(Handed::Given(Box::new(assignment)))
}

/// Gives a worker the lease of a run, and says what it is to do.
pub(super) fn assign(
    server: &Server,
    worker: &StoredWorker,
    run: RunId,
    fence: Fence,
    state: &BuildState,
    input: &BuildInput,
    installation: expected::Installation,
) -> DbResult<Assignment> {
    let leases = &server.dispatch.leases;
    leases.grant(run, worker.id, fence, clock::instant());
    server.dispatch.granted.notify_one();
    server.feed.wake();
    assignment(server, run, fence, state, input, installation)
}

/// What is to be done in a run.
fn assignment(
    server: &Server,
    run: RunId,
    fence: Fence,
    state: &BuildState,
    input: &BuildInput,
    installation: expected::Installation,
) -> DbResult<Assignment> {
    let build = order(server, run, state, input, installation)?;
    Ok(Assignment {
        run,
        fence,
        lease_seconds: server.config.lease_seconds,
        namespace: word("namespace", &input.namespace)?,
        iteration: input.iteration,
        build,
    })
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
    let new = NewRun {
        id: run,
        build: state,
        input: Some(input.input_id),
        worker: None,
        expected: &[],
    };
    runs::insert(&mut *db, &new).await?;
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
        assumed: installation.assumed,
        expected: installation.expected,
    })
}
