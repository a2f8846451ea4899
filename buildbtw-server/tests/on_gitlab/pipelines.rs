//! Builds that go to GitLab and come back as packages.

use buildbtw_api::explanations::Explanation;
use buildbtw_api::{BuildPlace, BuildStatus, NamespaceStatus, OutcomeClass, ProblemType};
use buildbtw_fake_gitlab::hooks::Hook;
use buildbtw_fake_gitlab::pipelines::Status;
use buildbtw_fake_gitlab::runner::JobEnd;

use crate::runners::*;
use crate::world::SECRET;

#[tokio::test]
async fn a_build_goes_to_gitlab_and_comes_back_as_packages() {
    let runners = Runners::of(&["libgreet"]).await;
    runners.namespace("greet", &["libgreet"]).await;
    let job = runners.take().await;
    // The pipeline says which run and where, and nothing else.
    let pipeline = runners.pipelines().remove(0);
    let run = runners.run("greet", "libgreet").await.unwrap();
    assert_eq!(pipeline.reference, "main");
    assert_eq!(pipeline.name, Some(format!("buildbtw {}", run.id)));
    assert_eq!(pipeline.inputs["run"], run.id.to_string());
    assert_eq!(pipeline.inputs["server"], runners.server().base_url);
    assert!(pipeline.variables.is_empty());
    // Until it is claimed nobody has it.
    assert_eq!(run.worker, None);
    assert!(runners.server().dispatch.leases.next_deadline().is_none());
    let claimed = runners.claim(&job).await;
    assert_eq!(claimed.assignment.run, run.id);
    assert_eq!(claimed.assignment.build.pkgbase.as_str(), "libgreet");
    assert!(runners.server().dispatch.leases.next_deadline().is_some());
    // The same job may ask again, another one may not.
    assert_eq!(runners.claim(&job).await, claimed);
    let mut other = job.clone();
    other.id += 1;
    let refusal = runners.refusal(&other).await;
    assert_eq!(refusal.kind, ProblemType::RunTaken, "{refusal}");
    runners
        .executor(&claimed)
        .succeed(&claimed.assignment)
        .await;
    runners
        .world
        .fake
        .end_job(job.id, &JobEnd::Success)
        .unwrap();
    runners.look().await;
    runners.heard("greet", "libgreet", "success").await;
    let done = || async {
        let namespace = runners.people().namespace(&"greet".parse().unwrap()).await;
        namespace.unwrap().namespace.status == NamespaceStatus::Finished
    };
    runners.until("the namespace is finished", done).await;
    assert_eq!(runners.pipelines().len(), 1);
    // People find the pipeline, and the host by its name.
    let run = runners.run("greet", "libgreet").await.unwrap();
    assert_eq!(run.worker.as_deref(), Some("host"));
    let shown = run.pipeline.unwrap();
    assert_eq!(shown.id, Some(pipeline.id));
    let page = runners.page("greet", "libgreet").await;
    assert!(page.contains(&shown.url.unwrap()), "{page}");
    assert!(page.contains(&shown.job_url.unwrap()), "{page}");
    // Who comes too late hears that it is over.
    let refusal = runners.refusal(&job).await;
    assert_eq!(refusal.kind, ProblemType::RunOver, "{refusal}");
    runners.stop().await;
}

#[tokio::test]
async fn what_a_runner_builds_serves_an_equal_input() {
    let runners = Runners::of(&["libgreet"]).await;
    runners.namespace("first", &["libgreet"]).await;
    let job = runners.build_next().await;
    runners
        .world
        .fake
        .end_job(job.id, &JobEnd::Success)
        .unwrap();
    let built = async |namespace: &str, status| {
        let so = || async { runners.build(namespace, "libgreet").await.status == status };
        runners.until(namespace, so).await;
    };
    built("first", BuildStatus::Built).await;
    runners.namespace("second", &["libgreet"]).await;
    built("second", BuildStatus::Reused).await;
    assert_eq!(runners.pipelines().len(), 1);
    runners.stop().await;
}

#[tokio::test]
async fn no_more_pipelines_are_open_than_may_be() {
    let one = |config: &mut buildbtw_server::config::Config| {
        config.fleet.gitlab_open_pipelines = 1;
    };
    let runners = Runners::with(&["a", "b"], one).await;
    runners.namespace("both", &["a", "b"]).await;
    let first = runners.take().await;
    let mut waiting = Vec::new();
    for package in ["a", "b"] {
        waiting.push(runners.explain("both", package).await);
    }
    assert!(
        waiting.contains(&Explanation::PipelinesOpen { limit: 1, ahead: 0 }),
        "{waiting:?}"
    );
    assert_eq!(runners.pipelines().len(), 1);
    let health = runners.people().health().await.unwrap().pipelines.unwrap();
    assert_eq!((health.open, health.limit), (1, 1));
    let claimed = runners.claim(&first).await;
    runners
        .executor(&claimed)
        .succeed(&claimed.assignment)
        .await;
    // There is room as soon as the executor has reported; GitLab need not say so first.
    let second = runners.take().await;
    assert_ne!(second.inputs["run"], first.inputs["run"]);
    runners.stop().await;
}

