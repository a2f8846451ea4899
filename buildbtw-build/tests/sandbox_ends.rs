//! However a build ends, nothing of it is left.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod workshop;

use std::fs::File;
use std::path::PathBuf;

use buildbtw_build::OutcomeClass;
use nix::sys::signal::{Signal, kill};
use workshop::{Building, Source, Workshop, everybody, forget_processes};

fn sleeper() -> Source {
    let lines = "mkdir -p x; chmod 0 x; (exec -a stubborn sleep 1000) & echo asleep; sleep 1000";
    Source::that_builds("sleeper", lines)
}

/// The lock of a sandbox, and the control groups that it names.
struct Lock {
    file: File,
    groups: Vec<PathBuf>,
}

impl Lock {
    /// Waits until whoever has it lets it go: the supervisor, when everything is cleared away or when
    /// it is killed.
    fn wait(&self) {
        self.file.lock().unwrap();
    }

    fn assert_no_groups(&self) {
        assert!(
            self.groups.iter().all(|group| !group.exists()),
            "{:?}",
            self.groups
        );
    }
}

/// A build that has come to its long sleep, and the lock of its sandbox.
fn asleep(workshop: &Workshop) -> (Building, Lock) {
    let mut building = workshop.start(&workshop.request(&sleeper()), "build");
    building.wait_for("asleep");
    let path = workshop.builds().join("build/sandbox/lock");
    let file = File::open(&path).unwrap();
    let groups: Vec<_> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(PathBuf::from)
        .collect();
    assert!(groups.iter().all(|group| group.exists()));
    (building, Lock { file, groups })
}

#[test]
fn a_build_that_is_cancelled_is_gone() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let (building, lock) = asleep(&workshop);
        kill(building.pid(), Signal::SIGTERM).unwrap();
        let run = building
            .finish()
            .expect(OutcomeClass::Cancelled)
            .says(&["build"]);
        workshop.assert_nothing_left("build");
        lock.assert_no_groups();
        assert_eq!(run.step_names().last().unwrap(), "build!");
    }
}

#[test]
fn a_build_whose_worker_is_killed_is_gone() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let (building, lock) = asleep(&workshop);
        kill(building.pid(), Signal::SIGKILL).unwrap();
        let (status, _) = building.end();
        assert!(!status.success());
        // The supervisor holds it until it has cleared everything away.
        lock.wait();
        assert_gone(&workshop);
        workshop.assert_nothing_left("build");
        lock.assert_no_groups();
    }
}

#[test]
fn a_build_whose_supervisor_is_killed_is_gone_and_said_so() {
    for who in everybody() {
        for doomed in [
            "buildbtw-build-supervisor",
            "buildbtw-build-namespaces",
            "buildbtw-build-init",
        ] {
            let workshop = Workshop::new(who);
            let (building, lock) = asleep(&workshop);
            assert_eq!(
                forget_processes(&workshop.marker(), |words| words.starts_with(doomed)),
                1
            );
            let run = building.finish().expect(OutcomeClass::Infrastructure);
            assert_gone(&workshop);
            workshop.assert_nothing_left("build");
            lock.assert_no_groups();
            run.says(&["killed"]);
        }
    }
}

#[test]
fn when_everything_is_killed_at_once_only_files_are_left_to_be_swept() {
    for who in everybody() {
        let workshop = Workshop::new(who);
        let (building, lock) = asleep(&workshop);
        let supervisor = |words: &str| words.starts_with("buildbtw-build-supervisor");
        // Stopped, the supervisor cannot clear up when its worker dies.
        kill(building.pid(), Signal::SIGSTOP).unwrap();
        assert_eq!(forget_processes(&workshop.marker(), supervisor), 1);
        kill(building.pid(), Signal::SIGKILL).unwrap();
        building.end();
        lock.wait();
        lock.file.unlock().unwrap();
        assert_gone(&workshop);
        let sandbox = workshop.builds().join("build/sandbox");
        assert!(sandbox.exists());
        let sweep = || {
            let output = workshop
                .command()
                .arg("sweep")
                .arg(workshop.builds())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(sweep(), "1 removed\n");
        assert!(!sandbox.exists());
        assert_eq!(sweep(), "0 removed\n");
        workshop.assert_nothing_left("build");
        lock.assert_no_groups();
    }
}

#[test]
fn a_sweep_leaves_builds_alone_that_go_on() {
    let workshop = Workshop::new(everybody()[0]);
    let (building, lock) = asleep(&workshop);
    let output = workshop
        .command()
        .arg("sweep")
        .arg(workshop.builds())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 removed\n");
    kill(building.pid(), Signal::SIGTERM).unwrap();
    building.finish().expect(OutcomeClass::Cancelled);
    workshop.assert_nothing_left("build");
    lock.assert_no_groups();
}

/// Waits for the last processes: the kernel ends those of a namespace one after another when its
/// first process was killed, and tells nobody outside when it has.
fn assert_gone(workshop: &Workshop) {
    let begin = std::time::Instant::now();
    loop {
        let left = workshop::processes_of(&workshop.marker());
        if left.is_empty() {
            return;
        }
        assert!(begin.elapsed().as_secs() < 20, "{left:?}");
        std::thread::yield_now();
    }
}
