//! Projects: shown, listed, and their settings.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};

use super::Asking;
use super::arguments::Arguments;
use super::paging::page;
use super::refused::Refused;
use crate::access::Role;
use crate::clock::rest_time;
use crate::hooks;
use crate::state::{Project, State};

/// A project as REST shows it; settings only to those who may change them.
pub fn shown(asking: &Asking, project: &Project) -> Value {
    let url = asking.shared.url();
    let group = asking.shared.state().groups.get(&project.group).cloned();
    let empty = project.repository.head_commit().is_none();
    let mut shown = json!({
        "id": project.id, "description": null, "name": project.name,
        "name_with_namespace": project.full_path.replace('/', " / "), "path": project.path,
        "path_with_namespace": project.full_path, "created_at": rest_time(project.created_at),
        "updated_at": rest_time(project.updated_at), "last_activity_at": rest_time(project.last_activity_at),
        "default_branch": if empty { Value::Null } else { project.repository.head().into() }, "topics": [],
        "ssh_url_to_repo": format!("git@gitlab.example.org:{}.git", project.full_path),
        "http_url_to_repo": format!("{url}/{}.git", project.full_path), "web_url": format!("{url}/{}", project.full_path),
        "readme_url": null, "forks_count": 0, "avatar_url": null, "star_count": 0, "visibility": project.visibility.as_str(),
        "namespace": group.map(|group| json!({
            "id": group.id, "name": group.name, "path": group.full_path.rsplit('/').next(), "kind": "group",
            "full_path": group.full_path, "parent_id": null, "avatar_url": null,
        })),
        "_links": {"self": format!("{url}/api/v4/projects/{}", project.id)}, "empty_repo": empty, "archived": project.archived,
        "marked_for_deletion_on": project.marked_for_deletion.then_some("2026-12-01"), "repository_object_format": "sha1",
        "jobs_enabled": project.jobs_enabled, "builds_access_level": if project.jobs_enabled { "enabled" } else { "disabled" },
    });
    if asking.access.role() >= Role::Maintainer {
        shown["ci_config_path"] = json!(project.ci_config_path);
        shown["ci_pipeline_variables_minimum_override_role"] = json!(project.variables_role);
    }
    shown
}

/// Puts projects in the order that was asked for.
pub fn order(mut projects: Vec<Project>, given: &Arguments) -> Result<Vec<Project>, Refused> {
    let by = given
        .text("order_by")
        .unwrap_or_else(|| "created_at".to_owned());
    match by.as_str() {
        "id" | "created_at" => projects.sort_by_key(|project| project.id),
        "name" => projects.sort_by(|a, b| a.name.cmp(&b.name)),
        "path" => projects.sort_by(|a, b| a.path.cmp(&b.path)),
        "updated_at" => projects.sort_by_key(|project| (project.updated_at, project.id)),
        "last_activity_at" => {
            projects.sort_by_key(|project| (project.last_activity_at, project.id));
        }
        _ => return Err(Refused::bad("order_by does not have a valid value")),
    }
    if given.text("sort").as_deref() != Some("asc") {
        projects.reverse();
    }
    Ok(projects)
}

/// `GET /projects`
pub async fn list(asking: Asking) -> Result<Response, Refused> {
    let given = &asking.given;
    let time = |name: &str| -> Option<jiff::Timestamp> { given.text(name)?.parse().ok() };
    // This filter counts only together with this order.
    let updated_after =
        time("updated_after").filter(|_| given.text("order_by").as_deref() == Some("updated_at"));
    let activity_after = time("last_activity_after");
    let id_after = given.number("id_after");
    let archived = given.flag("archived");
    let found = {
        let state = asking.shared.state();
        let found = state.projects.values().filter(|project| {
            State::sees(&asking.access, project)
                && updated_after.is_none_or(|after| project.updated_at > after)
                && activity_after.is_none_or(|after| project.last_activity_at > after)
                && id_after.is_none_or(|after| project.id > after as u64)
                && archived.is_none_or(|archived| project.archived == archived)
        });
        found.cloned().collect()
    };
    let found = order(found, given)?;
    Ok(page(&asking, found, |project| shown(&asking, &project)))
}

/// `GET /projects/:id`
pub async fn show(Path(project): Path<String>, asking: Asking) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    Ok(Json(shown(&asking, &project)))
}

/// `PUT /projects/:id`
pub async fn change(Path(project): Path<String>, asking: Asking) -> Result<Json<Value>, Refused> {
    let id = asking.project(&project, Role::Maintainer)?.id;
    let given = &asking.given;
    let now = asking.shared.clock.now();
    let role = given.text("ci_pipeline_variables_minimum_override_role");
    if role
        .as_deref()
        .is_some_and(|role| !["no_one_allowed", "developer", "maintainer", "owner"].contains(&role))
    {
        return Err(Refused::bad(
            "ci_pipeline_variables_minimum_override_role does not have a valid value",
        ));
    }
    let changed = {
        let mut state = asking.shared.state();
        let project = state
            .projects
            .get_mut(&id)
            .ok_or_else(|| Refused::not_found("Project"))?;
        if given.has("ci_config_path") {
            project.ci_config_path = given.text("ci_config_path").filter(|path| !path.is_empty());
        }
        if let Some(role) = role {
            project.variables_role = role;
        }
        if let Some(level) = given.text("builds_access_level") {
            project.jobs_enabled = level != "disabled";
        }
        project.updated_at = now;
        let changed = project.clone();
        hooks::project_event(&asking.shared, &state, "project_update", id, None);
        changed
    };
    Ok(Json(shown(&asking, &changed)))
}
