//! Plans: `POST /api/v1/plans` and the stored plan of an iteration.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use buildbtw_api::namespaces::{DifferenceQuery, IterationDifference, PlanRequest, WhyRequest};
use buildbtw_api::{NamespaceName, Problem, ProblemType};

use super::extract::{self, Json, Path, Query};
use crate::Server;
use crate::db::iterations::StoredIteration;
use crate::db::{iterations, plans};
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

/// What changed from an earlier iteration to this one.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}/iterations/{number}/difference", tag = "plans",
    params(("name" = String, Path), ("number" = u32, Path), DifferenceQuery),
    responses((status = 200, body = IterationDifference), (status = 404, body = Problem)))]
pub async fn difference(
    State(server): State<Server>,
    Path((name, number)): Path<(NamespaceName, u32)>,
    Query(query): Query<DifferenceQuery>,
) -> HttpResult<Json<IterationDifference>> {
    let (namespace, to) = extract::iteration(&server, &name, number).await?;
    let mut tx = server.db.read().await?;
    let earlier = iterations::of_namespace(&mut tx, namespace.key).await?;
    let wanted = |iteration: &&StoredIteration| match query.from {
        Some(from) => iteration.number == from,
        None => iteration.number < number,
    };
    if let Some(from) = query.from
        && !earlier.iter().any(|iteration| iteration.number == from)
    {
        return Err(HttpProblem::new(
            ProblemType::NotFound,
            format!("{name} has no iteration {from} to be compared with"),
        ));
    }
    let mut found = None;
    for from in earlier.iter().filter(wanted) {
        if let Some(plan) = plans::get(&mut tx, from.key).await? {
            found = Some((from, plan));
            break;
        }
    }
    let (Some((from, before)), Some(after)) = (found, plans::get(&mut tx, to.key).await?) else {
        let detail = match earlier.iter().any(|iteration| iteration.number < number) {
            true => {
                format!("iteration {number} of {name} or the one before it has no plan to compare")
            }
            false => format!(
                "iteration {number} is the first of {name}: there is nothing to compare it with"
            ),
        };
        return Err(HttpProblem::new(ProblemType::NotFound, detail));
    };
    let commits = (
        plans::commits(&mut tx, from.key).await?,
        plans::commits(&mut tx, to.key).await?,
    );
    let from = from.number;
    let compared = tokio::task::spawn_blocking(move || {
        let (before, after) = (before.plan()?, after.plan()?);
        Ok::<_, crate::db::DbError>(buildbtw_graph::difference(
            (&before, &commits.0),
            (&after, &commits.1),
        ))
    });
    let difference = compared
        .await
        .map_err(|error| HttpProblem::internal(&error))??;
    Ok(Json(IterationDifference {
        from,
        to: number,
        difference,
    }))
}
