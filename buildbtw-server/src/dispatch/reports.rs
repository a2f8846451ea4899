//! What workers report from their runs. Every report carries the run's fencing number; one under
//! an old number is refused. Sending the same again does no harm.

use buildbtw_api::runs::{Fence, FinishReport, Outcome, Step};
use buildbtw_api::workers::{RegisterWorker, Registered};
use buildbtw_api::{OutcomeClass, ProblemType, RunId, RunStatus, WORKER_PROTOCOL, WorkerId};
use buildbtw_graph::PkgBase;
use buildbtw_repo::PackageFile;

use super::{canary, expiry, steps, suspicion};
use crate::db::builds::BuildState;
use crate::db::reported::{self, Finishing};
use crate::db::runs::RunState;
use crate::db::{DbResult, Statements, Tx, inputs, packages, runs, suspicions, word, workers};
use crate::problems::{HttpProblem, HttpResult};
use crate::{Server, clock};

/// The most steps that a run may report.
const STEPS_MAX: usize = 1_000;

/// The longest text that is kept of a report, in characters.
const TEXT_MAX: usize = 10_000;

/// What the builder that builds nothing is called.
const FAKE: &str = "fake";

fn stale(run: RunId) -> HttpProblem {
    HttpProblem::new(
        ProblemType::StaleFence,
        format!("run {run} was taken away from this worker"),
    )
    .hint("stop the build; its result is not wanted any more")
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// That a report about a run, if there is one, comes under the number of its lease.
fn held<T>(
    found: Option<T>,
    state: impl FnOnce(&T) -> &RunState,
    run: RunId,
    fence: Fence,
) -> HttpResult<T> {
    let found = found
        .ok_or_else(|| HttpProblem::new(ProblemType::NotFound, format!("there is no run {run}")))?;
    match is_held(state(&found), fence)? {
        true => Ok(found),
        false => Err(stale(run)),
    }
}

fn is_held(state: &RunState, fence: Fence) -> DbResult<bool> {
    let open = matches!(state.status()?, RunStatus::Scheduled | RunStatus::Running);
    Ok(open && state.fence() == fence)
}

/// Checks how a worker, or an executor, introduces itself.
pub fn check_worker(server: &Server, protocol: u32, name: &str, builder: &str) -> HttpResult<()> {
    if builder == FAKE && !server.config.fake_workers {
        let detail = "this server takes no fake workers: their packages hold nothing";
        return Err(HttpProblem::new(ProblemType::Conflict, detail)
            .hint("start the worker with BUILDER=sandbox, or, to try things out, the server with FAKE_WORKERS=true"));
    }
    if protocol != WORKER_PROTOCOL {
        let detail = format!(
            "the worker speaks version {protocol} of the protocol, this server {WORKER_PROTOCOL}"
        );
        return Err(HttpProblem::new(ProblemType::ProtocolVersion, detail)
            .hint("install the worker of the server's version"));
    }
    if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        let detail = "a worker's name has 1 to 200 characters, none of them a control character";
        return Err(HttpProblem::new(ProblemType::InvalidName, detail));
    }
    Ok(())
}

/// A worker introduces itself.
pub async fn register(server: &Server, request: RegisterWorker) -> HttpResult<Registered> {
    check_worker(
        server,
        request.protocol,
        &request.name,
        &request.offer.builder,
    )?;
    let id = request.id.unwrap_or_else(WorkerId::generate);
    let mut tx = server.db.write().await?;
    let worker =
        workers::register(&mut tx, id, &request.name, &request.offer, request.protocol).await?;
    let given: Vec<RunState> = runs::open(&mut tx).await?;
    tx.commit().await?;
    let mut carry_on = Vec::new();
    for run in given {
        if run.worker()? != Some(id) || run.status()? == RunStatus::Publishing {
            continue;
        }
        let run_id = run.id()?;
        if request
            .running
            .iter()
            .any(|held| held.run == run_id && held.fence == run.fence())
        {
            server
                .dispatch
                .leases
                .grant(run_id, id, run.fence(), clock::instant());
            carry_on.push(run_id);
        } else {
            expiry::lose(
                server,
                run_id,
                &format!("worker {} started anew", worker.name),
            )
            .await?;
        }
    }
    server.dispatch.leases.note_seen(id, clock::instant());
    server.dispatch.roster.outdated();
    server.dispatch.quiet.forget(id);
    tracing::info!(worker = %worker.name, %id, builder = worker.offer.builder, "a worker registered");
    // It may be the one that others' failures wait for.
    suspicion::review(server).await?;
    Ok(Registered {
        id,
        heartbeat_ms: u64::try_from(server.dispatch.heartbeat_interval().as_millis())
            .unwrap_or(u64::MAX),
        upload_limit: server.config.upload_limit,
        carry_on,
    })
}

