//! Pipelines when GitLab, the network or the server fails: no build is lost, and none is built twice.

use buildbtw_api::explanations::Explanation;
use buildbtw_api::{BuildPlace, OutcomeClass};
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_fake_gitlab::pipelines;
use buildbtw_fake_gitlab::runner::JobEnd;
use reqwest::{Method, StatusCode};

use crate::pipelines::project;
use crate::runners::*;
use crate::world::TOKEN;

/// The request that makes a pipeline. Others have a longer path.
const MAKE: Call = Call::Path(Method::POST, "/pipeline");

/// The run of a build is carried out to its end, by one pipeline: the only one of it.
async fn ends_well(runners: &Runners) {
    let job = runners.take().await;
    let claimed = runners.claim(&job).await;
    let run = claimed.assignment.run.to_string();
    runners
        .executor(&claimed)
        .succeed(&claimed.assignment)
        .await;
    runners
        .world
        .fake
        .end_job(job.id, &JobEnd::Success)
        .unwrap();
    let of_run = runners.pipelines();
    let of_run = of_run.iter().filter(|made| made.inputs["run"] == run);
    assert_eq!(of_run.count(), 1);
    let built = || async {
        let build = runners.build("greet", "libgreet").await;
        build.status == buildbtw_api::BuildStatus::Built
    };
    runners.until("it is built", built).await;
}

#[tokio::test]
async fn the_server_killed_between_making_and_storing_makes_no_second_pipeline() {
    for fault in [Fault::LostAnswer, Fault::Stalled, Fault::Truncated] {
        let mut runners = Runners::of(&["libgreet"]).await;
        runners.world.fake.faults().next(1, MAKE, fault.clone());
        runners.namespace("greet", &["libgreet"]).await;
        let there = || std::future::ready(runners.pipelines().len() == 1);
        runners.until("GitLab has made it", there).await;
        // Nobody has heard of it yet, and the server is gone.
        runners.restart().await;
        runners.look().await;
        runners.heard("greet", "libgreet", "pending").await;
        assert_eq!(runners.pipelines().len(), 1, "{fault:?}");
        ends_well(&runners).await;
        assert_eq!(runners.pipelines().len(), 1, "{fault:?}");
        runners.stop().await;
    }
}

#[tokio::test]
async fn each_fault_in_making_one_ends_in_one() {
    for fault in [
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::NotFound,
        Fault::TooManyRequests { retry_after: None },
        Fault::TooManyRequests {
            retry_after: Some("soon".to_owned()),
        },
        Fault::ServerError(StatusCode::INTERNAL_SERVER_ERROR),
        Fault::Truncated,
        Fault::Reset,
        Fault::LostAnswer,
        Fault::ResetInBody,
        Fault::FutureStatus,
        Fault::WrongShape,
    ] {
        let runners = Runners::of(&["libgreet"]).await;
        runners.world.fake.faults().next(1, MAKE, fault.clone());
        runners.namespace("greet", &["libgreet"]).await;
        // Either GitLab refused, and there is another try; or it is asked again after a while.
        let noticed = || async {
            let run = runners.run("greet", "libgreet").await;
            run.is_some_and(|run| {
                let troubled = run.pipeline.as_ref().and_then(|made| made.problem.as_ref());
                let heard = run.pipeline.as_ref().and_then(|made| made.status.as_ref());
                run.attempt > 1 || troubled.is_some() || heard.is_some()
            })
        };
        runners.until("the fault", noticed).await;
        runners.look().await;
        ends_well(&runners).await;
        runners.stop().await;
    }
}

