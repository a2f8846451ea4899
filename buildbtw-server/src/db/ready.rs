//! The builds that may be handed out, and how long builds take.

use std::collections::HashMap;

use buildbtw_api::{BuildPlace, ServerMode, WorkerId};
use buildbtw_graph::Architecture;
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, BuildSetKey, NamespaceKey, RunKey, WorkerKey};
use super::workers::{self, StoredWorker};
use super::{Answers, Db, DbResult, Statements, Tx, json, shares, word};
use crate::scheduler::{LONGEST_BACKOFF, Share, Speed};

/// How many durations of a package base are kept.
const KEPT: u32 = 9;

/// A build that may be handed out, with what the choice depends on.
#[derive(Debug, Clone, FromRow)]
pub struct ReadyRow {
    /// Its row.
    #[sqlx(rename = "id")]
    pub key: BuildKey,
    /// Its build set.
    #[sqlx(rename = "build_set_id")]
    pub set: BuildSetKey,
    /// Its namespace.
    #[sqlx(rename = "namespace_id")]
    pub namespace: NamespaceKey,
    /// Its package base.
    pub pkgbase: String,
    /// Its architecture.
    pub architecture: String,
    /// The longest path from its begin to the end of its build set, in milliseconds.
    pub remaining_ms: i64,
    /// How many builds wait for it, directly or not.
    pub unlocks: u32,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: i64,
    /// Whether that is only what is expected of a build of which nothing is known.
    pub unknown: bool,
    /// When it became ready.
    pub changed_at: i64,
    /// Whether it failed on a worker that is under suspicion for it.
    pub evidence: bool,
    failed_on: String,
    wanted_on: Option<String>,
}

/// The latest time until which a build can be put off now. One that lies later was set by a clock that
/// ran ahead, and holds nothing up.
fn latest(at: i64) -> i64 {
    let longest = i64::try_from(LONGEST_BACKOFF.as_micros()).unwrap_or(i64::MAX);
    at.saturating_add(longest)
}

/// The workers on which the machinery failed a ready build since its last other ending, or on which it
/// failed so that others are to try it: of one row of `build`, as JSON.
///
/// Hardly any ready build failed anywhere; for the others no list is made, which would be two thirds of what a look costs.
const FAILED_ON: &str = "CASE WHEN build.not_before IS NULL AND NOT EXISTS (SELECT 1 FROM worker_failure \
     WHERE worker_failure.build_id = build.id) THEN '[]' ELSE (SELECT json_group_array(worker_id) FROM (\
     SELECT run.worker_id FROM run WHERE run.build_id = build.id AND build.not_before IS NOT NULL \
     AND class = 'infrastructure' AND run.worker_id IS NOT NULL AND attempt > (SELECT coalesce(max(attempt), 0) \
     FROM run AS other WHERE other.build_id = build.id AND class <> 'infrastructure') \
     UNION SELECT worker_failure.worker_id FROM worker_failure WHERE worker_failure.build_id = build.id \
     AND verdict IN ('elsewhere', 'failed'))) END";

/// That a build, as `line`, may be handed out. Bound are the moment after now, and the last that a backoff may reach:
/// what is put off beyond that was so before the clock was set back.
const MAY_BE_HANDED_OUT: &str = "line.status = 'pending' AND line.refers_to IS NULL \
     AND (line.not_before IS NULL OR line.not_before NOT BETWEEN ? AND ?)";

/// The builds of one row of `build_set` that failed on a worker that is under suspicion for it, further behind
/// [`MAY_BE_HANDED_OUT`]. There are few, and mostly no suspicion at all.
const EVIDENCE_OF_SET: &str = "SELECT line.id FROM suspicion CROSS JOIN worker_failure \
     ON worker_failure.worker_id = suspicion.worker_id AND verdict = 'elsewhere' \
     CROSS JOIN build AS line ON line.id = worker_failure.build_id \
     WHERE proved = 0 AND line.build_set_id = build_set.id";

/// What is handed out next goes by this.
#[derive(Debug, Clone)]
pub struct Line {
    /// The builds that may be handed out: of each build set those that are due first.
    pub ready: Vec<ReadyRow>,
    /// What the namespaces that are at work have of the workers, and had.
    pub shares: HashMap<NamespaceKey, Share>,
    /// What holds for all that is ready.
    pub standing: Standing,
}

/// What goes by at a time, in stored form, with at most `each` builds of a build set.
pub async fn line(db: &mut SqliteConnection, at: i64, each: u32) -> DbResult<Line> {
    let mut asked = Statements::default();
    ask_line(&mut asked, at, each);
    told_line(&mut asked.fetch(db).await?)
}

