//! Claiming a run.

use buildbtw_api::ProblemType;
use buildbtw_fake_gitlab::runner::JobEnd;

use crate::double::{Double, TOKEN, order, source};
use crate::world::World;

#[tokio::test]
async fn a_refused_claim_ends_the_job_as_a_fault_of_the_system_and_says_why() {
    for kind in [
        ProblemType::RunTaken,
        ProblemType::RunOver,
        ProblemType::UnknownRun,
        ProblemType::Conflict,
        ProblemType::ProtocolVersion,
        ProblemType::Unauthorized,
    ] {
        let world = World::new("{}").await;
        let run = world.dispatched("hello").await;
        world.server.change(run, |run| {
            run.refuse_claims = Some((kind, "refused for a test"));
        });
        let worked = world.work(&world.runner()).await;
        assert_eq!(
            worked.end,
            JobEnd::Failure("runner_system_failure"),
            "{kind:?}"
        );
        let trace = world.trace(worked.job);
        assert!(trace.contains("refused for a test"), "{trace}");
        let kept = world.server.kept();
        assert_eq!(kept.runs[&run].claims.len(), 1, "{kind:?} is final");
        assert_eq!(kept.runs[&run].fetched, 0);
        drop(kept);
        world.assert_nothing_left();
    }
}

#[tokio::test]
async fn another_job_does_not_get_the_run() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    world.server.change(run, |run| run.job = Some(999_999));
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    let trace = world.trace(worked.job);
    assert!(trace.contains("another job has the run"), "{trace}");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_said_again() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    world.server.change(run, |run| {
        run.refuse_claims = Some((ProblemType::Unavailable, "starting"));
    });
    let relent = async {
        let asked = |run: &crate::double::KeptRun| (run.claims.len() >= 2).then_some(());
        // Only requests change what is kept, and each of them is told.
        world.server.until_run(run, "two claims", asked).await;
        world.server.change(run, |run| run.refuse_claims = None);
    };
    let runner = world.runner();
    let (worked, ()) = tokio::join!(world.work(&runner), relent);
    assert_eq!(worked.end, JobEnd::Success, "{}", world.trace(worked.job));
    let kept = world.server.kept();
    let jobs: Vec<u64> = kept.runs[&run]
        .claims
        .iter()
        .map(|claim| claim.job)
        .collect();
    assert!(jobs.len() >= 3 && jobs.iter().all(|job| *job == worked.job));
}

#[tokio::test]
async fn a_server_that_stays_away_ends_the_job_after_the_hosts_patience() {
    let mut world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    world.write_host("fake", "patience = \"1s\"");
    world.server.go_away().await;
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    // Preparing does not ask the server, so a restart of it fails no job.
    assert_eq!(
        worked
            .words()
            .iter()
            .filter(|word| **word == "prepare")
            .count(),
        1
    );
    let trace = world.trace(worked.job);
    assert!(trace.contains("could not be claimed within 1s"), "{trace}");
    assert!(trace.contains(&run.to_string()), "{trace}");
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_server_that_forgot_the_worker_is_asked_again() {
    let world = World::new("{}").await;
    let run = world.dispatched("hello").await;
    // It stays at work until its packages are taken.
    world.server.change(run, |run| run.hold_packages = true);
    let forget = async {
        let server = &world.server;
        server
            .until_run(run, "a sign of life", |run| run.beaten.then_some(()))
            .await;
        server.kept().worker = None;
        let again = |run: &crate::double::KeptRun| (run.claims.len() == 2).then_some(());
        server.until_run(run, "a second claim", again).await;
        server.change(run, |run| run.hold_packages = false);
    };
    let runner = world.runner();
    let (worked, ()) = tokio::join!(world.work(&runner), forget);
    assert_eq!(worked.end, JobEnd::Success, "{}", world.trace(worked.job));
}

#[tokio::test]
async fn a_stranger_is_not_even_spoken_with() {
    let world = World::new("{}").await;
    let stranger = Double::start().await;
    let run = stranger.keep(order("hello"), source("hello"));
    world.pipeline(&run.to_string(), &stranger.url()).await;
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    assert!(worked.call("build_script").is_none(), "it was not prepared");
    let trace = world.trace(worked.job);
    assert!(
        trace.contains("does not build for that") && trace.contains(&stranger.url()),
        "{trace}"
    );
    let kept = stranger.kept();
    assert!(kept.runs[&run].claims.is_empty());
    assert_eq!(kept.unauthorized, 0);
    assert!(!trace.contains(TOKEN));
}

#[tokio::test]
async fn a_pipeline_without_a_run_is_refused() {
    let world = World::new("{}").await;
    world.pipeline("not-a-run", &world.server.url()).await;
    let worked = world.work(&world.runner()).await;
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    let trace = world.trace(worked.job);
    assert!(
        trace.contains("not-a-run") && trace.contains("hint:"),
        "{trace}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_runners_file_the_environment_says_which_job_it_is() {
    let world = World::new("{}").await;
    let run = world.server.keep(order("hello"), source("hello"));
    let (url, id) = (world.server.url(), run.to_string());
    let job = [
        ("CUSTOM_ENV_CI_JOB_ID", "77"),
        ("CUSTOM_ENV_BUILDBTW_RUN", id.as_str()),
        ("CUSTOM_ENV_BUILDBTW_SERVER", url.as_str()),
    ];
    let call = |arguments: &[&'static str]| {
        let (arguments, world) = (arguments.to_vec(), &world);
        tokio::task::block_in_place(move || world.call(&arguments, &job))
    };
    assert_eq!(call(&["prepare"]).status.code(), Some(0));
    let output = call(&["run", "/nowhere/script", "build_script"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(world.server.kept().runs[&run].job, Some(77));
    assert!(world.path("executor/jobs/77").exists());
    assert_eq!(call(&["cleanup"]).status.code(), Some(0));
    world.assert_nothing_left();
}
