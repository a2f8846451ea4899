//! Which build a worker gets in each situation.

use proptest::prelude::*;

use super::*;

fn build(key: u32, namespace: i64, remaining_ms: i64) -> ReadyBuild<u32> {
    ReadyBuild {
        key,
        architecture: "x86_64".parse().unwrap(),
        namespace,
        weight: Weight {
            remaining_ms,
            ..Weight::default()
        },
        ready_since: 1,
        waited_ms: 0,
        requirements: Requirements::default(),
        failed_on: Vec::new(),
        evidence: false,
    }
}

fn worker(key: i64) -> Workplace {
    Workplace {
        key,
        name: format!("worker {key}"),
        architectures: vec!["x86_64".parse().unwrap()],
        slots: 1,
        running: 0,
        memory: Some(16 << 30),
        labels: Vec::new(),
        mode: WorkerMode::Active,
        place: BuildPlace::Workers,
        speed: Speed::default(),
        under_way: Vec::new(),
    }
}

fn situation(ready: Vec<ReadyBuild<u32>>, shares: &[(i64, Share)]) -> Situation<u32> {
    Situation {
        mode: ServerMode::Run,
        ready,
        shares: shares.iter().copied().collect(),
        virtual_time: 0,
        workers: vec![worker(1), worker(2)],
        more: false,
    }
}

fn share(running: u32, weight: u32, served: i64) -> Share {
    Share {
        running,
        weight,
        served,
    }
}

#[test]
fn a_small_namespace_is_served_beside_a_large_one() {
    let ready = vec![build(1, 1, 99), build(2, 1, 90), build(3, 2, 5)];
    let situation = situation(ready, &[(1, share(4, 1, 0))]);
    assert_eq!(situation.candidates(&worker(1)), Ok(vec![3, 1, 2]));
}

#[test]
fn with_as_many_slots_who_was_served_least_comes_first() {
    let ready = vec![build(1, 1, 99), build(2, 2, 5)];
    let situation = situation(ready, &[(1, share(0, 1, 70)), (2, share(0, 1, 60))]);
    assert_eq!(situation.candidates(&worker(1)), Ok(vec![2, 1]));
}

#[test]
fn nobody_saves_up_turns() {
    let ready = vec![build(1, 1, 99), build(2, 2, 5)];
    let mut situation = situation(ready, &[(1, share(0, 1, 1_000)), (2, share(0, 1, 0))]);
    situation.virtual_time = 1_000;
    situation.ready[1].weight.own_ms = 10;
    assert_eq!(situation.account(2), Some((1_010, 1_000)));
}

#[test]
fn the_longest_path_comes_first_then_what_most_wait_for_then_age() {
    let mut ready = vec![
        build(1, 1, 5),
        build(2, 1, 9),
        build(3, 1, 5),
        build(4, 1, 5),
    ];
    ready[2].weight.unlocks = 7;
    ready[3].ready_since = 0;
    let situation = situation(ready, &[]);
    assert_eq!(situation.candidates(&worker(1)), Ok(vec![2, 3, 4, 1]));
}

#[test]
fn a_worker_gets_only_what_it_can_carry_out_and_is_told_what_it_lacks() {
    let lacks = |change: fn(&mut ReadyBuild<u32>)| {
        let mut build = build(1, 1, 0);
        change(&mut build);
        situation(vec![build], &[]).candidates(&worker(1))
    };
    let foreign = lacks(|build| build.architecture = "aarch64".parse().unwrap());
    let expected = Misfit::Architecture("aarch64".parse().unwrap());
    assert_eq!(foreign, Err(Idle::NothingFits(expected)));
    let label = lacks(|build| build.requirements.labels = vec!["kvm".to_owned()]);
    assert_eq!(
        label,
        Err(Idle::NothingFits(Misfit::Label("kvm".to_owned())))
    );
    let memory = lacks(|build| build.requirements.memory = Some(32 << 30));
    let Err(Idle::NothingFits(misfit)) = memory else {
        panic!("{memory:?}");
    };
    assert_eq!(
        misfit.to_string(),
        "it has 16 GiB of memory, and 32 are needed"
    );
    assert_eq!(
        situation(Vec::new(), &[]).candidates(&worker(1)),
        Err(Idle::NothingReady)
    );
}

#[test]
fn what_goes_to_gitlab_goes_to_no_worker_and_the_other_way_round() {
    let mut there = build(1, 1, 5);
    there.requirements.place = BuildPlace::GitLab;
    let situation = situation(vec![there, build(2, 1, 9)], &[]);
    let fleet = Workplace {
        place: BuildPlace::GitLab,
        ..worker(3)
    };
    assert_eq!(situation.candidates(&worker(1)), Ok(vec![2]));
    assert_eq!(situation.candidates(&fleet), Ok(vec![1]));
}

#[test]
fn nothing_is_handed_out_against_a_mode() {
    let mut situation = situation(vec![build(1, 1, 0)], &[]);
    for mode in [
        WorkerMode::Draining,
        WorkerMode::Paused,
        WorkerMode::SetAside,
    ] {
        let other = Workplace { mode, ..worker(1) };
        assert_eq!(situation.candidates(&other), Err(Idle::Worker(mode)));
    }
    for mode in [ServerMode::Drain, ServerMode::Stopped] {
        situation.mode = mode;
        assert_eq!(situation.candidates(&worker(1)), Err(Idle::Server(mode)));
    }
}

