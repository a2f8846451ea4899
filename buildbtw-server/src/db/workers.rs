//! Workers that registered.

use std::collections::HashMap;

use buildbtw_api::workers::{RunningBuild, WorkerOffer};
use buildbtw_api::{WorkerId, WorkerMode};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{RunKey, WorkerKey};
use super::publishing::Runs;
use super::{Answers, DbError, DbResult, Statements, json, now, timestamp, to_json, word};
use crate::scheduler::{Speed, TELLING_MS, Told, median, pace};

/// A worker as it is stored.
#[derive(Debug, Clone)]
pub struct StoredWorker {
    /// Its row.
    pub key: WorkerKey,
    /// Its public id.
    pub id: WorkerId,
    /// Its name.
    pub name: String,
    /// What it offers.
    pub offer: WorkerOffer,
    /// When it registered last.
    pub registered_at: jiff::Timestamp,
    /// Whether it gets runs.
    pub mode: WorkerMode,
    /// Whether it is the host of runners of GitLab's: it never asks for runs.
    pub runner: bool,
    /// What its runs told of its speed.
    pub told: Told,
}

impl StoredWorker {
    /// How fast it is, as far as its runs tell.
    pub fn speed(&self) -> Speed {
        self.told.speed()
    }
}

#[derive(FromRow)]
struct Row {
    id: WorkerKey,
    public_id: String,
    name: String,
    offer: String,
    registered_at: i64,
    mode: String,
    kind: String,
    speed: f64,
    runs_told: u32,
}

impl TryFrom<Row> for StoredWorker {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        Ok(Self {
            key: row.id,
            id: word("worker's id", &row.public_id)?,
            name: row.name,
            offer: json("worker's offer", &row.offer)?,
            registered_at: timestamp(row.registered_at)?,
            mode: word("worker's mode", &row.mode)?,
            runner: row.kind == "runner",
            told: Told {
                speed: row.speed,
                runs: row.runs_told,
            },
        })
    }
}

/// Notes a worker's registration; a known one gets its new name and offer.
pub async fn register(
    db: &mut SqliteConnection,
    id: WorkerId,
    name: &str,
    offer: &WorkerOffer,
    protocol: u32,
) -> DbResult<StoredWorker> {
    let row: Row = sqlx::query_as(
        "INSERT INTO worker (public_id, name, offer, protocol, registered_at) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (public_id) DO UPDATE SET name = excluded.name, offer = excluded.offer, \
         protocol = excluded.protocol, registered_at = excluded.registered_at RETURNING *",
    )
    .bind(id.to_string())
    .bind(name)
    .bind(to_json(offer))
    .bind(protocol)
    .bind(now())
    .fetch_one(db)
    .await?;
    row.try_into()
}

/// Notes the host of a runner of GitLab's, which is known by its name.
pub async fn runner(
    db: &mut SqliteConnection,
    name: &str,
    offer: &WorkerOffer,
    protocol: u32,
) -> DbResult<StoredWorker> {
    let row: Row = sqlx::query_as(
        "INSERT INTO worker (public_id, name, offer, protocol, registered_at, kind) VALUES (?, ?, ?, ?, ?, 'runner') \
         ON CONFLICT (name) WHERE kind = 'runner' DO UPDATE SET offer = excluded.offer, \
         protocol = excluded.protocol, registered_at = excluded.registered_at RETURNING *",
    )
    .bind(WorkerId::generate().to_string())
    .bind(name)
    .bind(to_json(offer))
    .bind(protocol)
    .bind(now())
    .fetch_one(db)
    .await?;
    row.try_into()
}

/// The host of a runner that claimed a run last.
pub async fn newest_runner(db: &mut SqliteConnection) -> DbResult<Option<StoredWorker>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT * FROM worker WHERE kind = 'runner' ORDER BY registered_at DESC, id DESC LIMIT 1",
    )
    .fetch_optional(db)
    .await?;
    row.map(StoredWorker::try_from).transpose()
}

/// A worker by its public id.
pub async fn by_id(db: &mut SqliteConnection, id: WorkerId) -> DbResult<Option<StoredWorker>> {
    let mut asked = Statements::default();
    ask_by_id(&mut asked, id);
    told(&mut asked.fetch(db).await?)
}

/// Asks for a worker by its public id.
pub(super) fn ask_by_id(to: &mut Statements, id: WorkerId) {
    to.add("SELECT * FROM worker WHERE public_id = ?")
        .bind(id.to_string());
}

/// What [`ask_by_id`] asked for.
pub(super) fn told(answers: &mut Answers) -> DbResult<Option<StoredWorker>> {
    answers
        .optional::<Row>()?
        .map(StoredWorker::try_from)
        .transpose()
}

