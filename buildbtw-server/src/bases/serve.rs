//! Pinned base repositories over HTTP: the db as it was seen, packages from where they are.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use buildbtw_api::ProblemType;
use buildbtw_repo::{PackageFileName, Sha256Digest};

use super::fetch::local_path;
use crate::Server;
use crate::api::extract::Path;
use crate::artifacts::{self, Repositories};
use crate::db::base_snapshots;
use crate::problems::{HttpProblem, HttpResult};

/// Base repositories by the digest of their db.
pub fn router() -> Router<Server> {
    Router::new().route("/bases/{digest}/{file}", get(file))
}

async fn file(
    State(server): State<Server>,
    Path((digest, file)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let missing = || {
        HttpProblem::new(
            ProblemType::NotFound,
            format!("there is no {file} in that base repository"),
        )
    };
    let digest: Sha256Digest = digest.parse().map_err(|_| missing())?;
    let repositories = {
        let mut tx = server.db.read().await?;
        base_snapshots::by_digest(&mut tx, &digest.to_string()).await?
    };
    if let Some(name) = file.strip_suffix(".db") {
        if !repositories
            .iter()
            .any(|repository| repository.name == name)
        {
            return Err(missing());
        }
        let bytes = server.bases.bytes(&digest).await?;
        let headers = [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::ETAG, format!("\"{digest}\"")),
            (
                header::CACHE_CONTROL,
                "max-age=31536000, immutable".to_owned(),
            ),
        ];
        return Ok((headers, bytes).into_response());
    }
    // Only names of packages and their signatures lead anywhere.
    let package = file.strip_suffix(".sig").unwrap_or(&file);
    package.parse::<PackageFileName>().map_err(|_| missing())?;
    // Equal dbs list equal packages, so each of their folders has them; the newest is best known to work.
    let repository = repositories.first().ok_or_else(missing)?;
    if let Some(set) = repository.published_by {
        let repositories = Repositories::from_ref(&server);
        return artifacts::package_of(&repositories, set, &file, &method, &headers).await;
    }
    let source = format!("{}/{file}", repository.packages_url);
    if let Some(path) = local_path(&source) {
        return stream(&path).await.ok_or_else(missing);
    }
    Ok((StatusCode::FOUND, [(header::LOCATION, source)]).into_response())
}

/// A file of a mirror that is a folder; `None` if there is no such file.
async fn stream(path: &std::path::Path) -> Option<Response> {
    let file = tokio::fs::File::open(path).await.ok()?;
    let metadata = file.metadata().await.ok()?;
    if !metadata.is_file() {
        return None;
    }
    let body = axum::body::Body::from_stream(tokio_util::io::ReaderStream::new(file));
    Some(([(header::CONTENT_LENGTH, metadata.len().to_string())], body).into_response())
}
