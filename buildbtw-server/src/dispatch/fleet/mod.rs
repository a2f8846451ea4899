//! Builds on GitLab: each run is a pipeline in the package's project, and some runner's executor carries
//! it out.
//!
//! A run that goes there has a row in `pipeline` before GitLab hears of it, and no worker and no lease
//! until a job of its pipeline claims it ([`claim`]); from then on the executor is a worker like any other.
//! [`keeping`] makes what is wanted, follows what is open and ends what is superfluous, by what the rows
//! say; so nothing is forgotten over a kill, and GitLab being away holds up nothing but what is there.

mod answers;
pub mod ci_config;
pub mod claim;
pub mod commit_statuses;
pub mod doctor;
pub mod hand_over;
mod keeping;
mod settings;
mod words;

use std::time::Duration;

use buildbtw_api::sources::PipelinesState;
use tokio::sync::Notify;

pub use settings::{FleetConfig, FleetSettings};

use crate::Server;
use crate::db::{DbResult, now, pipelines, timestamp};
use crate::gitlab::GitLab;

/// How long to wait after a failure of the server's own before the next try.
const PAUSE: Duration = Duration::from_secs(2);

/// The runners of a GitLab.
#[derive(Debug)]
pub struct Fleet {
    /// What goes there.
    pub settings: FleetSettings,
    gitlab: GitLab,
    /// There may be something to do about a pipeline.
    news: Notify,
    /// GitLab may be back, for those who wait for that.
    back: Notify,
}

impl Fleet {
    /// The runners that the settings tell of. Nothing is asked yet.
    pub fn new(settings: FleetSettings, gitlab: GitLab) -> Self {
        Self {
            settings,
            gitlab,
            news: Notify::new(),
            back: Notify::new(),
        }
    }

    /// Something about the pipelines changed.
    pub(super) fn wake(&self) {
        self.news.notify_one();
    }
}

/// Hands over, follows and tells, until the server stops.
pub async fn watch(server: Server) {
    if server.fleet.is_none() {
        return;
    }
    tokio::select! {
        () = server.shutdown.cancelled() => {}
        () = hand_over_all(&server) => {}
        () = keeping::keep(&server) => {}
        () = commit_statuses::tell(&server) => {}
    }
}

/// Hands over what is ready, whenever something may be.
async fn hand_over_all(server: &Server) {
    loop {
        // Taken before the look, so that what becomes ready during it is not missed.
        let mut ready = std::pin::pin!(server.dispatch.ready.notified());
        ready.as_mut().enable();
        let until = match hand_over::hand_over(server).await {
            Ok(until) => until,
            Err(error) => {
                tracing::error!(%error, "cannot hand builds over to GitLab");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        tokio::select! {
            () = ready => {}
            () = reached(until) => {}
        }
    }
}

/// Waits for a time in stored form; for ever where there is none.
async fn reached(at: Option<i64>) {
    match at {
        Some(at) => {
            let micros = u64::try_from(at - now()).unwrap_or(0);
            // A moment later, so that the wait is not cut into ever smaller pieces.
            tokio::time::sleep(Duration::from_micros(micros) + Duration::from_millis(10)).await;
        }
        None => std::future::pending().await,
    }
}

/// GitLab told of a pipeline: it is looked at, if it is one of ours.
///
/// # Errors
///
/// When the database fails.
pub async fn heard_of(server: &Server, project: u64, pipeline: u64) -> DbResult<()> {
    let Some(fleet) = &server.fleet else {
        return Ok(());
    };
    // Mostly it is somebody else's, and nothing is written.
    if !pipelines::is_followed(&mut *server.db.glance().await?, project, pipeline).await? {
        return Ok(());
    }
    let mut tx = server.db.write().await?;
    pipelines::due_now(&mut tx, pipeline).await?;
    tx.commit().await?;
    fleet.wake();
    Ok(())
}

/// All pipelines that are open are looked at now, and what GitLab could not be told is told again.
///
/// # Errors
///
/// When the database fails.
pub async fn look_at_all(server: &Server) -> DbResult<()> {
    let mut tx = server.db.write().await?;
    pipelines::all_due_now(&mut tx).await?;
    tx.commit().await?;
    if let Some(fleet) = &server.fleet {
        fleet.wake();
        fleet.back.notify_one();
    }
    Ok(())
}

/// How the pipelines are, where there may be some.
///
/// # Errors
///
/// When the database fails.
pub async fn shown(server: &Server) -> DbResult<Option<PipelinesState>> {
    let Some(fleet) = &server.fleet else {
        return Ok(None);
    };
    let mut tx = server.db.read().await?;
    let troubles = pipelines::troubles(&mut tx).await?;
    Ok(Some(PipelinesState {
        open: pipelines::count_open(&mut tx).await?,
        limit: fleet.settings.open_pipelines,
        troubled: troubles.count,
        troubled_since: troubles.since.map(timestamp).transpose()?,
        reason: troubles.problem,
    }))
}
