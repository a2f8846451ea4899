//! What people do about builds that failed: try them again, or leave them out.

use axum::extract::State;
use buildbtw_api::namespaces::{Retried, RetryRequest, UnwaiveRequest, Unwaived, WaiveRequest};
use buildbtw_api::{IterationStatus, NamespaceName, NamespaceStatus, Problem, ProblemType};
use buildbtw_graph::PkgBase;
use sqlx::SqliteConnection;

use super::extract::{self, Json, Path};
use crate::Server;
use crate::db::iterations::StoredIteration;
use crate::db::namespaces::StoredNamespace;
use crate::db::{builds, iterations, members, namespaces, waivers};
use crate::dispatch::steps;
use crate::problems::{Hint, HttpProblem, HttpResult, make_a_new_one, resume};

/// Runs failures of the current iteration again.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/retry", tag = "namespaces", params(("name" = String, Path)),
    request_body = RetryRequest, responses((status = 200, body = Retried), (status = "4XX", body = Problem)))]
pub async fn retry(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<RetryRequest>,
) -> HttpResult<Json<Retried>> {
    let _turn = server.namespaces.lock().await;
    let mut tx = server.db.write().await?;
    let (namespace, current) = worked_on(&mut tx, &name).await?;
    check_members(&mut tx, &name, &current, &request.pkgbases).await?;
    let chosen = |build: &builds::BuildState| {
        request.pkgbases.is_empty() || is_among(&request.pkgbases, &build.pkgbase)
    };
    let reason = "somebody asked to try it again";
    let (builds, dependents) =
        steps::retry_iteration(&mut tx, current.key, chosen, request.force, reason).await?;
    namespaces::settle(&mut tx, namespace.key).await?;
    tx.commit().await?;
    server.feed.wake();
    server.dispatch.wake();
    Ok(Json(Retried { builds, dependents }))
}

/// Leaves builds of the current iteration out: what waits for them goes on with the released
/// packages.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/waive", tag = "namespaces", params(("name" = String, Path)),
    request_body = WaiveRequest, responses((status = 200, body = Retried), (status = "4XX", body = Problem)))]
pub async fn waive(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<WaiveRequest>,
) -> HttpResult<Json<Retried>> {
    if request.reason.trim().is_empty() || request.pkgbases.is_empty() {
        return Err(HttpProblem::new(
            ProblemType::BadRequest,
            "a waiver names at least one package base, and the reason for it",
        ));
    }
    let _turn = server.namespaces.lock().await;
    let mut tx = server.db.write().await?;
    let (namespace, current) = worked_on(&mut tx, &name).await?;
    check_members(&mut tx, &name, &current, &request.pkgbases).await?;
    let given = request.reason.trim();
    let reason =
        |pkgbase: &str| is_among(&request.pkgbases, pkgbase).then(|| format!("waived: {given}"));
    let (builds, dependents) = steps::waive_builds(&mut tx, current.key, reason).await?;
    if builds == 0 {
        return Err(HttpProblem::new(
            ProblemType::Conflict,
            "none of these builds can be left out: they are built, being built, or left out already",
        )
        .hint(Hint::from(format!("`bbtw show {name}` says where each stands")).not_on_page()));
    }
    waivers::keep(&mut tx, current.key, &names(&request.pkgbases), given).await?;
    namespaces::settle(&mut tx, namespace.key).await?;
    tx.commit().await?;
    server.feed.wake();
    server.dispatch.wake();
    Ok(Json(Retried { builds, dependents }))
}

/// Takes back that builds are left out. Where something went on with the released package already, that
/// holds from the next iteration on.
#[utoipa::path(post, path = "/api/v1/namespaces/{name}/unwaive", tag = "namespaces", params(("name" = String, Path)),
    request_body = UnwaiveRequest, responses((status = 200, body = Unwaived), (status = "4XX", body = Problem)))]
pub async fn unwaive(
    State(server): State<Server>,
    Path(name): Path<NamespaceName>,
    Json(request): Json<UnwaiveRequest>,
) -> HttpResult<Json<Unwaived>> {
    let _turn = server.namespaces.lock().await;
    let mut tx = server.db.write().await?;
    let (namespace, current) = worked_on(&mut tx, &name).await?;
    let pkgbases = names(&request.pkgbases);
    let taken = waivers::take_back(&mut tx, namespace.key, &pkgbases).await?;
    let chosen = |pkgbase: &str| pkgbases.contains(&pkgbase);
    let reason = "somebody asked to build it after all";
    let (builds, stay) = steps::take_waivers_back(&mut tx, current.key, chosen, reason).await?;
    if builds == 0 && stay.is_empty() && taken.is_empty() {
        return Err(
            HttpProblem::new(ProblemType::Conflict, "nobody left any of these builds out").hint(
                Hint::from(format!(
                    "`bbtw show {name} --status waived` lists what is left out"
                ))
                .not_on_page(),
            ),
        );
    }
    namespaces::settle(&mut tx, namespace.key).await?;
    tx.commit().await?;
    server.feed.wake();
    server.dispatch.wake();
    Ok(Json(Unwaived {
        builds,
        next_iteration: stay.into_iter().collect(),
    }))
}

fn names(pkgbases: &[PkgBase]) -> Vec<&str> {
    pkgbases.iter().map(PkgBase::as_str).collect()
}

fn is_among(pkgbases: &[PkgBase], pkgbase: &str) -> bool {
    pkgbases.iter().any(|chosen| chosen.as_ref() == pkgbase)
}

/// A namespace that is not called off, with the iteration that is worked on.
async fn worked_on(
    db: &mut SqliteConnection,
    name: &NamespaceName,
) -> HttpResult<(StoredNamespace, StoredIteration)> {
    let namespace = namespaces::by_name(&mut *db, name)
        .await?
        .ok_or_else(|| extract::unknown_namespace(name))?;
    let hint = match namespace.status {
        NamespaceStatus::Cancelled => Some(resume(name.as_str())),
        NamespaceStatus::Archived => Some(make_a_new_one()),
        _ => None,
    };
    if let Some(hint) = hint {
        let detail = format!("namespace {name} is {}", namespace.status);
        return Err(HttpProblem::new(ProblemType::Conflict, detail).hint(hint));
    }
    for iteration in iterations::of_namespace(&mut *db, namespace.key).await? {
        if iteration.status()? == IterationStatus::Current {
            return Ok((namespace, iteration));
        }
    }
    let detail = format!("namespace {name} has no iteration that is worked on");
    Err(HttpProblem::new(ProblemType::Conflict, detail))
}

async fn check_members(
    db: &mut SqliteConnection,
    name: &NamespaceName,
    iteration: &StoredIteration,
    pkgbases: &[PkgBase],
) -> HttpResult<()> {
    let members = members::pkgbases(db, iteration.key).await?;
    let mut unknown = pkgbases
        .iter()
        .filter(|name| !members.contains(name.as_ref()));
    let Some(unknown) = unknown.next() else {
        return Ok(());
    };
    let number = iteration.number;
    let detail = format!("{unknown} is not built in iteration {number} of {name}");
    Err(HttpProblem::new(ProblemType::UnknownPackage, detail)
        .hint(Hint::from(format!("`bbtw show {name}` lists what is")).not_on_page()))
}
