//! What workers leave to faster ones, and what not.

use std::collections::HashMap;

use buildbtw_api::ServerMode;
use proptest::prelude::*;

use super::*;
use crate::scheduler::{Idle, Requirements, Share, Situation, Speed, Weight};

const MINUTE: i64 = 60_000;

fn build(key: u32, own_ms: i64) -> ReadyBuild<u32> {
    ReadyBuild {
        key,
        architecture: "x86_64".parse().unwrap(),
        namespace: 1,
        weight: Weight {
            remaining_ms: i64::from(1_000 - key),
            own_ms,
            ..Weight::default()
        },
        ready_since: 1,
        waited_ms: 0,
        requirements: Requirements::default(),
        failed_on: Vec::new(),
        evidence: false,
    }
}

/// A worker with one slot that goes on for so many minutes; zero for one that is free.
fn worker(key: i64, speed: i64, minutes: i64) -> Workplace {
    let speed = Speed::thousandths(speed);
    let run = UnderWay {
        elapsed_ms: 0,
        expected: Expected {
            own_ms: speed.normal(minutes * MINUTE),
            ..Expected::default()
        },
    };
    Workplace {
        key,
        name: format!("w{key}"),
        architectures: vec!["x86_64".parse().unwrap()],
        slots: 1,
        running: u32::from(minutes > 0),
        memory: None,
        labels: Vec::new(),
        mode: WorkerMode::Active,
        place: BuildPlace::Workers,
        speed,
        under_way: std::iter::repeat_n(run, usize::from(minutes > 0)).collect(),
    }
}

/// A namespace that has something handed out.
fn situation(ready: Vec<ReadyBuild<u32>>, workers: Vec<Workplace>) -> Situation<u32> {
    let busy = Share {
        running: 1,
        ..Share::default()
    };
    Situation {
        mode: ServerMode::Run,
        ready,
        shares: HashMap::from([(1, busy)]),
        virtual_time: 0,
        workers,
        more: false,
    }
}

