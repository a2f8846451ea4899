//! Pipelines.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Asking;
use super::paging::page;
use super::refused::Refused;
use crate::access::Role;
use crate::clock::rest_time;
use crate::pipelines::{self, NewPipeline, Pipeline, Status};
use crate::state::{Project, user};

/// A pipeline as lists show it.
fn brief(asking: &Asking, project: &Project, pipeline: &Pipeline) -> Value {
    json!({
        "id": pipeline.id, "iid": pipeline.iid, "project_id": project.id, "status": pipeline.status.as_str(),
        "source": pipeline.source, "ref": pipeline.reference, "sha": pipeline.sha, "name": pipeline.name,
        "web_url": format!("{}/{}/-/pipelines/{}", asking.shared.url(), project.full_path, pipeline.id),
        "created_at": rest_time(pipeline.created_at), "updated_at": rest_time(pipeline.updated_at),
    })
}

/// A pipeline as it is shown alone.
fn full(asking: &Asking, project: &Project, pipeline: &Pipeline) -> Value {
    let mut shown = brief(asking, project, pipeline);
    let took = pipeline.started_at.zip(pipeline.finished_at);
    let more = json!({
        "before_sha": "0000000000000000000000000000000000000000", "tag": pipeline.tag, "yaml_errors": null,
        "user": user(&pipeline.username), "started_at": pipeline.started_at.map(rest_time),
        "finished_at": pipeline.finished_at.map(rest_time), "committed_at": null,
        "duration": took.map(|(from, to)| to.duration_since(from).as_secs()), "queued_duration": null, "coverage": null,
        "archived": false, "detailed_status": {"text": pipeline.status.as_str(), "group": pipeline.status.as_str()},
    });
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}

fn find(asking: &Asking, project: &Project, word: &str) -> Result<Pipeline, Refused> {
    let state = asking.shared.state();
    let found = word
        .parse()
        .ok()
        .and_then(|id: u64| state.pipelines.get(&id));
    found
        .filter(|found| found.project == project.id)
        .cloned()
        .ok_or_else(|| Refused::not_found("Pipeline"))
}

