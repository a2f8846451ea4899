//! Failures that may be the worker's, and the workers that are under suspicion for them.

use buildbtw_api::events::EventKind;
use buildbtw_api::workers::Evidence;
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass};
use sqlx::{FromRow, SqliteConnection};

use super::builds::BuildState;
use super::events::{NewEvent, record};
use super::keys::{BuildKey, IterationKey, NamespaceKey, RunKey, WorkerKey};
use super::{Answers, DbResult, Statements, now, timestamp, to_json, word};
use crate::scheduler::Trust;

/// For how long a failure is held against a worker, in microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// For how long failures are kept to be looked at, in microseconds.
const KEPT: i64 = 30 * DAY;

/// A worker reported that a run of its failed. Runners of GitLab's are not judged: they are chosen there.
pub async fn note_failure(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO worker_failure (run_id, worker_id, build_id, failed_at) \
         SELECT id, worker_id, build_id, ? FROM run WHERE id = ? AND worker_id IN \
         (SELECT id FROM worker WHERE kind = 'worker') ON CONFLICT DO NOTHING",
    )
    .bind(now())
    .bind(run)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "DELETE FROM worker_failure WHERE failed_at < ? AND worker_id = (SELECT worker_id FROM run WHERE id = ?)",
    )
    .bind(now() - KEPT)
    .bind(run)
    .execute(db)
    .await?;
    Ok(())
}

/// A build passed with a run, its own or one of an equal input: it failed on other workers by their fault.
pub fn add_passed(to: &mut Statements, build: BuildKey, run: RunKey) {
    to.add(
        "UPDATE worker_failure SET verdict = 'passed', passed_run_id = ? WHERE build_id = ? AND verdict <> 'passed' \
         AND failed_at > ? AND worker_id IS NOT (SELECT worker_id FROM run WHERE id = ?)",
    )
    .bind(run)
    .bind(build)
    .bind(now() - DAY)
    .bind(run);
}

/// A build that was tried elsewhere failed there as well, with a run.
pub async fn failed(db: &mut SqliteConnection, build: BuildKey, run: RunKey) -> DbResult<()> {
    sqlx::query(
        "UPDATE worker_failure SET verdict = 'failed' WHERE build_id = ? AND verdict = 'elsewhere' \
         AND worker_id IS NOT (SELECT worker_id FROM run WHERE id = ?)",
    )
    .bind(build)
    .bind(run)
    .execute(db)
    .await?;
    Ok(())
}

/// The workers about which there may be something to decide.
pub async fn to_review(db: &mut SqliteConnection) -> DbResult<Vec<WorkerKey>> {
    let mut asked = Statements::default();
    asked.add(
        // The machinery's failures that a success came behind are held against nobody, and there are many.
        "SELECT worker_id FROM suspicion UNION SELECT worker_failure.worker_id FROM worker_failure JOIN run ON run.id = run_id \
         WHERE failed_at > ? AND (in_a_row = 1 OR class <> 'infrastructure') GROUP BY worker_failure.worker_id HAVING count(*) >= ?",
    )
    .bind(now() - DAY)
    .bind(i64::try_from(crate::scheduler::SUSPICIOUS).unwrap_or(i64::MAX));
    told_to_review(&mut asked.fetch(db).await?)
}

/// Asks for the workers about which some builds may decide that passed: those that failed them, and those under suspicion.
/// Nothing else changes for a worker by that.
pub fn ask_to_review(to: &mut Statements, passed: &[BuildKey]) {
    let passed: Vec<i64> = passed.iter().map(|build| build.0).collect();
    to.add(
        "SELECT worker_id FROM suspicion UNION SELECT worker_id FROM worker_failure WHERE failed_at > ? \
         AND build_id IN (SELECT value FROM json_each(?))",
    )
    .bind(now() - DAY)
    .bind(to_json(&passed));
}

