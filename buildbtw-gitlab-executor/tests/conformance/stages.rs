//! The calls of a job, in their order.

use buildbtw_api::OutcomeClass;
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_fake_gitlab::runner::program::Exit;

use crate::double::TOKEN;
use crate::world::{SECRET, World};

#[tokio::test]
async fn a_job_goes_from_config_to_cleanup() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::Success, "{}", world.trace(worked.job));
    let words = [
        "config",
        "prepare",
        "prepare_script",
        "get_sources",
        "build_script",
        "cleanup_file_variables",
        "cleanup",
    ];
    assert_eq!(worked.words(), words);
    assert!(worked.calls.iter().all(|call| call.exit == Exit::Code(0)));
    let kept = world.server.kept();
    let kept = &kept.runs[&run];
    let report = kept.finish.as_ref().unwrap();
    assert_eq!(report.class, OutcomeClass::Success);
    assert_eq!(report.packages.len(), kept.packages.len());
    assert!(!kept.packages.is_empty());
    assert!(!kept.log.is_empty());
    let [claim] = &kept.claims[..] else {
        panic!("{:?}", kept.claims);
    };
    let job = world.fake.job(worked.job).unwrap();
    assert_eq!(
        (claim.job, claim.pipeline),
        (worked.job, Some(job.pipeline))
    );
    assert_eq!(claim.name, "runner-7");
    assert_eq!(claim.commit.as_ref().unwrap().len(), 40);
    let page = format!("/-/jobs/{}", worked.job);
    assert!(claim.job_url.as_ref().unwrap().ends_with(&page));
    drop(job);
    world.assert_nothing_left();
}

#[tokio::test]
async fn config_prints_json_and_nothing_else() {
    let world = World::new("{}").await;
    world.dispatched("hello").await;
    let worked = world.work(&world.runner()).await;
    let config = worked.call("config").unwrap();
    let said: serde_json::Value = serde_json::from_str(&config.stdout).unwrap();
    assert_eq!(said["driver"]["name"], "buildbtw-gitlab-executor");
    assert_eq!(config.stderr, "");
    let version = env!("CARGO_PKG_VERSION");
    let line = format!("Using Custom executor with driver buildbtw-gitlab-executor {version}...");
    assert!(world.trace(worked.job).contains(&line));
}

/// A job that has everything that brings stages, and one in a stage before it whose artifacts it fetches.
const EVERYTHING: &str = "  before_script: [echo before]
  after_script: [echo afterwards]
  cache:
    - {key: one, paths: [a, 'b c'], when: always}
    - {key: two, paths: [d], policy: pull}
  artifacts: {paths: [dist/], when: always}
  release: {tag_name: v1}
  stage: test
first:
  stage: build
  tags: [another-runner]
  script: [make]
  artifacts: {paths: [dist/]}
";

/// A runner of another kind carries the first job out, and leaves artifacts.
fn first_job(world: &World) {
    let job = world
        .fake
        .take_job("another", &["another-runner"])
        .expect("the first job waits");
    let mut state = world.fake.state();
    let kept = state.jobs.get_mut(&job.id).unwrap();
    kept.artifacts = Some("artifacts.zip".to_owned());
    drop(state);
    world.fake.end_job(job.id, &JobEnd::Success).unwrap();
}

#[tokio::test]
async fn other_stages_and_unknown_ones_do_nothing() {
    let world = World::with_job("{}", EVERYTHING).await;
    let run = world.dispatched("hello").await;
    first_job(&world);
    let mut runner = world.runner();
    runner.future_stages = vec!["a_stage_of_the_future".to_owned()];
    let worked = world.work(&runner).await;
    assert_eq!(worked.end, JobEnd::Success, "{:#?}", worked.calls);
    let words = [
        "config",
        "prepare",
        "prepare_script",
        "get_sources",
        "restore_cache",
        "download_artifacts",
        "build_script",
        "step_release",
        "after_script",
        "archive_cache",
        "upload_artifacts_on_success",
        "a_stage_of_the_future",
        "cleanup_file_variables",
        "cleanup",
    ];
    assert_eq!(worked.words(), words);
    for call in &worked.calls {
        assert_eq!(call.exit, Exit::Code(0), "{call:#?}");
        let speaks = matches!(call.word.as_str(), "config" | "prepare" | "build_script");
        assert_eq!(call.stdout.is_empty(), !speaks, "{call:#?}");
        // Not even the scripts with the job's token are carried out, and nothing complains.
        assert_eq!(call.stderr, "", "{call:#?}");
    }
    assert_eq!(world.server.kept().runs[&run].claims.len(), 1);
    world.assert_nothing_left();
}

