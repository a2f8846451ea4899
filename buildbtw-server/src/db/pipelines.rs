//! Runs that are carried out by pipelines on GitLab.

use buildbtw_api::runs::{Assignment, RunPipeline};
use buildbtw_api::{RunId, RunStatus};
use sqlx::{FromRow, SqliteConnection};

use super::keys::RunKey;
use super::{DbResult, json, now, timestamp, to_json, word};
use crate::scheduler::{PipelineFacts, backoff};

/// A pipeline, with where its run stands.
#[derive(Debug, Clone, FromRow)]
pub struct PipelineRow {
    /// The run that it carries out.
    #[sqlx(rename = "run_id")]
    pub key: RunKey,
    /// GitLab's number of the project.
    pub project: i64,
    /// GitLab's number of the pipeline.
    pub pipeline: Option<i64>,
    /// The name under which it is found.
    pub mark: String,
    /// The branch whose configuration counts.
    pub reference: String,
    /// The package base.
    pub pkgbase: String,
    /// GitLab's word for what it is doing.
    pub status: Option<String>,
    /// The job that claimed the run.
    pub job: Option<i64>,
    tags: String,
    stage: String,
    assignment: Option<String>,
    asked_at: Option<i64>,
    due_at: i64,
    failures: u32,
    end_asked_at: Option<i64>,
    reported_at: Option<i64>,
    run: String,
    run_status: String,
}

impl PipelineRow {
    /// The run's public id.
    pub fn run(&self) -> DbResult<RunId> {
        word("run's id", &self.run)
    }

    /// Tags that the runner must have.
    pub fn tags(&self) -> DbResult<Vec<String>> {
        json("pipeline's tags", &self.tags)
    }

    /// What the job is handed that claims the run, while that is open.
    pub fn assignment(&self) -> DbResult<Option<Assignment>> {
        let assignment = self.assignment.as_deref();
        assignment.map(|text| json("assignment", text)).transpose()
    }

    /// Whether its run is over.
    pub fn has_ended(&self) -> bool {
        self.run_status == "ended"
    }

    /// What decides about what is to be done next.
    pub fn facts(&self) -> DbResult<PipelineFacts> {
        let status: RunStatus = word("run status", &self.run_status)?;
        Ok(PipelineFacts {
            made: self.stage == "open",
            asked: self.asked_at.is_some(),
            run_goes_on: status != RunStatus::Ended && self.reported_at.is_none(),
            reported_at: self.reported_at,
            end_asked: self.end_asked_at.is_some(),
            failures: self.failures,
            due_at: self.due_at,
        })
    }
}

const ROW: &str = "SELECT pipeline.*, run.public_id AS run, run.status AS run_status, pkgbase FROM pipeline \
     JOIN run ON run.id = run_id JOIN build ON build.id = run.build_id";

/// What is known of a pipeline that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// GitLab's number of it.
    pub pipeline: u64,
    /// Where people see it.
    pub url: String,
    /// The commit it runs for.
    pub commit: String,
}

/// A number of GitLab's as it is stored.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A pipeline that is to be made.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// GitLab's number of the project.
    pub project: u64,
    /// The name under which it is found.
    pub mark: &'a str,
    /// The branch whose configuration counts.
    pub reference: &'a str,
    /// Tags that the runner must have.
    pub tags: &'a [String],
    /// What the job is handed that claims the run.
    pub assignment: &'a Assignment,
}

/// Notes that a run that was just made goes to GitLab.
pub async fn insert(db: &mut SqliteConnection, wanted: &Wanted<'_>) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO pipeline (run_id, project, mark, reference, tags, assignment, due_at) \
         VALUES ((SELECT id FROM run WHERE public_id = ?), ?, ?, ?, ?, ?, ?)",
    )
    .bind(wanted.assignment.run.to_string())
    .bind(number(wanted.project))
    .bind(wanted.mark)
    .bind(wanted.reference)
    .bind(to_json(&wanted.tags))
    .bind(to_json(wanted.assignment))
    .bind(now())
    .execute(db)
    .await?;
    Ok(())
}

/// The pipelines about which there is something to do, oldest first.
pub async fn open(db: &mut SqliteConnection) -> DbResult<Vec<PipelineRow>> {
    let sql = format!("{ROW} WHERE stage <> 'over' ORDER BY run_id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(db)
        .await?)
}

