//! The endpoints, with the server's checks: token, fencing number, gaps, digests.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use buildbtw_api::jobs::{ClaimedRun, JobClaim};
use buildbtw_api::problem::PROBLEM_JSON;
use buildbtw_api::runs::{
    DIGEST_HEADER, FENCE_HEADER, Fence, FinishReport, LogLength, Outcome, RunDetails, RunSummary,
    StepsReport,
};
use buildbtw_api::workers::{Heartbeat, HeartbeatAnswer, RegisterWorker, Registered, StopRun};
use buildbtw_api::{Problem, ProblemType, RunId, RunStatus, WORKER_PROTOCOL, WorkerId};
use sha2::{Digest, Sha256};

use super::{Kept, KeptRun, State, TOKEN};

/// How long a claim waits; short, so that tests see what comes after one without a run.
const POLL: Duration = Duration::from_secs(2);

type Held = Arc<State>;
type Answer<T> = Result<T, Refusal>;

/// An answer that is a problem.
struct Refusal(Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap();
        let headers = [(header::CONTENT_TYPE, PROBLEM_JSON)];
        (status, headers, serde_json::to_string(&self.0).unwrap()).into_response()
    }
}

fn refuse(kind: ProblemType, detail: impl Into<String>) -> Refusal {
    Refusal(Problem::new(kind, detail))
}

pub fn router(state: Held) -> Router {
    Router::new()
        .route("/api/v1/workers", post(register))
        .route("/api/v1/workers/{id}/claim", post(claim))
        .route("/api/v1/workers/{id}/heartbeat", post(heartbeat))
        .route("/api/v1/workers/{id}/leave", post(leave))
        .route("/api/v1/runs/{id}", get(details))
        .route("/api/v1/runs/{id}/claim", post(claim_job))
        .route("/api/v1/runs/{id}/source", get(source))
        .route("/api/v1/runs/{id}/log", put(log))
        .route("/api/v1/runs/{id}/steps", put(steps))
        .route("/api/v1/runs/{id}/packages/{file}", put(package))
        .route("/api/v1/runs/{id}/finish", post(finish))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), token))
        .with_state(state)
}

async fn token(Shared(state): Shared<Held>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).cloned();
    if given.is_some_and(|given| given == format!("Bearer {TOKEN}").as_str()) {
        let answer = next.run(request).await;
        state.touch();
        return answer;
    }
    state.kept().unauthorized += 1;
    state.touch();
    refuse(ProblemType::Unauthorized, "the token is missing or wrong").into_response()
}

async fn register(
    Shared(state): Shared<Held>,
    Json(request): Json<RegisterWorker>,
) -> Answer<Json<Registered>> {
    let mut kept = state.kept();
    if let Some(kind) = kept.refuse_workers {
        return Err(refuse(kind, "refused for a test"));
    }
    assert_eq!(request.protocol, WORKER_PROTOCOL);
    let id = request.id.unwrap_or_else(WorkerId::generate);
    kept.worker = Some(id);
    let mut carry_on = Vec::new();
    for (run, known) in &mut kept.runs {
        let named = request
            .running
            .iter()
            .any(|held| held.run == *run && known.fence == Some(held.fence));
        if !known.claimed || known.finish.is_some() {
            continue;
        }
        if named {
            carry_on.push(*run);
        } else {
            known.fence = None;
        }
    }
    kept.registrations.push(request);
    Ok(Json(Registered {
        id,
        heartbeat_ms: 100,
        upload_limit: kept.upload_limit.unwrap_or(1 << 30),
        carry_on,
    }))
}

/// Counts a claim as waiting as long as it waits, also when its connection breaks.
struct Waiting(Held);

impl Waiting {
    fn new(state: &Held) -> Self {
        state.kept().waiting_claims += 1;
        state.touch();
        Self(Arc::clone(state))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.kept().waiting_claims -= 1;
        self.0.touch();
    }
}