#[tokio::test]
async fn each_fault_in_looking_costs_nothing_but_time() {
    for fault in [
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::ServerError(StatusCode::BAD_GATEWAY),
        Fault::Truncated,
        Fault::Reset,
        Fault::FutureStatus,
        Fault::WrongShape,
    ] {
        let runners = Runners::of(&["libgreet"]).await;
        runners.namespace("greet", &["libgreet"]).await;
        runners.heard("greet", "libgreet", "pending").await;
        let look = Call::Path(Method::GET, "/pipelines/");
        runners.world.fake.faults().always(look, fault.clone());
        runners.look().await;
        let shown = || async {
            let run = runners.run("greet", "libgreet").await.unwrap();
            let pipeline = run.pipeline.unwrap();
            pipeline.problem.is_some() || pipeline.status.as_deref() == Some("hibernating")
        };
        runners.until("the fault is shown", shown).await;
        // What nobody has heard of yet is kept as it is, and people see it.
        let page = runners.page("greet", "libgreet").await;
        match fault {
            Fault::FutureStatus => assert!(page.contains("hibernating"), "{page}"),
            _ => assert!(page.contains("It waits for GitLab"), "{page}"),
        }
        assert!(!page.contains(API_TOKEN) && !page.contains(TOKEN));
        runners.world.fake.faults().mend();
        runners.look().await;
        ends_well(&runners).await;
        runners.stop().await;
    }
}

#[tokio::test]
async fn a_pipeline_that_ends_without_a_claim_is_tried_again_with_the_reason() {
    type End = fn(&Runners, u64);
    let ends: [(End, &str); 7] = [
        (
            |runners, job| fail(runners, job, JobEnd::Failure("stuck_or_timeout_failure")),
            "no runner took its job",
        ),
        (
            |runners, job| fail(runners, job, JobEnd::Failure("runner_system_failure")),
            "the runner failed",
        ),
        (
            |runners, job| fail(runners, job, JobEnd::Failure("ci_quota_exceeded")),
            "quota",
        ),
        (
            |runners, job| fail(runners, job, JobEnd::ScriptFailure(1)),
            "script_failure",
        ),
        (
            |runners, job| fail(runners, job, JobEnd::Success),
            "no executor of buildbtw",
        ),
        (
            |runners, job| fail(runners, job, JobEnd::Canceled),
            "was cancelled on GitLab",
        ),
        (delete, "was deleted on GitLab"),
    ];
    for (end, words) in ends {
        let runners = Runners::of(&["libgreet"]).await;
        runners.namespace("greet", &["libgreet"]).await;
        runners.heard("greet", "libgreet", "pending").await;
        let job = runners.take().await;
        end(&runners, job.id);
        runners.look().await;
        let outcome = runners.ended("greet", "libgreet", 1).await.outcome.unwrap();
        assert_eq!(outcome.class, OutcomeClass::Infrastructure, "{words}");
        assert!(outcome.message.contains(words), "{outcome:?}");
        ends_well(&runners).await;
        runners.stop().await;
    }
}

fn fail(runners: &Runners, job: u64, end: JobEnd) {
    runners.world.fake.end_job(job, &end).unwrap();
}

fn delete(runners: &Runners, job: u64) {
    let pipeline = runners.world.fake.job(job).unwrap().pipeline;
    let mut state = runners.world.fake.state();
    state.pipelines.remove(&pipeline);
    state.jobs.retain(|_, job| job.pipeline != pipeline);
}

#[tokio::test]
async fn what_fails_again_and_again_ends_with_gitlabs_words() {
    let runners = Runners::with(&["libgreet"], |config| config.infrastructure_tries = 2).await;
    let id = project(&runners, "libgreet");
    let set = |project: &mut buildbtw_fake_gitlab::state::Project| project.ci_config_path = None;
    runners.world.fake.change_project(id, set).unwrap();
    runners.namespace("greet", &["libgreet"]).await;
    let outcome = runners.ended("greet", "libgreet", 2).await.outcome.unwrap();
    assert!(
        outcome.message.contains("Missing CI config file"),
        "{outcome:?}"
    );
    let failed = || async {
        let build = runners.build("greet", "libgreet").await;
        build.status == buildbtw_api::BuildStatus::Failed
    };
    runners.until("it failed", failed).await;
    assert!(runners.pipelines().is_empty());
    runners.stop().await;
}

#[tokio::test]
async fn a_project_with_another_configuration_is_mended_where_that_is_wanted() {
    let wanted = |config: &mut buildbtw_server::config::Config| {
        config.fleet.gitlab_packages_ci_config = Some(CI.to_owned());
    };
    let runners = Runners::with(&["libgreet"], wanted).await;
    let id = project(&runners, "libgreet");
    let set = |project: &mut buildbtw_fake_gitlab::state::Project| project.ci_config_path = None;
    runners.world.fake.change_project(id, set).unwrap();
    runners.namespace("greet", &["libgreet"]).await;
    ends_well(&runners).await;
    let now = runners.world.fake.project_now(id).unwrap().ci_config_path;
    assert_eq!(now.as_deref(), Some(CI));
    assert_eq!(runners.run("greet", "libgreet").await.unwrap().attempt, 1);
    runners.stop().await;
}

