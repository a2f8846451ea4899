//! Signs of life: keep the leases of the runs, and bring word of those that are to stop.

use std::time::Duration;

use buildbtw_api::client::ClientError;
use buildbtw_api::workers::Heartbeat;
use buildbtw_api::{ProblemType, WorkerId};

use crate::Worker;
use crate::held::Stop;
use crate::registration;

/// How long one sign of life may take, at least; several fit into a lease all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends heartbeats for ever. Uploads and claims have connections of their own, so that none of
/// them holds a heartbeat up.
pub async fn beat(worker: &Worker) {
    let registration = &worker.registration;
    loop {
        match registration.id() {
            Some(id) => {
                send(worker, id).await;
                tokio::time::sleep(registration.heartbeat()).await;
            }
            None => registration.done().await,
        }
    }
}

async fn send(worker: &Worker, id: WorkerId) {
    let beat = Heartbeat {
        runs: worker.held.list(),
    };
    let patience = worker.registration.heartbeat().max(PATIENCE);
    let answer = tokio::time::timeout(patience, worker.client.heartbeat(id, &beat)).await;
    let why = match answer {
        Ok(Ok(answer)) => {
            if worker.reach.regain() {
                tracing::info!("the server is back");
            }
            for stop in answer.stop {
                worker.held.stop(stop.run, Stop::Lost(stop.reason));
            }
            if let Some(reason) = answer.drain {
                worker
                    .stopping
                    .drain(&format!("the server drains this worker: {reason}"));
            }
            return;
        }
        Ok(Err(error)) if is_unknown(&error) => {
            tracing::warn!("the server does not know this worker any more");
            worker.registration.doubt();
            match registration::register(worker).await {
                Ok(()) => return,
                Err(error) => error.to_string(),
            }
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {patience:?}"),
    };
    if worker.reach.lose() {
        tracing::warn!(why, "no heartbeat came through; builds go on");
    }
}

fn is_unknown(error: &ClientError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.kind == ProblemType::NotFound)
}
