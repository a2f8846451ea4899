//! Answers that come bit by bit: logs, events and files. They break off where a test wants it.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use buildbtw_api::events::EventQuery;
use buildbtw_api::{Problem, ProblemType, RunId, RunStatus};
use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use crate::server::{Answer, Refusal, Shared, known};

#[derive(Deserialize)]
pub struct LogQuery {
    offset: usize,
    follow: bool,
}

/// A body that breaks off where it should.
fn body(
    stream: impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> Body {
    Body::from_stream(stream)
}

/// What breaks a connection. What was sent before goes out first: only while a body has nothing
/// to send does the server empty its buffer.
async fn broken() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::other("cut by the test")
}

pub async fn log(
    State(shared): State<Shared>,
    Path(id): Path<RunId>,
    Query(query): Query<LogQuery>,
) -> Response {
    let cut = shared.change(|world| (!world.cut_logs.is_empty()).then(|| world.cut_logs.remove(0)));
    let short = shared.change(|world| {
        let short = world.short_logs > 0;
        world.short_logs = world.short_logs.saturating_sub(1);
        short
    });
    let changed = shared.changed.subscribe();
    let state = (shared, query.offset, cut, changed);
    let parts = stream::try_unfold(
        state,
        move |(shared, offset, mut cut, mut changed)| async move {
            loop {
                changed.mark_unchanged();
                let (mut part, over) = shared.read(|world| {
                    let log = world.logs.get(&id).map_or(&[][..], Vec::as_slice);
                    let part = log.get(offset..).unwrap_or_default().to_vec();
                    let over = world
                        .runs
                        .get(&id)
                        .is_none_or(|run| run.run.status == RunStatus::Ended);
                    (part, over || short || !query.follow || world.stopping)
                });
                if let Some(left) = &mut cut {
                    if *left == 0 {
                        return Err(broken().await);
                    }
                    part.truncate(*left);
                    *left -= part.len();
                }
                if !part.is_empty() {
                    let offset = offset + part.len();
                    return Ok(Some((Bytes::from(part), (shared, offset, cut, changed))));
                }
                if over {
                    return Ok(None);
                }
                changed.changed().await.map_err(io::Error::other)?;
            }
        },
    );
    body(parts).into_response()
}

pub async fn events(
    State(shared): State<Shared>,
    Query(query): Query<EventQuery>,
) -> Answer<Response> {
    let wanted = query.namespace.clone();
    if let Some(name) = &wanted {
        shared.read(|world| known(world, name.as_str()).map(drop))?;
    }
    let (cut, after) = shared.change(|world| {
        let cut = (!world.cut_events.is_empty()).then(|| world.cut_events.remove(0));
        let newest = world.events.last().map_or(0, |event| event.seq);
        (cut, query.after.unwrap_or(newest))
    });
    let changed = shared.changed.subscribe();
    let parts = stream::try_unfold(
        (shared, after, cut, changed),
        move |(shared, after, mut cut, mut changed)| {
            let wanted = wanted.clone();
            async move {
                loop {
                    changed.mark_unchanged();
                    if let Some(0) = cut {
                        return Err(broken().await);
                    }
                    let (next, stopping) = shared.read(|world| {
                        let mut behind = world.events.iter().filter(|event| event.seq > after);
                        let next = behind
                            .find(|event| wanted.is_none() || event.namespace == wanted)
                            .cloned();
                        (next, world.stopping)
                    });
                    if let Some(event) = next {
                        if let Some(left) = &mut cut {
                            *left -= 1;
                        }
                        let data = serde_json::to_string(&event).expect("an event is JSON");
                        let text = format!("id: {}\ndata: {data}\n\n", event.seq);
                        return Ok(Some((Bytes::from(text), (shared, event.seq, cut, changed))));
                    }
                    if stopping {
                        return Ok(None);
                    }
                    changed.changed().await.map_err(io::Error::other)?;
                }
            }
        },
    );
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], body(parts)).into_response())
}

pub async fn file(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    asked: axum::http::HeaderMap,
) -> Response {
    let from = asked.get(header::RANGE).and_then(|range| {
        let range = range.to_str().ok()?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse::<usize>().ok()
    });
    let found = shared.change(|world| {
        let content = world.files.get(uri.path()).cloned()?;
        world.asked_from.push(from.unwrap_or(0));
        let cut = (!world.cut_files.is_empty()).then(|| world.cut_files.remove(0));
        Some((content, cut, world.stall_files))
    });
    let Some((content, cut, stall)) = found else {
        return Refusal(Problem::new(
            ProblemType::NotFound,
            format!("{method} {uri}: there is nothing"),
        ))
        .into_response();
    };
    let (status, content) = match from {
        Some(from) => (StatusCode::PARTIAL_CONTENT, content[from..].to_vec()),
        None => (StatusCode::OK, content),
    };
    let headers = [(header::CONTENT_LENGTH, content.len())];
    if stall {
        let half = Bytes::from(content[..content.len() / 2].to_vec());
        let parts = stream::once(async move { Ok(half) }).chain(stream::pending());
        return (status, headers, body(parts)).into_response();
    }
    match cut {
        None => (status, headers, content).into_response(),
        Some(length) => {
            let sent = Bytes::from(content[..length.min(content.len())].to_vec());
            let parts = stream::once(async move { Ok(sent) })
                .chain(stream::once(async { Err(broken().await) }));
            (status, headers, body(parts)).into_response()
        }
    }
}
