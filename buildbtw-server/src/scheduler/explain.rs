//! Why a build is not running now: a pure function of what is known of it.

use buildbtw_api::builds::Neighbour;
use buildbtw_api::explanations::Explanation;
use buildbtw_api::modes::ServerModeNote;
use buildbtw_api::{
    BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass, ServerMode, WorkerMode,
};
use buildbtw_graph::Architecture;
use jiff::Timestamp;

use super::fits::{closest, misfit};
use super::{LONGEST_BACKOFF, Requirements, Workplace};

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
    pub architecture: Architecture,
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
    /// What it asks of a worker.
    pub requirements: Requirements,
    /// Workers on which the machinery failed it.
    pub failed_on: Vec<i64>,
    /// Whether the server hands out runs.
    pub server: ServerModeNote,
    /// The workers that were heard of lately.
    pub workers: Vec<Workplace>,
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
            // What is still to come at the front is no cause.
            causes: facts
                .front
                .into_iter()
                .filter(|build| {
                    !matches!(
                        build.status,
                        BuildStatus::Pending | BuildStatus::Scheduled | BuildStatus::Building
                    )
                })
                .collect(),
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
    if let Some(until) = facts.not_before.filter(|until| puts_off(*until, now)) {
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
    if facts.server.mode != ServerMode::Run {
        return Explanation::ServerHandsOutNothing {
            mode: facts.server.mode,
            message: facts.server.note.reason,
        };
    }
    for_want_of_a_worker(&facts)
}

/// Whether a time until which a build is put off still holds. One that lies further ahead than any
/// wait can be was set by a clock that ran ahead.
fn puts_off(until: Timestamp, now: Timestamp) -> bool {
    now < until && until.duration_since(now).unsigned_abs() <= LONGEST_BACKOFF
}

/// Why a build that could be handed out is not.
fn for_want_of_a_worker(facts: &Facts) -> Explanation {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    if facts.workers.is_empty() {
        return Explanation::NoWorker;
    }
    let misfits: Vec<_> = facts
        .workers
        .iter()
        .map(|worker| misfit(&facts.architecture, &facts.requirements, worker))
        .collect();
    let fitting: Vec<&Workplace> = facts
        .workers
        .iter()
        .zip(&misfits)
        .filter_map(|(worker, misfit)| misfit.is_none().then_some(worker))
        .collect();
    if fitting.is_empty() {
        return Explanation::NoFittingWorker {
            architecture: facts.architecture.to_string(),
            workers: count(facts.workers.len()),
            lacking: closest(misfits.into_iter().flatten()),
        };
    }
    let active: Vec<&Workplace> = fitting
        .iter()
        .copied()
        .filter(|worker| worker.mode == WorkerMode::Active)
        .collect();
    if active.is_empty() {
        return Explanation::WorkersNotActive {
            workers: fitting
                .iter()
                .map(|worker| format!("{} ({})", worker.name, worker.mode))
                .collect(),
        };
    }
    // Where it failed already it goes again only when no other can take it.
    let fresh = || {
        let active = active.iter();
        active.filter(|worker| !facts.failed_on.contains(&worker.key))
    };
    let takers: Vec<&Workplace> = match fresh().next() {
        Some(_) => fresh().copied().collect(),
        None => active,
    };
    let ahead = facts.ahead;
    if takers.iter().all(|worker| worker.running >= worker.slots) {
        let slots = takers.iter().map(|worker| worker.slots).sum();
        Explanation::WorkersBusy { slots, ahead }
    } else {
        Explanation::NextInLine { ahead }
    }
}

#[cfg(test)]
mod tests {
    use buildbtw_api::modes::ModeNote;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    fn worker(key: i64, name: &str, gibibytes: u64) -> Workplace {
        Workplace {
            key,
            name: name.to_owned(),
            architectures: vec!["x86_64".parse().unwrap()],
            slots: 2,
            running: 1,
            memory: Some(gibibytes << 30),
            labels: Vec::new(),
            mode: WorkerMode::Active,
        }
    }

    fn ready() -> Facts {
        Facts {
            status: BuildStatus::Pending,
            message: None,
            architecture: "x86_64".parse().unwrap(),
            refers_to: None,
            iteration: IterationStatus::Current,
            namespace: NamespaceStatus::Active,
            waits_for: 0,
            front: Vec::new(),
            run: None,
            class: None,
            not_before: None,
            equal_input: None,
            requirements: Requirements::default(),
            failed_on: Vec::new(),
            server: ServerModeNote {
                mode: ServerMode::Run,
                note: ModeNote::default(),
            },
            workers: vec![worker(1, "small", 16)],
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
            with(|facts| facts.architecture = "riscv64".parse().unwrap()),
            Explanation::NoFittingWorker {
                architecture: "riscv64".to_owned(),
                workers: 1,
                lacking: None,
            }
        );
        assert_eq!(with(|facts| facts.workers.clear()), Explanation::NoWorker);
    }

    #[test]
    fn what_no_worker_has_is_said_with_what_comes_closest() {
        let lacking = |change: fn(&mut Facts)| {
            let explanation = with(|facts| {
                facts.workers.push(worker(2, "tiny", 4));
                change(facts);
            });
            match explanation {
                Explanation::NoFittingWorker { lacking, .. } => lacking.unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            lacking(|facts| facts.requirements.memory = Some(32 << 30)),
            "it needs 32 GiB of memory; the largest worker has 16"
        );
        assert_eq!(
            lacking(|facts| facts.requirements.labels = vec!["kvm".to_owned()]),
            "no worker has the label kvm"
        );
    }

    #[test]
    fn modes_and_earlier_failures_leave_fewer_workers() {
        let aside = |facts: &mut Facts| facts.workers[0].mode = WorkerMode::SetAside;
        assert_eq!(
            with(aside),
            Explanation::WorkersNotActive {
                workers: vec!["small (set_aside)".to_owned()]
            }
        );
        let drained = |facts: &mut Facts| {
            facts.server.mode = ServerMode::Drain;
            facts.server.note.reason = Some("an update".to_owned());
        };
        assert_eq!(
            with(drained),
            Explanation::ServerHandsOutNothing {
                mode: ServerMode::Drain,
                message: Some("an update".to_owned())
            }
        );
        // The first worker is free, but it failed there, and the second one is not.
        let elsewhere = |facts: &mut Facts| {
            facts.failed_on = vec![1];
            facts.workers.push(Workplace {
                running: 2,
                ..worker(2, "other", 16)
            });
        };
        assert_eq!(
            with(elsewhere),
            Explanation::WorkersBusy { slots: 2, ahead: 3 }
        );
        assert_eq!(
            with(|facts| facts.failed_on = vec![1]),
            Explanation::NextInLine { ahead: 3 }
        );
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
            facts.front = vec![
                neighbour(BuildStatus::Building),
                neighbour(BuildStatus::Failed),
            ];
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