/// What [`ask_to_review`] asked for.
pub fn told_to_review(answers: &mut Answers) -> DbResult<Vec<WorkerKey>> {
    let rows: Vec<(WorkerKey,)> = answers.all()?;
    Ok(rows.into_iter().map(|(worker,)| worker).collect())
}

/// How far a worker is trusted.
pub async fn trust(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<Trust> {
    let proved: Option<bool> =
        sqlx::query_scalar("SELECT proved FROM suspicion WHERE worker_id = ?")
            .bind(worker)
            .fetch_optional(db)
            .await?;
    Ok(match proved {
        None => Trust::Trusted,
        Some(false) => Trust::Suspected,
        Some(true) => Trust::SetAside,
    })
}

/// A failure of a worker, and where its build stands.
#[derive(Debug, Clone, FromRow)]
pub struct FailureRow {
    /// The run that failed.
    pub run_id: RunKey,
    /// Its build.
    pub build_id: BuildKey,
    /// The build's iteration.
    pub iteration_id: IterationKey,
    /// The build's namespace.
    pub namespace_id: NamespaceKey,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// Whether the worker succeeded with nothing since.
    pub in_a_row: bool,
    /// What came of it elsewhere.
    pub verdict: String,
    /// A worker that nothing is held against, and that succeeded with something since, failed a build of an equal
    /// input. One that fails everything says nothing for another.
    pub failed_there: bool,
    class: String,
    status: String,
    iteration_status: String,
    namespace_status: String,
}

impl FailureRow {
    /// Where the build stands.
    pub fn status(&self) -> DbResult<BuildStatus> {
        word("build status", &self.status)
    }

    /// Whether the build is worked on, or would be.
    pub fn is_current(&self) -> DbResult<bool> {
        let iteration: IterationStatus = word("iteration status", &self.iteration_status)?;
        let namespace: NamespaceStatus = word("namespace status", &self.namespace_status)?;
        Ok(iteration == IterationStatus::Current && namespace == NamespaceStatus::Active)
    }

    /// Whether the failed run counts as somebody else's failure than the machinery's.
    pub fn is_blamed(&self) -> DbResult<bool> {
        let class: OutcomeClass = word("outcome class", &self.class)?;
        Ok(class != OutcomeClass::Infrastructure)
    }
}

/// The failures of a worker within the last day, oldest first.
pub async fn failures(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<Vec<FailureRow>> {
    Ok(sqlx::query_as(
        "SELECT worker_failure.run_id, worker_failure.build_id, iteration_id, namespace_id, architecture, pkgbase, in_a_row, verdict, \
         class, build.status, iteration.status AS iteration_status, namespace.status AS namespace_status, \
         EXISTS (SELECT 1 FROM run AS there JOIN worker_failure AS theirs ON theirs.run_id = there.id \
         WHERE there.input_id = run.input_id AND there.worker_id <> worker_failure.worker_id \
         AND there.class <> 'infrastructure' AND theirs.verdict = 'unknown' AND theirs.in_a_row = 0 AND theirs.failed_at > ?1 \
         AND NOT EXISTS (SELECT 1 FROM suspicion WHERE suspicion.worker_id = there.worker_id)) AS failed_there \
         FROM worker_failure JOIN run ON run.id = run_id JOIN build ON build.id = worker_failure.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id \
         WHERE worker_failure.worker_id = ?2 AND worker_failure.failed_at > ?1 ORDER BY worker_failure.failed_at, worker_failure.run_id",
    )
    .bind(now() - DAY)
    .bind(worker)
    .fetch_all(db)
    .await?)
}

/// The workers that failed a build within the last day; where the machinery did, it says nothing about
/// what they would make of it.
pub async fn failed_by(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<WorkerKey>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT run.worker_id FROM worker_failure JOIN run ON run.id = run_id \
         WHERE worker_failure.build_id = ? AND failed_at > ? AND class <> 'infrastructure'",
    )
    .bind(build)
    .bind(now() - DAY)
    .fetch_all(db)
    .await?)
}

