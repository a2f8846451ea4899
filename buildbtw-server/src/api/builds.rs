//! Builds of an iteration.

use std::time::Instant;

use axum::extract::State;
use buildbtw_api::builds::{Build, BuildDetails, BuildQuery};
use buildbtw_api::explanations::Explanation;
use buildbtw_api::namespaces::Page;
use buildbtw_api::{NamespaceName, Problem, ProblemType, RunStatus};
use jiff::Timestamp;

use super::extract::{self, Json, Path, Query};
use crate::Server;
use crate::db::builds::{self, BuildPosition, Side};
use crate::db::{runs, timestamp, workers};
use crate::dispatch::claim::ready_builds;
use crate::problems::{HttpProblem, HttpResult};
use crate::scheduler::candidates;
use crate::scheduler::explain::{Facts, LiveWorker, OpenRun, explain};

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
    let (items, next) = builds::page(&mut tx, iteration.key, &query, after.as_ref(), limit).await?;
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
    Path((name, number, architecture, pkgbase, pass)): Path<(
        NamespaceName,
        u32,
        String,
        String,
        u8,
    )>,
) -> HttpResult<Json<BuildDetails>> {
    let (_, iteration) = extract::iteration(&server, &name, number).await?;
    let mut tx = server.db.read().await?;
    let found = builds::find(&mut tx, iteration.key, &architecture, &pkgbase, pass).await?;
    let (key, build) =
        found.ok_or_else(|| not_built(&name, number, &architecture, &pkgbase, pass))?;
    Ok(Json(BuildDetails {
        namespace: name,
        iteration: number,
        build,
        needs: builds::neighbours(&mut tx, key, Side::Needs).await?,
        needed_by: builds::neighbours(&mut tx, key, Side::NeededBy).await?,
        runs: runs::of_build(&mut tx, key).await?,
    }))
}

/// Why a build is not running now, and what would start it.
#[utoipa::path(get, path = "/api/v1/namespaces/{name}/iterations/{number}/builds/{architecture}/{pkgbase}/{pass}/explanation",
    tag = "builds", params(("name" = String, Path), ("number" = u32, Path), ("architecture" = String, Path),
    ("pkgbase" = String, Path), ("pass" = u8, Path)),
    responses((status = 200, body = Explanation), (status = 404, body = Problem)))]
pub async fn explanation(
    State(server): State<Server>,
    Path((name, number, architecture, pkgbase, pass)): Path<(
        NamespaceName,
        u32,
        String,
        String,
        u8,
    )>,
) -> HttpResult<Json<Explanation>> {
    let (namespace, iteration) = extract::iteration(&server, &name, number).await?;
    let mut tx = server.db.read().await?;
    let found = builds::find(&mut tx, iteration.key, &architecture, &pkgbase, pass).await?;
    let (key, build) =
        found.ok_or_else(|| not_built(&name, number, &architecture, &pkgbase, pass))?;
    let waits_for = builds::state(&mut tx, key).await?.waits_for;
    let (not_before, refers_to) = builds::obstacles(&mut tx, key).await?;
    let ready = ready_builds(&mut tx).await?;
    let order = candidates(&ready, std::slice::from_ref(&build.architecture));
    let ahead = order.iter().position(|other| *other == key).unwrap_or(0);
    let (leases, now) = (&server.dispatch.leases, Instant::now());
    let workers = workers::all(&mut tx).await?.into_iter();
    let workers = workers
        .filter(|worker| leases.is_alive(worker.id, now))
        .map(|worker| LiveWorker {
            architectures: worker
                .offer
                .architectures
                .iter()
                .map(ToString::to_string)
                .collect(),
            slots: worker.offer.slots,
            running: u32::try_from(leases.of_worker(worker.id).len()).unwrap_or(u32::MAX),
        })
        .collect();
    let run = build.run.as_ref();
    let facts = Facts {
        status: build.status,
        message: build.reason.clone(),
        architecture: architecture.clone(),
        refers_to,
        iteration: iteration.status()?,
        namespace: namespace.status,
        waits_for,
        front: builds::front(&mut tx, key).await?,
        run: run
            .filter(|run| run.status != RunStatus::Ended)
            .map(|run| OpenRun {
                worker: run.worker.clone(),
                since: run.claimed_at,
                publishing: run.status == RunStatus::Publishing,
            }),
        class: run.and_then(|run| Some(run.outcome.as_ref()?.class)),
        not_before: not_before.map(timestamp).transpose()?,
        equal_input: server.dispatch.equal_input(key),
        workers,
        ahead: u32::try_from(ahead).unwrap_or(u32::MAX),
    };
    Ok(Json(explain(facts, Timestamp::now())))
}

fn not_built(
    name: &NamespaceName,
    number: u32,
    architecture: &str,
    pkgbase: &str,
    pass: u8,
) -> HttpProblem {
    let detail = format!(
        "iteration {number} of {name} does not build {pkgbase} (pass {pass}) for {architecture}"
    );
    HttpProblem::new(ProblemType::NotFound, detail)
        .hint(format!("`bbtw show {name}` lists its builds"))
}
