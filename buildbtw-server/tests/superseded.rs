//! What happens to runs when a newer iteration takes the place of theirs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::explanations::Explanation;
use buildbtw_api::namespaces::WaiveRequest;
use buildbtw_api::runs::Assignment;
use buildbtw_api::workers::{Heartbeat, HeldRun};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceName, NamespaceStatus, OutcomeClass};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, finish, registration, srcinfo, until, write_srcinfo};

fn name(text: &str) -> NamespaceName {
    text.parse().unwrap()
}

/// A pair, and one that has nothing to do with it.
fn sources() -> Vec<(&'static str, String)> {
    vec![
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("d", srcinfo("d", "1", &[])),
    ]
}

async fn build(stage: &Stage, namespace: &str, iteration: u32, pkgbase: &str) -> Build {
    let (client, query) = (stage.client(), BuildQuery::default());
    let page = client.builds(&name(namespace), iteration, &query).await;
    let mut items = page.unwrap().items.into_iter();
    items
        .find(|build| build.pkgbase.as_str() == pkgbase)
        .unwrap()
}

async fn until_build(stage: &Stage, namespace: &str, at: (u32, &str), status: BuildStatus) {
    until(stage, || async {
        build(stage, namespace, at.0, at.1).await.status == status
    })
    .await;
}

/// Gives `a` another version, which makes an iteration.
async fn push_a(stage: &Stage, namespace: &str, iteration: u32) {
    let version = format!("{}", iteration * 10);
    write_srcinfo(&stage.source("a"), &srcinfo("a", &version, &[]));
    until(stage, || async {
        let namespace = stage.client().namespace(&name(namespace)).await.unwrap();
        let newest = &namespace.iterations[0];
        newest.number == iteration && newest.status == IterationStatus::Current
    })
    .await;
}

/// What the worker is told to stop.
async fn told_to_stop(worker: &Worker, run: &Assignment) -> Option<String> {
    let beat = Heartbeat {
        runs: vec![HeldRun {
            run: run.run,
            fence: run.fence,
        }],
    };
    let answer = worker.client.heartbeat(worker.id, &beat).await.unwrap();
    answer.stop.into_iter().next().map(|stop| stop.reason)
}

/// Asks until a build waits for the run of an equal input: no event says that it came to that.
async fn waits_for_equal_input(stage: &Stage, namespace: &str, iteration: u32, build: &Build) {
    let client = stage.client();
    let asking = async {
        loop {
            let explained = client.explanation(&name(namespace), iteration, build).await;
            if matches!(
                explained.unwrap().explanation,
                Explanation::WaitsForEqualInput { iteration: 1, .. }
            ) {
                return;
            }
        }
    };
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, asking)
        .await
        .expect("it does not wait");
}

/// A namespace with `a` and `d` handed out and begun.
async fn begun(stage: &Stage) -> [(Worker, Assignment); 2] {
    stage
        .namespace("n", &["a/main", "d/main"], Scope::Transitive)
        .await;
    let mut begun = Vec::new();
    for number in 0..2 {
        let worker = stage.worker(&format!("w{number}")).await;
        let run = worker.claim().await;
        worker.begin(&run).await;
        begun.push((worker, run));
    }
    begun.sort_by_key(|(_, run)| run.build.pkgbase.to_string());
    begun.try_into().ok().unwrap()
}

#[tokio::test]
async fn a_run_whose_input_stays_goes_on_and_serves_the_new_iteration() {
    let stage = Stage::start(&sources()).await;
    let [(first, a), (second, d)] = begun(&stage).await;
    push_a(&stage, "n", 2).await;
    let reason = told_to_stop(&first, &a).await.unwrap();
    assert!(reason.contains("iteration 2"), "{reason}");
    assert_eq!(told_to_stop(&second, &d).await, None);
    let old = build(&stage, "n", 1, "d").await;
    assert_eq!(old.status, BuildStatus::Building);
    assert!(old.reason.unwrap().contains("goes on"));
    assert_eq!(
        build(&stage, "n", 1, "b").await.status,
        BuildStatus::Cancelled
    );

    // The new iteration waits for it instead of building it once more.
    let a = first.claim().await;
    assert_eq!((a.iteration, a.build.pkgbase.as_str()), (2, "a"));
    let d_now = build(&stage, "n", 2, "d").await;
    assert_eq!(d_now.status, BuildStatus::Pending);
    let third = stage.worker("w3").await;
    tokio::select! {
        run = third.claim() => panic!("{} was handed out", run.build.pkgbase),
        () = async {
            waits_for_equal_input(&stage, "n", 2, &d_now).await;
            second.succeed(&d).await;
            until_build(&stage, "n", (2, "d"), BuildStatus::Reused).await;
        } => {}
    }
    let old = build(&stage, "n", 1, "d").await;
    assert_eq!(
        (old.status, old.run.unwrap().id),
        (BuildStatus::Built, d.run)
    );
    first.succeed(&a).await;
    let b = first.claim().await;
    assert_eq!(b.build.pkgbase.as_str(), "b");
    first.succeed(&b).await;
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.namespace.status == NamespaceStatus::Finished
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn a_run_behind_the_change_is_called_off() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    let worker = stage.worker("w").await;
    worker.succeed(&worker.claim().await).await;
    let b = worker.claim().await;
    worker.begin(&b).await;
    push_a(&stage, "n", 2).await;
    assert!(told_to_stop(&worker, &b).await.is_some());
    assert_eq!(
        build(&stage, "n", 1, "b").await.status,
        BuildStatus::Cancelled
    );
    // Nor does it count when it is reported all the same.
    let report = finish(&b, OutcomeClass::Package, &[]);
    worker.client.finish_run(b.run, &report).await.unwrap_err();
    stage.stop().await;
}

