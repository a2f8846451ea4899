//! What pages show of many things at once: a handful of columns of many rows, read in one go.

use buildbtw_api::BuildStatus;
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, IterationKey, NamespaceKey};
use super::{DbResult, to_json, word};
use crate::scheduler::{Expected, UnderWay};

/// A run that is out.
#[derive(Debug, Clone, FromRow)]
pub struct RunningRow {
    /// Its public id.
    pub run: String,
    /// The namespace it was handed out for.
    pub namespace: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// Where it stands.
    pub status: String,
    /// Who carries it out.
    pub worker: Option<String>,
    /// When it was handed out, in microseconds since 1970.
    pub claimed_at: i64,
    /// When the worker began, likewise.
    pub started_at: Option<i64>,
    /// How long it is expected to take, in milliseconds; 0 where nobody knows.
    pub expected_ms: i64,
}

/// The runs that are out, the oldest first.
pub async fn running(db: &mut SqliteConnection, limit: u32) -> DbResult<Vec<RunningRow>> {
    Ok(sqlx::query_as(
        "SELECT run.public_id AS run, namespace.name AS namespace, number AS iteration, architecture, pkgbase, pass, \
         run.status, worker.name AS worker, claimed_at, started_at, \
         CASE WHEN EXISTS (SELECT 1 FROM duration WHERE duration.pkgbase = build.pkgbase \
         AND duration.architecture = build_set.architecture) THEN expected_ms ELSE 0 END AS expected_ms \
         FROM run JOIN build ON build.id = run.build_id JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id JOIN namespace ON namespace.id = namespace_id \
         LEFT JOIN worker ON worker.id = run.worker_id \
         WHERE run.status <> 'ended' ORDER BY run.id LIMIT ?",
    )
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// A run that ended without packages.
#[derive(Debug, Clone, FromRow)]
pub struct FailureRow {
    /// Its public id.
    pub run: String,
    /// The namespace it was handed out for.
    pub namespace: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// Whose business it is.
    pub class: String,
    /// The step in which it failed.
    pub failed_step: Option<String>,
    /// What happened, in words.
    pub message: Option<String>,
    /// Who carried it out.
    pub worker: Option<String>,
    /// When it ended, in microseconds since 1970.
    pub ended_at: i64,
    /// Where the build stands by now.
    pub status: String,
    /// How many builds wait for it, directly or not.
    pub unlocks: u32,
}

/// Builds of current iterations whose last failure came after a time (microseconds since 1970), the
/// newest first, each with that run. What the machinery failed counts when it is not tried again.
pub async fn failures(
    db: &mut SqliteConnection,
    since: i64,
    limit: u32,
) -> DbResult<Vec<FailureRow>> {
    Ok(sqlx::query_as(
        "SELECT run.public_id AS run, namespace.name AS namespace, number AS iteration, architecture, pkgbase, pass, \
         class, failed_step, message, worker.name AS worker, ended_at, build.status, unlocks \
         FROM run JOIN build ON build.id = run.build_id JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id JOIN namespace ON namespace.id = namespace_id \
         LEFT JOIN worker ON worker.id = run.worker_id \
         WHERE ended_at > ? AND class <> 'success' AND class <> 'cancelled' AND NOT canary \
         AND iteration.status = 'current' AND namespace.status <> 'archived' \
         AND (class <> 'infrastructure' OR build.status = 'failed') \
         AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.build_id = run.build_id AND later.id > run.id \
         AND later.class NOT IN ('success', 'cancelled') AND NOT later.canary) \
         ORDER BY ended_at DESC, run.id DESC LIMIT ?",
    )
    .bind(since)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// A build as one cell of a map.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its row.
    pub key: BuildKey,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// The wave.
    pub wave: u32,
    /// Where it stands.
    pub status: BuildStatus,
}

#[derive(FromRow)]
struct CellRow {
    id: BuildKey,
    architecture: String,
    pkgbase: String,
    pass: u8,
    wave: u32,
    status: String,
}

/// All builds of an iteration, by architecture, wave and name.
pub async fn cells(db: &mut SqliteConnection, iteration: IterationKey) -> DbResult<Vec<Cell>> {
    let rows: Vec<CellRow> = sqlx::query_as(
        "SELECT build.id, architecture, pkgbase, pass, wave, status FROM build_set \
         JOIN build ON build.build_set_id = build_set.id WHERE iteration_id = ? \
         ORDER BY architecture, wave, pkgbase, pass",
    )
    .bind(iteration)
    .fetch_all(db)
    .await?;
    let cell = |row: CellRow| {
        Ok(Cell {
            key: row.id,
            status: word("build status", &row.status)?,
            architecture: row.architecture,
            pkgbase: row.pkgbase,
            pass: row.pass,
            wave: row.wave,
        })
    };
    rows.into_iter().map(cell).collect()
}

/// What of a namespace is not handed out.
#[derive(Debug, Clone, Copy, Default, FromRow)]
pub struct Waiting {
    /// The longest path that begins with such a build, in milliseconds.
    pub path_ms: i64,
    /// All of it, one after the other, in milliseconds.
    pub work_ms: i64,
    /// How many builds it is.
    pub builds: u32,
}

/// What is not handed out in the current iteration of a namespace.
pub async fn waiting(db: &mut SqliteConnection, namespace: NamespaceKey) -> DbResult<Waiting> {
    Ok(sqlx::query_as(
        // A build that stands for another architecture's takes no time of its own. What is blocked begins no longest path:
        // that of what it waits for, which is ready or under way, is longer.
        "SELECT coalesce(max(CASE WHEN build.status = 'pending' THEN remaining_ms END), 0) AS path_ms, \
         coalesce(sum(CASE WHEN refers_to IS NULL THEN expected_ms ELSE 0 END), 0) AS work_ms, count(*) AS builds FROM iteration \
         JOIN build_set ON build_set.iteration_id = iteration.id JOIN build ON build.build_set_id = build_set.id \
         AND build.status IN ('blocked', 'pending') WHERE namespace_id = ? AND iteration.status = 'current'",
    )
    .bind(namespace)
    .fetch_one(db)
    .await?)
}

/// A run that is out, by what is expected of it.
#[derive(Debug, Clone, FromRow)]
pub struct UnderWayRow {
    /// Its namespace.
    pub namespace: NamespaceKey,
    /// The row of its worker.
    pub worker: Option<i64>,
    own_ms: i64,
    remaining_ms: i64,
    elapsed_ms: i64,
}

impl UnderWayRow {
    /// As decisions see it.
    pub fn under_way(&self) -> UnderWay {
        UnderWay {
            elapsed_ms: self.elapsed_ms,
            expected: Expected {
                own_ms: self.own_ms,
                behind_ms: self.remaining_ms - self.own_ms,
                namespace: self.namespace.0,
            },
        }
    }
}

/// The runs of current iterations that are out at a time, in stored form. What is built and waits to be published has
/// taken all of its time.
pub async fn under_way(db: &mut SqliteConnection, at: i64) -> DbResult<Vec<UnderWayRow>> {
    Ok(sqlx::query_as(
        "SELECT namespace_id AS namespace, worker_id AS worker, \
         CASE run.status WHEN 'publishing' THEN 0 ELSE expected_ms END AS own_ms, \
         CASE run.status WHEN 'publishing' THEN remaining_ms - expected_ms ELSE remaining_ms END AS remaining_ms, \
         CASE WHEN run.status = 'publishing' OR started_at IS NULL THEN 0 ELSE max((? - started_at) / 1000, 0) END AS elapsed_ms \
         FROM run JOIN build ON build.id = run.build_id JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id \
         WHERE run.status <> 'ended' AND NOT canary AND iteration.status = 'current'",
    )
    .bind(at)
    .fetch_all(db)
    .await?)
}

/// A ready build that waits for a worker.
#[derive(Debug, Clone, FromRow)]
pub struct QueuedRow {
    /// Its row.
    pub id: BuildKey,
    /// Its namespace.
    pub namespace: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// Since when it is ready, in microseconds since 1970.
    pub changed_at: i64,
}

/// The builds that are ready and wait, and how many there are: some first, in their order, then others by the
/// longest path.
pub async fn queued(
    db: &mut SqliteConnection,
    first: &[BuildKey],
    limit: u32,
) -> DbResult<(Vec<QueuedRow>, u32)> {
    const QUEUED: &str = "SELECT build.id, namespace.name AS namespace, number AS iteration, architecture, pkgbase, pass, \
         build.changed_at FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id WHERE build.status = 'pending' AND build.id";
    let count = sqlx::query_scalar("SELECT count(*) FROM build WHERE status = 'pending'")
        .fetch_one(&mut *db)
        .await?;
    let keys: Vec<i64> = first.iter().map(|build| build.0).collect();
    let sql = format!("{QUEUED} IN (SELECT value FROM json_each(?))");
    let mut rows: Vec<QueuedRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(to_json(&keys))
        .fetch_all(&mut *db)
        .await?;
    rows.sort_by_key(|row| first.iter().position(|build| *build == row.id));
    let more = u32::try_from(rows.len()).map_or(0, |shown| limit.saturating_sub(shown));
    // All that waits is only looked through where what is next is not enough.
    if more > 0 {
        let sql = format!(
            "{QUEUED} NOT IN (SELECT value FROM json_each(?)) ORDER BY remaining_ms DESC, build.id LIMIT ?"
        );
        let others: Vec<QueuedRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(to_json(&keys))
            .bind(more)
            .fetch_all(db)
            .await?;
        rows.extend(others);
    }
    Ok((rows, count))
}

/// A build of a package base, in whatever namespace.
#[derive(Debug, Clone, FromRow)]
pub struct HistoryRow {
    /// The namespace.
    pub namespace: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    pub architecture: String,
    /// The pass.
    pub pass: u8,
    /// The version.
    pub version: String,
    /// Where the build stands.
    pub status: String,
    /// When it came to stand there, in microseconds since 1970.
    pub changed_at: i64,
    /// The public id of its newest run, or of the one whose packages it took over.
    pub run: Option<String>,
    /// It took them over.
    pub taken: bool,
    /// How that run ended.
    pub class: Option<String>,
    /// The step in which it failed.
    pub failed_step: Option<String>,
    /// Who carried it out.
    pub worker: Option<String>,
    /// When it began, in microseconds since 1970.
    pub started_at: Option<i64>,
    /// When it ended, likewise.
    pub ended_at: Option<i64>,
}

/// The builds of a package base, what changed last first.
pub async fn history(
    db: &mut SqliteConnection,
    pkgbase: &str,
    limit: u32,
) -> DbResult<Vec<HistoryRow>> {
    Ok(sqlx::query_as(
        "SELECT namespace.name AS namespace, number AS iteration, architecture, pass, version, build.status, \
         build.changed_at, run.public_id AS run, coalesce(run.build_id <> build.id, 0) AS taken, class, failed_step, \
         worker.name AS worker, started_at, ended_at FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id LEFT JOIN run ON run.id = coalesce(\
         (SELECT max(other.id) FROM run AS other WHERE other.build_id = build.id), \
         (SELECT max(maker.id) FROM published_package JOIN run_package USING (package_id) JOIN run AS maker ON maker.id = run_id \
         WHERE published_package.build_id = build.id AND until IS NULL AND kept AND maker.class = 'success' AND NOT maker.canary)) \
         LEFT JOIN worker ON worker.id = run.worker_id \
         WHERE pkgbase = ? ORDER BY build.changed_at DESC, build.id DESC LIMIT ?",
    )
    .bind(pkgbase)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// Package bases that were built somewhere and have a text, which is in small letters, in their name: those
/// that are called so first, then those whose name begins with it.
pub async fn pkgbases_like(
    db: &mut SqliteConnection,
    text: &str,
    limit: u32,
) -> DbResult<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT pkgbase FROM (SELECT DISTINCT pkgbase FROM build WHERE instr(lower(pkgbase), ?1)) \
         ORDER BY lower(pkgbase) <> ?1, instr(lower(pkgbase), ?1) <> 1, length(pkgbase), pkgbase LIMIT ?2",
    )
    .bind(text)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// Namespaces with a text, which is in small letters, in their name, the archived ones last, else those that
/// are called so, then those whose name begins with it, and the newest first; with their statuses and the
/// numbers of their last iterations.
pub async fn namespaces_like(
    db: &mut SqliteConnection,
    text: &str,
    limit: u32,
) -> DbResult<Vec<(String, String, u32)>> {
    Ok(sqlx::query_as(
        "SELECT name, status, (SELECT max(number) FROM iteration WHERE namespace_id = namespace.id) FROM namespace \
         WHERE instr(lower(name), ?1) ORDER BY status = 'archived', lower(name) <> ?1, instr(lower(name), ?1) <> 1, \
         id DESC LIMIT ?2",
    )
    .bind(text)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// A build near another one in the order.
#[derive(Debug, Clone)]
pub struct NearBuild {
    /// How far away: below 0 what is waited for, above what waits.
    pub level: i32,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// Where it stands.
    pub status: BuildStatus,
}

/// One of two builds waits for the other; both are places in a list of [`NearBuild`]s.
#[derive(Debug, Clone)]
pub struct NearNeed {
    /// What comes first.
    pub before: usize,
    /// What waits for it.
    pub after: usize,
    /// The relation that makes it so.
    pub relation: String,
    /// It was given up to break a cycle.
    pub dropped: bool,
}

/// The builds up to `levels` steps before and behind one, itself first; of each level at most
/// `most`, by name. Also the needs between them, and how many builds were left out.
pub async fn around(
    db: &mut SqliteConnection,
    build: BuildKey,
    levels: i32,
    most: usize,
) -> DbResult<(Vec<NearBuild>, Vec<NearNeed>, usize)> {
    let mut found: Vec<(i64, NearBuild)> = Vec::new();
    let mut left_out = 0;
    let own: (i64, String, u8, String) =
        sqlx::query_as("SELECT id, pkgbase, pass, status FROM build WHERE id = ?")
            .bind(build)
            .fetch_one(&mut *db)
            .await?;
    found.push((own.0, near(0, &own)?));
    for direction in [-1, 1] {
        let mut edge = vec![own.0];
        for step in 1..=levels {
            let sql = if direction < 0 {
                "SELECT DISTINCT build.id, pkgbase, pass, status FROM need JOIN build ON build.id = needs_build_id \
                 WHERE build_id IN (SELECT value FROM json_each(?)) ORDER BY pkgbase, pass"
            } else {
                "SELECT DISTINCT build.id, pkgbase, pass, status FROM need JOIN build ON build.id = build_id \
                 WHERE needs_build_id IN (SELECT value FROM json_each(?)) ORDER BY pkgbase, pass"
            };
            let rows: Vec<(i64, String, u8, String)> = sqlx::query_as(sql)
                .bind(to_json(&edge))
                .fetch_all(&mut *db)
                .await?;
            let new = rows.into_iter();
            let new: Vec<_> = new
                .filter(|row| !found.iter().any(|(key, _)| *key == row.0))
                .collect();
            left_out += new.len().saturating_sub(most);
            edge.clear();
            for row in new.iter().take(most) {
                edge.push(row.0);
                found.push((row.0, near(direction * step, row)?));
            }
        }
    }
    let keys: Vec<i64> = found.iter().map(|(key, _)| *key).collect();
    let needs: Vec<(i64, i64, String, bool)> = sqlx::query_as(
        "SELECT needs_build_id, build_id, relation, dropped FROM need \
         WHERE build_id IN (SELECT value FROM json_each(?1)) AND needs_build_id IN (SELECT value FROM json_each(?1))",
    )
    .bind(to_json(&keys))
    .fetch_all(db)
    .await?;
    let place = |key: i64| keys.iter().position(|other| *other == key);
    let needs = needs
        .into_iter()
        .filter_map(|(before, after, relation, dropped)| {
            Some(NearNeed {
                before: place(before)?,
                after: place(after)?,
                relation,
                dropped,
            })
        });
    let needs = needs.collect();
    Ok((
        found.into_iter().map(|(_, near)| near).collect(),
        needs,
        left_out,
    ))
}

fn near(level: i32, row: &(i64, String, u8, String)) -> DbResult<NearBuild> {
    Ok(NearBuild {
        level,
        pkgbase: row.1.clone(),
        pass: row.2,
        status: word("build status", &row.3)?,
    })
}
