//! Statuses of commits.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Asking;
use super::paging::page;
use super::refused::Refused;
use crate::access::Role;
use crate::clock::rest_time;
use crate::statuses::{CommitStatus, settable};

/// The longest link and the longest description, in characters.
const LONGEST: usize = 255;

fn shown(status: &CommitStatus) -> Value {
    json!({
        "id": status.id, "sha": status.sha, "ref": status.reference, "status": status.state.as_str(), "name": status.name,
        "target_url": status.target_url, "description": status.description, "created_at": rest_time(status.created_at),
        "started_at": null, "finished_at": null, "allow_failure": false, "coverage": null, "pipeline_id": null,
    })
}

/// `POST /projects/:id/statuses/:sha`
pub async fn set(
    Path((project, sha)): Path<(String, String)>,
    asking: Asking,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let project = asking.project(&project, Role::Developer)?;
    let given = &asking.given;
    let commit = project
        .repository
        .resolve(&sha)
        .filter(|_| sha.len() == 40)
        .ok_or_else(|| Refused::not_found("Commit"))?;
    let wanted = given.needed("state")?;
    let wanted =
        settable(&wanted).ok_or_else(|| Refused::bad("state does not have a valid value"))?;
    let name = given
        .text("name")
        .or_else(|| given.text("context"))
        .unwrap_or_else(|| "default".to_owned());
    for (what, text) in [
        ("target_url", given.text("target_url")),
        ("description", given.text("description")),
    ] {
        if text.is_some_and(|text| text.chars().count() > LONGEST) {
            return Err(Refused::bad(format!(
                "{what} is too long (maximum is 255 characters)"
            )));
        }
    }
    let reference = given.text("ref");
    let now = asking.shared.clock.now();
    let mut state = asking.shared.state();
    let sha = commit.to_string();
    let known = state.statuses.iter().position(|status| {
        status.project == project.id
            && status.sha == sha
            && status.name == name
            && status.reference == reference
    });
    let at = match known {
        Some(at) if state.statuses[at].state == wanted => {
            let event = match wanted.as_str() {
                "pending" => "enqueue",
                "running" => "run",
                "success" => "succeed",
                "failed" => "drop",
                other => other,
            };
            return Err(Refused::bad(format!(
                "Cannot transition status via :{event} from :{wanted}"
            )));
        }
        Some(at) => at,
        None => {
            let id = state.next_id();
            state.statuses.push(CommitStatus {
                id,
                project: project.id,
                sha,
                reference,
                name,
                state: wanted,
                target_url: None,
                description: None,
                created_at: now,
            });
            state.statuses.len() - 1
        }
    };
    let status = &mut state.statuses[at];
    status.state = wanted;
    status.target_url = given.text("target_url").or(status.target_url.take());
    status.description = given.text("description").or(status.description.take());
    Ok((StatusCode::CREATED, Json(shown(status))))
}

/// `GET /projects/:id/repository/commits/:sha/statuses`
pub async fn of_commit(
    Path((project, sha)): Path<(String, String)>,
    asking: Asking,
) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let found: Vec<CommitStatus> = {
        let state = asking.shared.state();
        let found = state.statuses.iter();
        found
            .filter(|status| status.project == project.id && status.sha == sha)
            .cloned()
            .collect()
    };
    Ok(page(&asking, found, |status| shown(&status)))
}
