//! Cleaning up, whatever there is.

use std::process::Command;

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

#[tokio::test]
async fn whoever_holds_the_jobs_folder_is_ended() {
    let world = World::new("{}").await;
    let folder = world.path("executor/jobs/77");
    std::fs::create_dir_all(&folder).unwrap();
    // It holds the lock as a run does, and does not listen to SIGTERM.
    let script = "trap '' TERM; exec 9>\"$0\"; flock 9; echo held; while :; do read -rt 600 _ <> <(:) || :; done";
    let mut holder = Command::new("bash")
        .args(["-c", script])
        .arg(folder.join("lock"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = holder.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    assert_eq!(line, "held\n");
    let output = world.call(&["cleanup"], &[JOB]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let status = holder.try_wait().unwrap().expect("it is dead");
    assert!(!status.success());
    assert!(!folder.exists());
}
