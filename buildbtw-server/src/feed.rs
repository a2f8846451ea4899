//! The feed of events: wakes whoever follows them when a transaction recorded some.
//!
//! The events themselves are read from the database, so that a follower resumes anywhere and
//! nothing is lost between two reads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use buildbtw_api::BuildStatus;
use buildbtw_api::events::{Event, EventKind};
use tokio::sync::{Mutex, watch};

use crate::Server;
use crate::db::{Db, DbResult, events};

/// How many events are read at once to be logged.
const LOGGED_AT_ONCE: u32 = 500;

/// How long events are gathered before they are logged.
const PAUSE: Duration = Duration::from_millis(500);

/// How many of the newest events are kept for those who follow all of them.
const KEPT: usize = 4_096;

/// How many events are read at once for these.
const READ_AT_ONCE: u32 = 500;

/// Wakes followers.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: watch::Sender<u64>,
    recent: Arc<Mutex<Recent>>,
}

/// An event as it is sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its place in the sequence.
    pub seq: i64,
    /// Its JSON.
    pub json: Arc<str>,
}

impl Sent {
    /// An event, ready to be sent to however many.
    pub fn new(event: &Event) -> Self {
        Self {
            seq: event.seq,
            json: serde_json::to_string(event)
                .expect("an event is JSON")
                .into(),
        }
    }
}

/// The newest events, read once however many follow them.
#[derive(Debug, Default)]
struct Recent {
    /// The count of wakes up to which they were read.
    read_at: Option<u64>,
    /// The place in the sequence behind which none is missing.
    from: i64,
    events: VecDeque<Sent>,
}

impl Recent {
    async fn read(&mut self, db: &Db) -> DbResult<()> {
        let mut tx = db.read().await?;
        if self.read_at.is_none() {
            self.from = events::last(&mut tx).await?;
        }
        loop {
            let last = self.events.back().map_or(self.from, |event| event.seq);
            let news = events::after(&mut tx, None, last, READ_AT_ONCE).await?;
            self.events.extend(news.iter().map(Sent::new));
            let over = self.events.len().saturating_sub(KEPT);
            if let Some(left_out) = self.events.drain(..over).next_back() {
                self.from = left_out.seq;
            }
            if news.len() < READ_AT_ONCE as usize {
                return Ok(());
            }
        }
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(0),
            recent: Arc::default(),
        }
    }
}

impl Feed {
    /// Something was recorded and committed.
    pub fn wake(&self) {
        self.sender
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// All events behind a place in the sequence, oldest first; `None` where that lies further back than
    /// what is kept. They are read from the database once for all who ask after a wake.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub async fn recent(&self, db: &Db, after: i64) -> DbResult<Option<Vec<Sent>>> {
        let mut recent = self.recent.lock().await;
        let count = *self.sender.borrow();
        if recent.read_at != Some(count) {
            recent.read(db).await?;
            recent.read_at = Some(count);
        }
        if after < recent.from {
            return Ok(None);
        }
        let first = recent.events.partition_point(|event| event.seq <= after);
        Ok(Some(recent.events.range(first..).cloned().collect()))
    }

    /// A follower: `changed()` returns when something was recorded since it was last asked.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.sender.subscribe()
    }
}

/// Writes what operators want to find later into the server's log, from now on until it ends: what
/// becomes of namespaces, iterations, workers and the server itself, and which builds failed.
pub async fn write_log(server: Server) {
    let mut feed = server.feed.follow();
    let mut last = match newest(&server).await {
        Ok(last) => last,
        Err(error) => return tracing::error!(%error, "what happens cannot be logged"),
    };
    loop {
        tokio::select! {
            changed = feed.changed() => if changed.is_err() { return },
            () = server.shutdown.cancelled() => return,
        }
        // Many events at once are read in one go, and shutting down waits no longer for this.
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = server.shutdown.cancelled() => {}
        }
        match write_news(&server, &mut last).await {
            Ok(()) => {}
            // The next event is a reason to try again.
            Err(error) => tracing::warn!(%error, "what happened cannot be logged now"),
        }
    }
}

