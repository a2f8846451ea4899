//! Runs: handed out and ended. What is reported of them between is in `reported`.

use std::collections::HashMap;

use buildbtw_api::events::EventKind;
use buildbtw_api::runs::{ExpectedPackage, Fence, Outcome, RunDetails, RunPackage, RunSummary};
use buildbtw_api::{OutcomeClass, RunId, RunStatus, WorkerId};
use sqlx::{FromRow, SqliteConnection};

use super::builds::BuildState;
use super::events::{self, NewEvent};
use super::keys::{BuildKey, BuildSetKey, RunKey, WorkerKey};
use super::pipelines::{SHOWN, ShownRow};
use super::publishing::Runs;
use super::reported::installation_digest;
use super::{Answers, DbError, DbResult, Statements, json, now, timestamp, to_json, word};
use crate::scheduler::Expected;

#[derive(FromRow)]
struct Row {
    build_id: BuildKey,
    public_id: String,
    attempt: u32,
    status: String,
    class: Option<String>,
    message: Option<String>,
    exit_code: Option<i32>,
    failed_step: Option<String>,
    worker: Option<String>,
    canary: bool,
    claimed_at: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    #[sqlx(flatten)]
    pipeline: ShownRow,
}

impl TryFrom<Row> for RunSummary {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let outcome = match row.class {
            Some(class) => Some(Outcome {
                class: word("outcome class", &class)?,
                message: row.message.unwrap_or_default(),
                exit_code: row.exit_code,
                failed_step: row.failed_step,
            }),
            None => None,
        };
        Ok(Self {
            id: word("run's id", &row.public_id)?,
            attempt: row.attempt,
            status: word("run status", &row.status)?,
            outcome,
            worker: row.worker,
            canary: row.canary,
            claimed_at: timestamp(row.claimed_at)?,
            started_at: row.started_at.map(timestamp).transpose()?,
            ended_at: row.ended_at.map(timestamp).transpose()?,
            pipeline: row.pipeline.shown()?,
        })
    }
}

/// Runs as they are shown, with a condition.
fn summaries(condition: &str) -> String {
    format!(
        "SELECT run.build_id, run.public_id, attempt, run.status, class, message, exit_code, failed_step, worker.name AS worker, \
         canary, run.claimed_at, started_at, ended_at, {SHOWN} FROM run LEFT JOIN worker ON worker.id = worker_id \
         LEFT JOIN pipeline ON pipeline.run_id = run.id {condition}"
    )
}

/// The newest run of each of some builds that has one; canaries are no part of their progress.
pub async fn newest_of_builds(
    db: &mut SqliteConnection,
    builds: &[BuildKey],
) -> DbResult<HashMap<BuildKey, RunSummary>> {
    let keys: Vec<i64> = builds.iter().map(|build| build.0).collect();
    let sql = summaries(
        "WHERE run.id IN (SELECT (SELECT id FROM run WHERE build_id = wanted.value AND canary = 0 \
         ORDER BY attempt DESC LIMIT 1) FROM json_each(?) AS wanted)",
    );
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(to_json(&keys))
        .fetch_all(db)
        .await?;
    rows.into_iter()
        .map(|row| Ok((row.build_id, row.try_into()?)))
        .collect()
}

