//! Jobs that are ended before their time: the build ends, the server is told, nothing is left.

use std::time::Duration;

use buildbtw_api::OutcomeClass;
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_fake_gitlab::runner::custom::{CustomRunner, Worked};
use buildbtw_fake_gitlab::runner::program::Exit;

use crate::world::World;

/// A build that nobody waits for.
const SLOW: &str = r#"{"hello": {"duration_ms": 3600000}}"#;

/// What comes after the script of a job that failed or was cancelled, and what does not.
const AFTERWARDS: &str = "  after_script: [echo afterwards]
  cache: {paths: [a], when: always}
  artifacts: {paths: [b]}
";

/// What the job's log says as soon as the build has begun.
const BEGUN: &str = "section_start:";

async fn check_reported(world: &World, run: buildbtw_api::RunId, worked: &Worked) {
    let report = world.server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Infrastructure, "{report:?}");
    let job = format!("GitLab's job {} was ended", worked.job);
    assert!(report.message.contains(&job), "{report:?}");
    let script = worked.call("build_script").unwrap();
    assert_eq!(script.exit, Exit::Code(2), "{script:#?}");
    assert_eq!(worked.call("cleanup").unwrap().exit, Exit::Code(0));
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_cancelled_job_ends_its_build_and_the_stages_after_it_have_their_turn() {
    let world = World::with_job(SLOW, AFTERWARDS).await;
    let run = world.dispatched("hello").await;
    let runner = world.runner();
    let cancel = async {
        let job = world.until_traced(BEGUN).await;
        world.cancel(job, false).await;
    };
    let (worked, ()) = tokio::join!(world.work(&runner), cancel);
    assert_eq!(worked.end, JobEnd::Canceled);
    assert_eq!(
        worked.words()[5..],
        [
            "build_script",
            "after_script",
            "archive_cache_on_failure",
            "cleanup_file_variables",
            "cleanup"
        ]
    );
    check_reported(&world, run, &worked).await;
}

#[tokio::test]
async fn a_job_that_gitlab_dropped_is_aborted() {
    let world = World::with_job(SLOW, AFTERWARDS).await;
    let run = world.dispatched("hello").await;
    let drop_it = async {
        let job = world.until_traced(BEGUN).await;
        world.cancel(job, false).await;
        world.cancel(job, true).await;
    };
    let runner = world.runner();
    let (worked, ()) = tokio::join!(world.work(&runner), drop_it);
    assert_eq!(worked.words()[5..], ["build_script", "cleanup"]);
    check_reported(&world, run, &worked).await;
}

#[tokio::test]
async fn a_job_whose_time_is_up_is_aborted() {
    let world = World::new(SLOW).await;
    let run = world.dispatched("hello").await;
    let runner = world.runner();
    let time_up = async {
        world.until_traced(BEGUN).await;
        runner.time_is_up.notify_one();
    };
    let (worked, ()) = tokio::join!(world.work(&runner), time_up);
    assert_eq!(worked.end, JobEnd::Failure("job_execution_timeout"));
    check_reported(&world, run, &worked).await;
}

#[tokio::test]
async fn a_runner_that_is_shut_down_aborts_its_job() {
    let world = World::new(SLOW).await;
    let run = world.dispatched("hello").await;
    let runner = world.runner();
    let stop = async {
        world.until_traced(BEGUN).await;
    };
    let worked = runner.work(&world.fake, stop).await.unwrap();
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    check_reported(&world, run, &worked).await;
}

#[tokio::test]
async fn cleaning_up_may_begin_while_the_run_is_still_at_work() {
    let world = World::new(SLOW).await;
    let run = world.dispatched("hello").await;
    let runner = CustomRunner {
        abort_patience: Duration::ZERO,
        ..world.runner()
    };
    let stop = async {
        world.until_traced(BEGUN).await;
    };
    let worked = runner.work(&world.fake, stop).await.unwrap();
    assert_eq!(worked.call("build_script").unwrap().exit, Exit::Dormant);
    let cleanup = worked.call("cleanup").unwrap();
    assert_eq!(cleanup.exit, Exit::Code(0), "{cleanup:#?}");
    // By now the run has been reported, since cleaning up waited for it.
    let kept = world.server.kept();
    let report = kept.runs[&run].finish.as_ref().unwrap();
    assert_eq!(report.class, OutcomeClass::Infrastructure);
    drop(kept);
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_cancel_while_the_server_is_away_ends_in_time_all_the_same() {
    let mut world = World::new(SLOW).await;
    let run = world.dispatched("hello").await;
    let runner = world.runner();
    let (gone, went) = tokio::sync::oneshot::channel::<()>();
    let fake = std::mem::replace(
        &mut world.fake,
        buildbtw_fake_gitlab::FakeGitLab::start().await.unwrap(),
    );
    let working = tokio::spawn(async move {
        let stop = async {
            // Nobody who is gone would say so.
            let _ = went.await;
        };
        let worked = runner.work(&fake, stop).await.unwrap();
        (worked, fake)
    });
    world
        .server
        .until_run(run, "the build", |run| (!run.log.is_empty()).then_some(()))
        .await;
    world.server.go_away().await;
    gone.send(()).unwrap();
    let (worked, fake) = tokio::time::timeout(crate::double::PATIENCE, working)
        .await
        .unwrap()
        .unwrap();
    world.fake = fake;
    let script = worked.call("build_script").unwrap();
    assert_eq!(script.exit, Exit::Code(2), "{script:#?}");
    assert_eq!(world.server.kept().runs[&run].finish, None);
    world.assert_nothing_left();
}