/// The names of the workers that are under suspicion for a failure of a build, which is tried elsewhere.
pub async fn suspected_for(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<String>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT worker.name FROM worker_failure JOIN suspicion ON suspicion.worker_id = worker_failure.worker_id \
         JOIN worker ON worker.id = worker_failure.worker_id \
         WHERE worker_failure.build_id = ? AND verdict = 'elsewhere' ORDER BY worker.name",
    )
    .bind(build)
    .fetch_all(db)
    .await?)
}

/// Notes that failures are tried elsewhere.
pub async fn try_elsewhere(db: &mut SqliteConnection, runs: &[RunKey]) -> DbResult<()> {
    let keys: Vec<i64> = runs.iter().map(|run| run.0).collect();
    sqlx::query(
        "UPDATE worker_failure SET verdict = 'elsewhere' WHERE verdict = 'unknown' \
         AND run_id IN (SELECT value FROM json_each(?))",
    )
    .bind(to_json(&keys))
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a worker is under suspicion, or that it is proved to be at fault.
pub async fn suspect(db: &mut SqliteConnection, worker: WorkerKey, proved: bool) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO suspicion (worker_id, since, proved, canary_at) VALUES (?1, ?2, ?3, ?2 + 3600000000) \
         ON CONFLICT (worker_id) DO UPDATE SET canary_at = CASE WHEN suspicion.proved < excluded.proved \
         THEN excluded.canary_at ELSE suspicion.canary_at END, proved = excluded.proved",
    )
    .bind(worker)
    .bind(now())
    .bind(proved)
    .execute(db)
    .await?;
    Ok(())
}

/// Drops a suspicion: what failed so far begins no new one.
pub async fn drop_suspicion(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<()> {
    sqlx::query("DELETE FROM suspicion WHERE worker_id = ?")
        .bind(worker)
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "UPDATE worker_failure SET in_a_row = 0, \
         verdict = CASE verdict WHEN 'elsewhere' THEN 'unknown' ELSE verdict END WHERE worker_id = ?",
    )
    .bind(worker)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets all that is held against a worker: a person trusts it again.
pub async fn forgive(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<()> {
    sqlx::query("DELETE FROM suspicion WHERE worker_id = ?")
        .bind(worker)
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM worker_failure WHERE worker_id = ?")
        .bind(worker)
        .execute(db)
        .await?;
    Ok(())
}

/// A run's failure was the machinery's after all.
pub async fn acquit(
    db: &mut SqliteConnection,
    run: RunKey,
    build: &BuildState,
    message: &str,
) -> DbResult<()> {
    let id: String = sqlx::query_scalar(
        "UPDATE run SET class = ?, acquitted = 1, message = message || ' (' || ? || ')' WHERE id = ? RETURNING public_id",
    )
    .bind(OutcomeClass::Infrastructure.as_str())
    .bind(message)
    .bind(run)
    .fetch_one(&mut *db)
    .await?;
    // It is not the package that failed and then passed.
    sqlx::query("DELETE FROM flaky WHERE failed_run_id = ?")
        .bind(run)
        .execute(&mut *db)
        .await?;
    let event = NewEvent {
        iteration: Some(build.iteration),
        architecture: Some(&build.architecture),
        pkgbase: Some(&build.pkgbase),
        pass: Some(build.pass),
        run: Some(id),
        after: Some(OutcomeClass::Infrastructure.to_string()),
        message: Some(message),
        ..NewEvent::default()
    };
    record(db, EventKind::RunReclassed, Some(build.namespace), event).await?;
    Ok(())
}

#[derive(FromRow)]
struct EvidenceRow {
    namespace: String,
    iteration: u32,
    architecture: String,
    pkgbase: String,
    pass: u8,
    run: String,
    failed_at: i64,
    passed_run: Option<String>,
}

/// What is held against a worker that gets nothing for it, oldest first.
pub async fn evidence(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<Vec<Evidence>> {
    let rows: Vec<EvidenceRow> = sqlx::query_as(
        "SELECT namespace.name AS namespace, iteration.number AS iteration, architecture, pkgbase, pass, \
         run.public_id AS run, failed_at, \
         (SELECT public_id FROM run AS other WHERE other.id = passed_run_id) AS passed_run \
         FROM worker_failure JOIN run ON run.id = run_id JOIN build ON build.id = worker_failure.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id JOIN suspicion ON suspicion.worker_id = worker_failure.worker_id \
         WHERE worker_failure.worker_id = ? AND verdict IN ('elsewhere', 'passed') ORDER BY failed_at, run_id",
    )
    .bind(worker)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Evidence {
                namespace: word("namespace", &row.namespace)?,
                iteration: row.iteration,
                architecture: word("architecture", &row.architecture)?,
                pkgbase: word("pkgbase", &row.pkgbase)?,
                pass: row.pass,
                run: word("run's id", &row.run)?,
                failed_at: timestamp(row.failed_at)?,
                passed: row
                    .passed_run
                    .map(|run| word("run's id", &run))
                    .transpose()?,
            })
        })
        .collect()
}