/// All runs of a build, newest first; canaries behind those that it went by.
pub async fn of_build(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<RunSummary>> {
    let sql = summaries("WHERE build_id = ? ORDER BY canary, attempt DESC");
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(build)
        .fetch_all(db)
        .await?;
    rows.into_iter().map(RunSummary::try_from).collect()
}

/// A run with all that is kept of it but its log.
pub async fn details(db: &mut SqliteConnection, run: RunId) -> DbResult<Option<RunDetails>> {
    let sql = summaries("WHERE run.public_id = ?");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(run.to_string())
        .fetch_optional(&mut *db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (namespace, iteration, architecture, pkgbase, pass, steps, installed): (
        String,
        u32,
        String,
        String,
        u8,
        String,
        String,
    ) = sqlx::query_as(
        "SELECT namespace.name, iteration.number, architecture, pkgbase, pass, steps, installed FROM run \
         JOIN build ON build.id = run.build_id JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id JOIN namespace ON namespace.id = namespace_id \
         WHERE run.public_id = ?",
    )
    .bind(run.to_string())
    .fetch_one(&mut *db)
    .await?;
    let packages: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT run_package.file_name, sha256, size FROM run_package JOIN package ON package.id = package_id \
         JOIN run ON run.id = run_id WHERE public_id = ? ORDER BY run_package.file_name",
    )
    .bind(run.to_string())
    .fetch_all(&mut *db)
    .await?;
    Ok(Some(RunDetails {
        run: row.try_into()?,
        namespace: word("namespace", &namespace)?,
        iteration,
        architecture: word("architecture", &architecture)?,
        pkgbase: word("pkgbase", &pkgbase)?,
        pass,
        steps: json("run's steps", &steps)?,
        installed: json("run's installation", &installed)?,
        packages: packages
            .into_iter()
            .map(|(file_name, sha256, size)| RunPackage {
                file_name,
                sha256,
                size: size.try_into().unwrap_or(0),
            })
            .collect(),
        log_length: 0,
    }))
}

/// What a report is checked against.
#[derive(Debug, Clone, FromRow)]
pub struct RunState {
    /// Its row.
    #[sqlx(rename = "id")]
    pub key: RunKey,
    /// The build it was handed out for.
    #[sqlx(rename = "build_id")]
    pub build: BuildKey,
    /// The build set.
    #[sqlx(rename = "build_set_id")]
    pub set: BuildSetKey,
    /// Its number among the build's tries.
    pub attempt: u32,
    /// Whether it only tries its worker out: nothing of it is published.
    pub canary: bool,
    /// Whether its class is another one than its worker reported, since it passed elsewhere.
    pub acquitted: bool,
    public_id: String,
    fence: i64,
    status: String,
    class: Option<String>,
    worker: Option<String>,
}

impl RunState {
    /// Its public id.
    pub fn id(&self) -> DbResult<RunId> {
        word("run's id", &self.public_id)
    }

    /// Its fencing number.
    pub fn fence(&self) -> Fence {
        Fence(self.fence)
    }

    /// Where it stands.
    pub fn status(&self) -> DbResult<RunStatus> {
        word("run status", &self.status)
    }

    /// How it ended.
    pub fn class(&self) -> DbResult<Option<OutcomeClass>> {
        self.class
            .as_deref()
            .map(|class| word("outcome class", class))
            .transpose()
    }

    /// The worker it was handed to.
    pub fn worker(&self) -> DbResult<Option<WorkerId>> {
        self.worker
            .as_deref()
            .map(|worker| word("worker's id", worker))
            .transpose()
    }
}

const STATE: &str = "SELECT run.id, run.public_id, run.build_id, build_set_id, attempt, canary, acquitted, fence, run.status, class, \
     worker.public_id AS worker FROM run JOIN build ON build.id = run.build_id LEFT JOIN worker ON worker.id = worker_id";

/// A run's state.
pub async fn state(db: &mut SqliteConnection, run: RunId) -> DbResult<Option<RunState>> {
    let mut asked = Statements::default();
    ask_state(&mut asked, run);
    asked.fetch(db).await?.optional()
}

/// Asks for a run's state.
pub(super) fn ask_state(to: &mut Statements, run: RunId) {
    to.add(&format!("{STATE} WHERE run.public_id = ?"))
        .bind(run.to_string());
}

/// Asks for the states of some runs, by build set, oldest first.
pub(super) fn ask(to: &mut Statements, runs: Runs) {
    to.add(&format!(
        "{STATE} WHERE run.id IN ({}) ORDER BY build_set_id, run.id",
        runs.sql
    ))
    .bind(runs.value);
}

/// All runs that are not over.
pub async fn open(db: &mut SqliteConnection) -> DbResult<Vec<RunState>> {
    let sql = format!("{STATE} WHERE run.status <> 'ended' ORDER BY run.id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(db)
        .await?)
}

/// When the runs that are carried out were handed out, in stored form, and what is expected of them.
pub async fn expectations(db: &mut SqliteConnection) -> DbResult<Vec<(RunId, i64, Expected)>> {
    let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT run.public_id, claimed_at, expected_ms, remaining_ms, namespace_id FROM run JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build.build_set_id JOIN iteration ON iteration.id = iteration_id \
         WHERE run.status IN ('scheduled', 'running')",
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(run, since, own_ms, remaining_ms, namespace)| {
            let expected = Expected {
                own_ms,
                behind_ms: remaining_ms - own_ms,
                namespace,
            };
            Ok((word("run's id", &run)?, since, expected))
        })
        .collect()
}

/// The runs of a build that are not over.
pub async fn open_of_build(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<RunState>> {
    let sql = format!("{STATE} WHERE run.build_id = ? AND run.status <> 'ended' ORDER BY run.id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(build)
        .fetch_all(db)
        .await?)
}

/// A run that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// Its public id.
    pub id: RunId,
    /// Its build.
    pub build: &'a BuildState,
    /// The row of its input, if that is not the build's.
    pub input: Option<i64>,
    /// The worker that it is handed to, unless it ends before that.
    pub worker: Option<WorkerKey>,
    /// What will be installed for it.
    pub expected: &'a [ExpectedPackage],
}