#[tokio::test]
async fn namespaces_and_labels_say_who_builds() {
    let hints = tempfile::NamedTempFile::new().unwrap();
    let text = "[[hint]]\npkgbase = \"big\"\nlabels = [\"kvm\"]\nexpires = \"2999-01-01\"\nreason = \"it needs one\"\n";
    std::fs::write(hints.path(), text).unwrap();
    let runners = Runners::with(&["big", "small", "third"], |config| {
        config.fleet.run_builds_on_gitlab = false;
        config.fleet.gitlab_for_labels = vec!["kvm".to_owned()];
        config.hints_file = Some(hints.path().to_owned());
    })
    .await;
    let worker = runners.worker("w").await;
    runners.namespace("usual", &["big", "small"]).await;
    let run = worker.claim().await;
    assert_eq!(run.build.pkgbase.as_str(), "small");
    let labelled = || std::future::ready(runners.pipelines().len() == 1);
    runners.until("a pipeline for the label", labelled).await;
    let pending = runners.world.fake.pending_jobs();
    assert_eq!(pending[0].template.tags, ["buildbtw", "kvm"]);
    // A namespace's own word comes first, and is shown.
    runners
        .namespace_on("there", &["third"], Some(BuildPlace::GitLab))
        .await;
    let named = || std::future::ready(runners.pipelines().len() == 2);
    runners.until("a pipeline for the namespace", named).await;
    let there = runners.people().namespace(&"there".parse().unwrap()).await;
    assert_eq!(
        there.unwrap().namespace.options.on,
        Some(BuildPlace::GitLab)
    );
    runners.stop().await;
}

#[tokio::test]
async fn hooks_tell_at_once_what_a_pipeline_is_doing() {
    let runners = Runners::of(&["libgreet"]).await;
    runners.world.fake.hook(Hook {
        url: format!("{}/api/v1/gitlab/hooks", runners.running().url()),
        token: Some(SECRET.to_owned()),
        pipeline_events: true,
        job_events: true,
        project: Some(project(&runners, "libgreet")),
        ..Hook::default()
    });
    runners.namespace("greet", &["libgreet"]).await;
    runners.heard("greet", "libgreet", "pending").await;
    let job = runners.take().await;
    runners.heard("greet", "libgreet", "running").await;
    // It ends without a claim, and nobody has to look: it is tried again.
    let end = JobEnd::Failure("runner_system_failure");
    runners.world.fake.end_job(job.id, &end).unwrap();
    let run = runners.ended("greet", "libgreet", 1).await;
    let outcome = run.outcome.unwrap();
    assert_eq!(outcome.class, OutcomeClass::Infrastructure);
    assert!(outcome.message.contains("runner_system_failure"));
    let second = runners.take().await;
    assert_ne!(second.pipeline, job.pipeline);
    runners.stop().await;
}

/// GitLab's number of a project.
pub fn project(runners: &Runners, name: &str) -> u64 {
    let state = runners.world.fake.state();
    let mut projects = state.projects.values();
    projects.find(|project| project.name == name).unwrap().id
}

#[tokio::test]
async fn a_namespace_that_is_called_off_ends_its_pipelines() {
    let runners = Runners::of(&["a", "b"]).await;
    runners.namespace("both", &["a", "b"]).await;
    let job = runners.take().await;
    let claimed = runners.claim(&job).await;
    let both = || std::future::ready(runners.pipelines().len() == 2);
    runners.until("both pipelines", both).await;
    runners
        .people()
        .cancel(&"both".parse().unwrap())
        .await
        .unwrap();
    let ended = || std::future::ready(runners.pipelines().iter().all(is_ended));
    runners.until("both are ended", ended).await;
    // The executor that has begun hears it from the server, too.
    let beat = buildbtw_api::workers::Heartbeat {
        runs: vec![buildbtw_api::workers::HeldRun {
            run: claimed.assignment.run,
            fence: claimed.assignment.fence,
        }],
    };
    let executor = runners.executor(&claimed);
    let answer = executor.client.heartbeat(claimed.worker, &beat).await;
    assert_eq!(answer.unwrap().stop.len(), 1);
    assert_eq!(runners.refusal(&job).await.kind, ProblemType::RunOver);
    runners
        .world
        .fake
        .end_job(job.id, &JobEnd::Canceled)
        .unwrap();
    runners.look().await;
    let none = || async {
        let health = runners.people().health().await.unwrap();
        health.pipelines.unwrap().open == 0
    };
    runners.until("none is open", none).await;
    runners.stop().await;
}

