//! `GET /api/v1/health`

use axum::extract::State;
use buildbtw_api::sources::Health;

use super::extract::Json;
use crate::db::modes;
use crate::dispatch::fleet;
use crate::problems::HttpResult;
use crate::{Server, clock, disk};

/// How the server is.
#[utoipa::path(get, path = "/api/v1/health", tag = "server", responses((status = 200, body = Health)))]
pub async fn get(State(server): State<Server>) -> HttpResult<Json<Health>> {
    // A server that cannot read its database, or begin to write to it, is not well.
    let mode = modes::server(&mut *server.db.read().await?).await?;
    drop(server.db.write().await?);
    let pipelines = fleet::shown(&server).await?;
    let (sources, problems) = server.sources.counts();
    let space = disk::space(&server.config.data_dir).ok();
    let status = match space {
        _ if server.lacks_space() => "disk full: an upload was refused",
        Some(space) if disk::is_nearly_full(&space) => "disk nearly full",
        _ => "ok",
    };
    Ok(Json(Health {
        status: status.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        base_url: server.base_url.clone(),
        sources: sources as u64,
        source_problems: problems as u64,
        sources_in_sync: *server.sources.in_sync().borrow(),
        mode,
        gitlab: server.sources.gitlab().map(|gitlab| gitlab.state()),
        pipelines,
        disk: space,
        workers: server.dispatch.leases.workers_alive(clock::instant()),
    }))
}
