//! Who gets runs: turning modes, and what follows from it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use buildbtw_api::modes::{ServerModeNote, WorkerModeNote};
use buildbtw_api::{RunStatus, ServerMode, WorkerId, WorkerMode};
use sqlx::SqliteConnection;

use super::{steps, suspicion};
use crate::Server;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, modes, runs, suspicions, workers};

/// The workers that are to end, with the reason: what heartbeats are answered by, so that none of
/// them asks the database.
#[derive(Debug, Default)]
pub struct Draining(Mutex<HashMap<WorkerId, String>>);

impl Draining {
    /// Notes a worker's mode.
    pub fn note(&self, worker: WorkerId, note: &WorkerModeNote) {
        // A panic elsewhere leaves the map whole: every change is one insertion or removal.
        let mut draining = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match note.mode {
            WorkerMode::Draining => {
                let reason = note.note.reason.clone();
                draining.insert(worker, reason.unwrap_or_default())
            }
            _ => draining.remove(&worker),
        };
    }

    /// Why a worker is to end, if it is.
    pub fn reason(&self, worker: WorkerId) -> Option<String> {
        let draining = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        draining.get(&worker).cloned()
    }
}

/// After a start: which workers are to end.
pub async fn take_up_again(server: &Server, db: &mut SqliteConnection) -> DbResult<()> {
    for worker in workers::all(&mut *db).await? {
        let note = modes::worker(&mut *db, worker.key).await?;
        server.dispatch.draining.note(worker.id, &note);
    }
    Ok(())
}

/// Sets whether the server hands out runs; `stopped` also takes back those that are out. How many
/// that were comes back with the mode.
pub async fn set_server(
    server: &Server,
    mode: ServerMode,
    reason: Option<&str>,
) -> DbResult<(ServerModeNote, usize)> {
    // No claim is under way meanwhile, so none hands out what is not to be.
    let _turn = server.dispatch.turn.lock().await;
    let mut tx = server.db.write().await?;
    modes::set_server(&mut tx, mode, reason, None).await?;
    let message = match reason {
        Some(reason) => format!("the server was stopped: {reason}"),
        None => "the server was stopped".to_owned(),
    };
    let mut taken = Vec::new();
    if mode == ServerMode::Stopped {
        for run in runs::open(&mut tx).await? {
            // What is built needs no worker any more: its packages are published.
            if run.status()? != RunStatus::Publishing {
                steps::take_back(&mut tx, &run, &message).await?;
                taken.push(run.id()?);
            }
        }
    }
    let note = modes::server(&mut tx).await?;
    tx.commit().await?;
    for run in &taken {
        server.dispatch.stop(*run, &message).await;
        server.close_log(*run, &message).await;
    }
    server.feed.wake();
    server.dispatch.wake();
    Ok((note, taken.len()))
}

/// Sets a worker's mode as somebody wants it.
pub async fn set_worker(
    server: &Server,
    worker: &StoredWorker,
    mode: WorkerMode,
    reason: Option<&str>,
) -> DbResult<WorkerModeNote> {
    let mut tx = server.db.write().await?;
    // Whoever says what a worker gets, says also that it is trusted.
    suspicions::forgive(&mut tx, worker.key).await?;
    modes::set_worker(&mut tx, worker.key, mode, reason, None).await?;
    let note = modes::worker(&mut tx, worker.key).await?;
    tx.commit().await?;
    server.dispatch.draining.note(worker.id, &note);
    server.dispatch.roster.outdated();
    server.feed.wake();
    server.dispatch.wake();
    // With one more or one less to try what failed on others, more or less can be said of those.
    suspicion::review(server).await?;
    Ok(note)
}
