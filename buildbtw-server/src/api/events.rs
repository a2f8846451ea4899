//! Events, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use buildbtw_api::events::{Event, EventQuery};
use futures_util::stream;
use tokio::time::Instant;

use super::extract::{self, Query};
use crate::Server;
use crate::db::keys::NamespaceKey;
use crate::db::{DbResult, events};
use crate::feed::Sent;
use crate::problems::HttpResult;

/// How many events are read at once.
const BATCH: u32 = 500;

/// What happens within so long of an event is sent together: however much happens, hundreds who look cost
/// little.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a quiet stream gives a sign of life. Readers give up later than that.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The header in which a browser says where it broke off.
const LAST_EVENT_ID: &str = "last-event-id";

struct Reader {
    server: Server,
    namespace: Option<NamespaceKey>,
    wake: tokio::sync::watch::Receiver<u64>,
    after: i64,
    batch: std::vec::IntoIter<Sent>,
    /// When it may look again.
    next: Instant,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.batch.next() {
                self.after = event.seq;
                return Some(sse(&event));
            }
            if self.ended {
                return None;
            }
            if Instant::now() < self.next {
                tokio::select! {
                    () = tokio::time::sleep_until(self.next) => {}
                    () = self.server.shutdown.cancelled() => {}
                }
            }
            // Before the look, so that what is recorded during it wakes us again.
            self.wake.mark_unchanged();
            match self.read().await {
                Ok(batch) if !batch.is_empty() => {
                    self.batch = batch.into_iter();
                    self.next = Instant::now() + PAUSE;
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot read events");
                    return None;
                }
            }
            tokio::select! {
                changed = self.wake.changed() => if changed.is_err() { return None },
                () = self.server.shutdown.cancelled() => {
                    self.ended = true;
                    return Some(SseEvent::default().event("bye").comment("the server stops"));
                }
            }
        }
    }

    async fn read(&self) -> DbResult<Vec<Sent>> {
        let (feed, db) = (&self.server.feed, &self.server.db);
        if self.namespace.is_none()
            && let Some(recent) = feed.recent(db, self.after).await?
        {
            return Ok(recent);
        }
        let mut tx = db.read().await?;
        let events = events::after(&mut tx, self.namespace, self.after, BATCH).await?;
        Ok(events.iter().map(Sent::new).collect())
    }
}

fn sse(event: &Sent) -> SseEvent {
    SseEvent::default()
        .id(event.seq.to_string())
        .data(&event.json)
}

/// What happens, from a place in the sequence on.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = Event)))]
pub async fn stream(
    State(server): State<Server>,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> HttpResult<Response> {
    let namespace = match &query.namespace {
        Some(name) => Some(extract::namespace(&server, name).await?.key),
        None => None,
    };
    let wake = server.feed.follow();
    let resumed = headers
        .get(LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let after = match resumed.or(query.after) {
        Some(after) => after,
        None => {
            let mut tx = server.db.read().await?;
            events::last(&mut tx).await?
        }
    };
    let reader = Reader {
        server,
        namespace,
        wake,
        after,
        batch: Vec::new().into_iter(),
        next: Instant::now(),
        ended: false,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([(header::CACHE_CONTROL, "no-store")], sse).into_response())
}
