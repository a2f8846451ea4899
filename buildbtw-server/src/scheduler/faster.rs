//! Which ready builds a worker leaves to a faster one: those that end sooner that way.
//!
//! That is the choice by earliest finish time of HEFT (Topcuoglu, Hariri, Wu 2002), made anew at each
//! request instead of once for all. A build that others wait for is not begun by a slow worker when a fast
//! one, that is about to be free, ends it sooner all the same; and near the end of all, a long one is not left
//! behind on the slowest.
//!
//! What the end of all does not wait for is begun by whoever asks, however slow, so that the fast ones are free when
//! something comes for which it does.
//!
//! Nothing waits for long: a build is left to others for no longer than it would have taken where it was
//! left, and to those who have a free slot only for some seconds. When its namespace has nothing else handed
//! out, it is left to nobody but those: so each link of a chain goes to the fastest that is idle, and no chain
//! stands still for the sake of one that is busy. Of more than [`WEIGHED`] ready builds one is always taken.

use std::collections::HashMap;

use buildbtw_api::{BuildPlace, WorkerMode};

use super::fits::misfit;
use super::{ReadyBuild, Speed, Workplace};

/// How many builds in the line are weighed; where more are ready, nobody leaves all of them.
pub const WEIGHED: usize = 64;

/// Whoever has a free slot asks within this time, or is not waited for, in milliseconds.
const ASKS_WITHIN_MS: i64 = 10_000;

/// What must be gained by waiting, beside how long the build takes where it would be left: one part of so many.
const GAIN: i64 = 10;

/// A build that ends within so large a part of the longest path that is left, with all that is behind it, is
/// begun by whoever asks. Durations are known within a factor of two, and of thousands of builds some are worse: with three
/// quarters a rebuild of 1,000 made-up packages on 256 workers took twice as long (`--bench makespan`).
const SPARE: (i64, i64) = (1, 4);

/// A build of which nothing is known is weighed as if it took so many times as long as is expected of it: for all
/// that is known it may, and among thousands one that takes an hour would be begun on a slow worker, for minutes
/// that a fast one is not free yet.
const UNKNOWN: i64 = 10;

/// Of a run that takes longer than expected, so large a part of its time so far is taken to be still to
/// come: one of so many. The times of builds have long tails.
const OVERDUE: i64 = 5;

/// The shortest and the longest time after which a choice is looked at again though nothing happened, in
/// milliseconds.
const AGAIN_MS: (i64, i64) = (1_000, 60_000);

/// What is expected of a run, in milliseconds on workers of speed one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// How long its build takes.
    pub own_ms: i64,
    /// The longest path behind it, to the end of its build set.
    pub behind_ms: i64,
    /// Its namespace.
    pub namespace: i64,
}

/// A run that a worker carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// For how long already, in milliseconds.
    pub elapsed_ms: i64,
    /// What is expected of it.
    pub expected: Expected,
}

impl UnderWay {
    /// How long it goes on, in milliseconds: at least a moment, so that a slot that is taken is no free one.
    pub(super) fn left_ms(&self, speed: Speed) -> i64 {
        let left = speed.takes(self.expected.own_ms) - self.elapsed_ms;
        left.max(self.elapsed_ms / OVERDUE).max(1)
    }
}

/// A build that is left to another worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The name of the faster worker.
    pub to: String,
    /// When that may be looked at again though nothing happened, in milliseconds from now.
    pub again_ms: i64,
}

/// A worker as others see it: when each of its slots is free.
struct Other<'a> {
    worker: &'a Workplace,
    /// In milliseconds from now; nothing where it is free.
    free_in: Vec<i64>,
}

impl<'a> Other<'a> {
    fn of(worker: &'a Workplace) -> Self {
        let runs = worker.under_way.iter();
        let mut free_in: Vec<i64> = runs.map(|run| run.left_ms(worker.speed)).collect();
        let slots = usize::try_from(worker.slots).unwrap_or(usize::MAX);
        free_in.sort_unstable();
        free_in.truncate(slots);
        // What carries out runs of which nothing else is known is not free for them.
        let taken = usize::try_from(worker.running).unwrap_or(usize::MAX);
        let free = slots.min(1_000).saturating_sub(taken.max(free_in.len()));
        free_in.splice(0..0, std::iter::repeat_n(0, free));
        Self { worker, free_in }
    }