/// Reads all that a worker's asking for a run is decided by, on the connection on which it is then handed out.
pub async fn look(
    db: &Db,
    worker: WorkerId,
    at: i64,
    each: u32,
) -> DbResult<(Tx, Option<StoredWorker>, Line)> {
    let mut asked = Statements::default();
    workers::ask_by_id(&mut asked, worker);
    ask_line(&mut asked, at, each);
    let mut tx = db.hold().await?;
    let mut answers = asked.fetch(&mut tx).await?;
    let worker = workers::told(&mut answers)?;
    let line = told_line(&mut answers)?;
    Ok((tx, worker, line))
}

fn ask_line(to: &mut Statements, at: i64, each: u32) {
    ask_ready(to, at, each);
    shares::ask(to, at);
    ask_standing(to, at);
}

fn told_line(answers: &mut Answers) -> DbResult<Line> {
    Ok(Line {
        ready: answers.all()?,
        shares: shares::told(answers)?,
        standing: told_standing(answers)?,
    })
}

fn ask_ready(to: &mut Statements, at: i64, each: u32) {
    // A limit that is bound has SQLite plan the statement anew each time (`sqlite3ExprIsInteger` looks at its value), so it
    // stands in the text. From the few build sets that are worked on to the first of their lines, which an index has in
    // order: however many are ready, no more is read. What is evidence comes first wherever it stands in that order.
    to.add(&format!(
        "SELECT build.id, build.build_set_id, namespace_id, pkgbase, architecture, remaining_ms, unlocks, expected_ms, \
         NOT EXISTS (SELECT 1 FROM duration WHERE duration.pkgbase = build.pkgbase \
         AND duration.architecture = build_set.architecture) AS unknown, \
         build.changed_at, EXISTS (SELECT 1 FROM worker_failure JOIN suspicion ON suspicion.worker_id = worker_failure.worker_id \
         WHERE worker_failure.build_id = build.id AND verdict = 'elsewhere' AND proved = 0) AS evidence, {FAILED_ON} AS failed_on, options ->> 'on' AS wanted_on \
         FROM namespace CROSS JOIN iteration ON iteration.namespace_id = namespace.id \
         CROSS JOIN build_set ON build_set.iteration_id = iteration.id \
         CROSS JOIN build ON build.id IN (SELECT id FROM (SELECT line.id FROM build AS line WHERE line.build_set_id = build_set.id \
         AND {MAY_BE_HANDED_OUT} ORDER BY line.remaining_ms DESC, line.unlocks DESC, line.id LIMIT {each}) \
         UNION ALL {EVIDENCE_OF_SET} AND {MAY_BE_HANDED_OUT}) \
         WHERE namespace.status = 'active' AND iteration.status = 'current'"
    ))
    .bind(at + 1)
    .bind(latest(at))
    .bind(at + 1)
    .bind(latest(at));
}

/// How many builds may be handed out at a time, in stored form, on an architecture, by namespace.
pub async fn counts(
    db: &mut SqliteConnection,
    architecture: &Architecture,
    at: i64,
) -> DbResult<Vec<(NamespaceKey, u32)>> {
    let sql = format!(
        "SELECT namespace_id, count(*) FROM namespace CROSS JOIN iteration ON iteration.namespace_id = namespace.id \
         CROSS JOIN build_set ON build_set.iteration_id = iteration.id \
         CROSS JOIN build AS line ON line.build_set_id = build_set.id AND {MAY_BE_HANDED_OUT} \
         WHERE namespace.status = 'active' AND iteration.status = 'current' AND architecture = ? GROUP BY namespace_id"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(at + 1)
        .bind(latest(at))
        .bind(architecture.as_str())
        .fetch_all(db)
        .await?)
}

/// How many builds of its build set come before a build that may be handed out at a time, in stored form.
pub async fn before_in_set(db: &mut SqliteConnection, build: BuildKey, at: i64) -> DbResult<u32> {
    let sql = format!(
        "SELECT count(*) FROM build AS own JOIN build AS line ON line.build_set_id = own.build_set_id \
         AND {MAY_BE_HANDED_OUT} AND line.remaining_ms >= own.remaining_ms AND (-line.remaining_ms, -line.unlocks, line.changed_at, line.id) \
         < (-own.remaining_ms, -own.unlocks, own.changed_at, own.id) WHERE own.id = ?"
    );
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(at + 1)
        .bind(latest(at))
        .bind(build)
        .fetch_one(db)
        .await?)
}

