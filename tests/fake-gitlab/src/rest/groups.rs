//! Groups and their projects.

use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde_json::{Value, json};

use super::Asking;
use super::paging::page;
use super::projects::{order, shown};
use super::refused::Refused;
use crate::state::{Group, State};

fn find(asking: &Asking, word: &str) -> Result<Group, Refused> {
    let state = asking.shared.state();
    let found = match word.parse::<u64>() {
        Ok(id) => state.groups.get(&id),
        Err(_) => state.group_by_path(word),
    };
    found.cloned().ok_or_else(|| Refused::not_found("Group"))
}

/// `GET /groups/:id`
pub async fn show(Path(group): Path<String>, asking: Asking) -> Result<Json<Value>, Refused> {
    let group = find(&asking, &group)?;
    Ok(Json(json!({
        "id": group.id, "name": group.name, "path": group.full_path.rsplit('/').next(), "full_path": group.full_path,
        "full_name": group.name, "parent_id": null, "visibility": "public", "description": "",
        "web_url": format!("{}/groups/{}", asking.shared.url(), group.full_path),
    })))
}

/// `GET /groups/:id/projects`
pub async fn projects(Path(group): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let group = find(&asking, &group)?;
    let archived = asking.given.flag("archived");
    let search = asking.given.text("search").map(|text| text.to_lowercase());
    let found = {
        let state = asking.shared.state();
        let found = state.projects.values().filter(|project| {
            project.group == group.id
                && State::sees(&asking.access, project)
                && archived.is_none_or(|archived| project.archived == archived)
                && search
                    .as_ref()
                    .is_none_or(|search| project.name.to_lowercase().contains(search))
        });
        found.cloned().collect()
    };
    let found = order(found, &asking.given)?;
    Ok(page(&asking, found, |project| shown(&asking, &project)))
}
