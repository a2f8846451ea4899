//! Workers: what each builds, and why it gets nothing.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::idle::IdleReason;
use buildbtw_api::modes::WorkerModeRequest;
use buildbtw_api::workers::Worker;
use buildbtw_api::{WorkerId, WorkerMode};
use serde::Deserialize;

use super::extract::{Form, Path};
use super::page::{PageError, PageResult, When, build_page, bytes, name, render};
use crate::api::extract::{Json, Path as ApiPath};
use crate::api::workers::set_mode;
use crate::db::{events, modes};
use crate::dispatch::workers::shown;
use crate::problems::HttpProblem;
use crate::{Server, clock};

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    there: Vec<Row>,
    away: Vec<Row>,
    mode: Option<String>,
    last_event: i64,
}

struct Row {
    worker: Worker,
    memory: Option<String>,
    seen: Option<When>,
    idle: Option<String>,
    speed: Option<String>,
    building: Vec<Building>,
}

struct Building {
    page: String,
    pkgbase: String,
    namespace: String,
}

/// All workers, those that are there first.
pub async fn show(State(server): State<Server>) -> PageResult {
    let mut tx = server.db.read().await?;
    let workers = shown(&server, &mut tx).await?;
    let mode = modes::server(&mut tx).await?.remark();
    let last_event = events::last(&mut tx).await?;
    drop(tx);
    let now = clock::instant();
    let (there, away) = workers
        .into_iter()
        .partition(|worker: &Worker| server.dispatch.leases.is_alive(worker.id, now));
    let rows = |workers: Vec<Worker>| workers.into_iter().map(row).collect();
    render(&WorkersPage {
        there: rows(there),
        away: rows(away),
        mode,
        last_event,
    })
}

fn row(worker: Worker) -> Row {
    let building = worker.running.iter().map(|one| Building {
        page: build_page(
            &one.namespace,
            one.iteration,
            &one.architecture,
            one.pkgbase.as_str(),
            one.pass,
        ),
        pkgbase: one.pkgbase.to_string(),
        namespace: one.namespace.to_string(),
    });
    Row {
        building: building.collect(),
        memory: worker.offer.memory.map(bytes),
        seen: worker.seen_at.as_ref().map(When::new),
        // That its slots are taken shows, and so does its mode with the reason for it.
        idle: worker
            .idle
            .as_ref()
            .filter(|idle| {
                !matches!(
                    idle,
                    IdleReason::SlotsTaken { .. } | IdleReason::NotActive { .. }
                )
            })
            .map(ToString::to_string),
        speed: worker.speed.map(|speed| format!("{speed:.2}")),
        worker,
    }
}

/// What the form of a worker sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModeForm {
    mode: String,
    reason: String,
}

/// Sets a worker's mode, and comes back.
pub async fn change(
    State(server): State<Server>,
    Path(id): Path<String>,
    Form(form): Form<ModeForm>,
) -> PageResult {
    let id: WorkerId = name(&id)?;
    let mode: WorkerMode = form.mode.parse().map_err(|_| {
        let detail = format!("`{}` is no mode of a worker", form.mode);
        PageError::from(HttpProblem::new(
            buildbtw_api::ProblemType::BadRequest,
            detail,
        ))
    })?;
    let request = WorkerModeRequest {
        mode,
        reason: Some(form.reason).filter(|reason| !reason.trim().is_empty()),
    };
    set_mode(State(server), ApiPath(id), Json(request)).await?;
    Ok(Redirect::to("/workers").into_response())
}
