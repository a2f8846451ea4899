//! A job of GitLab claims the run that its pipeline was made for. Its executor is a worker from then on.

use buildbtw_api::jobs::{ClaimedRun, JobClaim};
use buildbtw_api::runs::Assignment;
use buildbtw_api::{BuildPlace, ProblemType, RunId, RunStatus};
use sqlx::SqliteConnection;

use crate::db::pipelines::{self, ClaimingJob, PipelineRow};
use crate::db::runs::RunState;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, runs, workers};
use crate::dispatch::{reports, reuse, situation};
use crate::problems::{HttpProblem, HttpResult};
use crate::scheduler::{Requirements, misfit};
use crate::{Server, clock};

/// The longest text that is kept of what a job says of itself, in bytes.
const LONGEST: usize = 1_000;

/// Gives a job the run that it asks for, and the lease of it. The same job may ask again.
pub async fn claim(server: &Server, run: RunId, claim: &JobClaim) -> HttpResult<ClaimedRun> {
    reports::check_worker(server, claim.protocol, &claim.name, &claim.offer.builder)?;
    let mut tx = server.db.write().await?;
    let state = runs::state(&mut tx, run).await?.ok_or_else(|| {
        HttpProblem::new(ProblemType::UnknownRun, format!("there is no run {run}"))
            .hint("the pipeline was made by another server, or its inputs by hand")
    })?;
    if !matches!(state.status()?, RunStatus::Scheduled | RunStatus::Running) {
        return Err(over(&mut tx, run).await?);
    }
    let row = pipelines::of_run(&mut tx, state.key).await?;
    let (row, assignment) = match row.map(|row| (row.assignment(), row)) {
        Some((assignment, row)) => (row, assignment?),
        None => {
            let detail = format!("run {run} was handed to a worker that asked for it");
            return Err(HttpProblem::new(ProblemType::RunTaken, detail));
        }
    };
    let assignment = assignment.ok_or_else(|| {
        let detail = format!("run {run} has nothing more to hand out");
        HttpProblem::new(ProblemType::RunOver, detail)
    })?;
    check_owner(run, &row, claim)?;
    let worker = match state.worker()? {
        Some(worker) if row.job.is_some() => worker,
        _ => {
            check_fit(&assignment, claim)?;
            take(&mut tx, &state, &row, claim).await?.id
        }
    };
    tx.commit().await?;
    let (leases, now) = (&server.dispatch.leases, clock::instant());
    leases.note_seen(worker, now);
    leases.grant(run, worker, assignment.fence, now);
    server.dispatch.granted.notify_one();
    server.feed.wake();
    // What waited for a run of an equal input may find that this is none.
    server.dispatch.wake();
    tracing::info!(%run, job = claim.job, host = claim.name, "a job of GitLab claimed its run");
    let heartbeat = server.dispatch.heartbeat_interval();
    Ok(ClaimedRun {
        worker,
        heartbeat_ms: u64::try_from(heartbeat.as_millis()).unwrap_or(u64::MAX),
        upload_limit: server.config.upload_limit,
        assignment,
    })
}

/// Why a run that is over is not handed out.
async fn over(db: &mut SqliteConnection, run: RunId) -> DbResult<HttpProblem> {
    let details = runs::details(db, run).await?;
    let outcome = details.and_then(|details| details.run.outcome);
    let detail = match outcome {
        Some(outcome) => format!("run {run} is over ({}): {}", outcome.class, outcome.message),
        None => format!("run {run} is over: its packages are being published"),
    };
    Ok(HttpProblem::new(ProblemType::RunOver, detail)
        .hint("nothing is to be built; a build that is wanted still has another pipeline"))
}

/// A run is one job's, of its own pipeline.
fn check_owner(run: RunId, row: &PipelineRow, claim: &JobClaim) -> HttpResult<()> {
    let same = |known: Option<i64>, given: u64| {
        known.is_none_or(|known| u64::try_from(known) == Ok(given))
    };
    let taken = |by: String| {
        let detail = format!("run {run} belongs to {by}, and is not built twice");
        Err(HttpProblem::new(ProblemType::RunTaken, detail)
            .hint("if that job is gone, the run is tried again in a pipeline of its own"))
    };
    if !same(row.job, claim.job) {
        return taken(format!("job {} of GitLab", row.job.unwrap_or_default()));
    }
    match claim.pipeline {
        Some(pipeline) if !same(row.pipeline, pipeline) => {
            taken(format!("pipeline {}", row.pipeline.unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

/// Whatever the job asked for, its runner has the tags.
fn anything() -> Requirements {
    Requirements {
        place: BuildPlace::GitLab,
        ..Requirements::default()
    }
}

/// GitLab chooses the runner; whether that can carry the run out shows only here.
fn check_fit(assignment: &Assignment, claim: &JobClaim) -> HttpResult<()> {
    let build = &assignment.build;
    let refuse = |what: String| {
        let detail = format!("{} cannot carry out this run: {what}", claim.name);
        Err(HttpProblem::new(ProblemType::Conflict, detail).hint(
            "GITLAB_RUNNER_TAGS and the tags of the runners decide which host gets which job",
        ))
    };
    let host = situation::host(&claim.name, &claim.offer);
    if let Some(misfit) = misfit(&build.architecture, &anything(), &host) {
        return refuse(misfit.to_string());
    }
    let modes = &claim.offer.root_modes;
    if !modes.is_empty() && !modes.contains(&build.root_mode) {
        return refuse("it cannot set up the root that is asked for (ROOT_MODE)".to_owned());
    }
    Ok(())
}

/// Gives the run to the job.
async fn take(
    db: &mut SqliteConnection,
    state: &RunState,
    row: &PipelineRow,
    claim: &JobClaim,
) -> DbResult<StoredWorker> {
    let worker = workers::runner(&mut *db, &claim.name, &claim.offer, claim.protocol).await?;
    let job = ClaimingJob {
        job: claim.job,
        pipeline: claim.pipeline,
        url: claim
            .job_url
            .as_deref()
            .filter(|url| url.len() <= LONGEST && is_web_address(url)),
        commit: claim
            .commit
            .as_deref()
            .filter(|commit| commit.len() <= LONGEST),
    };
    pipelines::claimed(&mut *db, row.key, &job).await?;
    runs::set_worker(&mut *db, state.key, worker.key).await?;
    // The key of its input was made for the runner that is usual; this one may be set up otherwise.
    reuse::is_built_by(db, state.key, &claim.offer).await?;
    Ok(worker)
}

/// People are led to it from our pages.
fn is_web_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
