//! Workers: registered, given runs, heard of.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use buildbtw_api::workers::{
    Heartbeat, HeartbeatAnswer, RegisterWorker, Registered, StopRun, Worker,
};
use buildbtw_api::{Problem, ProblemType, WorkerId, runs::Assignment};

use super::extract::{Json, Path};
use crate::db::workers;
use crate::dispatch::{claim, reports};
use crate::problems::{HttpProblem, HttpResult};
use crate::{Server, clock};

/// All workers.
#[utoipa::path(get, path = "/api/v1/workers", tag = "workers", responses((status = 200, body = Vec<Worker>)))]
pub async fn list(State(server): State<Server>) -> HttpResult<Json<Vec<Worker>>> {
    let mut tx = server.db.read().await?;
    let stored = workers::all(&mut tx).await?;
    let leases = &server.dispatch.leases;
    Ok(Json(
        stored
            .into_iter()
            .map(|worker| Worker {
                seen_at: leases.seen_at(worker.id),
                runs: leases.of_worker(worker.id),
                id: worker.id,
                name: worker.name,
                offer: worker.offer,
                registered_at: worker.registered_at,
            })
            .collect(),
    ))
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
        let mut tx = server.db.read().await?;
        let known = workers::by_id(&mut tx, id).await?;
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
        stop: stop
            .into_iter()
            .map(|(run, reason)| StopRun { run, reason })
            .collect(),
    })
}

fn unknown(id: WorkerId) -> HttpProblem {
    HttpProblem::new(ProblemType::NotFound, format!("there is no worker {id}"))
        .hint("register first")
}
