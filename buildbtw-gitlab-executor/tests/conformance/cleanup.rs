//! Cleaning up, whatever there is.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::world::World;

const JOB: (&str, &str) = ("CUSTOM_ENV_CI_JOB_ID", "77");

#[tokio::test]
async fn cleaning_up_works_before_anything_exists_and_twice() {
    let world = World::new("{}").await;
    for _ in 0..2 {
        let output = world.call(&["cleanup"], &[JOB]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    // Without any word of a job there is nothing of it.
    assert_eq!(world.call(&["cleanup"], &[]).status.code(), Some(0));
    std::fs::create_dir_all(world.path("executor/jobs/77/runs/half-made/work")).unwrap();
    std::fs::create_dir_all(world.path("executor/jobs/78")).unwrap();
    for _ in 0..2 {
        let output = world.call(&["cleanup"], &[JOB]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert!(!world.path("executor/jobs/77").exists());
    assert!(world.path("executor/jobs/78").exists(), "another job's");
}

/// A process that holds a lock, as a run and the guard of a build do, and does not listen to SIGTERM.
fn hold(lock: &Path) -> Child {
    let script = "trap '' TERM; exec 9>\"$0\"; flock 9; echo held; \
                  while :; do read -rt 600 _ <> <(:) || :; done";
    let mut holder = Command::new("bash")
        .args(["-c", script])
        .arg(lock)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = holder.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    holder
}

#[tokio::test]
async fn the_guard_of_a_build_may_finish_its_work() {
    let world = World::new("{}").await;
    let folder = world.path("executor/jobs/77");
    let sandbox = folder.join("runs/half-done/work/sandbox");
    std::fs::create_dir_all(&sandbox).unwrap();
    let mut guard = hold(&sandbox.join("lock"));
    let mut cleanup = Command::new(env!("CARGO_BIN_EXE_buildbtw-gitlab-executor"))
        .arg("cleanup")
        .env_clear()
        .envs(world.environment())
        .env(JOB.0, JOB.1)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = cleanup.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert!(line.contains("waiting for that"), "{line:?}");
    assert!(sandbox.exists());
    guard.kill().unwrap();
    guard.wait().unwrap();
    assert!(cleanup.wait().unwrap().success());
    assert!(!folder.exists());
}

#[tokio::test]
async fn whoever_holds_the_jobs_folder_is_ended() {
    let world = World::new("{}").await;
    let folder = world.path("executor/jobs/77");
    std::fs::create_dir_all(&folder).unwrap();
    let mut holder = hold(&folder.join("lock"));
    let output = world.call(&["cleanup"], &[JOB]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let status = holder.try_wait().unwrap().expect("it is dead");
    assert!(!status.success());
    assert!(!folder.exists());
}