/// How many of them there are whose executors have not said yet how the run ended.
pub async fn count_open(db: &mut SqliteConnection) -> DbResult<u32> {
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM pipeline WHERE stage <> 'over' AND reported_at IS NULL",
    );
    Ok(count.fetch_one(db).await?)
}

/// The pipeline of a run.
pub async fn of_run(db: &mut SqliteConnection, run: RunKey) -> DbResult<Option<PipelineRow>> {
    let sql = format!("{ROW} WHERE run_id = ?");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(run)
        .fetch_optional(db)
        .await?)
}

/// GitLab is about to be asked for it: from now on it may be there.
pub async fn asked(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query("UPDATE pipeline SET asked_at = ? WHERE run_id = ?")
        .bind(now())
        .bind(run)
        .execute(db)
        .await?;
    Ok(())
}

/// It was looked for, and is not there.
pub async fn not_there(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query("UPDATE pipeline SET asked_at = NULL, due_at = ? WHERE run_id = ?")
        .bind(now())
        .bind(run)
        .execute(db)
        .await?;
    Ok(())
}

/// It is there. False if another one is, by the word of its job.
pub async fn made(db: &mut SqliteConnection, run: RunKey, made: &Made) -> DbResult<bool> {
    let done = sqlx::query(
        "UPDATE pipeline SET stage = CASE stage WHEN 'wanted' THEN 'open' ELSE stage END, pipeline = ?1, url = ?2, \
         commit_id = ?3 WHERE run_id = ?4 AND (pipeline IS NULL OR pipeline = ?1)",
    )
    .bind(number(made.pipeline))
    .bind(&made.url)
    .bind(&made.commit)
    .bind(run)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// GitLab says what it is doing; it is looked at again at a time, in stored form, unless a hook told of it
/// since the row was read.
pub async fn heard(
    db: &mut SqliteConnection,
    row: &PipelineRow,
    status: &str,
    due_at: i64,
) -> DbResult<()> {
    sqlx::query(
        "UPDATE pipeline SET status_since = CASE WHEN status IS ?1 THEN status_since ELSE ?2 END, status = ?1, \
         problem = NULL, problem_since = NULL, failures = 0, \
         due_at = CASE due_at WHEN ?3 THEN ?4 ELSE due_at END WHERE run_id = ?5",
    )
    .bind(status)
    .bind(now())
    .bind(row.due_at)
    .bind(due_at)
    .bind(row.key)
    .execute(db)
    .await?;
    Ok(())
}

/// GitLab did not do what was asked; it is asked again after a while.
pub async fn failed(db: &mut SqliteConnection, row: &PipelineRow, problem: &str) -> DbResult<()> {
    let wait = i64::try_from(backoff(row.failures + 1).as_micros()).unwrap_or(i64::MAX);
    sqlx::query(
        "UPDATE pipeline SET problem = ?, problem_since = coalesce(problem_since, ?), failures = failures + 1, \
         due_at = ? WHERE run_id = ?",
    )
    .bind(problem)
    .bind(now())
    .bind(now().saturating_add(wait))
    .bind(row.key)
    .execute(db)
    .await?;
    Ok(())
}

/// GitLab was told to end it.
pub async fn end_asked(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query("UPDATE pipeline SET end_asked_at = ? WHERE run_id = ?")
        .bind(now())
        .bind(run)
        .execute(db)
        .await?;
    Ok(())
}

/// Nothing more is to be done about it.
pub async fn over(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query(
        "UPDATE pipeline SET stage = 'over', problem = NULL, problem_since = NULL, assignment = \
         CASE WHEN (SELECT status FROM run WHERE id = run_id) IN ('scheduled', 'running') THEN assignment END WHERE run_id = ?",
    )
    .bind(run)
    .execute(db)
    .await?;
    Ok(())
}

/// A job that claims a run.
#[derive(Debug, Clone)]
pub struct ClaimingJob<'a> {
    /// GitLab's number of it.
    pub job: u64,
    /// GitLab's number of its pipeline.
    pub pipeline: Option<u64>,
    /// Where people see it.
    pub url: Option<&'a str>,
    /// The commit it runs for.
    pub commit: Option<&'a str>,
}

