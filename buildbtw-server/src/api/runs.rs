//! Runs: what people read of them, and what workers fetch and report.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use buildbtw_api::jobs::{ClaimedRun, JobClaim};
use buildbtw_api::runs::{DIGEST_HEADER, FinishReport, LogLength, RunDetails, StepsReport};
use buildbtw_api::{Problem, ProblemType, RunId};
use serde::Deserialize;

use super::extract::{self, Json, Path, Query};
use crate::Server;
use crate::artifacts::ReceiveError;
use crate::db::{inputs, runs};
use crate::dispatch::{fleet, reports};
use crate::logs::LogError;
use crate::problems::{HttpProblem, HttpResult};

fn unknown(run: RunId) -> HttpProblem {
    HttpProblem::new(ProblemType::NotFound, format!("there is no run {run}"))
}

/// One run.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunDetails), (status = 404, body = Problem)))]
pub async fn get(
    State(server): State<Server>,
    Path(run): Path<RunId>,
) -> HttpResult<Json<RunDetails>> {
    let mut tx = server.db.read().await?;
    let mut details = runs::details(&mut tx, run)
        .await?
        .ok_or_else(|| unknown(run))?;
    details.log_length = server.logs.length(run).await;
    Ok(Json(details))
}

/// From where to read a log.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
pub struct LogQuery {
    /// The first byte.
    #[serde(default)]
    offset: u64,
    /// Whether to go on until the run is over.
    #[serde(default)]
    follow: bool,
}

/// The log of a run from a byte on, as it was printed.
#[utoipa::path(get, path = "/api/v1/runs/{id}/log", tag = "runs", params(("id" = String, Path), LogQuery),
    responses((status = 200, description = "The log", content_type = "text/plain"), (status = 404, body = Problem)))]
pub async fn log(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Query(query): Query<LogQuery>,
) -> HttpResult<Response> {
    let mut tx = server.db.read().await?;
    runs::state(&mut tx, run)
        .await?
        .ok_or_else(|| unknown(run))?;
    drop(tx);
    let stream = server.logs.stream(run, query.offset, query.follow);
    // A follower must not keep the server from stopping; it resumes at the byte where it was.
    let stream =
        futures_util::StreamExt::take_until(stream, server.shutdown.clone().cancelled_owned());
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// Where a part of a log begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub struct AppendQuery {
    /// The first byte.
    offset: u64,
}

/// A part of a log, within the limit.
pub struct LogPart(Bytes);

impl<S: Send + Sync> FromRequest<S> for LogPart {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpProblem> {
        Bytes::from_request(request, state)
            .await
            .map(Self)
            .map_err(|_| {
                let detail = format!(
                    "a part of a log has at most {} bytes",
                    super::LOG_PART_LIMIT
                );
                HttpProblem::new(ProblemType::TooLarge, detail)
            })
    }
}

/// A worker sends a part of a run's log.
#[utoipa::path(put, path = "/api/v1/runs/{id}/log", tag = "workers", params(("id" = String, Path), AppendQuery),
    responses((status = 200, body = LogLength), (status = 409, body = Problem)))]
pub async fn append_log(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Query(query): Query<AppendQuery>,
    headers: HeaderMap,
    LogPart(body): LogPart,
) -> HttpResult<Json<LogLength>> {
    let fence = extract::fence(&headers)?;
    if !server.dispatch.leases.is_held(run, fence) {
        // Checked in the database as well, so that a stranger's run is not taken for a lost one.
        reports::check_upload(&server, run, fence).await?;
    }
    match server.logs.append(run, query.offset, body).await {
        Ok(length) => Ok(Json(LogLength { length })),
        Err(LogError::Gap { length }) => {
            let detail = format!(
                "the log has {length} bytes, and the part begins at {}",
                query.offset
            );
            let mut problem = Problem::new(ProblemType::LogGap, detail)
                .with_hint(format!("send it again from byte {length}"));
            problem.length = Some(length);
            Err(problem.into())
        }
        Err(LogError::Closed) => Err(HttpProblem::new(
            ProblemType::StaleFence,
            format!("the log of run {run} is closed"),
        )),
        Err(LogError::Io(error)) => Err(error.into()),
    }
}

