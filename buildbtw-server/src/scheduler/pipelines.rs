//! What is to be done next about a pipeline on GitLab: a pure function of what is known of it.

use std::time::Duration;

/// How often an open pipeline is looked at that no hook tells of.
pub const POLL: Duration = Duration::from_secs(60);

/// The same of one whose run was claimed: its executor is heard of itself.
pub const CLAIMED_POLL: Duration = Duration::from_secs(600);

/// How long a job has to end by itself after its executor said how the run ended.
const ENDING: Duration = Duration::from_secs(120);

/// The wait after the first failure of a request; it doubles with each that follows.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);

/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Where a pipeline stands, as far as was heard. Times are microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineFacts {
    /// Whether it is known to be there.
    pub made: bool,
    /// Whether somebody asked for it, so that it may be there.
    pub asked: bool,
    /// Whether its run goes on.
    pub run_goes_on: bool,
    /// When the executor said how the run ended.
    pub reported_at: Option<i64>,
    /// Whether GitLab was told to end it.
    pub end_asked: bool,
    /// How many requests failed in a row.
    pub failures: u32,
    /// When it is looked at next, unless something else happens.
    pub due_at: i64,
}

/// What is to be done about a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineStep {
    /// Nothing before this time.
    Wait(i64),
    /// Nothing any more: there is no pipeline, and none is wanted.
    Forget,
    /// Look whether it is there already, and make it if it is wanted and is not.
    LookUp,
    /// Make it.
    Make,
    /// Ask what it is doing.
    Look,
    /// Tell GitLab to end it.
    End,
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Decides what is to be done about a pipeline that is not over, at a time.
pub fn next_step(facts: PipelineFacts, now: i64) -> PipelineStep {
    let superfluous = !facts.run_goes_on && !facts.end_asked;
    let not_before = match facts.reported_at {
        // What failed a moment ago is not tried at once, whatever has happened since.
        _ if facts.failures > 0 => facts.due_at,
        Some(reported) if superfluous => facts.due_at.min(reported.saturating_add(micros(ENDING))),
        None if superfluous => i64::MIN,
        _ => facts.due_at,
    };
    // A time that lies further ahead than any wait can be was set by a clock that ran ahead.
    let longest = now.saturating_add(micros(CLAIMED_POLL));
    if (now + 1..=longest).contains(&not_before) {
        return PipelineStep::Wait(not_before);
    }
    let reported_lately = facts
        .reported_at
        .is_some_and(|reported| now < reported.saturating_add(micros(ENDING)));
    match (facts.made, facts.asked) {
        (false, false) if facts.run_goes_on => PipelineStep::Make,
        (false, false) => PipelineStep::Forget,
        (false, true) => PipelineStep::LookUp,
        (true, _) if superfluous && !reported_lately => PipelineStep::End,
        (true, _) => PipelineStep::Look,
    }
}

/// How long to wait after so many failures in a row.
pub fn backoff(failures: u32) -> Duration {
    let doubled = 1_u32 << failures.saturating_sub(1).min(10);
    FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn open() -> PipelineFacts {
        PipelineFacts {
            made: true,
            asked: true,
            run_goes_on: true,
            reported_at: None,
            end_asked: false,
            failures: 0,
            due_at: NOW,
        }
    }

    fn step(change: impl FnOnce(&mut PipelineFacts)) -> PipelineStep {
        let mut facts = open();
        change(&mut facts);
        next_step(facts, NOW)
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let all = [POLL, ENDING, LONGEST_BACKOFF];
        assert!(all.iter().all(|wait| *wait < CLAIMED_POLL));
    }

    #[test]
    fn what_was_asked_for_is_looked_up_before_it_is_made() {
        let wanted = |asked: bool, run_goes_on: bool| {
            step(|facts| {
                (facts.made, facts.asked, facts.run_goes_on) = (false, asked, run_goes_on);
            })
        };
        assert_eq!(wanted(false, true), PipelineStep::Make);
        assert_eq!(wanted(true, true), PipelineStep::LookUp);
        assert_eq!(wanted(false, false), PipelineStep::Forget);
        // It may be there, and is to be ended then.
        assert_eq!(wanted(true, false), PipelineStep::LookUp);
    }

    #[test]
    fn an_open_one_is_looked_at_when_it_is_due() {
        assert_eq!(step(|_| ()), PipelineStep::Look);
        let later = NOW + 5;
        let due = |due_at| step(|facts| facts.due_at = due_at);
        assert_eq!(due(later), PipelineStep::Wait(later));
        // A clock ran ahead when that was written.
        assert_eq!(due(NOW + 100 * micros(CLAIMED_POLL)), PipelineStep::Look);
    }

    #[test]
    fn one_whose_run_was_called_off_is_ended_at_once_and_once() {
        let off = |change: fn(&mut PipelineFacts)| {
            step(|facts| {
                facts.run_goes_on = false;
                facts.due_at = NOW + 5;
                change(facts);
            })
        };
        assert_eq!(off(|_| ()), PipelineStep::End);
        let wait = PipelineStep::Wait(NOW + 5);
        assert_eq!(off(|facts| facts.end_asked = true), wait);
        assert_eq!(off(|facts| facts.failures = 1), wait);
    }

    #[test]
    fn one_whose_executor_reported_may_end_by_itself() {
        let after = |passed: i64| {
            step(|facts| {
                facts.run_goes_on = false;
                facts.reported_at = Some(NOW - passed);
            })
        };
        assert_eq!(after(1), PipelineStep::Look);
        assert_eq!(after(micros(ENDING)), PipelineStep::End);
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits = [1, 2, 3, 4, 5, 99].map(|failures| backoff(failures).as_secs());
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    }
}
