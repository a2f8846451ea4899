//! The workers as they registered, with their modes and speeds: kept in memory, since a choice looks at
//! all of them and hardly any of that ever changes. It is read anew when a worker registers or some mode
//! changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::SqliteConnection;

use crate::db::DbResult;
use crate::db::keys::WorkerKey;
use crate::db::workers::{self, StoredWorker};
use crate::scheduler::Speed;

#[derive(Debug, Default)]
struct State {
    /// How often it became outdated.
    news: u64,
    workers: Option<Arc<[StoredWorker]>>,
    speeds: HashMap<WorkerKey, Speed>,
}

/// The workers.
#[derive(Debug, Default)]
pub struct Roster(Mutex<State>);

impl Roster {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All workers.
    pub async fn all(&self, db: &mut SqliteConnection) -> DbResult<Arc<[StoredWorker]>> {
        let news = {
            let state = self.state();
            if let Some(workers) = &state.workers {
                return Ok(Arc::clone(workers));
            }
            state.news
        };
        let workers: Arc<[StoredWorker]> = workers::all(db).await?.into();
        let mut state = self.state();
        // What changed while they were read may not be in them.
        if state.news == news {
            state.workers = Some(Arc::clone(&workers));
            state.speeds = workers
                .iter()
                .map(|worker| (worker.key, worker.speed()))
                .collect();
        }
        Ok(workers)
    }

    /// Something of a worker changed that is kept here.
    pub fn outdated(&self) {
        let mut state = self.state();
        state.news += 1;
        state.workers = None;
    }

    /// A worker showed how fast it is.
    pub fn learned(&self, worker: WorkerKey, speed: Speed) {
        self.state().speeds.insert(worker, speed);
    }

    /// How fast a worker is, as far as that is known here.
    pub fn speed(&self, worker: &StoredWorker) -> Speed {
        let known = self.state().speeds.get(&worker.key).copied();
        known.unwrap_or_else(|| worker.speed())
    }
}