/// What the paces of some runs that end well now are reckoned from.
#[derive(Debug, Clone, Default)]
pub struct Paces {
    /// The worker of each, how long its build took before, and how long the run took.
    runs: HashMap<RunKey, (WorkerKey, Vec<i64>, i64)>,
    /// What was told of the workers so far.
    workers: HashMap<WorkerKey, Told>,
}

impl Paces {
    /// Notes the pace of a run, where it is known how long its build takes. Hands back its worker and how
    /// fast that is as far as is known now; none for a run that is too short to tell, or that no
    /// worker had.
    pub fn add(&mut self, to: &mut Statements, run: RunKey) -> Option<(WorkerKey, Speed)> {
        let (worker, recent, took_ms) = self.runs.get(&run)?;
        let told = self.workers.entry(*worker).or_default();
        if let Some(pace) = median(recent).and_then(|expected_ms| pace(expected_ms, *took_ms)) {
            told.add(pace);
            to.add(SET_TOLD)
                .bind(told.speed)
                .bind(told.runs)
                .bind(*worker);
        }
        Some((*worker, told.speed()))
    }
}

/// Asks for what the paces of some runs are reckoned from: to be done before their times are learned.
pub(super) fn ask_paces(to: &mut Statements, runs: Runs) {
    let at = now();
    to.add(&format!(
        "SELECT run.id, worker.id, speed, runs_told, recent, (? - started_at) / 1000 FROM run \
         CROSS JOIN worker ON worker.id = worker_id CROSS JOIN build ON build.id = run.build_id \
         CROSS JOIN build_set ON build_set.id = build_set_id \
         LEFT JOIN duration ON duration.pkgbase = build.pkgbase AND duration.architecture = build_set.architecture \
         WHERE run.id IN ({}) AND (? - started_at) / 1000 >= ?",
        runs.sql
    ))
    .bind(at)
    .bind(runs.value)
    .bind(at)
    .bind(TELLING_MS);
}

/// What [`ask_paces`] asked for.
pub(super) fn told_paces(answers: &mut Answers) -> DbResult<Paces> {
    let rows: Vec<(RunKey, WorkerKey, f64, u32, Option<String>, i64)> = answers.all()?;
    let mut found = Paces::default();
    for (run, worker, speed, runs, recent, took_ms) in rows {
        let recent = recent.map_or(Ok(Vec::new()), |recent| json("durations", &recent))?;
        found.runs.insert(run, (worker, recent, took_ms));
        found.workers.insert(worker, Told { speed, runs });
    }
    Ok(found)
}

const SET_TOLD: &str = "UPDATE worker SET speed = ?, runs_told = ? WHERE id = ?";

/// Notes what a worker's runs told of its speed.
pub async fn set_told(db: &mut SqliteConnection, worker: WorkerKey, told: Told) -> DbResult<()> {
    sqlx::query(SET_TOLD)
        .bind(told.speed)
        .bind(told.runs)
        .bind(worker)
        .execute(db)
        .await?;
    Ok(())
}

/// All workers, those that registered last first.
pub async fn all(db: &mut SqliteConnection) -> DbResult<Vec<StoredWorker>> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM worker ORDER BY registered_at DESC LIMIT 1000")
            .fetch_all(db)
            .await?;
    rows.into_iter().map(StoredWorker::try_from).collect()
}

#[derive(FromRow)]
struct RunningRow {
    worker_id: WorkerKey,
    run: String,
    namespace: String,
    iteration: u32,
    architecture: String,
    pkgbase: String,
    pass: u8,
    claimed_at: i64,
}

/// What workers carry out, oldest first.
pub async fn running(db: &mut SqliteConnection) -> DbResult<HashMap<WorkerKey, Vec<RunningBuild>>> {
    let rows: Vec<RunningRow> = sqlx::query_as(
        "SELECT worker_id, run.public_id AS run, namespace.name AS namespace, iteration.number AS iteration, \
         architecture, pkgbase, pass, claimed_at FROM run JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id \
         WHERE run.status <> 'ended' AND run.status IN ('scheduled', 'running') AND worker_id IS NOT NULL ORDER BY run.id",
    )
    .fetch_all(db)
    .await?;
    let mut running: HashMap<WorkerKey, Vec<RunningBuild>> = HashMap::new();
    for row in rows {
        running
            .entry(row.worker_id)
            .or_default()
            .push(RunningBuild {
                run: word("run's id", &row.run)?,
                namespace: word("namespace", &row.namespace)?,
                iteration: row.iteration,
                architecture: word("architecture", &row.architecture)?,
                pkgbase: word("pkgbase", &row.pkgbase)?,
                pass: row.pass,
                since: timestamp(row.claimed_at)?,
            });
    }
    Ok(running)
}
