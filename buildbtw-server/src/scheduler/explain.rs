//! Why a build is not running now: a pure function of what is known of it.

use buildbtw_api::builds::Neighbour;
use buildbtw_api::explanations::Explanation;
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass};
use jiff::Timestamp;

/// A worker that was heard of lately.
#[derive(Debug, Clone)]
pub struct LiveWorker {
    /// The architectures it builds for.
    pub architectures: Vec<String>,
    /// How many runs it carries out at once.
    pub slots: u32,
    /// How many it carries out now.
    pub running: u32,
}

/// A run that is not over.
#[derive(Debug, Clone)]
pub struct OpenRun {
    /// The name of its worker.
    pub worker: Option<String>,
    /// When it was handed out.
    pub since: Timestamp,
    /// Whether its packages wait to be published.
    pub publishing: bool,
}

/// All that is known of a build.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where it stands.
    pub status: BuildStatus,
    /// Why, where that was said.
    pub message: Option<String>,
    /// Its architecture.
    pub architecture: String,
    /// The architecture whose build it stands for.
    pub refers_to: Option<String>,
    /// Where its iteration stands.
    pub iteration: IterationStatus,
    /// Where its namespace stands.
    pub namespace: NamespaceStatus,
    /// How many needs are not met.
    pub waits_for: u32,
    /// The builds at the front of its chains, or those that its failure comes from.
    pub front: Vec<Neighbour>,
    /// Its run, while it is not over.
    pub run: Option<OpenRun>,
    /// How its last run ended.
    pub class: Option<OutcomeClass>,
    /// Not handed out before this time.
    pub not_before: Option<Timestamp>,
    /// Namespace and iteration of another build of an equal input that is under way.
    pub equal_input: Option<(String, u32)>,
    /// The workers that were heard of lately.
    pub workers: Vec<LiveWorker>,
    /// How many ready builds come before it.
    pub ahead: u32,
}

/// Says why a build stands where it stands.
pub fn explain(facts: Facts, now: Timestamp) -> Explanation {
    let message = facts.message.clone();
    match facts.status {
        BuildStatus::Built | BuildStatus::Reused | BuildStatus::Waived => Explanation::Done {
            status: facts.status,
            message,
        },
        BuildStatus::Failed => Explanation::Failed {
            class: facts.class,
            message,
        },
        BuildStatus::Unbuildable => Explanation::Unbuildable { message },
        BuildStatus::DependencyFailed => Explanation::DependencyFailed {
            causes: facts.front,
        },
        BuildStatus::Scheduled | BuildStatus::Building => match facts.run {
            Some(run) if run.publishing => Explanation::Publishing,
            Some(run) => Explanation::Running {
                worker: run.worker,
                since: run.since,
            },
            // Between the end of a run and what follows from it there is a moment.
            None => Explanation::Publishing,
        },
        BuildStatus::Cancelled if facts.iteration == IterationStatus::Superseded => {
            Explanation::Superseded
        }
        BuildStatus::Cancelled => match facts.namespace {
            NamespaceStatus::Active | NamespaceStatus::Finished => {
                Explanation::Cancelled { message }
            }
            status => Explanation::NotActive { status },
        },
        BuildStatus::Blocked | BuildStatus::Pending => waiting(facts, now),
    }
}

