//! Builds that take more than they may.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use std::time::{Duration, Instant};

use buildbtw_build::{OutcomeClass, Storage};
use workshop::{Run, Source, Who, Workshop, everybody};

/// Carries out build() with these lines under changed limits.
fn limited(
    workshop: &Workshop,
    lines: &str,
    change: impl FnOnce(&mut buildbtw_build::Limits),
) -> Run {
    let mut request = workshop.request(&Source::that_builds("greedy", lines));
    change(&mut request.limits);
    let begin = Instant::now();
    let run = workshop.build(&request);
    assert!(
        begin.elapsed() < Duration::from_secs(120),
        "it took {:?}",
        begin.elapsed()
    );
    run
}

#[test]
fn a_build_that_sleeps_for_ever_is_ended() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let run = limited(&workshop, "sleep infinity", |limits| {
            limits.time = Duration::from_secs(4);
        });
        let run = run
            .expect(OutcomeClass::Timeout)
            .says(&["longer than 4.0 seconds", "build"]);
        assert_eq!(run.outcome.failed_step.as_deref(), Some("build"));

        // Deaf to the request to end.
        let run = limited(
            &workshop,
            "trap '' TERM INT HUP; while :; do sleep 1; done",
            |limits| {
                limits.silence = Duration::from_secs(3);
            },
        );
        run.expect(OutcomeClass::Timeout)
            .says(&["nothing was written", "3.0 seconds"]);
    }
}

#[test]
fn what_a_build_leaves_in_the_background_ends_with_it() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let lines = "setsid --fork sleep 1000 </dev/null >/dev/null 2>&1
                     (trap '' TERM HUP; exec -a left-behind sleep 1000) & disown
                     (sleep 1000 &)";
        limited(&workshop, lines, |_| {}).expect(OutcomeClass::Success);
    }
}

#[test]
fn a_build_that_writes_a_log_without_end_is_ended() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let run = limited(&workshop, "echo the beginning; yes", |limits| {
            limits.log = 1 << 20
        });
        let run = run.expect(OutcomeClass::Package).says(&["log", "1 MiB"]);
        assert!(run.log.contains("the beginning"));
        let most = (1 << 20) + (64 << 10) + 200;
        assert!(
            (1 << 20..most).contains(&run.log.len()),
            "{}",
            run.log.len()
        );
    }
}

#[test]
fn a_build_that_fills_the_disk_is_ended() {
    for who in everybody() {
        for storage in [Storage::Disk, Storage::Memory] {
            let mut workshop = Workshop::new(who);
            workshop.builder.storage = storage;
            let run = limited(
                &workshop,
                "for n in {1..200}; do head -c 2M /dev/urandom > file$n; done; echo all written; sleep 60",
                |limits| limits.disk = 64 << 20,
            );
            let run = run
                .expect(OutcomeClass::Package)
                .says(&["disk", "limit of 64 MiB"]);
            assert_eq!(
                run.outcome.failed_step.as_deref(),
                Some("build"),
                "{storage:?}"
            );
        }
    }
}

#[test]
fn folders_that_cannot_be_entered_are_removed() {
    let deep = "mkdir -p a/b/c; chmod 0 a/b; ln -s / a/root; chmod 0 a
                for n in {1..60}; do d=$(printf 'n%.0s' {1..200}); mkdir $d && cd $d; done";
    for who in everybody() {
        limited(&Workshop::new(who), deep, |_| {}).expect(OutcomeClass::Success);
    }
}

#[test]
fn a_build_that_takes_too_much_memory_fails_by_itself() {
    let lines = "python3 -c 'x = bytearray(1 << 30); print(len(x), \"allocated\")'";
    for who in everybody() {
        let workshop = Workshop::new(who);
        let run = limited(&workshop, lines, |limits| limits.memory = Some(256 << 20));
        assert!(
            !run.log.contains("allocated\n") || run.log.contains("MemoryError"),
            "{}",
            run.log
        );
        let run = run.expect(OutcomeClass::Package);
        // Only where there is a control group is it known who was over the limit.
        if who == Who::Root {
            run.says(&["memory", "limit of 256 MiB"]);
        }
        limited(&workshop, lines, |_| {}).expect(OutcomeClass::Success);
        std::fs::remove_dir_all(workshop.builds().join("build")).unwrap();
    }
}

#[test]
fn a_build_that_multiplies_is_held_back() {
    let bomb = "bomb() { bomb | bomb & }; (bomb) 2>/dev/null; sleep 1; echo survived";
    for who in everybody() {
        let mut workshop = Workshop::new(who);
        workshop.builder.processes = 200;
        let run = limited(&workshop, bomb, |limits| {
            limits.time = Duration::from_secs(20)
        });
        let classes = [
            OutcomeClass::Package,
            OutcomeClass::Success,
            OutcomeClass::Timeout,
        ];
        assert!(classes.contains(&run.outcome.class), "{:?}", run.outcome);
    }
}
