//! Source repositories.

use axum::extract::State;
use buildbtw_api::Problem;
use buildbtw_api::page::Page;
use buildbtw_api::sources::{SourceQuery, SourceRepository};

use super::extract::{Json, Query};
use crate::Server;
use crate::problems::HttpResult;

/// The source repositories by name, with what is wrong with them.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", params(SourceQuery),
    responses((status = 200, body = Page<SourceRepository>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(server): State<Server>,
    Query(query): Query<SourceQuery>,
) -> HttpResult<Json<Page<SourceRepository>>> {
    Ok(Json(server.sources.list(&query)))
}