/// A job claimed the run. What it says of its pipeline is kept where that is not known yet: it may be
/// quicker than GitLab's answer.
pub async fn claimed(db: &mut SqliteConnection, run: RunKey, by: &ClaimingJob<'_>) -> DbResult<()> {
    sqlx::query(
        "UPDATE pipeline SET job = ?1, job_url = ?2, claimed_at = ?3, pipeline = coalesce(pipeline, ?4), \
         commit_id = coalesce(?5, commit_id), \
         stage = CASE WHEN stage = 'wanted' AND coalesce(pipeline, ?4) IS NOT NULL THEN 'open' ELSE stage END \
         WHERE run_id = ?6",
    )
    .bind(number(by.job))
    .bind(by.url)
    .bind(now())
    .bind(by.pipeline.map(number))
    .bind(by.commit)
    .bind(run)
    .execute(db)
    .await?;
    Ok(())
}

/// Whether a pipeline is one that is followed.
pub async fn is_followed(db: &mut SqliteConnection, project: u64, pipeline: u64) -> DbResult<bool> {
    let known = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pipeline WHERE pipeline = ? AND project = ? AND stage <> 'over')",
    );
    Ok(known
        .bind(number(pipeline))
        .bind(number(project))
        .fetch_one(db)
        .await?)
}

/// A pipeline is to be looked at now.
pub async fn due_now(db: &mut SqliteConnection, pipeline: u64) -> DbResult<()> {
    sqlx::query(
        "UPDATE pipeline SET due_at = ?, failures = 0 WHERE pipeline = ? AND stage <> 'over'",
    )
    .bind(now())
    .bind(number(pipeline))
    .execute(db)
    .await?;
    Ok(())
}

/// All that are open are to be looked at now.
pub async fn all_due_now(db: &mut SqliteConnection) -> DbResult<()> {
    sqlx::query("UPDATE pipeline SET due_at = ?, failures = 0 WHERE stage <> 'over'")
        .bind(now())
        .execute(db)
        .await?;
    Ok(())
}

/// What people see of the pipelines about which GitLab could not be asked last.
#[derive(Debug, Clone, FromRow)]
pub struct Troubles {
    /// How many there are.
    pub count: u32,
    /// Since when the first could not, in stored form.
    pub since: Option<i64>,
    /// Why that one could not.
    pub problem: Option<String>,
}

/// The pipelines about which GitLab could not be asked last.
pub async fn troubles(db: &mut SqliteConnection) -> DbResult<Troubles> {
    // Of a minimum, SQLite takes the other columns from the same row.
    Ok(sqlx::query_as(
        "SELECT count(*) AS count, min(problem_since) AS since, problem FROM pipeline \
         WHERE stage <> 'over' AND problem IS NOT NULL",
    )
    .fetch_one(db)
    .await?)
}

/// The columns of a pipeline in a query of runs.
pub(super) const SHOWN: &str = "pipeline.run_id AS pipeline_run, pipeline.pipeline AS pipeline_number, pipeline.url AS pipeline_url, \
     pipeline.status AS pipeline_status, pipeline.status_since AS pipeline_since, pipeline.commit_id AS pipeline_commit, \
     pipeline.job_url AS pipeline_job_url, pipeline.problem AS pipeline_problem";

/// A pipeline beside a run.
#[derive(Debug, FromRow)]
pub(super) struct ShownRow {
    pipeline_run: Option<i64>,
    pipeline_number: Option<i64>,
    pipeline_url: Option<String>,
    pipeline_status: Option<String>,
    pipeline_since: Option<i64>,
    pipeline_commit: Option<String>,
    pipeline_job_url: Option<String>,
    pipeline_problem: Option<String>,
}

impl ShownRow {
    /// As people see it; `None` where the run has none.
    pub fn shown(self) -> DbResult<Option<RunPipeline>> {
        if self.pipeline_run.is_none() {
            return Ok(None);
        }
        Ok(Some(RunPipeline {
            id: self
                .pipeline_number
                .and_then(|number| u64::try_from(number).ok()),
            url: self.pipeline_url,
            status: self.pipeline_status,
            since: self.pipeline_since.map(timestamp).transpose()?,
            commit: self.pipeline_commit,
            job_url: self.pipeline_job_url,
            problem: self.pipeline_problem,
        }))
    }
}
