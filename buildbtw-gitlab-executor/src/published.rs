//! What became of a run that was reported as a success. The server looks at its packages only then, and
//! publishes them a moment later; a job must not be green whose packages it refused.

use std::io::Write;
use std::time::Duration;

use buildbtw_api::client::{Client, ClientError};
use buildbtw_api::runs::Outcome;
use buildbtw_api::{OutcomeClass, RunId};
use buildbtw_worker::retry::may_pass;
use tokio::time::timeout;

use crate::codes::Verdict;

/// How long the server may take. It publishes within milliseconds, unless its disk is full or it is
/// started anew.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before the second question; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the Runner is to think of a run whose packages the server has.
pub async fn verdict(client: &Client, run: RunId) -> Verdict {
    match timeout(PATIENCE, outcome(client, run)).await {
        Ok(Ok(outcome)) => judge(outcome),
        Ok(Err(error)) => Verdict::System(format!(
            "the packages were sent, but what became of them cannot be found out: {error}"
        )),
        // The build went well and the server has what it made: the rest is its business.
        Err(_) => {
            say(
                "The server has the packages, and has not published them yet; the run's page says what becomes of them.",
            );
            Verdict::Good
        }
    }
}

fn judge(outcome: Outcome) -> Verdict {
    let said = format!("the run ended as {}: {}", outcome.class, outcome.message);
    match outcome.class {
        OutcomeClass::Success => {
            say("Its packages are published.");
            Verdict::Good
        }
        OutcomeClass::Package => {
            eprintln!("error: {said}");
            Verdict::Build(outcome.exit_code)
        }
        _ => Verdict::System(said),
    }
}

fn say(line: &str) {
    // If nobody reads the job's log, the server's pages still have everything.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// How the run ended, as soon as it has.
async fn outcome(client: &Client, run: RunId) -> Result<Outcome, ClientError> {
    let mut pause = FIRST_PAUSE;
    loop {
        match client.run(run).await {
            Ok(details) => {
                if let Some(outcome) = details.run.outcome {
                    return Ok(outcome);
                }
            }
            Err(error) if may_pass(&error) => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_refused_is_no_success() {
        let ended = |class| {
            judge(Outcome {
                class,
                message: "because".to_owned(),
                exit_code: Some(0),
                failed_step: None,
            })
        };
        assert_eq!(ended(OutcomeClass::Success), Verdict::Good);
        assert_eq!(ended(OutcomeClass::Package), Verdict::Build(Some(0)));
        for class in [OutcomeClass::Infrastructure, OutcomeClass::Cancelled] {
            assert!(matches!(ended(class), Verdict::System(_)), "{class}");
        }
    }
}
