//! Signs of life: keep the leases of the runs, and bring word of those that are to stop.

use std::time::Duration;

use buildbtw_api::ProblemType;
use buildbtw_api::workers::Heartbeat;
use tokio::time::MissedTickBehavior;

use crate::Worker;
use crate::held::Stop;
use crate::registration;

/// How long one sign of life may take, at least; several fit into a lease all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends heartbeats for ever. Uploads and claims have connections of their own, so that none of
/// them holds a heartbeat up.
pub async fn beat(worker: &Worker) {
    let mut interval = worker.registration.heartbeat();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(id) = worker.registration.id() else {
            continue;
        };
        let beat = Heartbeat {
            runs: worker.held.list(),
        };
        let answer =
            tokio::time::timeout(interval.max(PATIENCE), worker.client.heartbeat(id, &beat)).await;
        match answer {
            Ok(Ok(answer)) => {
                if worker.reach.regain() {
                    tracing::info!("the server is back");
                }
                for stop in answer.stop {
                    worker.held.stop(stop.run, Stop::Lost(stop.reason));
                }
            }
            Ok(Err(error))
                if error
                    .problem()
                    .is_some_and(|problem| problem.kind == ProblemType::NotFound) =>
            {
                tracing::warn!("the server does not know this worker any more");
                worker.registration.doubt();
                if let Err(error) = registration::register(worker).await {
                    tracing::warn!(%error, "cannot register again");
                }
            }
            Ok(Err(error)) => {
                if worker.reach.lose() {
                    tracing::warn!(%error, "no heartbeat came through; builds go on");
                }
            }
            Err(_) => {
                if worker.reach.lose() {
                    tracing::warn!("the server does not answer heartbeats; builds go on");
                }
            }
        }
        // A registration may have changed it.
        let wanted = worker.registration.heartbeat();
        if wanted != interval {
            interval = wanted;
            ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
    }
}
