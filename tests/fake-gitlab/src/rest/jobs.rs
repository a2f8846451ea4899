//! Jobs.

use axum::Json;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Asking;
use super::paging::page;
use super::refused::Refused;
use crate::access::Role;
use crate::clock::rest_time;
use crate::pipelines::{self, Job};
use crate::state::{Project, user};

fn shown(asking: &Asking, project: &Project, job: &Job) -> Value {
    let pipeline = asking.shared.state().pipelines.get(&job.pipeline).cloned();
    let took = job.started_at.zip(job.finished_at);
    json!({
        "id": job.id, "name": job.template.name, "stage": job.template.stage, "status": job.status.as_str(),
        "ref": pipeline.as_ref().map(|pipeline| pipeline.reference.clone()), "tag": false, "coverage": null,
        "allow_failure": job.template.allow_failure, "archived": false, "source": "api",
        "created_at": rest_time(job.created_at), "started_at": job.started_at.map(rest_time),
        "finished_at": job.finished_at.map(rest_time), "erased_at": null,
        "duration": took.map(|(from, to)| to.duration_since(from).as_secs_f64()), "queued_duration": null,
        "failure_reason": job.failure_reason, "tag_list": job.template.tags,
        "commit": pipeline.as_ref().map(|pipeline| json!({"id": pipeline.sha})),
        "pipeline": pipeline.as_ref().map(|pipeline| json!({
            "id": pipeline.id, "project_id": project.id, "ref": pipeline.reference, "sha": pipeline.sha,
            "status": pipeline.status.as_str(),
        })),
        "user": pipeline.as_ref().map(|pipeline| user(&pipeline.username)),
        "web_url": format!("{}/{}/-/jobs/{}", asking.shared.url(), project.full_path, job.id),
        "project": {"ci_job_token_scope_enabled": false}, "artifacts": [], "artifacts_expire_at": null,
        "runner": job.runner.as_ref().map(|name| json!({"id": 1, "description": name, "runner_type": "group_type"})),
    })
}

fn find(asking: &Asking, project: &Project, word: &str) -> Result<Job, Refused> {
    let state = asking.shared.state();
    let found = word.parse().ok().and_then(|id: u64| state.jobs.get(&id));
    found
        .filter(|found| found.project == project.id)
        .cloned()
        .ok_or_else(|| Refused::not_found("Job"))
}

fn some(asking: &Asking, project: &Project, pipeline: Option<u64>) -> Response {
    let scopes = asking.given.texts("scope");
    let retried = pipeline.is_none() || asking.given.flag("include_retried") == Some(true);
    let found: Vec<Job> = {
        let state = asking.shared.state();
        let found = state.jobs.values().rev().filter(|job| {
            job.project == project.id
                && pipeline.is_none_or(|pipeline| job.pipeline == pipeline)
                && (retried || !job.retried)
                && (scopes.is_empty() || scopes.iter().any(|scope| scope == job.status.as_str()))
        });
        found.cloned().collect()
    };
    page(asking, found, |job| shown(asking, project, &job))
}

/// `GET /projects/:id/jobs`
pub async fn list(Path(project): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    Ok(some(&asking, &project, None))
}

/// `GET /projects/:id/pipelines/:pipeline_id/jobs`
pub async fn of_pipeline(
    Path((project, pipeline)): Path<(String, String)>,
    asking: Asking,
) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let pipeline = {
        let state = asking.shared.state();
        let found = pipeline
            .parse()
            .ok()
            .and_then(|id: u64| state.pipelines.get(&id));
        found
            .filter(|found| found.project == project.id)
            .map(|found| found.id)
    };
    let pipeline = pipeline.ok_or_else(|| Refused::not_found("Pipeline"))?;
    Ok(some(&asking, &project, Some(pipeline)))
}

/// `GET /projects/:id/jobs/:job_id`
pub async fn show(
    Path((project, job)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let job = find(&asking, &project, &job)?;
    Ok(Json(shown(&asking, &project, &job)))
}

/// `GET /projects/:id/jobs/:job_id/trace`
pub async fn trace(
    Path((project, job)): Path<(String, String)>,
    asking: Asking,
) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let job = find(&asking, &project, &job)?;
    Ok(([(header::CONTENT_TYPE, "text/plain")], job.trace).into_response())
}

/// `POST /projects/:id/jobs/:job_id/cancel`
pub async fn cancel(
    Path((project, job)): Path<(String, String)>,
    asking: Asking,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let project = asking.project(&project, Role::Developer)?;
    let id = find(&asking, &project, &job)?.id;
    let force = asking.given.flag("force") == Some(true);
    pipelines::cancel_job(&asking.shared, &mut asking.shared.state(), id, force);
    let job = find(&asking, &project, &job)?;
    Ok((StatusCode::CREATED, Json(shown(&asking, &project, &job))))
}

/// `POST /projects/:id/jobs/:job_id/retry`
pub async fn retry(
    Path((project, job)): Path<(String, String)>,
    asking: Asking,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let project = asking.project(&project, Role::Developer)?;
    let id = find(&asking, &project, &job)?.id;
    let new = pipelines::retry_job(&asking.shared, &mut asking.shared.state(), id);
    let new = new.ok_or_else(|| Refused::bad("403 Forbidden - Job is not retryable"))?;
    let job = find(&asking, &project, &new.to_string())?;
    Ok((StatusCode::CREATED, Json(shown(&asking, &project, &job))))
}