/// The workers that a ready build is to be kept from while there are others.
pub async fn failed_on(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<WorkerKey>> {
    let sql = format!("SELECT {FAILED_ON} FROM build WHERE id = ? AND status = 'pending'");
    let workers: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(build)
        .fetch_optional(db)
        .await?;
    workers.map_or(Ok(Vec::new()), |workers| worker_keys(&workers))
}

fn worker_keys(text: &str) -> DbResult<Vec<WorkerKey>> {
    let keys: Vec<i64> = json("list of workers", text)?;
    Ok(keys.into_iter().map(WorkerKey).collect())
}

impl ReadyRow {
    /// Where its namespace wants its builds to be carried out.
    pub fn wanted_on(&self) -> DbResult<Option<BuildPlace>> {
        let place = self.wanted_on.as_deref();
        place.map(|place| word("place", place)).transpose()
    }

    /// The workers that it is to be kept from while there are others.
    pub fn failed_on(&self) -> DbResult<Vec<WorkerKey>> {
        worker_keys(&self.failed_on)
    }
}

/// What holds for all that is ready.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Whether anything is handed out.
    pub mode: ServerMode,
    /// Where the account stands that is furthest behind of those that wait.
    pub virtual_time: i64,
    /// The earliest time after now, in stored form, before which a delayed build is kept back.
    pub until: Option<i64>,
}

/// What holds for all that is ready at a time, in stored form.
pub async fn standing(db: &mut SqliteConnection, at: i64) -> DbResult<Standing> {
    let mut asked = Statements::default();
    ask_standing(&mut asked, at);
    told_standing(&mut asked.fetch(db).await?)
}

fn ask_standing(to: &mut Statements, at: i64) {
    to.add(
        "SELECT mode, (SELECT value FROM counter WHERE name = 'virtual_time'), (SELECT min(not_before) FROM build \
         WHERE status = 'pending' AND not_before IS NOT NULL AND not_before BETWEEN ? AND ?) FROM server_mode",
    )
    .bind(at + 1)
    .bind(latest(at));
}

fn told_standing(answers: &mut Answers) -> DbResult<Standing> {
    let (mode, virtual_time, until): (String, i64, Option<i64>) = answers.one()?;
    Ok(Standing {
        mode: word("server's mode", &mode)?,
        virtual_time,
        until,
    })
}

/// Notes how long a successful run of a build took, in milliseconds.
pub async fn learn(
    db: &mut SqliteConnection,
    pkgbase: &str,
    architecture: &str,
    milliseconds: i64,
) -> DbResult<()> {
    let sql = format!(
        "INSERT INTO duration (pkgbase, architecture, recent) VALUES (?1, ?2, json_array(?3)) \
         ON CONFLICT (pkgbase, architecture) DO UPDATE SET recent = (SELECT json_group_array(value ORDER BY key) \
         FROM (SELECT key, value FROM json_each(json_insert(recent, '$[#]', ?3)) ORDER BY key DESC LIMIT {KEPT}))"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(pkgbase)
        .bind(architecture)
        .bind(milliseconds.max(0))
        .execute(db)
        .await?;
    Ok(())
}

/// Notes how long a run took that was begun and has ended well, on a worker so fast: what is kept is how
/// long it takes on one of speed one.
pub fn add_duration(
    to: &mut Statements,
    run: RunKey,
    pkgbase: &str,
    architecture: &str,
    speed: Speed,
) {
    to.add(&format!(
        "INSERT INTO duration (pkgbase, architecture, recent) \
         SELECT ?, ?, json_array(max((ended_at - started_at) / 1000 * ? / 1000, 0)) FROM run WHERE id = ? AND started_at IS NOT NULL \
         ON CONFLICT (pkgbase, architecture) DO UPDATE SET recent = (SELECT json_group_array(value ORDER BY key) \
         FROM (SELECT key, value FROM json_each(json_insert(recent, '$[#]', excluded.recent ->> '$[0]')) ORDER BY key DESC LIMIT {KEPT}))"
    ))
    .bind(pkgbase)
    .bind(architecture)
    .bind(speed.normal(1_000))
    .bind(run);
}

/// What is known of durations on an architecture: those of the last runs, in milliseconds, by package
/// base.
pub async fn durations(
    db: &mut SqliteConnection,
    architecture: &Architecture,
) -> DbResult<HashMap<String, Vec<i64>>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT pkgbase, recent FROM duration WHERE architecture = ?")
            .bind(architecture.as_str())
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(pkgbase, recent)| Ok((pkgbase, json("durations", &recent)?)))
        .collect()
}