#[test]
fn what_failed_on_a_worker_is_left_to_others_while_there_are_any() {
    let mut build = build(1, 1, 0);
    build.failed_on = vec![1];
    let mut situation = situation(vec![build], &[]);
    assert_eq!(situation.candidates(&worker(1)), Err(Idle::LeftToOthers));
    assert_eq!(situation.candidates(&worker(2)), Ok(vec![1]));
    situation.workers[1].mode = WorkerMode::Paused;
    assert_eq!(situation.candidates(&worker(1)), Ok(vec![1]));
    situation.workers[1].mode = WorkerMode::Active;
    situation.ready[0].failed_on = vec![1, 2];
    assert_eq!(situation.candidates(&worker(1)), Ok(vec![1]));
}

#[test]
fn what_is_evidence_about_a_worker_comes_first_and_namespaces_take_turns() {
    let mut ready: Vec<_> = (1..=6).map(|key| build(key, 1, 9)).collect();
    ready.extend((7..=9).map(|key| build(key, 2, 5)));
    ready[5].weight.remaining_ms = 0;
    ready[5].evidence = true;
    let situation = situation(ready, &[(1, share(1, 1, 0)), (2, share(0, 1, 0))]);
    assert_eq!(situation.candidates(&worker(1)).unwrap()[0], 6);
    assert_eq!(situation.line(None), [6, 7, 8, 1, 9, 2, 3, 4, 5]);
}

/// Hands out builds of namespaces that always have one ready: each step frees the slot of the
/// oldest run and hands it out again. What was handed out, by namespace, in order, comes back.
fn hand_out(weights: &[u32], slots: usize, costs: &[i64], steps: usize) -> Vec<i64> {
    let mut shares: HashMap<i64, Share> = (0..)
        .zip(weights)
        .map(|(namespace, weight)| (namespace, share(0, *weight, 0)))
        .collect();
    let mut virtual_time = 0;
    let mut running = std::collections::VecDeque::new();
    let mut order = Vec::new();
    for step in 0..steps {
        if running.len() == slots {
            let ended = running.pop_front().unwrap();
            shares.get_mut(&ended).unwrap().running -= 1;
        }
        let ready = shares.keys().map(|namespace| build(0, *namespace, 0));
        let ready = ready.map(|build| ReadyBuild {
            key: u32::try_from(build.namespace).unwrap(),
            ..build
        });
        let mut now = situation(ready.collect(), &[]);
        now.shares = shares.clone();
        now.virtual_time = virtual_time;
        for build in &mut now.ready {
            build.weight.own_ms = costs[step % costs.len()];
        }
        let key = now.candidates(&worker(1)).unwrap()[0];
        let next = i64::from(key);
        let own = shares.get_mut(&next).unwrap();
        (own.served, virtual_time) = now.account(key).unwrap();
        own.running += 1;
        running.push_back(next);
        order.push(next);
    }
    order
}

proptest! {
    /// The bound on waiting: a namespace that has nothing handed out gets one of the next slots
    /// that are freed, at the latest after each other such namespace had one.
    #[test]
    fn who_has_nothing_waits_for_no_more_slots_than_there_are_namespaces(
        large in 1_u32..200,
        served in 0_i64..1_000_000_000,
        newcomers in 1_usize..5,
    ) {
        let mut shares = vec![(0, share(large, 1, served))];
        shares.extend((1..=newcomers).map(|namespace| (i64::try_from(namespace).unwrap(), share(0, 1, 0))));
        let ready = |namespace: i64| build(u32::try_from(namespace).unwrap(), namespace, 1_000_000 * i64::from(namespace == 0));
        let mut first = Vec::new();
        for _ in 0..newcomers {
            let ready: Vec<_> = shares.iter().map(|(namespace, _)| ready(*namespace)).collect();
            let next = situation(ready, &shares).candidates(&worker(1)).unwrap()[0];
            let place = usize::try_from(next).unwrap();
            shares[place].1.running += 1;
            first.push(next);
        }
        first.sort_unstable();
        let expected: Vec<u32> = (1..=u32::try_from(newcomers).unwrap()).collect();
        prop_assert_eq!(first, expected);
    }

    /// Over a long time every namespace gets its share of the slots, whatever its builds cost.
    #[test]
    fn slots_are_shared_by_weight(
        weights in prop::collection::vec(1_u32..5, 2..5),
        per_weight in 1_usize..4,
    ) {
        let total: u32 = weights.iter().sum();
        let slots = per_weight * usize::try_from(total).unwrap();
        let order = hand_out(&weights, slots, &[7, 100, 3], slots * 20);
        for (namespace, weight) in (0_i64..).zip(&weights) {
            let got = order.iter().filter(|handed| **handed == namespace).count();
            let due = order.len() * usize::try_from(*weight).unwrap() / usize::try_from(total).unwrap();
            prop_assert!(got.abs_diff(due) <= slots, "{} got {} of {}", namespace, got, due);
        }
    }

    /// The same on a single slot, where the account of what was served decides.
    #[test]
    fn a_single_slot_goes_round(weights in prop::collection::vec(1_u32..4, 2..4)) {
        let total: u32 = weights.iter().sum();
        let rounds = 50;
        let steps = rounds * usize::try_from(total).unwrap();
        let order = hand_out(&weights, 1, &[600], steps);
        for (namespace, weight) in (0_i64..).zip(&weights) {
            let got = order.iter().filter(|handed| **handed == namespace).count();
            let due = rounds * usize::try_from(*weight).unwrap();
            prop_assert!(got.abs_diff(due) <= due / 5 + 2, "{} got {} of {}", namespace, got, due);
        }
    }
}
