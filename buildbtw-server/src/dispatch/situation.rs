//! All that a decision goes by, gathered from the database, the leases and the hints.

use std::collections::HashMap;

use buildbtw_api::workers::WorkerOffer;
use buildbtw_api::{BuildPlace, WorkerMode};
use sqlx::SqliteConnection;

use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::ready::Line;
use crate::db::workers::StoredWorker;
use crate::db::{DbResult, now, pipelines, ready, word, workers};
use crate::scheduler::{ReadyBuild, Requirements, Situation, Speed, UnderWay, Weight, Workplace};
use crate::{Server, clock};

/// How many builds of a build set are looked at first: those with the longest way to go.
pub const FIRST: u32 = 64;

/// How many are looked at first for a worker that asks. It mostly gets the very first.
pub const NEXT: u32 = 8;

/// How many times as many are looked at when nothing of what was looked at is for a worker.
pub const WIDER: u32 = FIRST / NEXT;

/// Which workers are gathered.
#[derive(Debug, Clone, Copy)]
pub enum Others<'a> {
    /// All that were heard of lately.
    All,
    /// Those that matter to a choice for this worker; for GitLab where it is for none.
    ThatMatter(Option<&'a StoredWorker>),
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
    others: Others<'_>,
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
    others: Others<'_>,
) -> DbResult<Gathered> {
    let at = now();
    let sets: HashMap<_, _> = line.ready.iter().map(|row| (row.key, row.set)).collect();
    let mut of_sets: HashMap<BuildSetKey, u32> = HashMap::new();
    for set in sets.values() {
        *of_sets.entry(*set).or_default() += 1;
    }
    let more = of_sets.values().any(|looked_at| *looked_at >= each);
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
                    unknown: row.unknown,
                },
                ready_since: row.changed_at,
                waited_ms: waited_ms(row.changed_at, at),
                requirements: requirements(server, &row.pkgbase, place),
                failed_on: failed_on.into_iter().map(|worker| worker.0).collect(),
                evidence: row.evidence,
            })
        })
        .collect();
    let ready = builds?;
    let shares = line.shares.into_iter();
    let shares = shares.map(|(namespace, share)| (namespace.0, share));
    let shares: HashMap<i64, _> = shares.collect();
    let standing = line.standing;
    let workers = match others {
        Others::All => workplaces(server, db).await?,
        Others::ThatMatter(worker) => {
            let kept_back = ready.iter().any(|build| !build.failed_on.is_empty());
            rivals(server, db, worker, kept_back).await?
        }
    };
    Ok(Gathered {
        until: standing.until,
        situation: Situation {
            mode: standing.mode,
            ready,
            shares,
            virtual_time: standing.virtual_time,
            workers,
            more,
        },
        sets,
        more,
    })
}

/// For how long something is ready that is so since a time, in milliseconds. What is ready since a time that
/// is still to come was there before the clock was set back: for longer than anybody knows.
fn waited_ms(since: i64, at: i64) -> i64 {
    match at.checked_sub(since) {
        Some(micros) if micros >= 0 => micros / 1_000,
        _ => i64::MAX,
    }
}

/// The workers that a choice for a worker may depend on: all that were heard of lately, where some build
/// is kept back from it or another worker is faster.
async fn rivals(
    server: &Server,
    db: &mut SqliteConnection,
    worker: Option<&StoredWorker>,
    kept_back: bool,
) -> DbResult<Vec<Workplace>> {
    let roster = &server.dispatch.roster;
    let stored = roster.all(db).await?;
    let own = worker.map(|worker| roster.speed(worker));
    let is_faster = |other| own.is_some_and(|own| roster.speed(other) > own);
    if !kept_back && !stored.iter().any(is_faster) {
        return Ok(Vec::new());
    }
    in_touch(server, db, &stored).await
}

/// The workers that were heard of lately.
pub async fn workplaces(server: &Server, db: &mut SqliteConnection) -> DbResult<Vec<Workplace>> {
    let stored = workers::all(&mut *db).await?;
    in_touch(server, db, &stored).await
}

/// Those of the workers that were heard of lately, and the runners of GitLab.
async fn in_touch(
    server: &Server,
    db: &mut SqliteConnection,
    stored: &[StoredWorker],
) -> DbResult<Vec<Workplace>> {
    let (leases, now) = (&server.dispatch.leases, clock::instant());
    let mut under_way = leases.under_way(now);
    let alive = stored
        .iter()
        .filter(|worker| !worker.runner && leases.is_alive(worker.id, now));
    let mut workplaces: Vec<_> = alive
        .map(|worker| {
            let runs = under_way.remove(&worker.id).unwrap_or_default();
            of(server, worker, runs)
        })
        .collect();
    if server.fleet.is_some() {
        workplaces.push(fleet(server, db).await?);
    }
    Ok(workplaces)
}

/// A worker as decisions see it.
pub fn workplace(server: &Server, worker: &StoredWorker) -> Workplace {
    let mut under_way = server.dispatch.leases.under_way(clock::instant());
    let runs = under_way.remove(&worker.id).unwrap_or_default();
    of(server, worker, runs)
}

fn of(server: &Server, worker: &StoredWorker, under_way: Vec<UnderWay>) -> Workplace {
    Workplace {
        key: worker.key.0,
        name: worker.name.clone(),
        architectures: worker.offer.architectures.clone(),
        slots: worker.offer.slots,
        running: u32::try_from(under_way.len()).unwrap_or(u32::MAX),
        memory: worker.offer.memory,
        labels: worker.offer.labels.clone(),
        mode: worker.mode,
        place: BuildPlace::Workers,
        speed: server.dispatch.roster.speed(worker),
        under_way,
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
        speed: Speed::default(),
        under_way: Vec::new(),
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
        speed: Speed::default(),
        under_way: Vec::new(),
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

#[cfg(test)]
mod tests {
    use super::waited_ms;

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_wait_longer() {
        assert_eq!(waited_ms(1_000, 5_000_000), 4_999);
        assert_eq!(waited_ms(5_000_000, 1_000), i64::MAX);
        assert_eq!(waited_ms(i64::MIN, i64::MAX), i64::MAX);
    }
}
