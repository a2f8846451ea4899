//! Builds of an iteration.

use axum::extract::State;
use buildbtw_api::builds::{Build, BuildDetails, BuildQuery};
use buildbtw_api::ingredients::Explained;
use buildbtw_api::page::Page;
use buildbtw_api::{NamespaceName, Problem, ProblemType};
use serde::Deserialize;
use sqlx::SqliteConnection;

use super::extract::{self, Json, Path, Query};
use crate::Server;
use crate::db::build_list::{self, BuildPosition};
use crate::db::builds::{self, Side};
use crate::db::iterations::StoredIteration;
use crate::db::keys::BuildKey;
use crate::db::{flaky, made, runs};
use crate::dispatch::facts::{Stands, facts, situation};
use crate::dispatch::rebuilt::rebuilt;
use crate::problems::{Hint, HttpProblem, HttpResult};
use crate::scheduler::explain::explain;

/// How many builds a page has unless the query says otherwise.
const PAGE: u32 = 200;

/// The builds of an iteration, by wave and name.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}/iterations/{number}/builds", tag = "builds",
    params(("name" = String, Path), ("number" = u32, Path), BuildQuery),
    responses((status = 200, body = Page<Build>), (status = 404, body = Problem)))]
pub async fn list(
    State(server): State<Server>,
    Path((name, number)): Path<(NamespaceName, u32)>,
    Query(query): Query<BuildQuery>,
) -> HttpResult<Json<Page<Build>>> {
    let (_, iteration) = extract::iteration(&server, &name, number).await?;
    let after: Option<BuildPosition> = match query.after.as_deref() {
        Some(text) => Some(text.parse().map_err(|()| {
            HttpProblem::new(
                ProblemType::BadRequest,
                "`after` is not the `next` of a page",
            )
        })?),
        None => None,
    };
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 1000);
    let mut tx = server.db.read().await?;
    let (items, next) =
        build_list::page(&mut tx, iteration.key, &query, after.as_ref(), limit).await?;
    Ok(Json(Page {
        items,
        next: next.map(|next| next.to_string()),
    }))
}

/// One build with its neighbours and runs.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}/iterations/{number}/builds/{architecture}/{pkgbase}/{pass}",
    tag = "builds", params(("name" = String, Path), ("number" = u32, Path), ("architecture" = String, Path),
    ("pkgbase" = String, Path), ("pass" = u8, Path)),
    responses((status = 200, body = BuildDetails), (status = 404, body = Problem)))]
pub async fn get(
    State(server): State<Server>,
    Path(path): Path<BuildPath>,
) -> HttpResult<Json<BuildDetails>> {
    let (_, iteration) = extract::iteration(&server, &path.name, path.number).await?;
    let mut tx = server.db.read().await?;
    let (key, build) = find(&mut tx, &iteration, &path).await?;
    Ok(Json(BuildDetails {
        namespace: path.name,
        iteration: path.number,
        build,
        needs: builds::neighbours(&mut tx, key, Side::Needs).await?,
        needed_by: builds::neighbours(&mut tx, key, Side::NeededBy).await?,
        runs: runs::of_build(&mut tx, key).await?,
        packages: made::published(&mut tx, key).await?,
        made_by: made::made_by(&mut tx, key).await?,
        flaky: flaky::of_build(&mut tx, key).await?,
    }))
}

/// Why a build is not running now, what would start it, and why it was built once more.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}/iterations/{number}/builds/{architecture}/{pkgbase}/{pass}/explanation",
    tag = "builds", params(("name" = String, Path), ("number" = u32, Path), ("architecture" = String, Path),
    ("pkgbase" = String, Path), ("pass" = u8, Path)),
    responses((status = 200, body = Explained), (status = 404, body = Problem)))]
pub async fn explanation(
    State(server): State<Server>,
    Path(path): Path<BuildPath>,
) -> HttpResult<Json<Explained>> {
    let (namespace, iteration) = extract::iteration(&server, &path.name, path.number).await?;
    let mut tx = server.db.read().await?;
    let (key, build) = find(&mut tx, &iteration, &path).await?;
    let stands = Stands {
        namespace: namespace.status,
        iteration: iteration.status()?,
    };
    let situation = situation(&server, &mut tx).await?;
    let facts = facts(&server, &mut tx, &situation, key, &build, stands).await?;
    Ok(Json(Explained {
        explanation: explain(facts, crate::clock::now()),
        rebuilt: rebuilt(&mut tx, key).await?,
    }))
}

/// The address of a build.
#[derive(Debug, Deserialize)]
pub struct BuildPath {
    name: NamespaceName,
    number: u32,
    architecture: String,
    pkgbase: String,
    pass: u8,
}

async fn find(
    db: &mut SqliteConnection,
    iteration: &StoredIteration,
    path: &BuildPath,
) -> HttpResult<(BuildKey, Build)> {
    let BuildPath {
        name,
        number,
        architecture,
        pkgbase,
        pass,
    } = path;
    let found = build_list::find(db, iteration.key, architecture, pkgbase, *pass).await?;
    found.ok_or_else(|| {
        let detail = format!(
            "iteration {number} of {name} does not build {pkgbase} (pass {pass}) for {architecture}"
        );
        HttpProblem::new(ProblemType::NotFound, detail)
            .hint(Hint::from(format!("`bbtw show {name}` lists its builds")).not_on_page())
    })
}