/// What the first worker gets; the name of the faster one where it leaves all.
fn gets(situation: &Situation<u32>) -> Result<Vec<u32>, String> {
    match situation.candidates(&situation.workers[0]) {
        Ok(keys) => Ok(keys),
        Err(Idle::LeftToFaster(left)) => Err(left.to),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn what_ends_sooner_on_a_faster_worker_is_left_to_it() {
    // Twenty minutes here; five, and so many until it is free, there.
    let with = |minutes| {
        let workers = vec![worker(1, 500, 0), worker(2, 2_000, minutes)];
        gets(&situation(vec![build(1, 10 * MINUTE)], workers))
    };
    assert_eq!(with(3), Err("w2".to_owned()));
    assert_eq!(with(12), Err("w2".to_owned()));
    assert_eq!(with(14), Ok(vec![1]), "for less than a tenth nobody waits");
    assert_eq!(with(0), Err("w2".to_owned()), "it asks next");
}

#[test]
fn a_slot_is_waited_for_by_one_build() {
    let workers = vec![worker(1, 500, 0), worker(2, 2_000, 3)];
    let three = (1..4).map(|key| build(key, 10 * MINUTE)).collect();
    // The second would end after thirteen minutes, the third after eighteen and a bit more.
    assert_eq!(gets(&situation(three, workers)), Ok(vec![3]));
}

#[test]
fn only_workers_that_could_take_it_are_waited_for() {
    let with = |change: fn(&mut Workplace, &mut ReadyBuild<u32>)| {
        let mut workers = vec![worker(1, 500, 0), worker(2, 2_000, 3)];
        let mut build = build(1, 10 * MINUTE);
        change(&mut workers[1], &mut build);
        gets(&situation(vec![build], workers))
    };
    assert!(with(|_, _| ()).is_err());
    let modes = [
        WorkerMode::Draining,
        WorkerMode::Paused,
        WorkerMode::SetAside,
    ];
    assert_eq!(modes.len() + 1, WorkerMode::ALL.len());
    assert_eq!(
        with(|other, _| other.mode = WorkerMode::Draining),
        Ok(vec![1])
    );
    assert_eq!(
        with(|other, _| other.mode = WorkerMode::Paused),
        Ok(vec![1])
    );
    assert_eq!(
        with(|other, _| other.mode = WorkerMode::SetAside),
        Ok(vec![1])
    );
    assert_eq!(with(|other, _| other.architectures.clear()), Ok(vec![1]));
    assert_eq!(with(|other, _| other.slots = 0), Ok(vec![1]));
    assert_eq!(with(|_, build| build.failed_on = vec![2]), Ok(vec![1]));
}

#[test]
fn what_nothing_is_known_of_is_weighed_as_if_it_took_much_longer() {
    let with = |unknown: bool, waited_ms: i64| {
        let workers = vec![worker(1, 500, 0), worker(2, 2_000, 3)];
        let mut build = build(1, MINUTE);
        build.weight.unknown = unknown;
        build.waited_ms = waited_ms;
        gets(&situation(vec![build], workers))
    };
    assert_eq!(with(false, 0), Ok(vec![1]), "it takes two minutes here");
    assert!(with(true, 0).is_err());
    assert!(with(true, 19 * MINUTE).is_err());
    assert_eq!(with(true, 20 * MINUTE), Ok(vec![1]));
}

#[test]
fn of_more_than_are_weighed_the_last_is_taken_and_of_fewer_none() {
    let mut workers = vec![worker(1, 500, 0)];
    workers.extend((2..200).map(|key| worker(key, 2_000, 3)));
    let with = |count: usize, more: bool| {
        let ready = (0..).take(count).map(|key| build(key, 10 * MINUTE));
        let mut situation = situation(ready.collect(), workers.clone());
        situation.more = more;
        gets(&situation)
    };
    assert!(
        with(8, true).is_err(),
        "the rest of them is looked at first"
    );
    assert!(with(WEIGHED, false).is_err());
    let last = u32::try_from(WEIGHED - 1).unwrap();
    assert_eq!(with(WEIGHED, true), Ok(vec![last]));
    assert_eq!(with(WEIGHED + 1, false), Ok(vec![last + 1]));
}

#[test]
fn a_run_that_takes_longer_than_expected_is_not_taken_to_end_at_once() {
    let with = |elapsed: i64| {
        let mut workers = vec![worker(1, 500, 0), worker(2, 2_000, 1)];
        workers[1].under_way[0].elapsed_ms = elapsed * MINUTE;
        gets(&situation(vec![build(1, 10 * MINUTE)], workers))
    };
    assert!(with(10).is_err());
    assert_eq!(with(100), Ok(vec![1]));
}

#[test]
fn where_nothing_is_known_of_speeds_nothing_waits() {
    let workers = vec![
        worker(1, 1_000, 0),
        worker(2, 1_000, 0),
        worker(3, 1_000, 1),
    ];
    let ready = (1..9).map(|key| build(key, key.into())).collect();
    assert_eq!(gets(&situation(ready, workers)).unwrap().len(), 8);
}

#[test]
fn what_the_end_does_not_wait_for_leaves_the_fast_workers_alone() {
    let with = |behind_ms: i64, namespace: i64| {
        let mut workers = vec![worker(1, 500, 0), worker(2, 2_000, 0), worker(3, 1_000, 10)];
        workers[2].under_way[0].expected.namespace = namespace;
        workers[2].under_way[0].expected.behind_ms = behind_ms;
        gets(&situation(vec![build(1, 10 * MINUTE)], workers))
    };
    // Here it takes twenty minutes, there five.
    assert!(with(0, 1).is_err());
    assert_eq!(
        with(90 * MINUTE, 1),
        Ok(vec![1]),
        "another path takes longer"
    );
    assert!(with(90 * MINUTE, 2).is_err(), "that of another namespace");
}

#[test]
fn the_only_build_of_a_namespace_goes_to_the_fastest_that_is_idle() {
    let with = |minutes: i64, waited_ms: i64| {
        let workers = vec![worker(1, 500, 0), worker(2, 2_000, minutes)];
        let mut only = build(1, 10 * MINUTE);
        only.waited_ms = waited_ms;
        let mut situation = situation(vec![only], workers);
        situation.shares.clear();
        gets(&situation)
    };
    assert!(with(0, 0).is_err());
    assert_eq!(with(0, ASKS_WITHIN_MS), Ok(vec![1]), "it does not ask");
    assert_eq!(with(1, 0), Ok(vec![1]), "it is busy");
}

#[test]
fn it_is_said_who_is_waited_for_unless_a_free_worker_takes_it() {
    let workers = vec![worker(1, 500, 0), worker(2, 2_000, 3)];
    let mut waiting = situation(vec![build(1, 10 * MINUTE)], workers);
    assert_eq!(waiting.waits_for_faster(1).unwrap().to, "w2");
    waiting.workers.push(worker(3, 2_000, 0));
    assert_eq!(waiting.waits_for_faster(1), None);
    waiting.workers.truncate(2);
    waiting.workers[0].running = 1;
    assert_eq!(waiting.waits_for_faster(1), None, "nobody is free");
}

proptest! {
    /// However workers stand: nothing is left to others for longer than it would have taken, nor when more is ready
    /// than was looked at; what a namespace has nothing else of is left to a faster one for seconds, if that is
    /// idle; and whoever leaves something gains by it.
    #[test]
    fn waiting_is_bounded_and_gains(
        own in prop::collection::vec(1_i64..100 * MINUTE, 1..WEIGHED + 10),
        speeds in prop::collection::vec((500_i64..2_000, 0_i64..30), 2..12),
        waited in 0_i64..10 * MINUTE,
        alone: bool,
        more: bool,
    ) {
        let mut ready: Vec<_> = (0..).zip(&own).map(|(key, own_ms)| build(key, *own_ms)).collect();
        for build in &mut ready {
            build.waited_ms = waited;
        }
        let workers: Vec<_> = (1..).zip(&speeds).map(|(key, (speed, minutes))| worker(key, *speed, *minutes)).collect();
        let mut situation = situation(ready, workers);
        situation.more = more;
        if alone {
            situation.shares.clear();
        }
        let asks = &situation.workers[0];
        let found = situation.candidates(asks);
        let taken = found.clone().unwrap_or_default();
        let idle = situation.workers.iter().filter(|other| other.under_way.is_empty());
        let faster = idle.filter(|other| other.speed > asks.speed).count();
        let is_asked_soon = faster > 0 && waited < ASKS_WITHIN_MS;
        prop_assert!(!taken.is_empty() || own.len() + usize::from(more) <= WEIGHED);
        prop_assert!(!taken.is_empty() || !alone || is_asked_soon);
        for build in &situation.ready {
            let here = asks.speed.takes(build.weight.own_ms);
            if taken.contains(&build.key) {
                continue;
            }
            prop_assert!(!alone || is_asked_soon);
            prop_assert!(waited < here, "build {} waits for {} ms", build.key, waited);
            let sooner = situation.workers.iter().any(|other| {
                let run = other.under_way.first();
                let free = run.map_or(0, |run| other.speed.takes(run.expected.own_ms));
                free + other.speed.takes(build.weight.own_ms) < here
            });
            prop_assert!(sooner, "build {} gains nothing", build.key);
        }
        if let Err(Idle::LeftToFaster(left)) = found {
            prop_assert!((AGAIN_MS.0..=AGAIN_MS.1).contains(&left.again_ms));
        }
    }
}
