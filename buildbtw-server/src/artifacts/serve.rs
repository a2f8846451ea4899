//! Repositories over HTTP, as pacman reads them.
//!
//! `<namespace>.db` redirects to the newest generation, so that db, signature and packages of one
//! generation belong together. File names lead to bytes through the manifest in the database,
//! never through the file system.

use std::io::SeekFrom;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use buildbtw_api::{IterationStatus, NamespaceName, ProblemType};
use buildbtw_repo::{RepositoryState, Sha256Digest};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{Kind, joined};
use crate::Server;
use crate::api::extract::{self, Path};
use crate::db::generations::{self, StoredGeneration};
use crate::db::iterations;
use crate::db::keys::BuildSetKey;
use crate::problems::{HttpProblem, HttpResult};

/// What never changes may be kept for a year.
const FOR_EVER: &str = "max-age=31536000, immutable";

/// The repositories of all namespaces.
pub fn router() -> Router<Server> {
    Router::new()
        .route("/repo/{namespace}/{iteration}/os/{architecture}/{file}", get(newest))
        .route("/repo/{namespace}/{iteration}/os/{architecture}/g/{generation}/{file}", get(of_generation))
}

fn missing(file: &str) -> HttpProblem {
    HttpProblem::new(ProblemType::NotFound, format!("the repository has no {file}"))
}

/// Which db a file name means, if it means one.
fn db_kind(namespace: &str, file: &str) -> Option<Kind> {
    match file.strip_prefix(namespace)? {
        ".db" | ".db.tar.zst" => Some(Kind::Db),
        ".files" | ".files.tar.zst" => Some(Kind::Files),
        _ => None,
    }
}

/// The build set behind the first parts of a path, and the number of its iteration.
async fn build_set(
    server: &Server,
    namespace: &str,
    iteration: &str,
    architecture: &str,
) -> HttpResult<(BuildSetKey, u32)> {
    let name: NamespaceName = namespace.parse().map_err(|_| missing(namespace))?;
    let stored = extract::namespace(server, &name).await?;
    let mut tx = server.db.read().await?;
    let number = if iteration == "latest" {
        let all = iterations::of_namespace(&mut tx, stored.key).await?;
        let mut current = None;
        for iteration in &all {
            if iteration.status()? == IterationStatus::Current {
                current = Some(iteration.number);
            }
        }
        current.ok_or_else(|| missing("current iteration"))?
    } else {
        iteration.parse().map_err(|_| missing(iteration))?
    };
    let found = generations::build_set(&mut tx, stored.key, Some(number), architecture).await?;
    found.ok_or_else(|| {
        let detail = format!("iteration {number} of {name} has no repository for {architecture}");
        HttpProblem::new(ProblemType::NotFound, detail)
    })
}