#[tokio::test]
async fn what_is_kept_of_a_failure_does_not_make_it_another() {
    let rules = r#"{"hello": {"failure": {"class": "package"}}}"#;
    let world = World::with_job(rules, EVERYTHING).await;
    let run = world.dispatched("hello").await;
    first_job(&world);
    let worked = world.work(&world.runner()).await;
    let code = world.server.finished(run).await.exit_code.unwrap();
    assert_eq!(worked.end, JobEnd::ScriptFailure(code));
    assert_eq!(
        worked.words()[6..],
        [
            "build_script",
            "after_script",
            "archive_cache_on_failure",
            "upload_artifacts_on_failure",
            "cleanup_file_variables",
            "cleanup"
        ]
    );
    world.assert_nothing_left();
}

#[tokio::test]
async fn the_script_may_be_called_by_its_new_name() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    let mut runner = world.runner();
    runner.script_stage = "step_script".to_owned();
    let worked = world.work(&runner).await;
    assert_eq!(worked.end, JobEnd::Success);
    assert!(world.server.kept().runs[&run].finish.is_some());
}

#[tokio::test]
async fn a_failed_preparation_is_tried_three_times_with_a_cleanup_each() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    world.write_token(TOKEN, 0o644);
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    let attempt = ["config", "prepare", "cleanup"];
    assert_eq!(worked.words(), [attempt, attempt, attempt].concat());
    let trace = world.trace(worked.job);
    assert!(trace.contains("chmod 600"), "{trace}");
    assert!(!trace.contains(TOKEN), "{trace}");
    for call in worked.calls.iter().filter(|call| call.word == "cleanup") {
        assert_eq!(call.exit, Exit::Code(0), "{call:#?}");
    }
    assert!(world.server.kept().runs[&run].claims.is_empty());
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_preparation_that_comes_right_carries_the_job_on() {
    let world = World::new("{}").await;
    world.dispatched("hello").await;
    world.write_token(TOKEN, 0o640);
    let mut runner = world.runner();
    runner.retry_delay = std::time::Duration::from_millis(500);
    let mend = async {
        world.until_traced("Will be retried").await;
        world.write_token(TOKEN, 0o600);
    };
    let (worked, ()) = tokio::join!(world.work(&runner), mend);
    assert_eq!(worked.end, JobEnd::Success);
    assert!(worked.words().len() > 7, "{:?}", worked.words());
}

#[tokio::test]
async fn every_step_is_a_section_of_the_jobs_log_and_no_secret_is_in_it() {
    let world = World::new(r#"{"hello": {"log_lines": 5000}}"#).await;
    let run = world.dispatched("hello").await;
    let mut runner = world.runner();
    runner
        .environment
        .push(("RUST_LOG".to_owned(), "debug".to_owned()));
    let worked = world.work(&runner).await;
    let trace = world.trace(worked.job);
    assert_eq!(worked.end, JobEnd::Success, "{trace}");
    let marks = |what: &str| trace.matches(&format!("\x1b[0Ksection_{what}:")).count();
    let steps = {
        let kept = world.server.kept();
        let run = &kept.runs[&run];
        for line in run.log_text().lines() {
            assert!(trace.contains(line), "{line:?} is not in the job's log");
        }
        run.finish.as_ref().unwrap().steps.len()
    };
    assert!(steps > 1);
    assert_eq!((marks("start"), marks("end")), (steps, steps));
    assert!(trace.contains(&format!("runs/{run}/log")), "{trace}");
    let token = format!("glcbt-{}", worked.job);
    for secret in [TOKEN, SECRET, token.as_str()] {
        assert!(!trace.contains(secret), "{secret} is in the job's log");
        assert!(!worked.own_log.contains(secret), "{}", worked.own_log);
    }
}
