//! Workers that fail their builds: who is under suspicion, what is tried elsewhere for it, and what
//! follows from what comes of that. `scheduler` decides; here it is gathered and carried out.

use std::collections::{BTreeMap, BTreeSet};

use buildbtw_api::{BuildStatus, WorkerMode};
use sqlx::SqliteConnection;

use super::situation::{requirements, workplaces};
use super::steps;
use crate::Server;
use crate::db::keys::{BuildKey, IterationKey, NamespaceKey, RunKey, WorkerKey};
use crate::db::suspicions::{self, FailureRow};
use crate::db::{DbResult, builds, modes, namespaces, word};
use crate::scheduler::{Elsewhere, Failure, Step, Trust, Workplace, misfit, next_step};

/// Decides about every worker whose builds failed lately. It comes after whatever may change that: a
/// failure, something published, a worker that comes or asks.
///
/// # Errors
///
/// When the database fails; nothing is then changed about the worker that was looked at.
pub async fn review(server: &Server) -> DbResult<()> {
    let suspects = {
        let mut tx = server.db.glance().await?;
        suspicions::to_review(&mut tx).await?
    };
    review_workers(server, suspects).await
}

/// Decides about workers whose builds failed lately.
pub(super) async fn review_workers(server: &Server, suspects: Vec<WorkerKey>) -> DbResult<()> {
    let mut changed = false;
    for worker in suspects {
        changed |= review_worker(server, worker).await?;
    }
    if changed {
        server.dispatch.workers_changed();
        server.feed.wake();
        server.dispatch.wake();
    }
    Ok(())
}

