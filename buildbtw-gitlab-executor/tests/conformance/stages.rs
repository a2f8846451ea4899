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

#[tokio::test]
async fn other_stages_and_unknown_ones_do_nothing() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    let stages = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut runner = world.runner();
    runner.more_stages = (
        stages(&["restore_cache", "download_artifacts"]),
        stages(&[
            "step_release",
            "archive_cache",
            "upload_artifacts_on_success",
            "a_stage_of_the_future",
        ]),
    );
    runner.after_script = true;
    let worked = world.work(&runner).await;
    assert_eq!(worked.end, JobEnd::Success, "{:#?}", worked.calls);
    assert_eq!(worked.calls.len(), 14);
    for call in &worked.calls {
        assert_eq!(call.exit, Exit::Code(0), "{call:#?}");
        let speaks = matches!(call.word.as_str(), "config" | "prepare" | "build_script");
        assert_eq!(call.stdout.is_empty(), !speaks, "{call:#?}");
    }
    assert_eq!(world.server.kept().runs[&run].claims.len(), 1);
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
