//! Repositories over HTTP, as pacman asks for them.
//!
//! The db's address without a generation redirects to the newest one, and pacman stays there for
//! everything that belongs to the db. Packages have the same address in all generations, since a
//! file name never changes its bytes within an iteration.

use std::ops::Range;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use buildbtw_api::{NamespaceName, ProblemType};
use buildbtw_graph::Architecture;
use buildbtw_repo::{END_FRAME, Sha256Digest};
use futures_util::stream::try_unfold;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::address::{self, DbKind, RepositoryFile, escaped};
use super::answer::Content;
use super::{Artifacts, publish};
use crate::Server;
use crate::api::extract::Path;
use crate::db::generations::{self, Generation, IterationName, PublishedFile, RepositoryRow};
use crate::db::keys::BuildSetKey;
use crate::db::{Db, DbError, frames};
use crate::problems::{HttpProblem, HttpResult};

/// Bytes of a package that are read at once.
const CHUNK: usize = 256 << 10;

/// What is needed to serve repositories.
#[derive(Debug, Clone)]
pub struct Repositories {
    /// Generations and manifests.
    pub db: Db,
    /// The packages' bytes.
    pub artifacts: Artifacts,
}

impl FromRef<Server> for Repositories {
    fn from_ref(server: &Server) -> Self {
        Self {
            db: server.db.clone(),
            artifacts: server.artifacts.clone(),
        }
    }
}

/// The addresses of repositories.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Repositories: FromRef<S>,
{
    Router::new()
        .route(
            "/repo/{namespace}/{iteration}/os/{architecture}/{file}",
            get(newest),
        )
        .route(
            "/repo/{namespace}/{iteration}/os/{architecture}/g/{generation}/{file}",
            get(of_generation),
        )
}

/// An address that is well formed, and the repository that it names.
struct Found {
    iteration: IterationName,
    architecture: Architecture,
    file: RepositoryFile,
    repository: RepositoryRow,
}

/// Takes an address apart and looks for its repository.
async fn find(
    repositories: &Repositories,
    namespace: &str,
    iteration: &str,
    architecture: &str,
    file: &str,
) -> HttpResult<Option<Found>> {
    let parts = || {
        let namespace: NamespaceName = namespace.parse().ok()?;
        let file = RepositoryFile::parse(&namespace, file)?;
        Some((
            namespace,
            address::iteration(iteration)?,
            architecture.parse().ok()?,
            file,
        ))
    };
    let Some((namespace, iteration, architecture, file)) = parts() else {
        return Ok(None);
    };
    let mut tx = repositories.db.read().await?;
    let repository = generations::repository(&mut tx, &namespace, iteration, &architecture).await?;
    Ok(repository.map(|repository| Found {
        iteration,
        architecture,
        file,
        repository,
    }))
}

fn nothing(file: &str) -> HttpProblem {
    HttpProblem::new(
        ProblemType::NotFound,
        format!("the repository has no file {file:?}"),
    )
}

fn redirect(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::FOUND, headers).into_response()
}

