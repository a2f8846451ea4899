//! What is said of builds in each situation.

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
        place: BuildPlace::Workers,
        speed: crate::scheduler::Speed::default(),
        under_way: Vec::new(),
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
        direct: Vec::new(),
        front: Vec::new(),
        suspects: Vec::new(),
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
        left_to: None,
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
        with(|facts| facts.left_to = Some("quick".to_owned())),
        Explanation::LeftToFaster {
            worker: "quick".to_owned(),
            ahead: 3
        }
    );
    assert_eq!(
        with(|facts| facts.workers[0].running = 2),
        Explanation::WorkersBusy {
            slots: 2,
            resting: 0,
            ahead: 3
        }
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
fn what_goes_to_gitlab_waits_for_pipelines_and_runners() {
    let there = |change: fn(&mut Facts)| {
        with(|facts| {
            facts.requirements.place = BuildPlace::GitLab;
            facts.workers.push(Workplace {
                place: BuildPlace::GitLab,
                running: 2,
                ..worker(0, "GitLab", 16)
            });
            change(facts);
        })
    };
    assert_eq!(
        there(|_| ()),
        Explanation::PipelinesOpen { limit: 2, ahead: 3 }
    );
    let nothing = there(|facts| facts.workers.truncate(1)).to_string();
    assert!(nothing.contains("hands nothing there"), "{nothing}");
    let pipeline = |status: Option<&str>, problem: Option<&str>| {
        let pipeline = RunPipeline {
            id: None,
            url: None,
            status: status.map(str::to_owned),
            since: None,
            commit: None,
            job_url: None,
            problem: problem.map(str::to_owned),
        };
        let run = OpenRun {
            worker: None,
            since: now(),
            publishing: false,
            pipeline: Some(pipeline),
        };
        let facts = |facts: &mut Facts| {
            facts.status = BuildStatus::Scheduled;
            facts.run = Some(run);
        };
        with(facts).to_string()
    };
    assert!(pipeline(None, None).contains("is being made"));
    assert!(pipeline(Some("hibernating"), None).contains("is hibernating"));
    assert!(pipeline(Some("pending"), Some("it is away")).contains("it is away"));
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
            workers: vec!["small (set aside)".to_owned()]
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
        Explanation::WorkersBusy {
            slots: 2,
            resting: 0,
            ahead: 3
        }
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
            direct: Vec::new(),
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
            pipeline: None,
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

#[test]
fn it_says_how_many_slots_get_nothing_and_that_its_worker_is_under_suspicion() {
    let busy = |facts: &mut Facts| {
        facts.workers[0].running = 2;
        facts.workers.push(Workplace {
            mode: WorkerMode::SetAside,
            ..worker(2, "aside", 16)
        });
    };
    let busy_alone = with(busy);
    let expected = Explanation::WorkersBusy {
        slots: 2,
        resting: 2,
        ahead: 3,
    };
    assert_eq!(busy_alone, expected);
    let said = busy_alone.to_string();
    assert!(
        said.contains("all 2 slots of the workers that get runs are taken (2 more slots get none)"),
        "{said}"
    );
    let tried = with(|facts| {
        busy(facts);
        facts.suspects = vec!["aside".to_owned()];
    });
    let said = tried.to_string();
    assert!(
        said.starts_with(
            "it may have failed by the fault of aside, and is tried on another worker next; all 2"
        ),
        "{said}"
    );
}

#[test]
fn it_names_what_it_waits_for_directly_and_what_that_waits_for() {
    let named = |name: &str, status| Neighbour {
        pkgbase: name.parse().unwrap(),
        ..neighbour(status)
    };
    let waits = |count: u32, direct: &[Neighbour], front: &[Neighbour]| {
        let explanation = with(|facts| {
            facts.status = BuildStatus::Blocked;
            facts.waits_for = count;
            facts.direct = direct.to_vec();
            facts.front = front.to_vec();
        });
        explanation.to_string()
    };
    let base = named("base", BuildStatus::Building);
    let link = named("link", BuildStatus::Blocked);
    let one = [base.clone()];
    assert_eq!(waits(1, &one, &one), "it waits for base (building)");
    assert_eq!(
        waits(1, std::slice::from_ref(&link), &one),
        "it waits for link, which waits for base (building)"
    );
    let other = named("other", BuildStatus::Pending);
    let both = [base.clone(), other];
    assert_eq!(
        waits(2, &both, &both),
        "it waits for base (building), other (pending)"
    );
    assert_eq!(
        waits(2, &[base.clone(), link], &one),
        "it waits for base (building), link (blocked); the first to end: base (building)"
    );
    assert_eq!(
        waits(9, &both, &both),
        "it waits for base (building), other (pending) and 7 more; the first to end: base (building), other (pending)"
    );
    // An older server names only the front.
    assert_eq!(
        waits(1, &[], &one),
        "it waits for 1 other build; the first to end: base (building)"
    );
}
