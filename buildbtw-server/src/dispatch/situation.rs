//! All that a decision goes by, gathered from the database, the leases and the hints.

use std::collections::HashMap;

use buildbtw_api::workers::WorkerOffer;
use buildbtw_api::{BuildPlace, WorkerMode};
use sqlx::SqliteConnection;

use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::ready::Line;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, now, pipelines, ready, word, workers};
use crate::scheduler::{ReadyBuild, Requirements, Situation, Weight, Workplace};
use crate::{Server, clock};

/// How many builds of a build set are looked at first: those with the longest way to go.
pub const FIRST: u32 = 64;

/// How many are looked at first for a worker that asks. It mostly gets the very first.
pub const NEXT: u32 = 4;

/// Whose workers are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// All that were heard of lately.
    All,
    /// Those that matter to a choice: none, unless some build is to be left to others.
    Needed,
}

/// A situation, and whether more is ready than it shows.
pub struct Gathered {
    /// What there is to decide.
    pub situation: Situation<BuildKey>,
    /// The build sets of what is ready.
    pub sets: HashMap<BuildKey, BuildSetKey>,
    /// Whether some build set has more ready builds than were looked at.
    pub more: bool,
    /// When the next build may be handed out that was put off, in stored form.
    pub until: Option<i64>,
}

/// Gathers how things stand; of each build set at most `each` ready builds.
pub async fn gather(
    server: &Server,
    db: &mut SqliteConnection,
    each: u32,
    others: Others,
) -> DbResult<Gathered> {
    let line = ready::line(&mut *db, now(), each).await?;
    gather_from(server, db, line, each, others).await
}

/// Gathers how things stand from what was read of them with at most `each` ready builds of each build set.
pub(super) async fn gather_from(
    server: &Server,
    db: &mut SqliteConnection,
    line: Line,
    each: u32,
    others: Others,
) -> DbResult<Gathered> {
    let more = line.ready.iter().any(|row| row.place == each);
    let sets = line.ready.iter().map(|row| (row.key, row.set)).collect();
    let builds: DbResult<Vec<_>> = line
        .ready
        .into_iter()
        .map(|row| {
            let failed_on = row.failed_on()?;
            let place = row.wanted_on()?;
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
                requirements: requirements(server, &row.pkgbase, place),
                failed_on: failed_on.into_iter().map(|worker| worker.0).collect(),
            })
        })
        .collect();
    let ready = builds?;
    let shares = line.shares.into_iter();
    let shares = shares.map(|(namespace, share)| (namespace.0, share));
    let shares: HashMap<i64, _> = shares.collect();
    let standing = line.standing;
    let kept_back = ready.iter().any(|build| !build.failed_on.is_empty());
    let workers = match others == Others::All || kept_back {
        true => workplaces(server, db).await?,
        false => Vec::new(),
    };
    Ok(Gathered {
        until: standing.until,
        situation: Situation {
            mode: standing.mode,
            ready,
            shares,
            virtual_time: standing.virtual_time,
            workers,
        },
        sets,
        more,
    })
}

/// The workers that were heard of lately.
pub async fn workplaces(server: &Server, db: &mut SqliteConnection) -> DbResult<Vec<Workplace>> {
    let (leases, now) = (&server.dispatch.leases, clock::instant());
    let stored = workers::all(&mut *db).await?.into_iter();
    let alive = stored.filter(|worker| !worker.runner && leases.is_alive(worker.id, now));
    let mut workplaces: Vec<_> = alive.map(|worker| workplace(server, &worker)).collect();
    if server.fleet.is_some() {
        workplaces.push(fleet(server, db).await?);
    }
    Ok(workplaces)
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
        place: BuildPlace::Workers,
    }
}

/// All runners of GitLab as decisions see them: with as many slots as pipelines may be open.
pub async fn fleet(server: &Server, db: &mut SqliteConnection) -> DbResult<Workplace> {
    let settings = &server.fleet;
    let offer = settings.as_ref().map(|fleet| &fleet.settings);
    Ok(Workplace {
        // No row has it, so nothing failed on it: GitLab chooses among the runners.
        key: 0,
        name: "GitLab".to_owned(),
        architectures: offer.map_or_else(Vec::new, |offer| offer.architectures.clone()),
        slots: offer.map_or(0, |offer| offer.open_pipelines),
        running: pipelines::count_open(db).await?,
        memory: offer.and_then(|offer| offer.memory),
        labels: offer.map_or_else(Vec::new, |offer| offer.labels.clone()),
        mode: WorkerMode::Active,
        place: BuildPlace::GitLab,
    })
}

/// A host of GitLab's runners as decisions see it.
pub fn host(name: &str, offer: &WorkerOffer) -> Workplace {
    Workplace {
        key: 0,
        name: name.to_owned(),
        architectures: offer.architectures.clone(),
        slots: offer.slots,
        running: 0,
        memory: offer.memory,
        labels: offer.labels.clone(),
        mode: WorkerMode::Active,
        place: BuildPlace::GitLab,
    }
}

/// What a build asks of a worker now. Its namespace may say where it is carried out.
pub fn requirements(server: &Server, pkgbase: &str, on: Option<BuildPlace>) -> Requirements {
    let mut requirements = server.dispatch.hints.requirements(pkgbase, clock::now());
    let fleet = server.fleet.as_ref();
    let usual = || {
        fleet.map_or(BuildPlace::Workers, |fleet| {
            fleet.settings.place(&requirements)
        })
    };
    requirements.place = on.unwrap_or_else(usual);
    requirements
}