async fn newest(
    State(server): State<Server>,
    Path((namespace, iteration, architecture, file)): Path<(String, String, String, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let (set, number) = build_set(&server, &namespace, &iteration, &architecture).await?;
    if db_kind(&namespace, &file).is_some() || iteration == "latest" {
        let generation = {
            let mut tx = server.db.read().await?;
            generations::newest_number(&mut tx, set).await?
        };
        let to = format!("/repo/{namespace}/{number}/os/{architecture}/g/{generation}/{file}");
        let headers = [(header::LOCATION, to), (header::CACHE_CONTROL, "no-cache".to_owned())];
        return Ok((StatusCode::FOUND, headers).into_response());
    }
    package(&server, set, &file, &method, &headers).await
}

async fn of_generation(
    State(server): State<Server>,
    Path((namespace, iteration, architecture, generation, file)): Path<(String, String, String, u32, String)>,
    method: Method,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let (set, _) = build_set(&server, &namespace, &iteration, &architecture).await?;
    let Some(kind) = db_kind(&namespace, &file) else {
        return package(&server, set, &file, &method, &headers).await;
    };
    let mut tx = server.db.read().await?;
    let stored = match generations::by_number(&mut tx, set, generation).await? {
        Some(stored) => stored,
        // Before the first generation there is an empty repository, so that pacman can begin.
        None if generation == 0 => {
            StoredGeneration { number: 0, published_at: 0, state: RepositoryState::default() }
        }
        None => return Err(missing(&format!("generation {generation}"))),
    };
    let bytes = joined(&mut tx, &stored.state, kind).await?;
    drop(tx);
    let version = Version {
        tag: Sha256Digest::of(&bytes).to_string(),
        modified: stored.published_at,
        length: bytes.len() as u64,
        kept: FOR_EVER,
    };
    version.answer(&headers, async |from, length| {
        let (from, length) = (usize::try_from(from).unwrap_or(0), usize::try_from(length).unwrap_or(0));
        Ok(if method == Method::HEAD { Body::empty() } else { Body::from(bytes[from..from + length].to_vec()) })
    })
    .await
}

/// The bytes of a package file.
async fn package(
    server: &Server,
    set: BuildSetKey,
    file: &str,
    method: &Method,
    headers: &HeaderMap,
) -> HttpResult<Response> {
    let (entry, first) = {
        let mut tx = server.db.read().await?;
        let entry = generations::file(&mut tx, set, file).await?.ok_or_else(|| missing(file))?;
        let first = generations::by_number(&mut tx, set, entry.since).await?;
        (entry, first)
    };
    let digest: Sha256Digest = entry.sha256.parse().map_err(|_| missing(file))?;
    let mut opened = tokio::fs::File::open(server.artifacts.path(&digest)).await?;
    let version = Version {
        tag: entry.sha256.clone(),
        modified: first.map_or(0, |generation| generation.published_at),
        length: opened.metadata().await?.len(),
        kept: FOR_EVER,
    };
    version.answer(headers, async |from, length| {
        if *method == Method::HEAD {
            return Ok(Body::empty());
        }
        opened.seek(SeekFrom::Start(from)).await?;
        Ok(Body::from_stream(tokio_util::io::ReaderStream::with_capacity(opened.take(length), 64 << 10)))
    })
    .await
}

/// What a client may ask about before it takes bytes.
struct Version {
    tag: String,
    modified: i64,
    length: u64,
    kept: &'static str,
}

impl Version {
    /// The answer to a request with its conditions and range (RFC 9110). `body` hands back some of
    /// the bytes: from one on, so many.
    async fn answer(
        self,
        headers: &HeaderMap,
        body: impl AsyncFnOnce(u64, u64) -> HttpResult<Body>,
    ) -> HttpResult<Response> {
        let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        let tag = format!("\"{}\"", self.tag);
        let common = [
            (header::ETAG, tag.clone()),
            (header::LAST_MODIFIED, http_date(self.modified)),
            (header::CACHE_CONTROL, self.kept.to_owned()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
        ];
        let unchanged = match (text(header::IF_NONE_MATCH), text(header::IF_MODIFIED_SINCE)) {
            (Some(tags), _) => tags.split(',').any(|given| given.trim() == tag || given.trim() == "*"),
            (None, Some(since)) => parse_http_date(since).is_some_and(|since| self.modified <= since),
            (None, None) => false,
        };
        if unchanged {
            return Ok((StatusCode::NOT_MODIFIED, common).into_response());
        }
        // A range of something that has changed meanwhile is no use to anybody.
        let range_holds = text(header::IF_RANGE)
            .is_none_or(|given| given == tag || parse_http_date(given) == Some(self.modified));
        let range = text(header::RANGE).filter(|_| range_holds).map(|range| parse_range(range, self.length));
        let kind = (header::CONTENT_TYPE, "application/octet-stream".to_owned());
        match range {
            Some(Range::Part(from, to)) => {
                let length = to - from + 1;
                let part = [
                    kind,
                    (header::CONTENT_LENGTH, length.to_string()),
                    (header::CONTENT_RANGE, format!("bytes {from}-{to}/{}", self.length)),
                ];
                Ok((StatusCode::PARTIAL_CONTENT, common, part, body(from, length).await?).into_response())
            }
            Some(Range::Nothing) => {
                let all = [(header::CONTENT_RANGE, format!("bytes */{}", self.length))];
                Ok((StatusCode::RANGE_NOT_SATISFIABLE, all).into_response())
            }
            Some(Range::Ignored) | None => {
                let whole = [kind, (header::CONTENT_LENGTH, self.length.to_string())];
                Ok((common, whole, body(0, self.length).await?).into_response())
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// From one byte to another, both included.
    Part(u64, u64),
    /// It lies behind the end.
    Nothing,
    /// Not one that we serve: the whole is sent.
    Ignored,
}

/// A Range header of one range; several are rare and may be answered with the whole.
fn parse_range(text: &str, length: u64) -> Range {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Range::Ignored;
    };
    let range = match (from.trim(), to.trim()) {
        ("", last) => last.parse::<u64>().ok().map(|last| (length.saturating_sub(last), length.saturating_sub(1))),
        (from, "") => from.parse().ok().map(|from| (from, length.saturating_sub(1))),
        (from, to) => from.parse().ok().zip(to.parse::<u64>().ok().map(|to| to.min(length.saturating_sub(1)))),
    };
    match range {
        None => Range::Ignored,
        Some((from, to)) if from < length && from <= to => Range::Part(from, to),
        Some(_) => Range::Nothing,
    }
}

const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

fn http_date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime(HTTP_DATE).to_string()
}

fn parse_http_date(text: &str) -> Option<i64> {
    let parsed = jiff::civil::DateTime::strptime(HTTP_DATE, text).ok()?;
    Some(parsed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_clients_mean_them() {
        for (text, expected) in [
            ("bytes=0-0", Range::Part(0, 0)),
            ("bytes=5-", Range::Part(5, 9)),
            ("bytes=-3", Range::Part(7, 9)),
            ("bytes=-30", Range::Part(0, 9)),
            ("bytes=2-100", Range::Part(2, 9)),
            ("bytes=10-", Range::Nothing),
            ("bytes=7-3", Range::Nothing),
            ("bytes=0-1,3-4", Range::Ignored),
            ("lines=1-2", Range::Ignored),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=-3", 0), Range::Nothing);
    }

    #[test]
    fn dates_are_read_back() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse_http_date(&http_date(784_111_777)), Some(784_111_777));
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
