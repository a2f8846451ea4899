//! What repositories hold: archives, commits, branches, tags, files.

use axum::Json;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gix::ObjectId;
use serde_json::{Value, json};

use super::Asking;
use super::paging::page;
use super::refused::Refused;
use crate::access::Role;
use crate::clock::rest_time;
use crate::repository::Blob;
use crate::state::Project;

fn shown(asking: &Asking, project: &Project, id: ObjectId) -> Option<Value> {
    let info = project.repository.commit(id).ok()?;
    let parents: Vec<String> = info.parents.iter().map(ToString::to_string).collect();
    let id = info.id.to_string();
    Some(json!({
        "id": id, "short_id": id[..8], "title": info.title(), "message": info.message, "parent_ids": parents,
        "author_name": info.author.0, "author_email": info.author.1, "authored_date": rest_time(info.authored_at),
        "committer_name": info.author.0, "committer_email": info.author.1,
        "committed_date": rest_time(info.committed_at), "created_at": rest_time(info.committed_at),
        "web_url": format!("{}/{}/-/commit/{id}", asking.shared.url(), project.full_path),
    }))
}

/// `GET /projects/:id/repository/archive.tar.gz?sha=`
pub async fn archive(Path(project): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let word = asking
        .given
        .text("sha")
        .unwrap_or_else(|| "HEAD".to_owned());
    let commit = project
        .repository
        .resolve(&word)
        .ok_or_else(|| Refused::not_found("File"))?;
    let prefix = format!("{}-{}-{commit}", project.path, word.replace('/', "-"));
    let bytes = project
        .repository
        .archive(&prefix, commit)
        .await
        .map_err(|error| Refused::bad(error.to_string()))?;
    let name = format!("attachment; filename=\"{prefix}.tar.gz\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, bytes).into_response())
}

/// `GET /projects/:id/repository/commits/:sha`
pub async fn commit(
    Path((project, sha)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    let found = project.repository.resolve(&sha);
    let found = found.and_then(|id| shown(&asking, &project, id));
    found.map(Json).ok_or_else(|| Refused::not_found("Commit"))
}

fn named(asking: &Asking, project: &Project, prefix: &str) -> Response {
    let default = project.repository.head();
    let names = project.repository.names(prefix);
    page(asking, names, |name| {
        let commit = project.repository.reference(&format!("{prefix}{name}"));
        let commit = commit.and_then(|id| shown(asking, project, id));
        json!({
            "name": name, "commit": commit, "target": commit.as_ref().map(|commit| commit["id"].clone()), "protected": true,
            "default": prefix == "refs/heads/" && name == default, "message": null, "release": null,
        })
    })
}

/// `GET /projects/:id/repository/branches`
pub async fn branches(Path(project): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    Ok(named(&asking, &project, "refs/heads/"))
}

/// `GET /projects/:id/repository/tags`
pub async fn tags(Path(project): Path<String>, asking: Asking) -> Result<Response, Refused> {
    let project = asking.project(&project, Role::Stranger)?;
    Ok(named(&asking, &project, "refs/tags/"))
}

fn find(asking: &Asking, project: &str, path: &str) -> Result<(Blob, ObjectId), Refused> {
    let project = asking.project(project, Role::Stranger)?;
    let word = asking
        .given
        .text("ref")
        .unwrap_or_else(|| "HEAD".to_owned());
    let commit = project
        .repository
        .resolve(&word)
        .ok_or_else(|| Refused::not_found("Commit"))?;
    let blob = project
        .repository
        .file(commit, path)
        .ok_or_else(|| Refused::not_found("File"))?;
    Ok((blob, commit))
}

/// `GET /projects/:id/repository/files/:path`
pub async fn file(
    Path((project, path)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<Value>, Refused> {
    let (blob, commit) = find(&asking, &project, &path)?;
    Ok(Json(json!({
        "file_name": path.rsplit('/').next(), "file_path": path, "size": blob.data.len(), "encoding": "base64",
        "content": STANDARD.encode(&blob.data), "blob_id": blob.id.to_string(), "commit_id": commit.to_string(),
        "last_commit_id": commit.to_string(), "ref": asking.given.text("ref"),
    })))
}

/// `GET /projects/:id/repository/files/:path/raw`
pub async fn raw(
    Path((project, path)): Path<(String, String)>,
    asking: Asking,
) -> Result<Vec<u8>, Refused> {
    Ok(find(&asking, &project, &path)?.0.data)
}