/// Makes the next run of a build, and hands back its fencing number. That the input has no other run with
/// a lease is checked by the database.
pub async fn insert(db: &mut SqliteConnection, new: &NewRun<'_>) -> DbResult<Fence> {
    let mut all = Statements::default();
    add_fence(&mut all);
    add(&mut all, new);
    told_fence(&mut all.fetch(db).await?)
}

/// Takes the next fencing number: the first that is done for a new run.
pub fn add_fence(to: &mut Statements) {
    to.add("UPDATE counter SET value = value + 1 WHERE name = 'fence' RETURNING value");
}

/// What [`add_fence`] took.
pub fn told_fence(answers: &mut Answers) -> DbResult<Fence> {
    let (fence,) = answers.one()?;
    Ok(Fence(fence))
}

/// Makes the next run of a build, under the fencing number that was taken last.
pub fn add(to: &mut Statements, new: &NewRun<'_>) {
    let expected = new.expected.iter();
    let expected = expected.map(|package| (package.pkgname.as_str(), package.version.as_str()));
    to.add(
        "INSERT INTO run (public_id, input_id, build_id, attempt, worker_id, fence, status, claimed_at, expected_digest) \
         SELECT ?, coalesce(?, input_id), id, (SELECT coalesce(max(attempt), 0) + 1 FROM run WHERE build_id = build.id), ?, \
         (SELECT value FROM counter WHERE name = 'fence'), 'scheduled', ?, ? FROM build WHERE id = ?",
    )
    .bind(new.id.to_string())
    .bind(new.input)
    .bind(new.worker)
    .bind(now())
    .bind(installation_digest(expected))
    .bind(new.build.key);
    add_event(to, EventKind::RunClaimed, new.build, new.id, None);
}

/// Records what happened to a run.
pub(super) fn add_event(
    to: &mut Statements,
    kind: EventKind,
    build: &BuildState,
    run: RunId,
    outcome: Option<&Outcome>,
) {
    let event = NewEvent {
        iteration: Some(build.iteration),
        architecture: Some(&build.architecture),
        pkgbase: Some(&build.pkgbase),
        pass: Some(build.pass),
        run: Some(run.to_string()),
        after: outcome.map(|outcome| outcome.class.to_string()),
        message: outcome.map(|outcome| outcome.message.as_str()),
        ..NewEvent::default()
    };
    events::add(to, kind, Some(build.namespace), event);
}

/// A worker took a run that was handed to none so far.
pub async fn set_worker(db: &mut SqliteConnection, run: RunKey, worker: WorkerKey) -> DbResult<()> {
    sqlx::query("UPDATE run SET worker_id = ? WHERE id = ?")
        .bind(worker)
        .bind(run)
        .execute(db)
        .await?;
    Ok(())
}

/// The run is over.
pub async fn end(
    db: &mut SqliteConnection,
    run: &RunState,
    build: &BuildState,
    outcome: &Outcome,
) -> DbResult<()> {
    let mut all = Statements::default();
    add_end(&mut all, run, build, outcome)?;
    all.carry_out(db).await
}

/// The statements of [`end`].
pub fn add_end(
    to: &mut Statements,
    run: &RunState,
    build: &BuildState,
    outcome: &Outcome,
) -> DbResult<()> {
    to.add(
        "UPDATE run SET previous_status = status, status = 'ended', class = ?, message = ?, exit_code = ?, \
         failed_step = ?, ended_at = ? WHERE id = ?",
    )
    .bind(outcome.class.as_str())
    .bind(&outcome.message)
    .bind(outcome.exit_code)
    .bind(&outcome.failed_step)
    .bind(now())
    .bind(run.key);
    add_event(to, EventKind::RunEnded, build, run.id()?, Some(outcome));
    Ok(())
}

/// How many runs of a build the machinery failed since its last other ending.
pub async fn infrastructure_failures(db: &mut SqliteConnection, build: BuildKey) -> DbResult<u32> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM run WHERE build_id = ?1 AND class = 'infrastructure' AND attempt > \
         (SELECT coalesce(max(attempt), 0) FROM run WHERE build_id = ?1 AND class <> 'infrastructure')",
    )
    .bind(build)
    .fetch_one(db)
    .await?)
}

/// Marks a run that is just handed out as one that only tries its worker out.
pub async fn mark_canary(db: &mut SqliteConnection, run: RunId) -> DbResult<()> {
    sqlx::query("UPDATE run SET canary = 1 WHERE public_id = ?")
        .bind(run.to_string())
        .execute(db)
        .await?;
    Ok(())
}
