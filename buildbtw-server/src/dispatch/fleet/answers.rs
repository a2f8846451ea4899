//! What follows from what GitLab answers about a pipeline.

use super::keeping::{StepError, project};
use super::{Fleet, words};
use crate::Server;
use crate::db::pipelines::{self, Made, PipelineRow};
use crate::db::{DbResult, now};
use crate::dispatch::expiry;
use crate::gitlab::{GitLabError, Pipeline, PipelineStatus};
use crate::scheduler::{CLAIMED_POLL, POLL};

/// When a pipeline is looked at again of which no hook tells.
fn next_look(row: &PipelineRow) -> i64 {
    let poll = if row.job.is_some() {
        CLAIMED_POLL
    } else {
        POLL
    };
    let poll = i64::try_from(poll.as_micros()).unwrap_or(i64::MAX);
    now().saturating_add(poll)
}

/// A pipeline is there: its own, unless another one was quicker.
pub async fn made(
    server: &Server,
    fleet: &Fleet,
    row: &PipelineRow,
    found: &Pipeline,
) -> Result<(), StepError> {
    let made = Made {
        pipeline: found.id,
        url: found.web_url.clone(),
        commit: found.sha.clone(),
    };
    let mut tx = server.db.write().await?;
    let its_own = pipelines::made(&mut tx, row.key, &made).await?;
    tx.commit().await?;
    if !its_own {
        end_stray(fleet, row, found).await;
        return Ok(());
    }
    settle(server, fleet, row, found).await
}

/// A second pipeline of a run: its job gets nothing, so it had better not wait for a runner.
pub async fn end_stray(fleet: &Fleet, row: &PipelineRow, stray: &Pipeline) {
    tracing::info!(
        pipeline = stray.web_url,
        "a second pipeline of a run is ended"
    );
    if let Err(error) = fleet.gitlab.cancel_pipeline(project(row), stray.id).await {
        tracing::warn!(%error, pipeline = stray.web_url, "a second pipeline of a run goes on for nothing");
    }
}

/// GitLab says what a pipeline is doing.
pub async fn settle(
    server: &Server,
    fleet: &Fleet,
    row: &PipelineRow,
    found: &Pipeline,
) -> Result<(), StepError> {
    let status = &found.status;
    let mut jobs = Vec::new();
    if *status == PipelineStatus::Failed && row.job.is_none() {
        jobs = match fleet.gitlab.jobs(project(row), found.id).await {
            Ok(jobs) => jobs,
            Err(GitLabError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
    }
    let mut tx = server.db.write().await?;
    pipelines::heard(&mut tx, row, status.word(), next_look(row)).await?;
    if status.is_over() {
        pipelines::over(&mut tx, row.key).await?;
    }
    tx.commit().await?;
    if status.is_over() {
        lose(server, row, &words::why_unclaimed(status, &jobs)).await?;
        // There is room for another one.
        server.dispatch.wake();
    }
    if row.status.as_deref() != Some(status.word()) {
        server.feed.wake();
    }
    Ok(())
}

/// A pipeline is not there any more.
pub async fn deleted(server: &Server, row: &PipelineRow) -> Result<(), StepError> {
    let mut tx = server.db.write().await?;
    pipelines::over(&mut tx, row.key).await?;
    tx.commit().await?;
    lose(server, row, words::DELETED).await?;
    server.dispatch.wake();
    Ok(())
}

/// Ends the run of a pipeline that no job claimed: the machinery failed, and it is tried again. A run
/// that was claimed is its executor's, as long as that is heard of.
pub async fn lose(server: &Server, row: &PipelineRow, message: &str) -> Result<(), StepError> {
    let claimed = {
        let mut tx = server.db.read().await?;
        let fresh = pipelines::of_run(&mut tx, row.key).await?;
        fresh.is_none_or(|fresh| fresh.job.is_some() || fresh.has_ended())
    };
    if !claimed {
        expiry::lose(server, row.run()?, message).await?;
    }
    Ok(())
}

/// There is no pipeline: it is made if it is still wanted.
pub async fn not_there(server: &Server, row: &PipelineRow) -> Result<(), StepError> {
    let mut tx = server.db.write().await?;
    pipelines::not_there(&mut tx, row.key).await?;
    tx.commit().await?;
    Ok(())
}

/// There is no pipeline, and none is wanted.
pub async fn forget(server: &Server, row: &PipelineRow) -> Result<(), StepError> {
    let mut tx = server.db.write().await?;
    pipelines::over(&mut tx, row.key).await?;
    tx.commit().await?;
    server.dispatch.wake();
    Ok(())
}

/// GitLab was told to end it.
pub async fn end_asked(server: &Server, row: &PipelineRow) -> Result<(), StepError> {
    let mut tx = server.db.write().await?;
    pipelines::end_asked(&mut tx, row.key).await?;
    tx.commit().await?;
    Ok(())
}

/// GitLab does not answer now; people see why, and it is asked again later.
pub async fn put_off(server: &Server, row: &PipelineRow, error: &GitLabError) -> DbResult<()> {
    let mut tx = server.db.write().await?;
    pipelines::failed(&mut tx, row, &error.to_string()).await?;
    tx.commit().await?;
    server.feed.wake();
    Ok(())
}
