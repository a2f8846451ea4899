//! The runs that are carried out here: what heartbeats name, and how a run is stopped from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildbtw_api::RunId;
use buildbtw_api::runs::Fence;
use buildbtw_api::workers::HeldRun;
use tokio_util::sync::CancellationToken;

/// Why a run is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It is not this worker's any more, in the server's words: nothing more is reported.
    Lost(String),
    /// Whoever carries it out ends in order: the run is given back, and that is nobody's failure. Why,
    /// in words for the server.
    GivenBack(String),
    /// Whoever carries it out was made to end: the machinery failed. Why, in words for the server.
    Shutdown(String),
}

#[derive(Debug)]
struct Entry {
    fence: Fence,
    build: CancellationToken,
    lost: CancellationToken,
    stop: Option<Stop>,
    finishing: bool,
}

/// The runs that are carried out here.
#[derive(Debug, Default)]
pub struct HeldRuns {
    entries: Mutex<BTreeMap<RunId, Entry>>,
}

impl HeldRuns {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<RunId, Entry>> {
        // A panic elsewhere leaves the map whole: every change below is one insertion or removal.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a run until the returned value is dropped; `None` if it is held already.
    pub fn hold(self: &Arc<Self>, run: RunId, fence: Fence) -> Option<Hold> {
        let mut entries = self.entries();
        if entries.contains_key(&run) {
            return None;
        }
        let lost = CancellationToken::new();
        let build = lost.child_token();
        let entry = Entry {
            fence,
            build: build.clone(),
            lost: lost.clone(),
            stop: None,
            finishing: false,
        };
        entries.insert(run, entry);
        Some(Hold {
            all: Arc::clone(self),
            run,
            fence,
            build,
            lost,
        })
    }

    /// The runs, for a heartbeat.
    pub fn list(&self) -> Vec<HeldRun> {
        self.entries()
            .iter()
            .map(|(run, entry)| HeldRun {
                run: *run,
                fence: entry.fence,
            })
            .collect()
    }

    /// Stops one run. The first reason stays, but for one: a run that is taken away while the
    /// program ends need not be given back.
    pub fn stop(&self, run: RunId, why: Stop) {
        if let Some(entry) = self.entries().get_mut(&run) {
            entry.stop(why);
        }
    }

    /// The program ends in order: stops every run, to be built elsewhere or later.
    pub fn give_back(&self, why: &str) {
        for entry in self.entries().values_mut() {
            entry.stop(Stop::GivenBack(why.to_owned()));
        }
    }

    /// The program is made to end: stops every run.
    pub fn shut_down(&self, why: &str) {
        for entry in self.entries().values_mut() {
            entry.stop(Stop::Shutdown(why.to_owned()));
        }
    }

    /// The program ends and the server cannot be reached: gives up every report, also the last one.
    pub fn abandon(&self) {
        for entry in self.entries().values_mut() {
            entry.finishing = false;
            entry.stop(Stop::Lost("the server could not be reached".to_owned()));
        }
    }

    /// The server did not name this run among those that may go on.
    pub fn give_up(&self, run: RunId) {
        self.stop(run, Stop::Lost("the server gave the run up".to_owned()));
    }
}

impl Entry {
    fn stop(&mut self, why: Stop) {
        // Its report is on the way, and the server's answer to that says more than a heartbeat
        // that may have crossed it.
        if self.finishing {
            return;
        }
        match (&self.stop, &why) {
            (None, _) | (Some(Stop::GivenBack(_) | Stop::Shutdown(_)), Stop::Lost(_)) => {}
            _ => return,
        }
        match why {
            Stop::Lost(_) => self.lost.cancel(),
            Stop::GivenBack(_) | Stop::Shutdown(_) => self.build.cancel(),
        }
        self.stop = Some(why);
    }
}

/// The right to report from a run.
#[derive(Debug)]
pub struct Hold {
    all: Arc<HeldRuns>,
    /// The run.
    pub run: RunId,
    /// The number to report under.
    pub fence: Fence,
    /// Cancelled when the build must end.
    pub build: CancellationToken,
    /// Cancelled when nothing may be reported any more.
    pub lost: CancellationToken,
}

impl Hold {
    /// Why the run was stopped, if it was.
    pub fn stopped(&self) -> Option<Stop> {
        self.all.entries().get(&self.run)?.stop.clone()
    }

    /// The server refused a report: the run is another's.
    pub fn lose(&self) {
        let reason = "a report was refused: the run was taken away".to_owned();
        self.all.stop(self.run, Stop::Lost(reason));
    }

    /// The run's ending is being reported: from now on only the answer to that counts.
    pub fn begin_finish(&self) {
        if let Some(entry) = self.all.entries().get_mut(&self.run) {
            entry.finishing = true;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.all.entries().remove(&self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(held: &Arc<HeldRuns>) -> Hold {
        held.hold(RunId::generate(), Fence(7)).unwrap()
    }

    #[test]
    fn a_run_is_named_as_long_as_it_is_held() {
        let held = Arc::new(HeldRuns::default());
        let one = hold(&held);
        assert_eq!(
            held.list(),
            [HeldRun {
                run: one.run,
                fence: Fence(7)
            }]
        );
        assert!(held.hold(one.run, Fence(8)).is_none());
        drop(one);
        assert!(held.list().is_empty());
    }

    #[test]
    fn a_shutdown_ends_the_build_but_not_the_reports() {
        let held = Arc::new(HeldRuns::default());
        let one = hold(&held);
        held.give_back("the end");
        assert!(one.build.is_cancelled());
        assert!(!one.lost.is_cancelled());
        held.stop(one.run, Stop::Lost("cancelled".into()));
        assert!(one.lost.is_cancelled());
        assert_eq!(one.stopped(), Some(Stop::Lost("cancelled".into())));
        held.shut_down("the end");
        assert_eq!(one.stopped(), Some(Stop::Lost("cancelled".into())));
    }

    #[test]
    fn one_run_is_stopped_and_no_other() {
        let held = Arc::new(HeldRuns::default());
        let (known, unknown) = (hold(&held), hold(&held));
        held.give_up(unknown.run);
        assert!(!known.build.is_cancelled());
        assert!(unknown.build.is_cancelled());
        assert!(unknown.lost.is_cancelled());
    }

    #[test]
    fn a_stop_that_crosses_the_last_report_is_ignored() {
        let held = Arc::new(HeldRuns::default());
        let one = hold(&held);
        one.begin_finish();
        held.stop(one.run, Stop::Lost("over".into()));
        assert!(!one.lost.is_cancelled());
    }
}