/// `POST /projects/:id/pipeline`
pub async fn create(
    Path(project): Path<String>,
    asking: Asking,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let reference = asking.given.needed("ref")?;
    let variables = match asking.given.get("variables") {
        None => Vec::new(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                let text = |name: &str| item[name].as_str().map(str::to_owned);
                text("key")
                    .zip(text("value"))
                    .ok_or_else(|| Refused::missing("variables[0][key]"))
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(Refused::bad("variables is invalid")),
    };
    let inputs = match asking.given.get("inputs") {
        None => Map::new(),
        Some(Value::Object(inputs)) => inputs.clone(),
        Some(_) => return Err(Refused::bad("inputs is invalid")),
    };
    let new = NewPipeline {
        reference,
        variables,
        inputs,
        username: asking.access.username().unwrap_or_default().to_owned(),
    };
    if asking.access.role() < Role::Developer {
        return Err(Refused::forbidden());
    }
    let id = pipelines::create(&asking.shared, project.id, asking.access.role(), new)
        .map_err(Refused::base)?;
    let made = find(&asking, &project, &id.to_string())?;
    Ok((StatusCode::CREATED, Json(full(&asking, &project, &made))))
}

/// `GET /projects/:id/pipelines`
pub async fn list(Path(project): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let given = &asking.given;
    let time = |name: &str| -> Option<jiff::Timestamp> { given.text(name)?.parse().ok() };
    let is = |name: &str, value: &str| given.text(name).is_none_or(|wanted| wanted == value);
    let scope = given.text("scope");
    let mut found: Vec<Pipeline> = {
        let state = asking.shared.state();
        let found = state.pipelines.values().filter(|pipeline| {
            pipeline.project == project.id
                && is("status", pipeline.status.as_str())
                && is("source", &pipeline.source)
                && is("ref", &pipeline.reference)
                && is("sha", &pipeline.sha)
                && is("username", &pipeline.username)
                && is("name", pipeline.name.as_deref().unwrap_or_default())
                && time("updated_after").is_none_or(|after| pipeline.updated_at > after)
                && time("updated_before").is_none_or(|before| pipeline.updated_at < before)
                && time("created_after").is_none_or(|after| pipeline.created_at > after)
                && time("created_before").is_none_or(|before| pipeline.created_at < before)
                && match scope.as_deref() {
                    Some("running") => pipeline.status == Status::Running,
                    Some("pending") => pipeline.status == Status::Pending,
                    Some("finished") => pipeline.status.is_over(),
                    Some("tags") => pipeline.tag,
                    Some("branches") => !pipeline.tag,
                    _ => true,
                }
        });
        found.cloned().collect()
    };
    match given.text("order_by").as_deref() {
        Some("updated_at") => found.sort_by_key(|pipeline| (pipeline.updated_at, pipeline.id)),
        _ => found.sort_by_key(|pipeline| pipeline.id),
    }
    if given.text("sort").as_deref() != Some("asc") {
        found.reverse();
    }
    Ok(page(&asking, found, |pipeline| {
        brief(&asking, &project, &pipeline)
    }))
}

/// `GET /projects/:id/pipelines/latest`
pub async fn latest(Path(project): Path<String>, asking: Asking) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let wanted = asking
        .given
        .text("ref")
        .unwrap_or_else(|| project.repository.head());
    let found = {
        let state = asking.shared.state();
        let mut found = state.pipelines.values().rev();
        found
            .find(|pipeline| pipeline.project == project.id && pipeline.reference == wanted)
            .cloned()
    };
    // None is forbidden, oddly.
    let found = found.ok_or_else(Refused::forbidden)?;
    Ok(Json(full(&asking, &project, &found)))
}

/// `GET /projects/:id/pipelines/:pipeline_id`
pub async fn show(
    Path((project, pipeline)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let found = find(&asking, &project, &pipeline)?;
    Ok(Json(full(&asking, &project, &found)))
}

/// `GET /projects/:id/pipelines/:pipeline_id/variables`
pub async fn variables(
    Path((project, pipeline)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Developer)?;
    let found = find(&asking, &project, &pipeline)?;
    let variables = found.variables.iter();
    let variables = variables
        .map(|(key, value)| json!({"key": key, "variable_type": "env_var", "value": value}));
    Ok(Json(variables.collect()))
}

/// `POST /projects/:id/pipelines/:pipeline_id/cancel`
pub async fn cancel(
    Path((project, pipeline)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Developer)?;
    let id = find(&asking, &project, &pipeline)?.id;
    pipelines::cancel(&asking.shared, &mut asking.shared.state(), id);
    let found = find(&asking, &project, &pipeline)?;
    Ok(Json(full(&asking, &project, &found)))
}

/// `POST /projects/:id/pipelines/:pipeline_id/retry`
pub async fn retry(
    Path((project, pipeline)): Path<(String, String)>,
    asking: Asking,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let project = asking.project(&project, Role::Developer)?;
    let id = find(&asking, &project, &pipeline)?.id;
    pipelines::retry(&asking.shared, &mut asking.shared.state(), id);
    let found = find(&asking, &project, &pipeline)?;
    Ok((StatusCode::CREATED, Json(full(&asking, &project, &found))))
}

/// `DELETE /projects/:id/pipelines/:pipeline_id`
pub async fn delete(
    Path((project, pipeline)): Path<(String, String)>,
    asking: Asking,
) -> Result<StatusCode, Refused> {
    let project = asking.project(&project, Role::Maintainer)?;
    let id = find(&asking, &project, &pipeline)?.id;
    let mut state = asking.shared.state();
    state.pipelines.remove(&id);
    state.jobs.retain(|_, job| job.pipeline != id);
    Ok(StatusCode::NO_CONTENT)
}
