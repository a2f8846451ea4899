//! Workers: registered, given runs, heard of.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buildbtw_api::modes::{WorkerModeNote, WorkerModeRequest};
use buildbtw_api::workers::{
    Heartbeat, HeartbeatAnswer, RegisterWorker, Registered, StopRun, Worker,
};
use buildbtw_api::{Problem, ProblemType, WorkerId, WorkerMode, runs::Assignment};

use super::extract::{self, Json, Path};
use crate::db::workers;
use crate::dispatch::{self, claim, reports};
use crate::problems::{HttpProblem, HttpResult};
use crate::{Server, clock};

/// All workers: their modes, what they build, and why they get nothing more.
#[utoipa::path(get, path = "/api/v1/workers", tag = "workers", responses((status = 200, body = Vec<Worker>)))]
pub async fn list(State(server): State<Server>) -> HttpResult<Json<Vec<Worker>>> {
    let mut tx = server.db.read().await?;
    dispatch::workers::shown(&server, &mut tx)
        .await
        .map(Json)
        .map_err(Into::into)
}

/// A worker introduces itself.
#[utoipa::path(post, path = "/api/v1/workers", tag = "workers", request_body = RegisterWorker,
    responses((status = 200, body = Registered), (status = "4XX", body = Problem)))]
pub async fn register(
    State(server): State<Server>,
    Json(request): Json<RegisterWorker>,
) -> HttpResult<Json<Registered>> {
    reports::register(&server, request).await.map(Json)
}

/// A worker asks for a run; answered when there is one, or with 204 after a while.
#[utoipa::path(post, path = "/api/v1/workers/{id}/claim", tag = "workers", params(("id" = String, Path)),
    responses((status = 200, body = Assignment), (status = 204), (status = 404, body = Problem)))]
pub async fn claim(State(server): State<Server>, Path(id): Path<WorkerId>) -> HttpResult<Response> {
    {
        let mut db = server.db.glance().await?;
        let known = workers::by_id(&mut db, id).await?;
        known.ok_or_else(|| unknown(id))?;
    }
    Ok(match claim::claim(&server, id).await? {
        Some(assignment) => Json(assignment).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// A sign of life. It touches no row.
#[utoipa::path(post, path = "/api/v1/workers/{id}/heartbeat", tag = "workers", params(("id" = String, Path)),
    request_body = Heartbeat, responses((status = 200, body = HeartbeatAnswer)))]
pub async fn heartbeat(
    State(server): State<Server>,
    Path(id): Path<WorkerId>,
    Json(beat): Json<Heartbeat>,
) -> Json<HeartbeatAnswer> {
    let stop = server
        .dispatch
        .leases
        .renew(id, &beat.runs, clock::instant());
    Json(HeartbeatAnswer {
        drain: server.dispatch.draining.reason(id),
        stop: stop
            .into_iter()
            .map(|(run, reason)| StopRun { run, reason })
            .collect(),
    })
}

/// A worker says that its program ends: from now on its slots do not count. Its runs are not touched.
#[utoipa::path(post, path = "/api/v1/workers/{id}/leave", tag = "workers", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn leave(State(server): State<Server>, Path(id): Path<WorkerId>) -> StatusCode {
    server.dispatch.leases.forget(id);
    server.dispatch.wake();
    StatusCode::NO_CONTENT
}

/// Sets a worker's mode.
#[utoipa::path(put, path = "/api/v1/workers/{id}/mode", tag = "workers", params(("id" = String, Path)),
    request_body = WorkerModeRequest, responses((status = 200, body = WorkerModeNote), (status = "4XX", body = Problem)))]
pub async fn set_mode(
    State(server): State<Server>,
    Path(id): Path<WorkerId>,
    Json(request): Json<WorkerModeRequest>,
) -> HttpResult<Json<WorkerModeNote>> {
    if request.mode == WorkerMode::SetAside {
        return Err(HttpProblem::new(
            ProblemType::BadRequest,
            "only the server sets a worker aside, for builds that failed on it and passed elsewhere",
        )
        .hint("`paused` keeps runs from it, too"));
    }
    let needed = request.mode != WorkerMode::Active;
    let reason = extract::reason(request.reason.as_deref(), needed)?;
    let worker = {
        let mut tx = server.db.read().await?;
        let known = workers::by_id(&mut tx, id).await?;
        known.ok_or_else(|| {
            HttpProblem::new(ProblemType::NotFound, format!("there is no worker {id}"))
                .hint("`bbtw workers` lists those that are known")
        })?
    };
    let note = dispatch::modes::set_worker(&server, &worker, request.mode, reason).await?;
    Ok(Json(note))
}

fn unknown(id: WorkerId) -> HttpProblem {
    HttpProblem::new(ProblemType::NotFound, format!("there is no worker {id}"))
        .hint("register first")
}