async fn newest(server: &Server) -> DbResult<i64> {
    events::last(&mut *server.db.read().await?).await
}

async fn write_news(server: &Server, last: &mut i64) -> DbResult<()> {
    loop {
        let mut tx = server.db.read().await?;
        let news = events::after(&mut tx, None, *last, LOGGED_AT_ONCE).await?;
        drop(tx);
        let Some(newest) = news.last() else {
            return Ok(());
        };
        *last = newest.seq;
        news.iter()
            .filter(|event| is_worth_a_line(event))
            .for_each(write);
    }
}

fn is_worth_a_line(event: &Event) -> bool {
    match event.kind {
        // A large namespace has thousands of these.
        EventKind::RunClaimed
        | EventKind::RunStarted
        | EventKind::RunEnded
        | EventKind::GenerationPublished => false,
        EventKind::BuildStatus => event.to.as_deref() == Some(BuildStatus::Failed.as_str()),
        _ => true,
    }
}

fn write(event: &Event) {
    let namespace = event.namespace.as_ref().map(tracing::field::display);
    let pkgbase = event.pkgbase.as_ref().map(tracing::field::display);
    tracing::info!(
        namespace,
        iteration = event.iteration,
        pkgbase,
        to = event.to,
        worker = event.worker,
        actor = event.actor,
        why = event.message,
        "{}",
        in_words(event.kind)
    );
}

fn in_words(kind: EventKind) -> &'static str {
    match kind {
        EventKind::NamespaceCreated => "a namespace was created",
        EventKind::NamespaceStatus => "a namespace took another status",
        EventKind::IterationCreated => "an iteration was made",
        EventKind::IterationStatus => "an iteration took another status",
        EventKind::BuildStatus => "a build took another status",
        EventKind::RunClaimed => "a run was handed out",
        EventKind::RunStarted => "a run began",
        EventKind::RunEnded => "a run is over",
        EventKind::GenerationPublished => "a generation was published",
        EventKind::OriginsProblem => "whether the origins of a namespace can be planned changed",
        EventKind::WorkerMode => "a worker took another mode",
        EventKind::RunReclassed => "a run turned out to have failed by its worker's fault",
        EventKind::NamespacePriority => "a namespace got another weight",
        EventKind::ServerMode => "the server took another mode",
        EventKind::Unknown => "something happened that this version has no words for",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::events::{NewEvent, record};

    async fn happen(db: &Db, feed: &Feed, count: usize) {
        let mut tx = db.write().await.unwrap();
        for _ in 0..count {
            let kind = EventKind::ServerMode;
            record(&mut tx, kind, None, NewEvent::default())
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        feed.wake();
    }

    #[tokio::test]
    async fn everybody_gets_all_events_behind_a_place_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(None, folder.path()).await.unwrap();
        let feed = Feed::default();
        happen(&db, &feed, 2).await;
        // What was before the first look is read from the database by who wants it.
        assert!(feed.recent(&db, 1).await.unwrap().is_none());
        assert_eq!(feed.recent(&db, 2).await.unwrap().unwrap().len(), 0);
        happen(&db, &feed, 3).await;
        let seqs = async |after: i64| -> Option<Vec<i64>> {
            let recent = feed.recent(&db, after).await.unwrap()?;
            Some(recent.iter().map(|event| event.seq).collect())
        };
        assert_eq!(seqs(2).await.unwrap(), [3, 4, 5]);
        assert_eq!(seqs(4).await.unwrap(), [5]);
        assert!(seqs(5).await.unwrap().is_empty());
        // More than is kept: the oldest are forgotten, and that is said.
        happen(&db, &feed, KEPT + 10).await;
        let newest = 5 + KEPT as i64 + 10;
        assert_eq!(seqs(5).await, None);
        let kept = seqs(15).await.unwrap();
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (KEPT, 16, newest));
        db.close().await;
    }
}