    /// The first slot that can be reckoned with for a build that has been ready for some time.
    fn slot(&self, waited_ms: i64) -> Option<usize> {
        let waited_for = |at: &i64| *at > 0 || waited_ms < ASKS_WITHIN_MS;
        let slots = self.free_in.iter().enumerate();
        let slots = slots.filter(|(_, at)| waited_for(at));
        Some(slots.min_by_key(|(_, at)| **at)?.0)
    }
}

/// The longest path that is left to a namespace, in milliseconds: from what is ready, and through what is under way.
fn longest<K>(line: &[&ReadyBuild<K>], workers: &[Workplace], namespace: i64) -> i64 {
    let ready = line.iter().filter(|build| build.namespace == namespace);
    let ready = ready.map(|build| build.weight.remaining_ms);
    let under_way = workers.iter().flat_map(|worker| {
        let runs = worker.under_way.iter();
        let runs = runs.filter(|run| run.expected.namespace == namespace);
        runs.map(|run| {
            run.left_ms(worker.speed)
                .saturating_add(run.expected.behind_ms)
        })
    });
    ready.chain(under_way).max().unwrap_or(0)
}

/// For each of the first builds of a line, whether a worker that asks leaves it to a faster one. `alone`
/// says which namespaces have nothing handed out.
pub(super) fn left<K>(
    line: &[&ReadyBuild<K>],
    asks: &Workplace,
    workers: &[Workplace],
    alone: impl Fn(i64) -> bool,
) -> Vec<Option<Left>> {
    let faster = workers.iter().filter(|other| {
        other.key != asks.key
            && other.place == BuildPlace::Workers
            && other.mode == WorkerMode::Active
            && other.speed > asks.speed
    });
    let mut others: Vec<Other> = match asks.place {
        BuildPlace::Workers => faster.map(Other::of).collect(),
        BuildPlace::GitLab => Vec::new(),
    };
    // Looked at once a namespace: there may be many workers.
    let mut paths: HashMap<i64, i64> = HashMap::new();
    let weighed = line.iter().take(WEIGHED);
    weighed
        .map(|build| {
            if others.is_empty() || build.evidence {
                return None;
            }
            let alone = alone(build.namespace);
            let expected_ms = build.weight.own_ms;
            let own_ms = match build.weight.unknown {
                true => expected_ms.saturating_mul(UNKNOWN),
                false => expected_ms,
            };
            let here = asks.speed.takes(own_ms);
            if build.waited_ms >= here {
                return None;
            }
            // The end does not wait for it: the fast ones are kept for what it does wait for.
            let behind = (build.weight.remaining_ms - expected_ms).max(0);
            let path = paths
                .entry(build.namespace)
                .or_insert_with(|| longest(line, workers, build.namespace));
            let limit = *path / SPARE.1 * SPARE.0;
            if here.saturating_add(behind) <= limit {
                return None;
            }
            let ends = others.iter_mut().filter_map(|other| {
                let fits = misfit(&build.architecture, &build.requirements, other.worker);
                if fits.is_some() || build.failed_on.contains(&other.worker.key) {
                    return None;
                }
                let slot = other.slot(build.waited_ms)?;
                if alone && other.free_in[slot] > 0 {
                    return None;
                }
                let end = other.free_in[slot].saturating_add(other.worker.speed.takes(own_ms));
                Some((end, other, slot))
            });
            let (end, other, slot) = ends.min_by_key(|(end, ..)| *end)?;
            if end.saturating_add(here / GAIN) >= here {
                return None;
            }
            let free = other.free_in[slot];
            // What comes behind in the line cannot have the same slot, for as long as is expected.
            other.free_in[slot] = free.saturating_add(other.worker.speed.takes(expected_ms));
            let again_ms = match free {
                0 => ASKS_WITHIN_MS - build.waited_ms,
                busy => busy,
            };
            Some(Left {
                to: other.worker.name.clone(),
                again_ms: again_ms
                    .min(here - build.waited_ms)
                    .clamp(AGAIN_MS.0, AGAIN_MS.1),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