/// The worker reports its steps; the first report says that it began.
pub async fn report_steps(
    server: &Server,
    run: RunId,
    fence: Fence,
    steps: &[Step],
) -> HttpResult<()> {
    let (tx, found) = reported::begin(&server.db, run).await?;
    let found = held(found, |found| &found.run, run, fence)?;
    let mut writes = Statements::default();
    add_begin(&mut writes, &found.run, &found.build)?;
    reported::add_steps(
        &mut writes,
        found.run.key,
        &steps[..steps.len().min(STEPS_MAX)],
    );
    tx.commit_with(writes).await?;
    server.feed.wake();
    Ok(())
}

/// Marks a run as begun, if it is not yet.
fn add_begin(to: &mut Statements, run: &RunState, build: &BuildState) -> DbResult<()> {
    match run.status()? {
        RunStatus::Scheduled => reported::add_begin(to, run, build),
        _ => Ok(()),
    }
}

/// Whether a package may be uploaded for a run: before its bytes are read.
pub async fn check_upload(server: &Server, run: RunId, fence: Fence) -> HttpResult<()> {
    let found = runs::state(&mut *server.db.glance().await?, run).await?;
    held(found, |found| found, run, fence).map(drop)
}

/// A package was received for a run: it is checked against what the run is to make, and noted.
pub async fn add_package(
    server: &Server,
    run: RunId,
    fence: Fence,
    file_name: &str,
    package: &PackageFile,
) -> HttpResult<()> {
    // Packed before anybody waits for the transaction.
    let mut writes = Statements::default();
    packages::add_of_run(&mut writes, run, file_name, package)?;
    let (tx, found) = reported::begin_package(&server.db, run).await?;
    let (_, input) = held(found, |(run, _)| run, run, fence)?;
    let info = &package.info;
    let unexpected = |what: String| {
        HttpProblem::new(
            ProblemType::UnexpectedPackage,
            format!("{file_name} is not what run {run} is to make: {what}"),
        )
    };
    let pkgbase = info.pkgbase.as_str();
    if pkgbase != input.pkgbase {
        return Err(unexpected(format!(
            "its pkgbase is {pkgbase}, not {}",
            input.pkgbase
        )));
    }
    let named = input
        .pkgnames()?
        .iter()
        .any(|name| name.as_ref() == info.pkgname);
    if !named && info.pkgname != format!("{}-debug", input.pkgbase) {
        return Err(unexpected(format!(
            "{} does not make a package {}",
            input.pkgbase, info.pkgname
        )));
    }
    if info.arch != "any" && info.arch != input.architecture {
        return Err(unexpected(format!(
            "it is for {}, not {}",
            info.arch, input.architecture
        )));
    }
    tx.commit_with(writes).await?;
    Ok(())
}

/// The worker says how a run ended.
pub async fn finish(server: &Server, run: RunId, report: FinishReport) -> HttpResult<()> {
    let (mut tx, found) = reported::begin_finish(&server.db, run).await?;
    let state = found.as_ref().map(|found| &found.run);
    let again = state.map(|state| is_repeated(state, &report)).transpose()?;
    let again = again.unwrap_or(false);
    if again {
        return Ok(());
    }
    let found = held(found, |found| &found.run, run, report.fence)?;
    let state = &found.run;
    let success = report.class == OutcomeClass::Success;
    let kept: &[String] = if success { &report.packages } else { &[] };
    let mut writes = Statements::default();
    add_begin(&mut writes, state, &found.build)?;
    reported::add_result(
        &mut writes,
        state.key,
        &report.steps[..report.steps.len().min(STEPS_MAX)],
        &report.installed,
        kept,
    );
    let mut outcome = Outcome {
        class: report.class,
        message: cut(&report.message),
        exit_code: report.exit_code,
        failed_step: report.failed_step.as_deref().map(cut),
    };
    if success && let Err(what) = check_result(server, &found, kept).await? {
        outcome.class = OutcomeClass::Package;
        outcome.message = what;
    }
    if outcome.class == OutcomeClass::Success && !state.canary {
        // Only what was built against what the input says may serve others.
        if !found.is_installed_as_expected(&report.installed) {
            inputs::add_forget_key(&mut writes, state.key);
        }
        reported::add_awaits_publishing(&mut writes, state.key);
        tx.commit_with(writes).await?;
    } else {
        writes.carry_out(&mut tx).await?;
        end_otherwise(server, tx, state, &outcome).await?;
    }
    if state.canary {
        // Its worker may have got another mode.
        server.dispatch.workers_changed();
    }
    server.dispatch.stop(run, "the run is over").await;
    server.finish_log(run).await;
    if outcome.class == OutcomeClass::Success {
        server.feed.wake();
        server.dispatch.wake();
        server.dispatch.wake_publisher();
        return Ok(());
    }
    // Before anybody is told, so that nobody takes for final what is tried once more.
    let reviewed = suspicion::review(server).await;
    server.feed.wake();
    server.dispatch.wake();
    Ok(reviewed?)
}

