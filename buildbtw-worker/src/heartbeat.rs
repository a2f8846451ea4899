//! Signs of life: keep the leases of the runs, and bring word of those that are to stop.

use std::time::Duration;

use buildbtw_api::client::ClientError;
use buildbtw_api::workers::Heartbeat;
use buildbtw_api::{ProblemType, WorkerId};

use crate::Workplace;
use crate::held::Stop;

/// How long one sign of life may take, at least; several fit into a lease all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// The shortest time between two of them, whatever a server says.
const SHORTEST: Duration = Duration::from_millis(50);

/// The time between two signs of life, from the server's word in milliseconds.
pub fn interval(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).max(SHORTEST)
}

/// What came of a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beaten {
    /// The server heard it. `drain` says why this worker is to take no more runs, if it is.
    Heard {
        /// Why.
        drain: Option<String>,
    },
    /// The server does not know this worker any more.
    Unknown,
    /// It did not come through.
    Missed,
}

/// Sends one sign of life, and stops the runs that the server wants stopped. Uploads and claims have
/// connections of their own, so that none of them holds it up.
pub async fn send(place: &Workplace, worker: WorkerId, interval: Duration) -> Beaten {
    let beat = Heartbeat {
        runs: place.held.list(),
    };
    let patience = interval.max(PATIENCE);
    let answer = tokio::time::timeout(patience, place.client.heartbeat(worker, &beat)).await;
    let why = match answer {
        Ok(Ok(answer)) => {
            if place.reach.regain() {
                tracing::info!("the server is back");
            }
            for stop in answer.stop {
                place.held.stop(stop.run, Stop::Lost(stop.reason));
            }
            return Beaten::Heard {
                drain: answer.drain,
            };
        }
        Ok(Err(error)) if is_unknown(&error) => {
            tracing::warn!("the server does not know this worker any more");
            return Beaten::Unknown;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {patience:?}"),
    };
    missed(place, &why);
    Beaten::Missed
}

/// The server cannot be reached: says so, once.
pub fn missed(place: &Workplace, why: &str) {
    if place.reach.lose() {
        tracing::warn!(why, "no heartbeat came through; builds go on");
    }
}

fn is_unknown(error: &ClientError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.kind == ProblemType::NotFound)
}
