//! Making pipelines, following them and ending them: whatever the rows say is to be done next, a few at
//! a time. A change in the database, a hook or a time that comes wakes it.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::{Map, Value, json};

use super::{Fleet, PAUSE, answers, ci_config, reached};
use crate::Server;
use crate::db::keys::RunKey;
use crate::db::pipelines::{self, PipelineRow};
use crate::db::{DbError, DbResult, now};
use crate::gitlab::{GitLabError, NewPipeline, ProjectId};
use crate::scheduler::{PipelineStep, next_pipeline_step};

/// About how many pipelines GitLab is asked at once. The client has other things to ask, too.
const AT_ONCE: usize = 3;

/// Why nothing came of a step.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// GitLab does not answer, or not in a way that decides anything.
    #[error(transparent)]
    GitLab(#[from] GitLabError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for StepError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Whether GitLab has understood, and does not do it: asking again changes nothing.
pub(super) fn is_refusal(error: &GitLabError) -> bool {
    matches!(
        error,
        GitLabError::Refused { .. } | GitLabError::Forbidden { .. } | GitLabError::NotFound { .. }
    )
}

pub(super) fn project(row: &PipelineRow) -> ProjectId {
    ProjectId(u64::try_from(row.project).unwrap_or(0))
}

/// Does what is to be done, for ever.
pub async fn keep(server: &Server) {
    let Some(fleet) = &server.fleet else { return };
    let mut changed = server.feed.follow();
    let mut held = HashSet::new();
    let mut busy: FuturesUnordered<BoxFuture<'_, RunKey>> = FuturesUnordered::new();
    loop {
        changed.borrow_and_update();
        let rows = open(server).await;
        let next = match rows.and_then(|rows| begin(server, fleet, rows, &mut held, &busy)) {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "cannot tell what is to be done about pipelines");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        tokio::select! {
            Some(done) = busy.next(), if !busy.is_empty() => { held.remove(&done); }
            () = fleet.news.notified() => {}
            _ = changed.changed() => {}
            () = reached(next) => {}
        }
    }
}

async fn open(server: &Server) -> DbResult<Vec<PipelineRow>> {
    pipelines::open(&mut *server.db.glance().await?).await
}

/// Begins with what is to be done now. When something is to be done next comes back, in stored form.
fn begin<'a>(
    server: &'a Server,
    fleet: &'a Fleet,
    rows: Vec<PipelineRow>,
    held: &mut HashSet<RunKey>,
    busy: &FuturesUnordered<BoxFuture<'a, RunKey>>,
) -> DbResult<Option<i64>> {
    let mut next: Option<i64> = None;
    for row in rows {
        if held.contains(&row.key) {
            continue;
        }
        match next_pipeline_step(row.facts()?, now()) {
            PipelineStep::Wait(until) => {
                next = Some(next.map_or(until, |next| next.min(until)));
            }
            // Whoever is done lets the next one begin.
            _ if busy.len() >= AT_ONCE => {}
            step => {
                held.insert(row.key);
                busy.push(Box::pin(attend(server, fleet, row, step)));
            }
        }
    }
    Ok(next)
}

/// Takes one step about a pipeline.
async fn attend(server: &Server, fleet: &Fleet, row: PipelineRow, step: PipelineStep) -> RunKey {
    let done = match step {
        PipelineStep::Wait(_) => Ok(()),
        PipelineStep::Forget => answers::forget(server, &row).await,
        PipelineStep::LookUp => look_up(server, fleet, &row).await,
        PipelineStep::Make => make(server, fleet, &row).await,
        PipelineStep::Look => look(server, fleet, &row).await,
        PipelineStep::End => end(server, fleet, &row).await,
    };
    let noted = match done {
        Ok(()) => return row.key,
        Err(StepError::Db(error)) => Err(error),
        Err(StepError::GitLab(error)) => {
            tracing::warn!(run = %row.mark, pkgbase = row.pkgbase, %error, "a pipeline waits for GitLab");
            answers::put_off(server, &row, &error).await
        }
    };
    if let Err(error) = noted {
        tracing::error!(run = %row.mark, %error, "cannot note what became of a pipeline");
        tokio::time::sleep(PAUSE).await;
    }
    row.key
}

