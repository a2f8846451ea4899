//! What becomes of a build whose run ended: one table of outcome classes.

use std::time::Duration;

use buildbtw_api::OutcomeClass;

/// The wait before the second try of a run that the machinery failed; it doubles with each try.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);

/// The longest wait before another try.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

/// What becomes of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its packages are published.
    Publish,
    /// It is tried again after a while, on another worker if one can.
    TryAgain(Duration),
    /// It failed.
    Fail,
    /// It is called off.
    CallOff,
}

/// Decides by the class of a run's outcome. `failures` counts the runs that the machinery failed in a
/// row, this one among them; `tries` is how many there may be in all.
pub fn verdict(class: OutcomeClass, failures: u32, tries: u32) -> Verdict {
    match class {
        OutcomeClass::Success => Verdict::Publish,
        OutcomeClass::Infrastructure if failures < tries => {
            let doubled = 1_u32 << failures.saturating_sub(1).min(20);
            Verdict::TryAgain(FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF))
        }
        // What the machinery cannot do in so many tries, somebody has to look at.
        OutcomeClass::Infrastructure => Verdict::Fail,
        OutcomeClass::Package
        | OutcomeClass::Sources
        | OutcomeClass::Dependencies
        | OutcomeClass::Timeout => Verdict::Fail,
        OutcomeClass::Cancelled => Verdict::CallOff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_row() {
        let seconds = |count| Verdict::TryAgain(Duration::from_secs(count));
        let table = [
            (OutcomeClass::Success, 0, Verdict::Publish),
            (OutcomeClass::Package, 0, Verdict::Fail),
            (OutcomeClass::Sources, 0, Verdict::Fail),
            (OutcomeClass::Dependencies, 0, Verdict::Fail),
            (OutcomeClass::Timeout, 0, Verdict::Fail),
            (OutcomeClass::Cancelled, 0, Verdict::CallOff),
            (OutcomeClass::Infrastructure, 1, seconds(1)),
            (OutcomeClass::Infrastructure, 2, seconds(2)),
            (OutcomeClass::Infrastructure, 4, seconds(8)),
            (OutcomeClass::Infrastructure, 5, Verdict::Fail),
            (OutcomeClass::Infrastructure, 6, Verdict::Fail),
        ];
        for (class, failures, expected) in table {
            assert_eq!(verdict(class, failures, 5), expected, "{class} {failures}");
        }
        let classes: Vec<OutcomeClass> = table.iter().map(|(class, ..)| *class).collect();
        assert!(
            OutcomeClass::ALL
                .iter()
                .all(|class| classes.contains(class))
        );
    }

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let wait = |failures| match verdict(OutcomeClass::Infrastructure, failures, 100) {
            Verdict::TryAgain(wait) => wait.as_secs(),
            other => panic!("{other:?}"),
        };
        let waits: Vec<u64> = [1, 2, 3, 9, 10, 99].map(wait).to_vec();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300]);
    }
}