/// The longest wait between two canaries, in microseconds.
const LONGEST_WAIT: i64 = DAY;

/// The build that a worker is to be tried out with now, if it is time for that.
pub async fn canary_due(
    db: &mut SqliteConnection,
    worker: WorkerKey,
) -> DbResult<Option<BuildKey>> {
    let now = now();
    Ok(sqlx::query_scalar(
        "SELECT worker_failure.build_id FROM suspicion \
         JOIN worker_failure ON worker_failure.worker_id = suspicion.worker_id \
         JOIN build ON build.id = worker_failure.build_id \
         WHERE suspicion.worker_id = ?1 AND proved AND verdict = 'passed' AND build.status IN ('built', 'reused') \
         AND (canary_at <= ?2 OR canary_at > ?3) \
         AND NOT EXISTS (SELECT 1 FROM run WHERE run.worker_id = ?1 AND status <> 'ended' AND canary = 1) \
         ORDER BY failed_at DESC, run_id DESC LIMIT 1",
    )
    .bind(worker)
    .bind(now)
    // No wait is longer: the clock was set back since.
    .bind(now.saturating_add(LONGEST_WAIT))
    .fetch_optional(db)
    .await?)
}

/// Puts the next canary of a worker off by its wait.
pub async fn put_canary_off(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<()> {
    sqlx::query("UPDATE suspicion SET canary_at = ? + canary_wait WHERE worker_id = ?")
        .bind(now())
        .bind(worker)
        .execute(db)
        .await?;
    Ok(())
}

/// A canary did not pass: the next one comes after twice the wait.
pub async fn canary_failed(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query(
        "UPDATE suspicion SET canary_wait = min(canary_wait * 2, ?1), canary_at = ?2 + min(canary_wait * 2, ?1) \
         WHERE worker_id = (SELECT worker_id FROM run WHERE id = ?3)",
    )
    .bind(LONGEST_WAIT)
    .bind(now())
    .bind(run)
    .execute(db)
    .await?;
    Ok(())
}

/// A canary passed on a worker that was set aside: it is trusted again. The worker comes back.
pub async fn canary_passed(db: &mut SqliteConnection, run: RunKey) -> DbResult<Option<WorkerKey>> {
    let worker: Option<WorkerKey> = sqlx::query_scalar(
        "SELECT suspicion.worker_id FROM suspicion JOIN run ON run.worker_id = suspicion.worker_id WHERE run.id = ?",
    )
    .bind(run)
    .fetch_optional(&mut *db)
    .await?;
    if let Some(worker) = worker {
        forgive(db, worker).await?;
    }
    Ok(worker)
}
