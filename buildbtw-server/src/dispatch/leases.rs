//! Leases: which worker may report from which run, and until when.
//!
//! They live in memory, by the monotonic clock, so that neither a heartbeat writes to the database
//! nor a jump of the wall clock ends a lease. What must survive a restart, that a run was handed
//! out under a fencing number, is in the database; after a restart every open run gets a fresh term.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use buildbtw_api::runs::Fence;
use buildbtw_api::workers::HeldRun;
use buildbtw_api::{RunId, WorkerId};

use crate::scheduler::{Expected, UnderWay};

/// How many ended runs are remembered with the reason for it.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Clone)]
struct Lease {
    worker: WorkerId,
    fence: Fence,
    deadline: Instant,
    /// Since when it is carried out, and what is expected of it, where that is known.
    expected: Option<(Instant, Expected)>,
}

#[derive(Debug, Default)]
struct State {
    leases: HashMap<RunId, Lease>,
    ended: HashMap<RunId, String>,
    seen: HashMap<WorkerId, (Instant, jiff::Timestamp)>,
}

/// The leases that are held.
#[derive(Debug)]
pub struct Leases {
    term: Duration,
    state: Mutex<State>,
}

impl Leases {
    /// No leases yet; each will last for `term` without a heartbeat.
    pub fn new(term: Duration) -> Self {
        Self {
            term,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the maps whole: every change below is one insertion or removal.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a worker the right to report from a run, from now on.
    pub fn grant(&self, run: RunId, worker: WorkerId, fence: Fence, now: Instant) {
        let deadline = now + self.term;
        let mut state = self.state();
        let before = state.leases.get(&run).and_then(|lease| lease.expected);
        state.leases.insert(
            run,
            Lease {
                worker,
                fence,
                deadline,
                expected: before,
            },
        );
    }

    /// Notes what is expected of a run.
    pub fn expect(&self, run: RunId, since: Instant, expected: Expected) {
        if let Some(lease) = self.state().leases.get_mut(&run) {
            lease.expected = Some((since, expected));
        }
    }

    /// What the workers carry out now.
    pub fn under_way(&self, now: Instant) -> HashMap<WorkerId, Vec<UnderWay>> {
        let mut under_way: HashMap<WorkerId, Vec<UnderWay>> = HashMap::new();
        for lease in self.state().leases.values() {
            let (since, expected) = lease.expected.unwrap_or((now, Expected::default()));
            let elapsed = now.saturating_duration_since(since).as_millis();
            under_way.entry(lease.worker).or_default().push(UnderWay {
                elapsed_ms: i64::try_from(elapsed).unwrap_or(i64::MAX),
                expected,
            });
        }
        under_way
    }

    /// Ends a lease; the worker is told the reason at its next heartbeat.
    pub fn end(&self, run: RunId, reason: &str) {
        let mut state = self.state();
        state.leases.remove(&run);
        if state.ended.len() >= REMEMBERED {
            state.ended.clear();
        }
        state.ended.insert(run, reason.to_owned());
    }

    /// Whether reports under that number are still taken.
    pub fn is_held(&self, run: RunId, fence: Fence) -> bool {
        self.state()
            .leases
            .get(&run)
            .is_some_and(|lease| lease.fence == fence)
    }

    /// A sign of life: renews the worker's leases on the runs it names and hands back those it must
    /// stop, with the reason.
    pub fn renew(&self, worker: WorkerId, held: &[HeldRun], now: Instant) -> Vec<(RunId, String)> {
        let deadline = now + self.term;
        let mut state = self.state();
        state.seen.insert(worker, (now, crate::clock::now()));
        let mut stop = Vec::new();
        for HeldRun { run, fence } in held {
            match state.leases.get_mut(run) {
                Some(lease) if lease.fence == *fence && lease.worker == worker => {
                    lease.deadline = deadline
                }
                _ => {
                    let reason = state.ended.get(run).cloned();
                    stop.push((
                        *run,
                        reason.unwrap_or_else(|| "the run was taken away".to_owned()),
                    ));
                }
            }
        }
        stop
    }

    /// Notes that a worker was heard of.
    pub fn note_seen(&self, worker: WorkerId, now: Instant) {
        self.state().seen.insert(worker, (now, crate::clock::now()));
    }

    /// A worker left: it counts as one that was not heard of.
    pub fn forget(&self, worker: WorkerId) {
        self.state().seen.remove(&worker);
    }

    /// When a worker was last heard of since the server started.
    pub fn seen_at(&self, worker: WorkerId) -> Option<jiff::Timestamp> {
        self.state().seen.get(&worker).map(|(_, at)| *at)
    }

    /// Whether a worker was heard of within one term.
    pub fn is_alive(&self, worker: WorkerId, now: Instant) -> bool {
        let state = self.state();
        let seen = state.seen.get(&worker);
        seen.is_some_and(|(at, _)| now.duration_since(*at) <= self.term)
    }

    /// How many workers were heard of within one term.
    pub fn workers_alive(&self, now: Instant) -> u32 {
        let count = self
            .state()
            .seen
            .values()
            .filter(|(at, _)| now.duration_since(*at) <= self.term)
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The runs of a worker.
    pub fn of_worker(&self, worker: WorkerId) -> Vec<RunId> {
        let mut runs: Vec<RunId> = self
            .state()
            .leases
            .iter()
            .filter(|(_, lease)| lease.worker == worker)
            .map(|(run, _)| *run)
            .collect();
        runs.sort();
        runs
    }

    /// The leases whose term is over at a time. They stay until they are ended.
    pub fn expired(&self, now: Instant) -> Vec<(RunId, WorkerId)> {
        let mut runs: Vec<_> = self
            .state()
            .leases
            .iter()
            .filter(|(_, lease)| lease.deadline <= now)
            .map(|(run, lease)| (*run, lease.worker))
            .collect();
        runs.sort();
        runs
    }

    /// When the next lease ends unless it is renewed.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.state()
            .leases
            .values()
            .map(|lease| lease.deadline)
            .min()
    }

    /// How long a lease lasts.
    pub fn term(&self) -> Duration {
        self.term
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(60);

    #[test]
    fn a_lease_ends_after_its_term_unless_it_is_renewed() {
        let leases = Leases::new(TERM);
        let (run, worker, start) = (RunId::generate(), WorkerId::generate(), Instant::now());
        leases.grant(run, worker, Fence(1), start);
        assert!(leases.expired(start + TERM / 2).is_empty());
        let held = HeldRun {
            run,
            fence: Fence(1),
        };
        assert!(leases.renew(worker, &[held], start + TERM / 2).is_empty());
        assert!(leases.expired(start + TERM).is_empty());
        assert_eq!(leases.expired(start + TERM * 2), [(run, worker)]);
    }

    #[test]
    fn an_old_number_or_another_worker_renews_nothing_and_is_told_to_stop() {
        let leases = Leases::new(TERM);
        let (run, worker, start) = (RunId::generate(), WorkerId::generate(), Instant::now());
        leases.grant(run, worker, Fence(2), start);
        assert_eq!(
            leases
                .renew(
                    worker,
                    &[HeldRun {
                        run,
                        fence: Fence(1)
                    }],
                    start
                )
                .len(),
            1
        );
        assert_eq!(
            leases
                .renew(
                    WorkerId::generate(),
                    &[HeldRun {
                        run,
                        fence: Fence(2)
                    }],
                    start
                )
                .len(),
            1
        );
        assert!(!leases.is_held(run, Fence(1)));
        assert!(leases.is_held(run, Fence(2)));
    }

    #[test]
    fn what_is_expected_of_a_run_outlives_the_renewal_of_its_lease() {
        let leases = Leases::new(TERM);
        let (run, worker, start) = (RunId::generate(), WorkerId::generate(), Instant::now());
        leases.grant(run, worker, Fence(1), start);
        let expected = Expected {
            own_ms: 7_000,
            ..Expected::default()
        };
        leases.expect(run, start, expected);
        leases.grant(run, worker, Fence(1), start + TERM / 2);
        let elapsed_ms = 60_000;
        let under_way = UnderWay {
            elapsed_ms,
            expected,
        };
        assert_eq!(leases.under_way(start + TERM)[&worker], [under_way]);
        leases.end(run, "it is over");
        assert!(leases.under_way(start + TERM).is_empty());
    }

    #[test]
    fn the_reason_for_an_end_is_passed_on() {
        let leases = Leases::new(TERM);
        let (run, worker, start) = (RunId::generate(), WorkerId::generate(), Instant::now());
        leases.grant(run, worker, Fence(1), start);
        leases.end(run, "the namespace was cancelled");
        let stop = leases.renew(
            worker,
            &[HeldRun {
                run,
                fence: Fence(1),
            }],
            start,
        );
        assert_eq!(stop, [(run, "the namespace was cancelled".to_owned())]);
    }
}