async fn claim(Shared(state): Shared<Held>, Path(id): Path<WorkerId>) -> Answer<Response> {
    if state.kept().worker != Some(id) {
        return Err(refuse(ProblemType::NotFound, "there is no such worker"));
    }
    let _waiting = Waiting::new(&state);
    let mut changed = state.changed.subscribe();
    let end = tokio::time::Instant::now() + POLL;
    loop {
        {
            let mut kept = state.kept();
            if let Some(assignment) = kept.queue.pop_front() {
                kept.runs.get_mut(&assignment.run).unwrap().claimed = true;
                return Ok(Json(assignment).into_response());
            }
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep_until(end) => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
}

async fn claim_job(
    Shared(state): Shared<Held>,
    Path(run): Path<RunId>,
    Json(claim): Json<JobClaim>,
) -> Answer<Json<ClaimedRun>> {
    assert_eq!(claim.protocol, WORKER_PROTOCOL);
    let mut kept = state.kept();
    let worker = *kept.worker.get_or_insert_with(WorkerId::generate);
    let upload_limit = kept.upload_limit.unwrap_or(1 << 30);
    let run = kept
        .runs
        .get_mut(&run)
        .ok_or_else(|| refuse(ProblemType::UnknownRun, "there is no such run"))?;
    run.claims.push(claim.clone());
    if let Some((kind, detail)) = run.refuse_claims {
        return Err(refuse(kind, detail));
    }
    if run.finish.is_some() {
        return Err(refuse(ProblemType::RunOver, "the run has ended"));
    }
    if run.job.is_some_and(|job| job != claim.job) {
        return Err(refuse(ProblemType::RunTaken, "another job has the run"));
    }
    run.job = Some(claim.job);
    run.claimed = true;
    Ok(Json(ClaimedRun {
        worker,
        heartbeat_ms: 100,
        upload_limit,
        assignment: run.assignment.clone().unwrap(),
    }))
}

async fn details(Shared(state): Shared<Held>, Path(id): Path<RunId>) -> Answer<Json<RunDetails>> {
    let mut kept = state.kept();
    let run = kept
        .runs
        .get_mut(&id)
        .ok_or_else(|| refuse(ProblemType::NotFound, "there is no such run"))?;
    run.asked_about += 1;
    let mut outcome = run.finish.as_ref().map(|report| Outcome {
        class: report.class,
        message: report.message.clone(),
        exit_code: report.exit_code,
        failed_step: report.failed_step.clone(),
    });
    if let (Some(outcome), Some((class, message))) = (&mut outcome, run.disbelieve) {
        outcome.class = class;
        outcome.message = message.to_owned();
    }
    if run.asked_about <= run.publishing {
        outcome = None;
    }
    let assignment = run.assignment.as_ref().unwrap();
    let status = match (&run.finish, &outcome) {
        (None, _) => RunStatus::Running,
        (Some(_), None) => RunStatus::Publishing,
        (Some(_), Some(_)) => RunStatus::Ended,
    };
    Ok(Json(RunDetails {
        run: RunSummary {
            id,
            attempt: 1,
            status,
            outcome,
            canary: false,
            worker: None,
            claimed_at: jiff::Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            pipeline: None,
        },
        namespace: assignment.namespace.clone(),
        iteration: assignment.iteration,
        architecture: assignment.build.architecture.clone(),
        pkgbase: assignment.build.pkgbase.clone(),
        pass: assignment.build.pass,
        steps: Vec::new(),
        installed: Vec::new(),
        packages: Vec::new(),
        log_length: run.log.len() as u64,
    }))
}

async fn heartbeat(
    Shared(state): Shared<Held>,
    Path(id): Path<WorkerId>,
    Json(beat): Json<Heartbeat>,
) -> Answer<Json<HeartbeatAnswer>> {
    let mut kept = state.kept();
    if kept.worker != Some(id) {
        return Err(refuse(ProblemType::NotFound, "there is no such worker"));
    }
    let mut stop = Vec::new();
    for held in &beat.runs {
        let run = kept.runs.get_mut(&held.run).unwrap();
        run.beaten = true;
        if let Some(reason) = run.stop {
            run.fence = None;
            run.stop_told = true;
            let reason = reason.to_owned();
            stop.push(StopRun {
                run: held.run,
                reason,
            });
        }
    }
    kept.heartbeats += 1;
    kept.heartbeat = Some(beat);
    let drain = kept.drain.map(str::to_owned);
    Ok(Json(HeartbeatAnswer { stop, drain }))
}

async fn leave(Shared(state): Shared<Held>, Path(id): Path<WorkerId>) -> StatusCode {
    state.kept().left.push(id);
    StatusCode::NO_CONTENT
}

/// The run that a report is about, if it comes under the right number.
fn held<'a>(
    kept: &'a mut Kept,
    run: RunId,
    fence: Fence,
    what: &'static str,
) -> Answer<&'a mut KeptRun> {
    let run = kept
        .runs
        .get_mut(&run)
        .ok_or_else(|| refuse(ProblemType::NotFound, "there is no such run"))?;
    if run.fence == Some(fence) {
        return Ok(run);
    }
    if run.stop_told {
        run.late_reports.push(what);
    }
    run.stop_told = true;
    Err(refuse(ProblemType::StaleFence, "the run was taken away"))
}

