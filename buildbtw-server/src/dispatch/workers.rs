//! Workers as people see them: what they build, and why they get nothing more.

use buildbtw_api::modes::ServerModeNote;
use buildbtw_api::workers::{RunningBuild, Worker};
use sqlx::SqliteConnection;

use super::situation::{FIRST, Gathered, Others, gather, workplace};
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, modes, suspicions, workers};
use crate::scheduler::{Idle, IdleFacts, why_idle};
use crate::{Server, clock};

/// All workers, those that registered last first.
pub async fn shown(server: &Server, db: &mut SqliteConnection) -> DbResult<Vec<Worker>> {
    let stored = workers::all(&mut *db).await?;
    let mut running = workers::running(&mut *db).await?;
    let mut gathered = gather(server, &mut *db, FIRST, Others::All).await?;
    let unsure = |worker: &StoredWorker, gathered: &Gathered| {
        let found = gathered.situation.candidates(&workplace(server, worker));
        matches!(found, Err(Idle::NothingFits(_) | Idle::LeftToOthers))
    };
    // Something for it may stand further down the line.
    if gathered.more && stored.iter().any(|worker| unsure(worker, &gathered)) {
        gathered = gather(server, &mut *db, u32::MAX, Others::All).await?;
    }
    let note = modes::server(&mut *db).await?;
    let mut shown = Vec::with_capacity(stored.len());
    for worker in stored {
        let running = running.remove(&worker.key).unwrap_or_default();
        shown.push(one(server, &mut *db, &gathered, &note, running, worker).await?);
    }
    Ok(shown)
}

async fn one(
    server: &Server,
    db: &mut SqliteConnection,
    gathered: &Gathered,
    note: &ServerModeNote,
    running: Vec<RunningBuild>,
    worker: StoredWorker,
) -> DbResult<Worker> {
    let leases = &server.dispatch.leases;
    let workplace = workplace(server, &worker);
    let mode = modes::worker(&mut *db, worker.key).await?;
    let candidates = gathered.situation.candidates(&workplace);
    let idle = why_idle(IdleFacts {
        worker: &workplace,
        heard_of: leases.is_alive(worker.id, clock::instant()),
        runner: worker.runner,
        mode: &mode,
        server: note,
        candidates: candidates.map(|builds| {
            let waits = |build| server.dispatch.equal_input(build).is_some();
            !builds.into_iter().all(waits)
        }),
    });
    Ok(Worker {
        seen_at: leases.seen_at(worker.id),
        runs: leases.of_worker(worker.id),
        running,
        id: worker.id,
        name: worker.name,
        offer: worker.offer,
        registered_at: worker.registered_at,
        evidence: suspicions::evidence(db, worker.key).await?,
        mode,
        speed: (worker.told.runs > 0).then(|| workplace.speed.factor()),
        idle: Some(idle),
    })
}