/// What a pipeline is told: which run, and where. Nothing of it is secret.
fn inputs(server: &Server, row: &PipelineRow) -> DbResult<Map<String, Value>> {
    let mut inputs = Map::new();
    inputs.insert("run".to_owned(), json!(row.run()?));
    inputs.insert("server".to_owned(), json!(server.base_url));
    let tags = row.tags()?;
    if !tags.is_empty() {
        inputs.insert("tags".to_owned(), json!(tags));
    }
    Ok(inputs)
}

async fn make(server: &Server, fleet: &Fleet, row: &PipelineRow) -> Result<(), StepError> {
    {
        let mut tx = server.db.write().await?;
        // It may have been called off since it was read.
        let fresh = pipelines::of_run(&mut tx, row.key).await?;
        let step = fresh.map(|row| row.facts()).transpose()?;
        if step.map(|facts| next_pipeline_step(facts, now())) != Some(PipelineStep::Make) {
            return Ok(());
        }
        pipelines::asked(&mut tx, row.key).await?;
        tx.commit().await?;
    }
    let new = NewPipeline {
        reference: row.reference.clone(),
        inputs: inputs(server, row)?,
    };
    match fleet.gitlab.create_pipeline(project(row), &new).await {
        Ok(made) => {
            if made.name.as_deref() != Some(&row.mark) {
                tracing::warn!(
                    pipeline = made.web_url,
                    "the CI configuration does not name pipelines by their runs (workflow: name), so one whose \
                     making was not answered is not found again"
                );
            }
            answers::made(server, fleet, row, &made).await
        }
        Err(error) if is_refusal(&error) => {
            let mended = ci_config::mend(fleet, project(row)).await;
            if !matches!(mended, Ok(true)) {
                answers::lose(server, row, &error.to_string()).await?;
            }
            answers::not_there(server, row).await
        }
        // There may be one all the same: it is looked up before the next try.
        Err(error) => Err(error.into()),
    }
}

async fn look_up(server: &Server, fleet: &Fleet, row: &PipelineRow) -> Result<(), StepError> {
    let found = match fleet.gitlab.pipelines_named(project(row), &row.mark).await {
        Ok(found) => found,
        Err(error) if is_refusal(&error) => {
            answers::lose(server, row, &error.to_string()).await?;
            return answers::not_there(server, row).await;
        }
        Err(error) => return Err(error.into()),
    };
    let named = found
        .iter()
        .filter(|found| found.name.as_deref() == Some(&row.mark));
    // Newest first. One that goes on is preferred; the others lose the run to it, and are in the way.
    let (open, over): (Vec<_>, Vec<_>) = named.partition(|found| !found.status.is_over());
    let Some(kept) = open.last().or(over.first()) else {
        return answers::not_there(server, row).await;
    };
    answers::made(server, fleet, row, kept).await?;
    for other in open.iter().filter(|other| other.id != kept.id) {
        answers::end_stray(fleet, row, other).await;
    }
    Ok(())
}

/// The number of a pipeline that was made.
fn number(row: &PipelineRow) -> u64 {
    row.pipeline
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0)
}

async fn look(server: &Server, fleet: &Fleet, row: &PipelineRow) -> Result<(), StepError> {
    match fleet.gitlab.pipeline(project(row), number(row)).await {
        Ok(found) => answers::settle(server, fleet, row, &found).await,
        Err(GitLabError::NotFound { .. }) => answers::deleted(server, row).await,
        Err(error) => Err(error.into()),
    }
}

async fn end(server: &Server, fleet: &Fleet, row: &PipelineRow) -> Result<(), StepError> {
    match fleet
        .gitlab
        .cancel_pipeline(project(row), number(row))
        .await
    {
        Ok(found) => {
            answers::end_asked(server, row).await?;
            answers::settle(server, fleet, row, &found).await
        }
        Err(GitLabError::NotFound { .. }) => answers::deleted(server, row).await,
        Err(error) => Err(error.into()),
    }
}
