//! The server's answers about modes, shares and workers.

use axum::extract::{Json, Path, State};
use axum::response::{IntoResponse, Response};
use buildbtw_api::ServerMode;
use buildbtw_api::modes::{
    ModeNote, ServerModeChanged, ServerModeNote, ServerModeRequest, WorkerModeNote,
    WorkerModeRequest,
};
use buildbtw_api::namespaces::Namespace;
use buildbtw_api::priority::{Priority, PriorityRequest};
use buildbtw_api::workers::Worker;
use jiff::Timestamp;

use crate::server::Shared;

pub async fn mode(State(shared): State<Shared>) -> Json<ServerModeNote> {
    Json(shared.read(|world| world.mode.clone()))
}

pub async fn set_mode(
    State(shared): State<Shared>,
    Json(request): Json<ServerModeRequest>,
) -> Json<ServerModeChanged> {
    Json(shared.change(|world| {
        world.mode.mode = request.mode;
        world.mode.note.reason = request.reason;
        ServerModeChanged {
            mode: world.mode.clone(),
            taken_back: u32::from(request.mode == ServerMode::Stopped),
        }
    }))
}

pub async fn set_priority(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(request): Json<PriorityRequest>,
) -> Json<Namespace> {
    Json(shared.change(|world| {
        let details = world.namespaces.get_mut(&name).expect("it is there");
        let seconds = request.seconds.unwrap_or(86_400) as i64;
        details.namespace.priority = (request.weight > 1).then(|| Priority {
            weight: request.weight,
            reason: request.reason,
            until: Some(Timestamp::now() + jiff::SignedDuration::from_secs(seconds)),
        });
        details.namespace.clone()
    }))
}

pub async fn worker_mode(State(shared): State<Shared>, body: String) -> Response {
    let request: WorkerModeRequest = serde_json::from_str(&body).expect("it is a mode");
    shared.change(|world| world.body = Some(body));
    let note = ModeNote {
        reason: request.reason,
        ..ModeNote::default()
    };
    let mode = request.mode;
    Json(WorkerModeNote { mode, note }).into_response()
}

pub async fn workers(State(shared): State<Shared>) -> Json<Vec<Worker>> {
    Json(shared.read(|world| world.workers.clone()))
}