/// What follows from a run that has no packages to publish.
async fn end_otherwise(
    server: &Server,
    mut tx: Tx,
    state: &RunState,
    outcome: &Outcome,
) -> HttpResult<()> {
    // What the worker stopped for reasons of its own, or could not install, says nothing about it.
    let suspicious = matches!(
        outcome.class,
        OutcomeClass::Package
            | OutcomeClass::Sources
            | OutcomeClass::Timeout
            | OutcomeClass::Infrastructure
    );
    if suspicious && !state.canary {
        suspicions::note_failure(&mut tx, state.key).await?;
    }
    match outcome.class {
        OutcomeClass::Success => canary::pass(&mut tx, state).await?,
        // A worker that ends in order gives back what it has: nobody failed, so it counts against
        // nobody and nothing, however often that happens.
        OutcomeClass::Cancelled if !state.canary => {
            steps::give_back(&mut tx, state, &outcome.message).await?;
        }
        _ => steps::end_run(&mut tx, state, outcome, server.config.infrastructure_tries).await?,
    }
    Ok(tx.commit().await?)
}

/// Whether a report is the one that ended a run, sent once more: that is fine, and another one is refused.
fn is_repeated(state: &RunState, report: &FinishReport) -> DbResult<bool> {
    let success = report.class == OutcomeClass::Success;
    let same = match (state.status()?, state.class()?) {
        (RunStatus::Publishing, _) => success,
        (RunStatus::Ended, Some(OutcomeClass::Cancelled)) => false,
        // A success may have been refused by a check, an own stop counts as infrastructure, and what
        // passed elsewhere got another class since.
        (RunStatus::Ended, Some(class)) => {
            class == report.class
                || (success && class == OutcomeClass::Package)
                || state.acquitted
                || (report.class == OutcomeClass::Cancelled
                    && class == OutcomeClass::Infrastructure)
        }
        _ => false,
    };
    Ok(same && state.fence() == report.fence)
}

/// Whether the packages of a successful run are those its build makes: all of them, of one version.
async fn check_result(
    server: &Server,
    found: &Finishing,
    file_names: &[String],
) -> HttpResult<Result<(), String>> {
    let input = &found.input;
    let sent = found.packages.iter();
    let kept: Vec<_> = sent
        .filter(|package| file_names.contains(&package.file_name))
        .collect();
    let missing: Vec<String> = input
        .pkgnames()?
        .iter()
        .filter(|name| !kept.iter().any(|package| package.pkgname == name.as_ref()))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Ok(Err(format!(
            "the build did not make {}",
            missing.join(", ")
        )));
    }
    let mut versions: Vec<&str> = kept.iter().map(|package| &*package.version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        return Ok(Err(format!(
            "its packages have different versions: {}",
            versions.join(", ")
        )));
    }
    let Some(made) = versions.first().filter(|made| **made != input.version) else {
        return Ok(Ok(()));
    };
    let pkgbase: PkgBase = word("pkgbase", &input.pkgbase)?;
    match server
        .sources
        .sets_its_version(&pkgbase, &input.commit_id)
        .await
    {
        Ok(true) => {
            tracing::info!(%pkgbase, planned = input.version, made, "pkgver() set another version");
            Ok(Ok(()))
        }
        Ok(false) => Ok(Err(format!(
            "it made version {made}, but its .SRCINFO says {}: write it anew with `makepkg \
             --printsrcinfo > .SRCINFO` and commit it",
            input.version
        ))),
        Err(error) => Err(error.into()),
    }
}
