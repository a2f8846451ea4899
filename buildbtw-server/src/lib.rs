//! The server: sources, planner, scheduler, dispatch, artifacts, API and pages.

pub mod api;
pub mod artifacts;
pub mod bases;
pub mod clock;
pub mod config;
pub mod db;
pub mod disk;
pub mod dispatch;
pub mod feed;
pub mod gitlab;
pub mod logs;
pub mod planner;
pub mod problems;
pub mod scheduler;
pub mod sources;
mod start;
pub mod web;

use std::ops::Deref;
use std::sync::Arc;

use buildbtw_api::RunId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use start::{Running, StartError, open, start, start_on_gitlab};

/// Everything the server's rooms share. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Rooms>);

/// The rooms of a server.
pub struct Rooms {
    /// The settings.
    pub config: config::Config,
    /// The address under which people and workers reach the server, without a slash at the end.
    pub base_url: String,
    /// The workers' token.
    pub worker_token: String,
    /// The database.
    pub db: db::Db,
    /// The source repositories.
    pub sources: sources::Sources,
    /// The base repositories.
    pub bases: bases::Bases,
    /// Packages by digest.
    pub artifacts: artifacts::Artifacts,
    /// Logs of runs.
    pub logs: logs::Logs,
    /// The runners of GitLab, where the sources are there.
    pub fleet: Option<dispatch::fleet::Fleet>,
    /// The handing out of runs.
    pub dispatch: dispatch::Dispatch,
    /// Whether an upload was refused for want of space, after the last one that was kept.
    pub refused_for_space: std::sync::atomic::AtomicBool,
    /// Wakes those who follow events.
    pub feed: feed::Feed,
    /// The last large plan.
    pub remembered: planner::Remembered,
    /// One iteration is planned at a time.
    pub planning: tokio::sync::Mutex<()>,
    /// One look for moved origins at a time: two would make two iterations of one move.
    pub following: tokio::sync::Mutex<()>,
    /// One change of a namespace at a time.
    pub namespaces: tokio::sync::Mutex<()>,
    /// Ends when the server is to stop.
    pub shutdown: CancellationToken,
    /// The tasks that a stop waits for.
    pub tasks: TaskTracker,
}

impl Deref for Server {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.0
    }
}

impl Rooms {
    /// Notes whether the last upload was kept, or refused for want of space.
    pub(crate) fn note_space(&self, enough: bool) {
        self.refused_for_space
            .store(!enough, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether a worker holds a package for which there is no room.
    pub(crate) fn lacks_space(&self) -> bool {
        self.refused_for_space
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// A run is over: its log gets no more.
    pub async fn finish_log(&self, run: RunId) {
        self.logs.close(run).await;
    }

    /// A run was ended by the server: its log ends with the reason.
    pub async fn close_log(&self, run: RunId, reason: &str) {
        if let Err(error) = self
            .logs
            .note(run, &format!("the server ended this run: {reason}"))
            .await
        {
            tracing::warn!(%run, %error, "cannot write the end of a log");
        }
        self.logs.close(run).await;
    }
}