#[tokio::test]
async fn an_executor_that_falls_silent_loses_its_run_and_its_pipeline() {
    let runners = Runners::with(&["libgreet"], |config| config.lease_seconds = 1).await;
    runners.namespace("greet", &["libgreet"]).await;
    let job = runners.take().await;
    runners.claim(&job).await;
    let run = runners.ended("greet", "libgreet", 1).await;
    let outcome = run.outcome.unwrap();
    assert_eq!(outcome.class, OutcomeClass::Infrastructure);
    assert!(outcome.message.contains("host was silent"), "{outcome:?}");
    let ended = || {
        let pipelines = runners.pipelines();
        std::future::ready(pipelines.first().is_some_and(is_ended))
    };
    runners.until("the first pipeline is ended", ended).await;
    // The build has another one, and the old job cannot take it.
    let second = runners.take().await;
    assert_ne!(second.inputs["run"], job.inputs["run"]);
    assert_eq!(runners.refusal(&job).await.kind, ProblemType::RunOver);
    runners.stop().await;
}

#[tokio::test]
async fn a_host_that_does_not_fit_gets_nothing() {
    let runners = Runners::of(&["libgreet"]).await;
    runners.namespace("greet", &["libgreet"]).await;
    let job = runners.take().await;
    let mut claim = job_claim(&job);
    claim.offer.architectures = vec!["riscv64".parse().unwrap()];
    let run = job.inputs["run"].as_str().unwrap().parse().unwrap();
    let client = runners.worker("other").await.client;
    let refusal = client.claim_job(run, &claim).await.unwrap_err();
    let problem = refusal.problem().unwrap();
    assert_eq!(problem.kind, ProblemType::Conflict);
    assert!(
        problem.detail.contains("does not build for x86_64"),
        "{problem}"
    );
    claim.protocol += 1;
    let refusal = client.claim_job(run, &claim).await.unwrap_err();
    assert_eq!(
        refusal.problem().unwrap().kind,
        ProblemType::ProtocolVersion
    );
    let stranger = buildbtw_api::RunId::generate();
    claim.protocol -= 1;
    let refusal = client.claim_job(stranger, &claim).await.unwrap_err();
    assert_eq!(refusal.problem().unwrap().kind, ProblemType::UnknownRun);
    // Whoever has no token gets nothing, either.
    let refusal = runners.people().claim_job(run, &claim).await.unwrap_err();
    assert_eq!(refusal.problem().unwrap().kind, ProblemType::Unauthorized);
    assert_eq!(
        runners.world.fake.job(job.id).unwrap().status,
        Status::Running
    );
    runners.stop().await;
}

#[tokio::test]
async fn a_claim_outlives_a_restart_of_the_server() {
    let mut runners = Runners::of(&["libgreet"]).await;
    runners.namespace("greet", &["libgreet"]).await;
    let job = runners.take().await;
    let claimed = runners.claim(&job).await;
    runners.restart().await;
    let executor = runners.executor(&claimed);
    let beat = buildbtw_api::workers::Heartbeat {
        runs: vec![buildbtw_api::workers::HeldRun {
            run: claimed.assignment.run,
            fence: claimed.assignment.fence,
        }],
    };
    let answer = executor.client.heartbeat(claimed.worker, &beat).await;
    assert!(answer.unwrap().stop.is_empty());
    assert_eq!(runners.claim(&job).await.assignment, claimed.assignment);
    executor.succeed(&claimed.assignment).await;
    let built = || async { runners.build("greet", "libgreet").await.status == BuildStatus::Built };
    runners.until("it is built", built).await;
    runners.stop().await;
}

#[tokio::test]
async fn the_token_goes_to_gitlab_alone() {
    let runners = Runners::of(&["libgreet"]).await;
    runners.namespace("greet", &["libgreet"]).await;
    let job = runners.take().await;
    let claimed = runners.claim(&job).await;
    let refused = buildbtw_fake_gitlab::faults::Fault::Unauthorized;
    let any = buildbtw_fake_gitlab::faults::Call::Any;
    runners.world.fake.faults().always(any, refused);
    runners.look().await;
    let troubled = || async {
        let health = runners.people().health().await.unwrap();
        health.pipelines.unwrap().troubled == 1
    };
    runners.until("the token is refused", troubled).await;
    let mut seen = format!("{:?}{:?}{claimed:?}", runners.pipelines(), job);
    for path in [
        "/",
        "/sources",
        "/workers",
        "/namespaces/greet",
        "/namespaces/greet/1/x86_64/libgreet/1",
        "/api/v1/health",
        "/api/v1/workers",
        "/api/v1/namespaces/greet/iterations/1/builds/x86_64/libgreet/1/explanation",
    ] {
        let url = format!("{}{path}", runners.running().url());
        seen += &reqwest::get(url).await.unwrap().text().await.unwrap();
    }
    let run = runners.run("greet", "libgreet").await;
    seen += &serde_json::to_string(&run).unwrap();
    assert!(seen.contains("GITLAB_TOKEN"), "people are told what to do");
    assert!(!seen.contains(API_TOKEN));
    runners.stop().await;
}
