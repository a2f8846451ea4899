//! The feed of events: wakes whoever follows them when a transaction recorded some.
//!
//! The events themselves are read from the database, so that a follower resumes anywhere and
//! nothing is lost between two reads.

use std::time::Duration;

use buildbtw_api::BuildStatus;
use buildbtw_api::events::{Event, EventKind};
use tokio::sync::watch;

use crate::Server;
use crate::db::{DbResult, events};

/// How many events are read at once to be logged.
const LOGGED_AT_ONCE: u32 = 500;

/// How long events are gathered before they are logged.
const PAUSE: Duration = Duration::from_millis(500);

/// Wakes followers.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(0),
        }
    }
}

impl Feed {
    /// Something was recorded and committed.
    pub fn wake(&self) {
        self.sender
            .send_modify(|count| *count = count.wrapping_add(1));
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
