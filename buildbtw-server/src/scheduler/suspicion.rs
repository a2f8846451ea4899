//! Whether it is the worker that fails its builds: a pure function of what became of them elsewhere.
//!
//! A worker on which three different builds failed in a row is under suspicion: it gets nothing more, and
//! those builds are tried elsewhere. What passes there was the worker's fault, what fails there as well
//! is the package's.

use std::collections::BTreeSet;

/// So many different package bases must have failed on a worker before anything is held against it.
pub const SUSPICIOUS: usize = 3;

/// What became of a build that failed on a worker when others tried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// Nobody else tried it.
    NotTried {
        /// Whether another active worker could, which did not fail it too.
        possible: bool,
    },
    /// It waits for others, or one of them builds it.
    Tried {
        /// Whether another active worker could still take it.
        possible: bool,
    },
    /// It passed. `blamed`: the run that failed still counts as the package's failure.
    Passed {
        /// Whether that is still to be put right.
        blamed: bool,
    },
    /// It failed there as well.
    Failed,
    /// It is not to be built any more.
    Gone,
}

/// A failure that a worker reported within the last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<K> {
    /// What names it to the caller.
    pub key: K,
    /// The package base of its build.
    pub pkgbase: String,
    /// Whether the worker succeeded with nothing since.
    pub in_a_row: bool,
    /// What became of the build.
    pub elsewhere: Elsewhere,
}

/// How far a worker is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It gets runs.
    Trusted,
    /// It gets nothing while its failures are tried elsewhere.
    Suspected,
    /// It is set aside, since what failed on it passed elsewhere.
    SetAside,
}

/// What is to be done about a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<K> {
    /// Nothing, for now.
    Leave,
    /// It gets nothing more, and these failures are tried elsewhere.
    Suspect {
        /// The failures.
        elsewhere: Vec<K>,
    },
    /// It is set aside.
    SetAside {
        /// Failures that were the worker's fault and still count as the package's.
        blamed: Vec<K>,
        /// Other failures of it, to be tried elsewhere too.
        elsewhere: Vec<K>,
    },
    /// It gets runs again: the packages are to blame, or nobody is there to try.
    Trust,
}

/// Decides what is to be done about a worker by its failures of the last day. `alone`: no other worker
/// is active. The last one is not taken away: a bad worker is seen and mended, none at all is a standstill.
pub fn next_step<K: Copy>(trust: Trust, alone: bool, failures: &[Failure<K>]) -> Step<K> {
    let passed = |failure: &&Failure<K>| matches!(failure.elsewhere, Elsewhere::Passed { .. });
    let failed = |failure: &&Failure<K>| failure.elsewhere == Elsewhere::Failed;
    let triable =
        |failure: &&Failure<K>| matches!(failure.elsewhere, Elsewhere::NotTried { possible: true });
    let trying =
        |failure: &Failure<K>| matches!(failure.elsewhere, Elsewhere::Tried { possible: true });
    // What a package is blamed for is held against the worker for a day. The machinery's own failures
    // come now and then wherever much is built, so those count only while nothing succeeds between them.
    let counts = |failure: &&Failure<K>| {
        failure.elsewhere == Elsewhere::Passed { blamed: true }
            || (passed(failure) && failure.in_a_row)
    };
    let proved = names(failures.iter().filter(counts)) >= SUSPICIOUS;
    match trust {
        Trust::SetAside => match set_aside(failures) {
            Step::SetAside { blamed, elsewhere } if blamed.is_empty() && elsewhere.is_empty() => {
                Step::Leave
            }
            step => step,
        },
        Trust::Trusted if alone => Step::Leave,
        _ if proved => set_aside(failures),
        Trust::Trusted => {
            let row = || failures.iter().filter(|failure| failure.in_a_row);
            let elsewhere: Vec<K> = row().filter(triable).map(|failure| failure.key).collect();
            let odd = row().filter(|failure| passed(failure) || triable(failure));
            match elsewhere.is_empty() || names(odd) < SUSPICIOUS {
                true => Step::Leave,
                false => Step::Suspect { elsewhere },
            }
        }
        Trust::Suspected if failures.iter().any(trying) => Step::Leave,
        Trust::Suspected => {
            let (passed, failed) = (
                names(failures.iter().filter(passed)),
                names(failures.iter().filter(failed)),
            );
            match passed > failed {
                true => set_aside(failures),
                false => Step::Trust,
            }
        }
    }
}

/// How many different package bases there are among some failures.
fn names<'a, K: 'a>(failures: impl Iterator<Item = &'a Failure<K>>) -> usize {
    let names: BTreeSet<&str> = failures.map(|failure| failure.pkgbase.as_str()).collect();
    names.len()
}

