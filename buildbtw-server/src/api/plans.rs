//! Plans: `POST /api/v1/plans` and the stored plan of an iteration.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use buildbtw_api::namespaces::{PlanRequest, WhyRequest};
use buildbtw_api::{NamespaceName, Problem, ProblemType};

use super::extract::{self, Json, Path};
use crate::Server;
use crate::db::plans;
use crate::planner;
use crate::problems::{HttpProblem, HttpResult};

/// Plans without starting anything.
#[utoipa::path(post, path = "/api/v1/plans", tag = "plans", request_body = PlanRequest,
    responses((status = 200, description = "The plan"), (status = "4XX", body = Problem)))]
pub async fn create(
    State(server): State<Server>,
    Json(request): Json<PlanRequest>,
) -> HttpResult<Response> {
    let plan = planner::preview(&server, &request).await?;
    Ok(Json(plan).into_response())
}

/// Says why a package source would be rebuilt or not, without starting anything.
#[utoipa::path(post, path = "/api/v1/plans/why", tag = "plans", request_body = WhyRequest,
    responses((status = 200, description = "The answer for each architecture"), (status = "4XX", body = Problem)))]
pub async fn why(
    State(server): State<Server>,
    Json(request): Json<WhyRequest>,
) -> HttpResult<Response> {
    let why = planner::why(&server, &request).await?;
    Ok(Json(why).into_response())
}

/// The plan of an iteration, as it was made.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}/iterations/{number}/plan", tag = "plans",
    params(("name" = String, Path), ("number" = u32, Path)),
    responses((status = 200, description = "The plan"), (status = 404, body = Problem)))]
pub async fn get(
    State(server): State<Server>,
    Path((name, number)): Path<(NamespaceName, u32)>,
) -> HttpResult<Response> {
    let (_, iteration) = extract::iteration(&server, &name, number).await?;
    let mut tx = server.db.read().await?;
    let plan = plans::get(&mut tx, iteration.key).await?.ok_or_else(|| {
        HttpProblem::new(
            ProblemType::NotFound,
            format!("iteration {number} of {name} has no plan"),
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], plan.text()?).into_response())
}
