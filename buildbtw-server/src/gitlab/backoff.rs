//! Whether a request that failed is tried again, and when: a pure decision.

use std::time::Duration;

/// How a try failed, as far as trying again goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It was never sent, or GitLab says that it did nothing: trying again is always safe.
    NotDone {
        /// When GitLab wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It may or may not have been done.
    Unknown {
        /// When GitLab wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// GitLab has decided.
    Final,
}

/// What trying again goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How often a request is tried in all.
    pub tries: u32,
    /// The pause before the second try.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

/// The pause before the next try; `None` if there is none. `tried` counts the tries so far, and `chance` lies
/// between 0 and 1: it keeps those apart that failed together.
pub fn next_pause(
    rules: &Rules,
    failure: Failure,
    idempotent: bool,
    tried: u32,
    chance: f64,
) -> Option<Duration> {
    let retry_after = match failure {
        Failure::NotDone { retry_after } => retry_after,
        Failure::Unknown { retry_after } if idempotent => retry_after,
        Failure::Unknown { .. } | Failure::Final => return None,
    };
    if tried >= rules.tries {
        return None;
    }
    if let Some(asked) = retry_after {
        // A little more than asked for, so that not all come back in the same moment.
        let more = rules.first_pause.mul_f64(chance.clamp(0.0, 1.0));
        return (asked <= rules.longest_pause).then(|| asked + more);
    }
    let doubled = 2_u32.saturating_pow(tried.saturating_sub(1).min(16));
    let longest = rules
        .first_pause
        .saturating_mul(doubled)
        .min(rules.longest_pause);
    Some(longest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        tries: 4,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(60),
    };

    const UNKNOWN: Failure = Failure::Unknown { retry_after: None };

    #[test]
    fn pauses_grow_and_are_spread() {
        let pauses = |chance| {
            (1..5)
                .map(|tried| next_pause(&RULES, UNKNOWN, true, tried, chance))
                .collect::<Vec<_>>()
        };
        let seconds = |list: [f64; 3]| {
            let mut list: Vec<_> = list.map(|s| Some(Duration::from_secs_f64(s))).into();
            list.push(None);
            list
        };
        assert_eq!(pauses(1.0), seconds([1.0, 2.0, 4.0]));
        assert_eq!(pauses(0.0), seconds([0.5, 1.0, 2.0]));
        let many = Rules {
            tries: 100,
            ..RULES
        };
        assert_eq!(
            next_pause(&many, UNKNOWN, true, 99, 1.0),
            Some(many.longest_pause)
        );
    }

    #[test]
    fn what_may_have_been_done_is_not_done_twice() {
        assert_eq!(next_pause(&RULES, UNKNOWN, false, 1, 0.5), None);
        let not_done = Failure::NotDone { retry_after: None };
        assert!(next_pause(&RULES, not_done, false, 1, 0.5).is_some());
        assert_eq!(next_pause(&RULES, Failure::Final, true, 1, 0.5), None);
    }

    #[test]
    fn what_gitlab_asks_for_goes_first() {
        let asked = |seconds| Failure::NotDone {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(
            next_pause(&RULES, asked(30), false, 1, 0.0),
            Some(Duration::from_secs(30))
        );
        // Too long to wait for in here.
        assert_eq!(next_pause(&RULES, asked(61), true, 1, 0.0), None);
    }
}
