//! Hooks of projects, and of the whole instance.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Asking;
use super::arguments::Arguments;
use super::paging::page;
use super::refused::Refused;
use crate::access::Role;
use crate::hooks::Hook;

/// A hook as it is shown: its tokens never are.
fn shown(hook: &Hook) -> Value {
    json!({
        "id": hook.id, "project_id": hook.project, "url": hook.url, "push_events": hook.push_events,
        "tag_push_events": hook.tag_push_events, "repository_update_events": hook.repository_update_events,
        "pipeline_events": hook.pipeline_events, "job_events": hook.job_events, "merge_requests_events": false,
        "enable_ssl_verification": true, "alert_status": "executable", "disabled_until": null,
    })
}

fn set(hook: &mut Hook, given: &Arguments) {
    if let Some(url) = given.text("url") {
        hook.url = url;
    }
    for (name, token) in [
        ("token", &mut hook.token),
        ("signing_token", &mut hook.signing_token),
    ] {
        if given.has(name) {
            *token = given.text(name).filter(|token| !token.is_empty());
        }
    }
    for (name, flag) in [
        ("push_events", &mut hook.push_events),
        ("tag_push_events", &mut hook.tag_push_events),
        (
            "repository_update_events",
            &mut hook.repository_update_events,
        ),
        ("pipeline_events", &mut hook.pipeline_events),
        ("job_events", &mut hook.job_events),
    ] {
        if let Some(given) = given.flag(name) {
            *flag = given;
        }
    }
}

fn make(asking: &Asking, project: Option<u64>) -> Result<(StatusCode, Json<Value>), Refused> {
    let url = asking.given.needed("url")?;
    if url::Url::parse(&url).is_err() {
        return Err(Refused::bad("Invalid url given"));
    }
    let mut state = asking.shared.state();
    let mut hook = Hook {
        id: state.next_id(),
        project,
        push_events: true,
        repository_update_events: project.is_none(),
        ..Hook::default()
    };
    set(&mut hook, &asking.given);
    let made = shown(&hook);
    state.hooks.insert(hook.id, hook);
    Ok((StatusCode::CREATED, Json(made)))
}

fn some(asking: &Asking, project: Option<u64>) -> Response {
    let found: Vec<Hook> = {
        let state = asking.shared.state();
        let found = state.hooks.values().filter(|hook| hook.project == project);
        found.cloned().collect()
    };
    page(asking, found, |hook| shown(&hook))
}

/// `GET /projects/:id/hooks`
pub async fn list(Path(project): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Maintainer)?;
    Ok(some(&asking, Some(project.id)))
}

/// `POST /projects/:id/hooks`
pub async fn add(
    Path(project): Path<String>,
    asking: Asking,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let project = asking.project(&project, Role::Maintainer)?;
    make(&asking, Some(project.id))
}

fn with<T>(
    asking: &Asking,
    project: &str,
    hook: &str,
    work: impl FnOnce(&mut Hook) -> T,
) -> Result<T, Refused> {
    let project = asking.project(project, Role::Maintainer)?;
    let mut state = asking.shared.state();
    let found = hook
        .parse()
        .ok()
        .and_then(|id: u64| state.hooks.get_mut(&id));
    found
        .filter(|found| found.project == Some(project.id))
        .map(work)
        .ok_or_else(|| Refused::not_found("Not Found"))
}

/// `GET /projects/:id/hooks/:hook_id`
pub async fn show(
    Path((project, hook)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    with(&asking, &project, &hook, |hook| Json(shown(hook)))
}

/// `PUT /projects/:id/hooks/:hook_id`
pub async fn change(
    Path((project, hook)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    with(&asking, &project, &hook, |hook| {
        set(hook, &asking.given);
        Json(shown(hook))
    })
}

/// `DELETE /projects/:id/hooks/:hook_id`
pub async fn delete(
    Path((project, hook)): Path<(String, String)>,
    asking: Asking,
) -> Result<StatusCode, Refused> {
    let id = with(&asking, &project, &hook, |hook| hook.id)?;
    asking.shared.state().hooks.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

fn admin(asking: &Asking) -> Result<(), Refused> {
    match asking.access.role() {
        Role::Admin => Ok(()),
        _ => Err(Refused::forbidden()),
    }
}

/// `GET /hooks`
pub async fn of_instance(asking: Asking) -> Result<Response, Refused> {
    admin(&asking)?;
    Ok(some(&asking, None))
}

/// `POST /hooks`
pub async fn add_to_instance(asking: Asking) -> Result<(StatusCode, Json<Value>), Refused> {
    admin(&asking)?;
    make(&asking, None)
}