/// A job of GitLab claims the run that its pipeline was made for. The same job may ask again.
#[utoipa::path(post, path = "/api/v1/runs/{id}/claim", tag = "workers", params(("id" = String, Path)),
    request_body = JobClaim, responses((status = 200, body = ClaimedRun), (status = "4XX", body = Problem)))]
pub async fn claim(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Json(claim): Json<JobClaim>,
) -> HttpResult<Json<ClaimedRun>> {
    fleet::claim::claim(&server, run, &claim).await.map(Json)
}

/// The source tree of a run, as a tar archive.
#[utoipa::path(get, path = "/api/v1/runs/{id}/source", tag = "workers", params(("id" = String, Path)),
    responses((status = 200, description = "The tree", content_type = "application/x-tar"), (status = "4XX", body = Problem)))]
pub async fn source(State(server): State<Server>, Path(run): Path<RunId>) -> HttpResult<Response> {
    let input = {
        let mut tx = server.db.read().await?;
        let state = runs::state(&mut tx, run)
            .await?
            .ok_or_else(|| unknown(run))?;
        inputs::input(&mut tx, state.build).await?
    };
    let pkgbase = crate::db::word("pkgbase", &input.pkgbase)?;
    let file = server
        .sources
        .tarball(&pkgbase, &input.commit_id, input.pkgrel.as_deref())
        .await?;
    let length = file.metadata()?.len();
    let stream = tokio_util::io::ReaderStream::new(tokio::fs::File::from_std(file));
    let headers = [
        (header::CONTENT_TYPE, "application/x-tar".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// A worker reports its steps.
#[utoipa::path(put, path = "/api/v1/runs/{id}/steps", tag = "workers", params(("id" = String, Path)),
    request_body = StepsReport, responses((status = 204), (status = 409, body = Problem)))]
pub async fn steps(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Json(report): Json<StepsReport>,
) -> HttpResult<StatusCode> {
    reports::report_steps(&server, run, report.fence, &report.steps).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A worker sends a package.
#[utoipa::path(put, path = "/api/v1/runs/{id}/packages/{file}", tag = "workers",
    params(("id" = String, Path), ("file" = String, Path)),
    responses((status = 201), (status = "4XX", body = Problem), (status = 507, body = Problem)))]
pub async fn upload(
    State(server): State<Server>,
    Path((run, file)): Path<(RunId, String)>,
    headers: HeaderMap,
    body: Body,
) -> HttpResult<StatusCode> {
    let fence = extract::fence(&headers)?;
    let digest = headers
        .get(DIGEST_HEADER)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| {
            HttpProblem::new(
                ProblemType::BadRequest,
                format!("the header {DIGEST_HEADER} is missing"),
            )
        })?;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length.filter(|length| *length > server.config.upload_limit) {
        return Err(ReceiveError::TooLarge {
            limit: server.config.upload_limit,
            length: Some(length),
        }
        .into());
    }
    reports::check_upload(&server, run, fence).await?;
    let kept = async {
        let package = server.artifacts.receive(&file, digest, body).await?;
        reports::add_package(&server, run, fence, &file, &package).await
    };
    let kept: HttpResult<()> = kept.await;
    let is_full = |problem: &HttpProblem| problem.problem.kind == ProblemType::StorageFull;
    match &kept {
        Ok(_) => server.note_space(true),
        Err(problem) if is_full(problem) => server.note_space(false),
        Err(_) => {}
    }
    kept?;
    Ok(StatusCode::CREATED)
}

/// A worker says how a run ended.
#[utoipa::path(post, path = "/api/v1/runs/{id}/finish", tag = "workers", params(("id" = String, Path)),
    request_body = FinishReport, responses((status = 204), (status = 409, body = Problem)))]
pub async fn finish(
    State(server): State<Server>,
    Path(run): Path<RunId>,
    Json(report): Json<FinishReport>,
) -> HttpResult<StatusCode> {
    reports::finish(&server, run, report).await?;
    Ok(StatusCode::NO_CONTENT)
}
