//! All that a decision goes by, gathered from the database, the leases and the hints.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::db::keys::BuildKey;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, modes, now, ready, shares, word, workers};
use crate::scheduler::{ReadyBuild, Requirements, Situation, Weight, Workplace};
use crate::{Server, clock};

/// How many builds of a build set are looked at first: those with the longest way to go.
pub const FIRST: u32 = 64;

/// A situation, and whether more is ready than it shows.
pub struct Gathered {
    /// What there is to decide.
    pub situation: Situation<BuildKey>,
    /// Whether some build set has more ready builds than were looked at.
    pub more: bool,
    /// When the next build may be handed out that was put off, in stored form.
    pub until: Option<i64>,
}

/// Gathers how things stand; of each build set at most `each` ready builds.
pub async fn gather(server: &Server, db: &mut SqliteConnection, each: u32) -> DbResult<Gathered> {
    let at = now();
    let rows = ready::ready(&mut *db, at, each).await?;
    let more = rows.iter().any(|row| row.place == each);
    let mut failed_on = ready::failed_on(&mut *db).await?;
    let builds: DbResult<Vec<_>> = rows
        .into_iter()
        .map(|row| {
            let failed_on = failed_on.remove(&row.key).unwrap_or_default();
            Ok(ReadyBuild {
                key: row.key,
                architecture: word("architecture", &row.architecture)?,
                namespace: row.namespace.0,
                weight: Weight {
                    remaining_ms: row.remaining_ms,
                    unlocks: row.unlocks,
                    own_ms: row.expected_ms,
                },
                ready_since: row.changed_at,
                requirements: requirements(server, &row.pkgbase),
                failed_on: failed_on.into_iter().map(|worker| worker.0).collect(),
            })
        })
        .collect();
    let shares = shares::all(&mut *db, at).await?;
    let shares: HashMap<i64, _> = shares
        .into_iter()
        .map(|(namespace, share)| (namespace.0, share))
        .collect();
    let virtual_time = shares::virtual_time(&mut *db).await?;
    let mode = modes::server(&mut *db).await?.mode;
    let until = ready::next_delay(&mut *db, at).await?;
    Ok(Gathered {
        until,
        situation: Situation {
            mode,
            ready: builds?,
            shares,
            virtual_time,
            workers: workplaces(server, db).await?,
        },
        more,
    })
}

/// The workers that were heard of lately.
pub async fn workplaces(server: &Server, db: &mut SqliteConnection) -> DbResult<Vec<Workplace>> {
    let (leases, now) = (&server.dispatch.leases, clock::instant());
    let stored = workers::all(&mut *db).await?.into_iter();
    let alive = stored.filter(|worker| leases.is_alive(worker.id, now));
    Ok(alive.map(|worker| workplace(server, &worker)).collect())
}

/// A worker as decisions see it.
pub fn workplace(server: &Server, worker: &StoredWorker) -> Workplace {
    let running = server.dispatch.leases.of_worker(worker.id).len();
    Workplace {
        key: worker.key.0,
        name: worker.name.clone(),
        architectures: worker.offer.architectures.clone(),
        slots: worker.offer.slots,
        running: u32::try_from(running).unwrap_or(u32::MAX),
        memory: worker.offer.memory,
        labels: worker.offer.labels.clone(),
        mode: worker.mode,
    }
}

/// What a build asks of a worker now.
pub fn requirements(server: &Server, pkgbase: &str) -> Requirements {
    server.dispatch.hints.requirements(pkgbase, clock::now())
}