async fn review_worker(server: &Server, worker: WorkerKey) -> DbResult<bool> {
    {
        let mut tx = server.db.read().await?;
        if decide(server, &mut tx, worker).await?.1 == Step::Leave {
            return Ok(false);
        }
    }
    // What was read may have changed meanwhile.
    let mut tx = server.db.write().await?;
    let (rows, step) = decide(server, &mut tx, worker).await?;
    let names = |keys: &[RunKey]| -> String {
        let names: BTreeSet<&str> = rows
            .iter()
            .filter(|row| keys.contains(&row.run_id))
            .map(|row| row.pkgbase.as_str())
            .collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    match step {
        Step::Leave => return Ok(false),
        Step::Suspect { elsewhere } => {
            let reason = format!(
                "under suspicion: {} failed on it in a row, and are tried elsewhere",
                names(&elsewhere)
            );
            try_elsewhere(&mut tx, &rows, &elsewhere).await?;
            suspicions::suspect(&mut tx, worker, false).await?;
            set_mode(&mut tx, worker, WorkerMode::SetAside, &reason).await?;
        }
        Step::SetAside { blamed, elsewhere } => {
            let first = suspicions::trust(&mut tx, worker).await? != Trust::SetAside;
            acquit(&mut tx, &rows, &blamed).await?;
            try_elsewhere(&mut tx, &rows, &elsewhere).await?;
            suspicions::suspect(&mut tx, worker, true).await?;
            if first {
                let passed: Vec<RunKey> = rows
                    .iter()
                    .filter(|row| row.verdict == "passed")
                    .map(|row| row.run_id)
                    .collect();
                let reason = format!(
                    "{} failed on it and passed elsewhere; `bbtw workers activate` brings it back",
                    names(&passed)
                );
                set_mode(&mut tx, worker, WorkerMode::SetAside, &reason).await?;
            }
        }
        Step::Trust => {
            suspicions::drop_suspicion(&mut tx, worker).await?;
            let reason = "no longer under suspicion: what failed on it failed elsewhere as well, \
                          or nobody else is there to try it";
            set_mode(&mut tx, worker, WorkerMode::Active, reason).await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

async fn set_mode(
    db: &mut SqliteConnection,
    worker: WorkerKey,
    mode: WorkerMode,
    reason: &str,
) -> DbResult<()> {
    tracing::warn!(worker = worker.0, %mode, reason, "a worker's mode changes");
    modes::set_worker(db, worker, mode, Some(reason), None).await
}

/// The failures of a worker and what is to be done about it.
async fn decide(
    server: &Server,
    db: &mut SqliteConnection,
    worker: WorkerKey,
) -> DbResult<(Vec<FailureRow>, Step<RunKey>)> {
    let rows = suspicions::failures(&mut *db, worker).await?;
    let trust = suspicions::trust(&mut *db, worker).await?;
    let mode = modes::worker(&mut *db, worker).await?.mode;
    // Whoever gets nothing by somebody's word is left as that person left it.
    let expected = match trust {
        Trust::Trusted => WorkerMode::Active,
        Trust::Suspected | Trust::SetAside => WorkerMode::SetAside,
    };
    if mode != expected {
        return Ok((rows, Step::Leave));
    }
    let others = workplaces(server, &mut *db).await?;
    let mut failures = Vec::with_capacity(rows.len());
    for row in &rows {
        failures.push(Failure {
            key: row.run_id,
            pkgbase: row.pkgbase.clone(),
            in_a_row: row.in_a_row,
            elsewhere: elsewhere(server, &mut *db, row, &others).await?,
        });
    }
    let active = |other: &Workplace| other.key != worker.0 && other.mode == WorkerMode::Active;
    let step = next_step(trust, !others.iter().any(active), &failures);
    Ok((rows, step))
}

/// What became of a build that failed on a worker.
async fn elsewhere(
    server: &Server,
    db: &mut SqliteConnection,
    row: &FailureRow,
    workers: &[Workplace],
) -> DbResult<Elsewhere> {
    match row.verdict.as_str() {
        "passed" => {
            return Ok(Elsewhere::Passed {
                blamed: row.is_blamed()?,
            });
        }
        "failed" => return Ok(Elsewhere::Failed),
        // Another namespace had the same tried on another worker.
        _ if row.failed_there => return Ok(Elsewhere::Failed),
        _ => {}
    }
    let status = row.status()?;
    let open = !status.is_final();
    if !row.is_current()? || !(open || status == BuildStatus::Failed) {
        return Ok(Elsewhere::Gone);
    }
    let failed_by = suspicions::failed_by(&mut *db, row.build_id).await?;
    let place = builds::state(db, row.build_id).await?.place()?;
    let requirements = requirements(server, &row.pkgbase, place);
    let architecture = word("architecture", &row.architecture)?;
    let possible = workers.iter().any(|worker| {
        worker.mode == WorkerMode::Active
            && !failed_by.contains(&WorkerKey(worker.key))
            && misfit(&architecture, &requirements, worker).is_none()
    });
    Ok(match row.verdict.as_str() {
        "elsewhere" if open => Elsewhere::Tried { possible },
        "elsewhere" => Elsewhere::Failed,
        _ => Elsewhere::NotTried { possible },
    })
}

/// Puts builds that failed on a worker back to where others get them.
async fn try_elsewhere(
    db: &mut SqliteConnection,
    rows: &[FailureRow],
    runs: &[RunKey],
) -> DbResult<()> {
    let mut again: BTreeMap<IterationKey, BTreeSet<BuildKey>> = BTreeMap::new();
    let mut touched: BTreeSet<NamespaceKey> = BTreeSet::new();
    for row in rows.iter().filter(|row| runs.contains(&row.run_id)) {
        again
            .entry(row.iteration_id)
            .or_default()
            .insert(row.build_id);
        touched.insert(row.namespace_id);
    }
    let reason = "it may have failed by its worker's fault, and is tried elsewhere";
    for (iteration, builds) in again {
        let chosen = |build: &builds::BuildState| builds.contains(&build.key);
        steps::retry_iteration(&mut *db, iteration, chosen, false, reason).await?;
    }
    for namespace in touched {
        namespaces::settle(&mut *db, namespace).await?;
    }
    suspicions::try_elsewhere(db, runs).await
}

/// Takes the blame for runs off their packages.
async fn acquit(db: &mut SqliteConnection, rows: &[FailureRow], runs: &[RunKey]) -> DbResult<()> {
    for row in rows.iter().filter(|row| runs.contains(&row.run_id)) {
        let build = builds::state(&mut *db, row.build_id).await?;
        let message = "it passed on another worker, and this one is set aside";
        suspicions::acquit(&mut *db, row.run_id, &build, message).await?;
    }
    Ok(())
}