#[tokio::test]
async fn a_run_that_went_on_survives_a_restart_and_the_next_iteration() {
    let mut stage = Stage::start(&sources()).await;
    let [_, (mut worker, d)] = begun(&stage).await;
    push_a(&stage, "n", 2).await;
    stage.restart().await;
    worker.client = stage.worker_client();
    let mut again = registration("w");
    again.id = Some(worker.id);
    again.running = vec![HeldRun {
        run: d.run,
        fence: d.fence,
    }];
    let registered = worker.client.register_worker(&again).await.unwrap();
    assert_eq!(registered.carry_on, [d.run]);
    push_a(&stage, "n", 3).await;
    assert_eq!(told_to_stop(&worker, &d).await, None);
    worker.succeed(&d).await;
    until_build(&stage, "n", (1, "d"), BuildStatus::Built).await;
    let a = worker.claim().await;
    assert_eq!((a.iteration, a.build.pkgbase.as_str()), (3, "a"));
    until_build(&stage, "n", (3, "d"), BuildStatus::Pending).await;
    worker.succeed(&a).await;
    // Whoever asks next takes it over first.
    let b = worker.claim().await;
    assert_eq!(b.build.pkgbase.as_str(), "b");
    worker.succeed(&b).await;
    tokio::select! {
        run = worker.claim() => panic!("{} was handed out", run.build.pkgbase),
        () = until_build(&stage, "n", (3, "d"), BuildStatus::Reused) => {}
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_run_that_went_on_and_is_lost_is_made_up_for_by_the_new_iteration() {
    let stage = Stage::start(&sources()).await;
    let [_, (worker, d)] = begun(&stage).await;
    push_a(&stage, "n", 2).await;
    worker.fail(&d, OutcomeClass::Infrastructure).await;
    let old = build(&stage, "n", 1, "d").await;
    assert_eq!(old.status, BuildStatus::Cancelled);
    let mut claimed = Vec::new();
    for _ in 0..2 {
        let run = worker.claim().await;
        claimed.push((run.iteration, run.build.pkgbase.to_string()));
    }
    claimed.sort();
    assert_eq!(claimed, [(2, "a".to_owned()), (2, "d".to_owned())]);
    stage.stop().await;
}

#[tokio::test]
async fn a_run_that_nobody_waits_for_any_more_is_called_off() {
    let stage = Stage::start(&sources()).await;
    let [_, (worker, d)] = begun(&stage).await;
    push_a(&stage, "n", 2).await;
    let request = WaiveRequest {
        pkgbases: vec!["d".parse().unwrap()],
        reason: "it can wait".to_owned(),
    };
    stage.client().waive(&name("n"), &request).await.unwrap();
    until_build(&stage, "n", (1, "d"), BuildStatus::Cancelled).await;
    assert!(told_to_stop(&worker, &d).await.is_some());
    stage.stop().await;
}

#[tokio::test]
async fn calling_a_namespace_off_ends_what_went_on() {
    let stage = Stage::start(&sources()).await;
    let [_, (worker, d)] = begun(&stage).await;
    push_a(&stage, "n", 2).await;
    stage.client().cancel(&name("n")).await.unwrap();
    assert!(told_to_stop(&worker, &d).await.is_some());
    assert_eq!(
        build(&stage, "n", 1, "d").await.status,
        BuildStatus::Cancelled
    );
    stage.client().resume(&name("n")).await.unwrap();
    let status = async |iteration| build(&stage, "n", iteration, "d").await.status;
    assert_eq!(status(1).await, BuildStatus::Cancelled);
    assert_eq!(status(2).await, BuildStatus::Pending);
    stage.stop().await;
}

#[tokio::test]
async fn without_reuse_nothing_goes_on() {
    let stage = Stage::start(&sources()).await;
    let mut request = stage::create(Some("n"), &["a/main", "d/main"], Scope::None);
    request.options.reuse = false;
    stage.client().create_namespace(&request).await.unwrap();
    let worker = stage.worker("w").await;
    let mut d = worker.claim().await;
    if d.build.pkgbase.as_str() != "d" {
        d = worker.claim().await;
    }
    worker.begin(&d).await;
    push_a(&stage, "n", 2).await;
    assert!(told_to_stop(&worker, &d).await.is_some());
    stage.stop().await;
}

#[tokio::test]
async fn a_run_that_another_namespace_waits_for_goes_on() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let old = write_srcinfo(&stage.source("a"), &srcinfo("a", "1", &[]));
    let worker = stage.worker("w").await;
    let a = worker.claim().await;
    worker.begin(&a).await;
    let pinned = format!("a/{old}");
    stage.namespace("other", &[&pinned], Scope::None).await;
    let waiting = build(&stage, "other", 1, "a").await;
    let second = stage.worker("w2").await;
    tokio::select! {
        run = second.claim() => panic!("{} was handed out", run.build.pkgbase),
        () = waits_for_equal_input(&stage, "other", 1, &waiting) => {}
    }
    push_a(&stage, "n", 2).await;
    assert_eq!(told_to_stop(&worker, &a).await, None);
    worker.succeed(&a).await;
    let now = worker.claim().await;
    assert_eq!(
        (now.iteration, now.build.version.to_string()),
        (2, "20-1".to_owned())
    );
    tokio::select! {
        run = second.claim() => panic!("{} was handed out", run.build.pkgbase),
        () = until_build(&stage, "other", (1, "a"), BuildStatus::Reused) => {}
    }
    stage.stop().await;
}