/// A file of a repository as it is now.
async fn newest(
    State(repositories): State<Repositories>,
    Path((namespace, iteration, architecture, file)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let found = find(&repositories, &namespace, &iteration, &architecture, &file).await?;
    let Found {
        iteration,
        architecture,
        file: kind,
        repository,
    } = found.ok_or_else(|| nothing(&file))?;
    // Relative, so that it holds behind a proxy that has the server under a path of its own.
    let folder = if iteration == IterationName::Latest {
        format!("../../../{}/os/{architecture}/", repository.iteration)
    } else {
        String::new()
    };
    let mut tx = repositories.db.read().await?;
    if let RepositoryFile::Db(_) = kind {
        let number = generations::newest_number(&mut tx, repository.set).await?;
        return Ok(redirect(&format!("{folder}g/{number}/{}", escaped(&file))));
    }
    let listed = generations::file(&mut tx, repository.set, &file)
        .await?
        .ok_or_else(|| nothing(&file))?;
    drop(tx);
    if iteration == IterationName::Latest {
        return Ok(redirect(&format!("{folder}{}", escaped(&file))));
    }
    package(&repositories, &listed, &method, &headers).await
}

/// A file of one generation.
async fn of_generation(
    State(repositories): State<Repositories>,
    Path((namespace, iteration, architecture, generation, file)): Path<(
        String,
        String,
        String,
        String,
        String,
    )>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let found = find(&repositories, &namespace, &iteration, &architecture, &file).await?;
    let number = address::number(&generation).ok_or_else(|| nothing(&file))?;
    // Generations are counted within an iteration.
    let numbered = found.filter(|found| found.iteration != IterationName::Latest);
    let Found {
        file: kind,
        repository,
        ..
    } = numbered.ok_or_else(|| nothing(&file))?;
    let mut tx = repositories.db.read().await?;
    if let RepositoryFile::Db(kind) = kind {
        let generation = generations::get(&mut tx, repository.set, number)
            .await?
            .ok_or_else(|| nothing(&file))?;
        drop(tx);
        return Ok(db(&repositories.db, &generation, kind, &method, &headers));
    }
    let newest = generations::newest_number(&mut tx, repository.set).await?;
    let listed = generations::file(&mut tx, repository.set, &file)
        .await?
        .filter(|listed| {
            number <= newest
                && listed.since <= number
                && listed.until.is_none_or(|until| number < until)
        })
        .ok_or_else(|| nothing(&file))?;
    drop(tx);
    package(&repositories, &listed, &method, &headers).await
}

/// Answers with a package of a build set, whatever its namespace is called by now.
///
/// # Errors
///
/// When the build set never published a package of that name, or its bytes cannot be read.
pub async fn package_of(
    repositories: &Repositories,
    set: BuildSetKey,
    file: &str,
    method: &Method,
    headers: &HeaderMap,
) -> HttpResult<Response> {
    let listed = {
        let mut tx = repositories.db.read().await?;
        generations::file(&mut tx, set, file).await?
    };
    let listed = listed.ok_or_else(|| nothing(file))?;
    package(repositories, &listed, method, headers).await
}

/// Answers with a package.
async fn package(
    repositories: &Repositories,
    listed: &PublishedFile,
    method: &Method,
    headers: &HeaderMap,
) -> HttpResult<Response> {
    let mut file = repositories
        .artifacts
        .open_package(&listed.sha256)
        .await
        .map_err(|error| {
            tracing::error!(sha256 = %listed.sha256, %error, "a published package cannot be read");
            HttpProblem::internal(&error)
        })?;
    let content = Content {
        len: listed.size,
        tag: listed.sha256.to_string(),
        modified: listed.received_at,
        media_type: "application/octet-stream",
    };
    Ok(content.answer(method, headers, |range| {
        let stream = async move {
            file.seek(std::io::SeekFrom::Start(range.start)).await?;
            Ok::<_, std::io::Error>(ReaderStream::with_capacity(
                file.take(range.end - range.start),
                CHUNK,
            ))
        };
        Body::from_stream(futures_util::TryStreamExt::try_flatten(
            futures_util::stream::once(stream),
        ))
    }))
}

/// Answers with a db.
fn db(
    db: &Db,
    generation: &Generation,
    kind: DbKind,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let all = &generation.frames;
    let (listed, len): (Vec<(Sha256Digest, u64)>, u64) = match kind {
        DbKind::Db => (
            all.0
                .values()
                .map(|frame| (frame.db_digest, frame.db_len))
                .collect(),
            all.db_len(),
        ),
        DbKind::Files => (
            all.0
                .values()
                .map(|frame| (frame.files_digest, frame.files_len))
                .collect(),
            all.files_len(),
        ),
    };
    let content = Content {
        len,
        tag: publish::digest(listed.iter().map(|(digest, _)| digest)).to_string(),
        modified: generation.published_at,
        media_type: "application/zstd",
    };
    let db = db.clone();
    content.answer(method, headers, |range| {
        let parts = parts(&listed, &range);
        Body::from_stream(try_unfold(
            (db, parts.into_iter()),
            |(db, mut parts)| async move {
                let Some((source, range)) = parts.next() else {
                    return Ok::<_, DbError>(None);
                };
                let bytes = match source {
                    // One at a time: nobody's slow download keeps a reader of the database.
                    Some(digest) => {
                        let mut tx = db.read().await?;
                        Bytes::from(frames::bytes(&mut tx, &digest).await?)
                    }
                    None => Bytes::from_static(END_FRAME),
                };
                let part = (range.end <= bytes.len())
                    .then(|| bytes.slice(range))
                    .ok_or(DbError::Unreadable {
                        what: "generation",
                        reason: "a frame is shorter than it was".to_owned(),
                    })?;
                Ok(Some((part, (db, parts))))
            },
        ))
    })
}

/// The parts of frames that make up a range of a db. No digest stands for the last frame, which is
/// the same for all.
fn parts(
    frames: &[(Sha256Digest, u64)],
    range: &Range<u64>,
) -> Vec<(Option<Sha256Digest>, Range<usize>)> {
    let end = (None, END_FRAME.len() as u64);
    let mut start = 0;
    let mut parts = Vec::new();
    for (source, len) in frames
        .iter()
        .map(|(digest, len)| (Some(*digest), *len))
        .chain([end])
    {
        let (from, to) = (range.start.max(start), range.end.min(start + len));
        if from < to {
            let within = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
            parts.push((source, within(from)..within(to)));
        }
        start += len;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_takes_the_right_parts_of_frames() {
        let digests = [b"a", b"b", b"c"].map(|bytes| Sha256Digest::of(bytes));
        let frames: Vec<_> = digests.iter().copied().zip([5, 3, 7]).collect();
        let end = END_FRAME.len();
        let all = 15 + end as u64;
        assert_eq!(
            parts(&frames, &(0..all)),
            [
                (Some(digests[0]), 0..5),
                (Some(digests[1]), 0..3),
                (Some(digests[2]), 0..7),
                (None, 0..end)
            ]
        );
        assert_eq!(
            parts(&frames, &(4..6)),
            [(Some(digests[0]), 4..5), (Some(digests[1]), 0..1)]
        );
        assert_eq!(parts(&frames, &(8..9)), [(Some(digests[2]), 0..1)]);
        assert_eq!(parts(&frames, &(16..all)), [(None, 1..end)]);
        assert_eq!(parts(&[], &(0..2)), [(None, 0..2)]);
    }
}