fn set_aside<K: Copy>(failures: &[Failure<K>]) -> Step<K> {
    let keys = |wanted: Elsewhere| {
        let those = failures.iter();
        let those = those.filter(move |failure| failure.elsewhere == wanted);
        those.map(|failure| failure.key).collect()
    };
    Step::SetAside {
        blamed: keys(Elsewhere::Passed { blamed: true }),
        elsewhere: keys(Elsewhere::NotTried { possible: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::Elsewhere::{Failed, Gone, NotTried, Passed, Tried};
    use super::*;

    const FRESH: Elsewhere = NotTried { possible: true };
    const ALONE: Elsewhere = NotTried { possible: false };
    const TRIED: Elsewhere = Tried { possible: true };
    const BLAMED: Elsewhere = Passed { blamed: true };

    /// Failures in a row, by package base; their keys are their places.
    fn row(failures: &[(&str, Elsewhere)]) -> Vec<Failure<usize>> {
        let failures = failures.iter().enumerate();
        failures
            .map(|(key, (pkgbase, elsewhere))| Failure {
                key,
                pkgbase: (*pkgbase).to_owned(),
                in_a_row: true,
                elsewhere: *elsewhere,
            })
            .collect()
    }

    #[test]
    fn three_different_builds_in_a_row_make_a_worker_suspect() {
        let three = row(&[("a", FRESH), ("b", FRESH), ("c", FRESH)]);
        let elsewhere = vec![0, 1, 2];
        assert_eq!(
            next_step(Trust::Trusted, false, &three),
            Step::Suspect { elsewhere }
        );
        let same = row(&[("a", FRESH), ("b", FRESH), ("b", FRESH)]);
        assert_eq!(next_step(Trust::Trusted, false, &same), Step::Leave);
        let mut between = three;
        between[0].in_a_row = false;
        assert_eq!(next_step(Trust::Trusted, false, &between), Step::Leave);
    }

    #[test]
    fn without_another_worker_nobody_is_suspected() {
        let alone = row(&[("a", ALONE), ("b", ALONE), ("c", FRESH)]);
        assert_eq!(next_step(Trust::Trusted, false, &alone), Step::Leave);
        // What failed elsewhere as well, or is not built any more, says nothing about the worker.
        let spoilt = row(&[("a", Failed), ("b", Gone), ("c", FRESH), ("d", FRESH)]);
        assert_eq!(next_step(Trust::Trusted, false, &spoilt), Step::Leave);
    }

    #[test]
    fn failures_of_the_machinery_between_successes_prove_nothing() {
        let passed = Passed { blamed: false };
        let mut failures = row(&[("a", passed), ("b", passed), ("c", passed)]);
        assert!(matches!(
            next_step(Trust::Trusted, false, &failures),
            Step::SetAside { .. }
        ));
        failures[0].in_a_row = false;
        assert_eq!(next_step(Trust::Trusted, false, &failures), Step::Leave);
        // A package was blamed for it: that is put right.
        failures[0].elsewhere = BLAMED;
        assert!(matches!(
            next_step(Trust::Trusted, false, &failures),
            Step::SetAside { .. }
        ));
    }

    #[test]
    fn a_suspect_waits_for_what_comes_of_its_builds() {
        let waiting = row(&[("a", TRIED), ("b", BLAMED), ("c", BLAMED)]);
        assert_eq!(next_step(Trust::Suspected, false, &waiting), Step::Leave);
        let left = row(&[("a", Tried { possible: false }), ("b", Gone), ("c", Gone)]);
        assert_eq!(next_step(Trust::Suspected, false, &left), Step::Trust);
    }

    #[test]
    fn who_failed_what_others_pass_is_set_aside_and_its_other_failures_are_tried_too() {
        let mut failures = row(&[("a", BLAMED), ("b", BLAMED), ("c", BLAMED), ("d", FRESH)]);
        failures[3].in_a_row = false;
        let step = Step::SetAside {
            blamed: vec![0, 1, 2],
            elsewhere: vec![3],
        };
        assert_eq!(next_step(Trust::Suspected, false, &failures), step);
        // The same without a suspicion before: people had the builds tried again.
        assert_eq!(next_step(Trust::Trusted, false, &failures), step);
        for failure in &mut failures {
            failure.elsewhere = Passed { blamed: false };
        }
        assert_eq!(next_step(Trust::SetAside, false, &failures), Step::Leave);
    }

    #[test]
    fn the_last_active_worker_keeps_its_runs() {
        let failures = row(&[("a", BLAMED), ("b", BLAMED), ("c", BLAMED)]);
        assert_eq!(next_step(Trust::Trusted, true, &failures), Step::Leave);
        // One that gets nothing already is no help either way, and what it did is put right.
        let Step::SetAside { blamed, .. } = next_step(Trust::Suspected, true, &failures) else {
            panic!("it is proved to be at fault")
        };
        assert_eq!(blamed, [0, 1, 2]);
    }

    #[test]
    fn what_most_of_them_came_to_decides() {
        let worker = row(&[("a", BLAMED), ("b", BLAMED), ("c", Failed)]);
        let step = Step::SetAside {
            blamed: vec![0, 1],
            elsewhere: Vec::new(),
        };
        assert_eq!(next_step(Trust::Suspected, false, &worker), step);
        let packages = row(&[("a", BLAMED), ("b", Failed), ("c", Failed)]);
        assert_eq!(next_step(Trust::Suspected, false, &packages), Step::Trust);
        let all_failed = row(&[("a", Failed), ("b", Failed), ("c", Failed)]);
        assert_eq!(next_step(Trust::Suspected, false, &all_failed), Step::Trust);
    }
}
