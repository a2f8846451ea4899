//! Leases that end because their worker fell silent.

use std::time::Instant;

use buildbtw_api::runs::Outcome;
use buildbtw_api::{OutcomeClass, RunId, WorkerId};

use super::steps;
use crate::db::{DbResult, runs, workers};
use crate::{Server, clock};

/// Ends leases when their term is over, until the server stops. It sleeps until the first deadline;
/// a new lease wakes it.
pub async fn watch(server: Server) {
    loop {
        let next = server.dispatch.leases.next_deadline();
        let granted = server.dispatch.granted.notified();
        tokio::select! {
            () = granted => continue,
            () = server.shutdown.cancelled() => return,
            () = wait_until(next) => {}
        }
        if let Err(error) = end_overdue(&server).await {
            tracing::error!(%error, "cannot end the run of a worker that fell silent");
            // The lease stays; the next round tries again, not at once.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
}

/// Ends the runs whose lease is over.
///
/// # Errors
///
/// When the database fails; the leases that are left are over at the next try, too.
pub async fn end_overdue(server: &Server) -> DbResult<()> {
    for (run, worker) in server.dispatch.leases.expired(clock::instant()) {
        expire(server, run, worker).await?;
    }
    Ok(())
}

async fn wait_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn expire(server: &Server, run: RunId, worker: WorkerId) -> DbResult<()> {
    let name = {
        let mut tx = server.db.read().await?;
        workers::by_id(&mut tx, worker)
            .await?
            .map_or_else(|| worker.to_string(), |worker| worker.name)
    };
    let seconds = server.dispatch.leases.term().as_secs();
    lose(
        server,
        run,
        &format!("worker {name} was silent for {seconds} s"),
    )
    .await
}

/// Ends a run that its worker lost; its build is tried again.
pub async fn lose(server: &Server, run: RunId, message: &str) -> DbResult<()> {
    let mut tx = server.db.write().await?;
    if let Some(state) = runs::state(&mut tx, run).await?
        && matches!(
            state.status()?,
            buildbtw_api::RunStatus::Scheduled | buildbtw_api::RunStatus::Running
        )
    {
        let outcome = Outcome {
            class: OutcomeClass::Infrastructure,
            message: message.to_owned(),
            exit_code: None,
            failed_step: None,
        };
        steps::end_run(
            &mut tx,
            &state,
            &outcome,
            server.config.infrastructure_tries,
        )
        .await?;
        tx.commit().await?;
        tracing::warn!(%run, message, "a run was lost");
    }
    server.dispatch.stop(run, message).await;
    server.close_log(run, message).await;
    server.feed.wake();
    server.dispatch.wake();
    Ok(())
}
