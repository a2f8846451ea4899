//! A run's steps: kept as the build reports them, sent when they change.

use std::time::Duration;

use buildbtw_api::runs::{Step, StepsReport};
use buildbtw_build::{StepEvent, StepResult};
use tokio::sync::watch;

use crate::Workplace;
use crate::held::Hold;
use crate::retry::{Undelivered, deliver};

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Enters what the build says of a step. `since_start` is the time from the run's start to the
/// build's, from which the builder counts.
pub fn enter(steps: &mut Vec<Step>, event: StepEvent, since_start: Duration) {
    let step = Step {
        name: event.name,
        started_ms: millis(since_start + event.started),
        ended_ms: event.ended.map(|ended| millis(since_start + ended)),
        succeeded: event.result.map(StepResult::succeeded),
    };
    match steps
        .iter_mut()
        .rev()
        .find(|known| known.name == step.name && known.started_ms == step.started_ms)
    {
        Some(known) => *known = step,
        None => steps.push(step),
    }
}

/// Sends the steps whenever they have changed, until the sender is dropped. The first report, with
/// no steps yet, says that the run has begun.
///
/// # Errors
///
/// When the run is lost or the server refuses the report.
pub async fn send(
    place: &Workplace,
    hold: &Hold,
    mut steps: watch::Receiver<Vec<Step>>,
) -> Result<(), Undelivered> {
    loop {
        let report = StepsReport {
            fence: hold.fence,
            steps: steps.borrow_and_update().clone(),
        };
        deliver("the steps of a run", &hold.lost, &place.reach, || {
            place.client.report_steps(hold.run, &report)
        })
        .await?;
        if steps.changed().await.is_err() {
            return Ok(());
        }
    }
}