#[tokio::test]
async fn gitlab_being_away_holds_up_nothing_else_and_loses_nothing() {
    let runners = Runners::of(&["libgreet", "other"]).await;
    // What was asked of GitLab before is known; from here on it is away for pipelines.
    let away = Call::Path(Method::POST, "/pipeline");
    runners.world.fake.faults().always(away, Fault::Reset);
    runners.namespace("greet", &["libgreet"]).await;
    let troubled = || async {
        let health = runners.people().health().await.unwrap();
        health.pipelines.unwrap().troubled_since.is_some()
    };
    runners.until("it is shown", troubled).await;
    let explanation = runners.explain("greet", "libgreet").await;
    assert!(
        matches!(&explanation, Explanation::WaitsForRunner { message: Some(message), .. } if message.contains("is not reached")),
        "{explanation:?}"
    );
    let worker = runners.worker("w").await;
    runners
        .namespace_on("here", &["other"], Some(BuildPlace::Workers))
        .await;
    let run = worker.claim().await;
    assert_eq!(run.build.pkgbase.as_str(), "other");
    worker.succeed(&run).await;
    runners.world.fake.faults().mend();
    runners.look().await;
    ends_well(&runners).await;
    let health = runners.people().health().await.unwrap();
    assert_eq!(health.pipelines.unwrap().troubled, 0);
    runners.stop().await;
}

#[tokio::test]
async fn a_cancel_that_gitlab_does_not_hear_is_said_again() {
    for fault in [
        Fault::Reset,
        Fault::LostAnswer,
        Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE),
        Fault::WrongShape,
    ] {
        let runners = Runners::of(&["libgreet"]).await;
        runners.namespace("greet", &["libgreet"]).await;
        runners.heard("greet", "libgreet", "pending").await;
        let cancel = Call::Path(Method::POST, "/cancel");
        runners.world.fake.faults().always(cancel, fault);
        runners
            .people()
            .cancel(&"greet".parse().unwrap())
            .await
            .unwrap();
        let troubled = || async {
            let health = runners.people().health().await.unwrap();
            health.pipelines.unwrap().troubled == 1
        };
        runners.until("it is shown", troubled).await;
        runners.world.fake.faults().mend();
        runners.look().await;
        let ended = || std::future::ready(runners.pipelines().iter().all(is_ended));
        runners.until("it is ended", ended).await;
        runners.stop().await;
    }
}

#[tokio::test]
async fn of_two_pipelines_of_a_run_one_builds_and_the_other_is_ended() {
    let runners = Runners::of(&["libgreet"]).await;
    runners.world.fake.faults().next(1, MAKE, Fault::LostAnswer);
    runners.namespace("greet", &["libgreet"]).await;
    let there = || std::future::ready(runners.pipelines().len() == 1);
    runners.until("GitLab has made it", there).await;
    // A proxy says the same once more, much later.
    let first = runners.pipelines().remove(0);
    let again = pipelines::NewPipeline {
        reference: "main".to_owned(),
        inputs: first.inputs.clone(),
        ..pipelines::NewPipeline::default()
    };
    let fake = &runners.world.fake;
    let role = buildbtw_fake_gitlab::access::Role::Maintainer;
    pipelines::create(fake.shared(), first.project, role, again).unwrap();
    let noticed = || async {
        let health = runners.people().health().await.unwrap();
        health.pipelines.unwrap().troubled == 1
    };
    runners.until("the answer is missed", noticed).await;
    runners.look().await;
    let one = || std::future::ready(runners.open_pipelines().len() == 1);
    runners.until("one is left", one).await;
    assert_eq!(runners.open_pipelines()[0].id, first.id);
    let job = runners.build_next().await;
    assert_eq!(job.pipeline, first.id);
    runners.stop().await;
}