fn waiting(facts: Facts, now: Timestamp) -> Explanation {
    if facts.iteration != IterationStatus::Current {
        return Explanation::Superseded;
    }
    if !matches!(
        facts.namespace,
        NamespaceStatus::Active | NamespaceStatus::Finished
    ) {
        return Explanation::NotActive {
            status: facts.namespace,
        };
    }
    if facts.waits_for > 0 {
        return Explanation::WaitsForBuilds {
            count: facts.waits_for,
            front: facts.front,
        };
    }
    if let Some(architecture) = facts.refers_to {
        return Explanation::WaitsForArchitecture { architecture };
    }
    if let Some(until) = facts.not_before.filter(|until| *until > now) {
        return Explanation::PutOff {
            until,
            message: facts.message,
        };
    }
    if let Some((namespace, iteration)) = facts.equal_input {
        return Explanation::WaitsForEqualInput {
            namespace,
            iteration,
        };
    }
    if facts.workers.is_empty() {
        return Explanation::NoWorker;
    }
    let fitting = || {
        let workers = facts.workers.iter();
        workers.filter(|worker| worker.architectures.contains(&facts.architecture))
    };
    let slots: u32 = fitting().map(|worker| worker.slots).sum();
    if slots == 0 {
        return Explanation::NoFittingWorker {
            architecture: facts.architecture,
            workers: u32::try_from(facts.workers.len()).unwrap_or(u32::MAX),
        };
    }
    let ahead = facts.ahead;
    if fitting().all(|worker| worker.running >= worker.slots) {
        Explanation::WorkersBusy { slots, ahead }
    } else {
        Explanation::NextInLine { ahead }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    fn ready() -> Facts {
        Facts {
            status: BuildStatus::Pending,
            message: None,
            architecture: "x86_64".to_owned(),
            refers_to: None,
            iteration: IterationStatus::Current,
            namespace: NamespaceStatus::Active,
            waits_for: 0,
            front: Vec::new(),
            run: None,
            class: None,
            not_before: None,
            equal_input: None,
            workers: vec![LiveWorker {
                architectures: vec!["x86_64".to_owned()],
                slots: 2,
                running: 1,
            }],
            ahead: 3,
        }
    }

    fn neighbour(status: BuildStatus) -> Neighbour {
        Neighbour {
            pkgbase: "lib".parse().unwrap(),
            pass: 1,
            status,
            relation: "lib".to_owned(),
            dropped: false,
        }
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Explanation {
        let mut facts = ready();
        change(&mut facts);
        explain(facts, now())
    }

    #[test]
    fn a_ready_build_waits_for_a_worker_that_fits_and_is_free() {
        assert_eq!(with(|_| ()), Explanation::NextInLine { ahead: 3 });
        assert_eq!(
            with(|facts| facts.workers[0].running = 2),
            Explanation::WorkersBusy { slots: 2, ahead: 3 }
        );
        assert_eq!(
            with(|facts| facts.architecture = "riscv64".to_owned()),
            Explanation::NoFittingWorker {
                architecture: "riscv64".to_owned(),
                workers: 1
            }
        );
        assert_eq!(with(|facts| facts.workers.clear()), Explanation::NoWorker);
    }

    #[test]
    fn what_keeps_it_from_being_handed_out_comes_first() {
        let blocked = |facts: &mut Facts| {
            facts.status = BuildStatus::Blocked;
            facts.waits_for = 2;
            facts.front = vec![neighbour(BuildStatus::Building)];
        };
        assert_eq!(
            with(blocked),
            Explanation::WaitsForBuilds {
                count: 2,
                front: vec![neighbour(BuildStatus::Building)]
            }
        );
        assert_eq!(
            with(|facts| facts.refers_to = Some("x86_64".to_owned())),
            Explanation::WaitsForArchitecture {
                architecture: "x86_64".to_owned()
            }
        );
        let later = Timestamp::from_second(1_060).unwrap();
        assert_eq!(
            with(|facts| facts.not_before = Some(later)),
            Explanation::PutOff {
                until: later,
                message: None
            }
        );
        let earlier = Timestamp::from_second(940).unwrap();
        assert_eq!(
            with(|facts| facts.not_before = Some(earlier)),
            Explanation::NextInLine { ahead: 3 }
        );
        assert_eq!(
            with(|facts| facts.equal_input = Some(("other".to_owned(), 4))),
            Explanation::WaitsForEqualInput {
                namespace: "other".to_owned(),
                iteration: 4
            }
        );
        assert_eq!(
            with(|facts| facts.namespace = NamespaceStatus::Paused),
            Explanation::NotActive {
                status: NamespaceStatus::Paused
            }
        );
        assert_eq!(
            with(|facts| facts.iteration = IterationStatus::Superseded),
            Explanation::Superseded
        );
    }

    #[test]
    fn what_is_handed_out_or_over_says_so() {
        let run = |publishing| {
            Some(OpenRun {
                worker: Some("w".to_owned()),
                since: now(),
                publishing,
            })
        };
        let building = |publishing| {
            with(|facts| {
                facts.status = BuildStatus::Building;
                facts.run = run(publishing);
            })
        };
        assert_eq!(
            building(false),
            Explanation::Running {
                worker: Some("w".to_owned()),
                since: now()
            }
        );
        assert_eq!(building(true), Explanation::Publishing);
        assert_eq!(
            with(|facts| facts.status = BuildStatus::Reused),
            Explanation::Done {
                status: BuildStatus::Reused,
                message: None
            }
        );
        let failed = |facts: &mut Facts| {
            facts.status = BuildStatus::Failed;
            facts.class = Some(OutcomeClass::Timeout);
        };
        assert_eq!(
            with(failed),
            Explanation::Failed {
                class: Some(OutcomeClass::Timeout),
                message: None
            }
        );
        let dependency = |facts: &mut Facts| {
            facts.status = BuildStatus::DependencyFailed;
            facts.front = vec![neighbour(BuildStatus::Failed)];
        };
        assert_eq!(
            with(dependency),
            Explanation::DependencyFailed {
                causes: vec![neighbour(BuildStatus::Failed)]
            }
        );
        assert_eq!(
            with(|facts| facts.status = BuildStatus::Unbuildable),
            Explanation::Unbuildable { message: None }
        );
    }

    #[test]
    fn a_cancelled_build_says_what_would_bring_it_back() {
        let cancelled = |change: fn(&mut Facts)| {
            with(|facts| {
                facts.status = BuildStatus::Cancelled;
                change(facts);
            })
        };
        assert_eq!(
            cancelled(|facts| facts.namespace = NamespaceStatus::Cancelled),
            Explanation::NotActive {
                status: NamespaceStatus::Cancelled
            }
        );
        assert_eq!(
            cancelled(|facts| facts.iteration = IterationStatus::Superseded),
            Explanation::Superseded
        );
        assert_eq!(cancelled(|_| ()), Explanation::Cancelled { message: None });
    }
}
