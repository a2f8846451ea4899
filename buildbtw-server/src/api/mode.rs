//! `/api/v1/mode`: whether the server hands out runs.

use axum::extract::State;
use buildbtw_api::modes::{ServerModeChanged, ServerModeNote, ServerModeRequest};
use buildbtw_api::{Problem, ServerMode};

use super::extract::{self, Json};
use crate::Server;
use crate::db::modes;
use crate::dispatch;
use crate::problems::HttpResult;

/// Whether the server hands out runs.
#[utoipa::path(get, path = "/api/v1/mode", tag = "server", responses((status = 200, body = ServerModeNote)))]
pub async fn get(State(server): State<Server>) -> HttpResult<Json<ServerModeNote>> {
    let mut tx = server.db.read().await?;
    Ok(Json(modes::server(&mut tx).await?))
}

/// Sets whether the server hands out runs. `stopped` also takes back those that are out.
#[utoipa::path(put, path = "/api/v1/mode", tag = "server", request_body = ServerModeRequest,
    responses((status = 200, body = ServerModeChanged), (status = "4XX", body = Problem)))]
pub async fn set(
    State(server): State<Server>,
    Json(request): Json<ServerModeRequest>,
) -> HttpResult<Json<ServerModeChanged>> {
    let needed = request.mode != ServerMode::Run;
    let reason = extract::reason(request.reason.as_deref(), needed)?;
    let (mode, taken_back) = dispatch::modes::set_server(&server, request.mode, reason).await?;
    Ok(Json(ServerModeChanged {
        mode,
        taken_back: u32::try_from(taken_back).unwrap_or(u32::MAX),
    }))
}