fn fence(headers: &HeaderMap) -> Fence {
    let text = headers.get(FENCE_HEADER).unwrap().to_str().unwrap();
    Fence(text.parse().unwrap())
}

async fn source(Shared(state): Shared<Held>, Path(run): Path<RunId>) -> Answer<Bytes> {
    let mut kept = state.kept();
    let run = kept
        .runs
        .get_mut(&run)
        .ok_or_else(|| refuse(ProblemType::NotFound, "there is no such run"))?;
    run.fetched += 1;
    Ok(run.source.clone())
}

#[derive(serde::Deserialize)]
struct Offset {
    offset: u64,
}

async fn log(
    Shared(state): Shared<Held>,
    Path(run): Path<RunId>,
    Query(Offset { offset }): Query<Offset>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Json<LogLength>> {
    let mut kept = state.kept();
    let run = held(&mut kept, run, fence(&headers), "log")?;
    assert!(run.finish.is_none(), "a log after the last report");
    if offset > 0 && std::mem::take(&mut run.forget_log) {
        run.log.truncate(run.log.len() / 2);
    }
    let there = run.log.len() as u64;
    if offset > there {
        run.gaps += 1;
        let mut problem = Problem::new(ProblemType::LogGap, "a part is missing");
        problem.length = Some(there);
        return Err(Refusal(problem));
    }
    let known = usize::try_from(there - offset).unwrap().min(body.len());
    run.log.extend_from_slice(&body[known..]);
    run.parts.push((offset, body));
    Ok(Json(LogLength {
        length: run.log.len() as u64,
    }))
}

async fn steps(
    Shared(state): Shared<Held>,
    Path(run): Path<RunId>,
    Json(report): Json<StepsReport>,
) -> Answer<StatusCode> {
    let mut kept = state.kept();
    let run = held(&mut kept, run, report.fence, "steps")?;
    assert!(run.finish.is_none(), "steps after the last report");
    run.steps.push(report);
    Ok(StatusCode::NO_CONTENT)
}

async fn package(
    Shared(state): Shared<Held>,
    Path((run, file)): Path<(RunId, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    held(&mut state.kept(), run, fence(&headers), "package")?.uploads += 1;
    state.touch();
    let mut changed = state.changed.subscribe();
    while state.kept().runs[&run].hold_packages {
        // The sender lives as long as the state.
        let _ = changed.changed().await;
    }
    let mut kept = state.kept();
    let run = held(&mut kept, run, fence(&headers), "package")?;
    assert!(run.finish.is_none(), "a package after the last report");
    if let Some((kind, detail)) = run.refuse_packages {
        return Err(refuse(kind, detail));
    }
    let length = headers.get(header::CONTENT_LENGTH).unwrap();
    assert_eq!(length, body.len().to_string().as_str());
    let digest = headers.get(DIGEST_HEADER).unwrap();
    if digest != hex::encode(Sha256::digest(&body)).as_str() {
        return Err(refuse(ProblemType::BadRequest, "the digest is another"));
    }
    run.packages.insert(file, body);
    Ok(StatusCode::CREATED)
}

async fn finish(
    Shared(state): Shared<Held>,
    Path(run): Path<RunId>,
    Json(report): Json<FinishReport>,
) -> Answer<StatusCode> {
    let mut kept = state.kept();
    let run = held(&mut kept, run, report.fence, "finish")?;
    match &run.finish {
        Some(before) => assert_eq!(*before, report, "two different last reports"),
        None => run.finish = Some(report),
    }
    Ok(StatusCode::NO_CONTENT)
}
