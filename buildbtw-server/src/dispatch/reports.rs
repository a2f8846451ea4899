//! What workers report from their runs. Every report carries the run's fencing number; one under
//! an old number is refused. Sending the same again does no harm.

use buildbtw_api::runs::{Fence, FinishReport, Outcome, Step};
use buildbtw_api::workers::{RegisterWorker, Registered};
use buildbtw_api::{
    BuildStatus, OutcomeClass, ProblemType, RunId, RunStatus, WORKER_PROTOCOL, WorkerId,
};
use buildbtw_graph::PkgBase;
use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;

use super::{canary, expiry, steps, suspicion};
use crate::db::runs::RunState;
use crate::db::{builds, inputs, packages, runs, suspicions, word, workers};
use crate::problems::{HttpProblem, HttpResult};
use crate::{Server, clock};

/// The most steps that a run may report.
const STEPS_MAX: usize = 1_000;

/// The longest text that is kept of a report, in characters.
const TEXT_MAX: usize = 10_000;

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

/// The run that a report is about, if the report comes under the number of its lease.
async fn held(db: &mut SqliteConnection, run: RunId, fence: Fence) -> HttpResult<RunState> {
    let state = runs::state(db, run)
        .await?
        .ok_or_else(|| HttpProblem::new(ProblemType::NotFound, format!("there is no run {run}")))?;
    let open = matches!(state.status()?, RunStatus::Scheduled | RunStatus::Running);
    if open && state.fence() == fence {
        Ok(state)
    } else {
        Err(stale(run))
    }
}

/// Checks how a worker, or an executor, introduces itself.
pub fn check_worker(protocol: u32, name: &str) -> HttpResult<()> {
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
    check_worker(request.protocol, &request.name)?;
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
    server.dispatch.quiet.forget(id);
    tracing::info!(worker = %worker.name, %id, "a worker registered");
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
    let mut tx = server.db.write().await?;
    let state = held(&mut tx, run, fence).await?;
    begin(&mut tx, &state).await?;
    runs::set_steps(&mut tx, state.key, &steps[..steps.len().min(STEPS_MAX)]).await?;
    tx.commit().await?;
    server.feed.wake();
    Ok(())
}

/// Marks a run as begun, if it is not yet.
async fn begin(db: &mut SqliteConnection, run: &RunState) -> HttpResult<()> {
    if run.status()? == RunStatus::Scheduled {
        let build = builds::state(&mut *db, run.build).await?;
        runs::begin(&mut *db, run, &build).await?;
        if build.status()? == BuildStatus::Scheduled {
            builds::set_status(db, &build, BuildStatus::Building, None).await?;
        }
    }
    Ok(())
}

/// Whether a package may be uploaded for a run: before its bytes are read.
pub async fn check_upload(server: &Server, run: RunId, fence: Fence) -> HttpResult<()> {
    let mut tx = server.db.read().await?;
    held(&mut tx, run, fence).await.map(drop)
}

/// A package was received for a run: it is checked against what the run is to make, and noted.
pub async fn add_package(
    server: &Server,
    run: RunId,
    fence: Fence,
    file_name: &str,
    package: &PackageFile,
) -> HttpResult<()> {
    let mut tx = server.db.write().await?;
    let state = held(&mut tx, run, fence).await?;
    let input = inputs::input(&mut tx, state.build).await?;
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
    packages::insert_of_run(&mut tx, state.key, file_name, package).await?;
    tx.commit().await?;
    Ok(())
}

/// The worker says how a run ended.
pub async fn finish(server: &Server, run: RunId, report: FinishReport) -> HttpResult<()> {
    let mut tx = server.db.write().await?;
    let state = match held(&mut tx, run, report.fence).await {
        Ok(state) => state,
        Err(refusal) => return repeated(&mut tx, run, &report, refusal).await,
    };
    begin(&mut tx, &state).await?;
    let success = report.class == OutcomeClass::Success;
    let kept = runs::set_result(
        &mut tx,
        state.key,
        &report.steps[..report.steps.len().min(STEPS_MAX)],
        &report.installed,
        if success { &report.packages } else { &[] },
    )
    .await?;
    let mut outcome = Outcome {
        class: report.class,
        message: cut(&report.message),
        exit_code: report.exit_code,
        failed_step: report.failed_step.as_deref().map(cut),
    };
    if success && let Err(what) = check_result(server, &mut tx, &state, &kept).await? {
        outcome.class = OutcomeClass::Package;
        outcome.message = what;
    }
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
        OutcomeClass::Success if state.canary => canary::pass(&mut tx, &state).await?,
        OutcomeClass::Success => {
            // Only what was built against what the input says may serve others.
            if !runs::installed_as_expected(&mut tx, state.key, &report.installed).await? {
                inputs::forget_key(&mut tx, state.key).await?;
            }
            runs::await_publishing(&mut tx, state.key).await?;
        }
        // A worker that ends in order gives back what it has: nobody failed, so it counts against
        // nobody and nothing, however often that happens.
        OutcomeClass::Cancelled if !state.canary => {
            steps::give_back(&mut tx, &state, &outcome.message).await?;
        }
        _ => {
            steps::end_run(
                &mut tx,
                &state,
                &outcome,
                server.config.infrastructure_tries,
            )
            .await?
        }
    }
    tx.commit().await?;
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

/// A report of a run that is not held: the same one again is fine, another one is refused.
async fn repeated(
    db: &mut SqliteConnection,
    run: RunId,
    report: &FinishReport,
    refusal: HttpProblem,
) -> HttpResult<()> {
    let Some(state) = runs::state(db, run).await? else {
        return Err(refusal);
    };
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
    if same && state.fence() == report.fence {
        Ok(())
    } else {
        Err(refusal)
    }
}

/// Whether the packages of a successful run are those its build makes: all of them, of one version.
async fn check_result(
    server: &Server,
    db: &mut SqliteConnection,
    run: &RunState,
    kept: &[(String, String)],
) -> HttpResult<Result<(), String>> {
    let input = inputs::input(&mut *db, run.build).await?;
    let missing: Vec<String> = input
        .pkgnames()?
        .iter()
        .filter(|name| !kept.iter().any(|(pkgname, _)| pkgname == name.as_ref()))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Ok(Err(format!(
            "the build did not make {}",
            missing.join(", ")
        )));
    }
    let mut versions: Vec<&str> = kept.iter().map(|(_, version)| version.as_str()).collect();
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
