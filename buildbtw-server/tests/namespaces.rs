//! The life of namespaces: iterations, cancel, resume, retry, archive, leases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::time::Duration;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::client::UploadError;
use buildbtw_api::namespaces::{DifferenceQuery, IterationReason, RetryRequest, WaiveRequest};
use buildbtw_api::workers::{Heartbeat, HeldRun};
use buildbtw_api::{
    BuildStatus, IterationStatus, NamespaceName, NamespaceStatus, OutcomeClass, ProblemType,
};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, finish, registration, srcinfo, until, write_srcinfo};

fn name(text: &str) -> NamespaceName {
    text.parse().unwrap()
}

async fn statuses(stage: &Stage, namespace: &str, iteration: u32) -> Vec<(String, BuildStatus)> {
    let page = stage
        .client()
        .builds(&name(namespace), iteration, &BuildQuery::default())
        .await
        .unwrap();
    let mut statuses: Vec<_> = page
        .items
        .into_iter()
        .map(|build| (build.pkgbase.to_string(), build.status))
        .collect();
    statuses.sort();
    statuses
}

fn chain() -> Vec<(&'static str, String)> {
    vec![
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("c", srcinfo("c", "1", &["makedepends = b"])),
    ]
}

async fn pair(stage: &Stage) -> Worker {
    stage.worker("w").await
}

#[tokio::test]
async fn a_chain_is_built_in_order_and_the_namespace_finishes() {
    let stage = Stage::start(&chain()).await;
    stage
        .namespace("n", &["a/main", "b/main", "c/main"], Scope::None)
        .await;
    let worker = pair(&stage).await;
    for expected in ["a", "b", "c"] {
        let run = worker.claim().await;
        assert_eq!(run.build.pkgbase.as_ref(), expected);
        worker.succeed(&run).await;
    }
    until(&stage, || async {
        stage
            .client()
            .namespace(&name("n"))
            .await
            .unwrap()
            .namespace
            .status
            == NamespaceStatus::Finished
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn a_failure_blocks_its_dependents_until_it_is_retried() {
    let stage = Stage::start(&chain()).await;
    stage
        .namespace("n", &["a/main", "b/main", "c/main"], Scope::None)
        .await;
    let worker = pair(&stage).await;
    worker
        .fail(&worker.claim().await, OutcomeClass::Package)
        .await;
    use BuildStatus::{Blocked, DependencyFailed, Failed, Pending};
    let expected = |a, b, c| {
        vec![
            ("a".to_owned(), a),
            ("b".to_owned(), b),
            ("c".to_owned(), c),
        ]
    };
    assert_eq!(
        statuses(&stage, "n", 1).await,
        expected(Failed, DependencyFailed, DependencyFailed)
    );
    let unknown = RetryRequest {
        pkgbases: vec!["zzz".parse().unwrap()],
        force: false,
    };
    assert!(stage.client().retry(&name("n"), &unknown).await.is_err());
    let retried = stage
        .client()
        .retry(&name("n"), &RetryRequest::default())
        .await
        .unwrap();
    assert_eq!((retried.builds, retried.dependents), (1, 2));
    assert_eq!(
        statuses(&stage, "n", 1).await,
        expected(Pending, Blocked, Blocked)
    );
    let run = worker.claim().await;
    assert_eq!(run.build.pkgbase.as_ref(), "a");
    worker.succeed(&run).await;
    assert_eq!(worker.claim().await.build.pkgbase.as_ref(), "b");
    stage.stop().await;
}

#[tokio::test]
async fn a_commit_supersedes_the_iteration_and_takes_its_runs_away() {
    let stage = Stage::start(&chain()).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    let worker = pair(&stage).await;
    let old = worker.claim().await;
    worker.begin(&old).await;
    let commit = write_srcinfo(&stage.source("a"), &srcinfo("a", "2", &[]));
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.iterations[0].number == 2
            && namespace.iterations[0].status == IterationStatus::Current
    })
    .await;
    let namespace = stage.client().namespace(&name("n")).await.unwrap();
    assert_eq!(namespace.iterations[1].status, IterationStatus::Superseded);
    let IterationReason::NewCommit { moves } = &namespace.iterations[0].reason else {
        panic!("{:?}", namespace.iterations[0].reason)
    };
    assert_eq!(moves[0].to, commit);
    let compared = stage
        .client()
        .difference(&name("n"), 2, &DifferenceQuery::default())
        .await
        .unwrap();
    let set = compared.difference.architectures.values().next().unwrap();
    assert_eq!(
        (compared.from, &set.added, &set.removed),
        (1, &vec![], &vec![])
    );
    assert_eq!(set.changed[0].build.pkgbase.as_str(), "a");
    assert_eq!(set.changed[0].commit.as_ref().unwrap().1, commit);

    // The worker learns it at its next heartbeat, and its result is not taken.
    let beat = Heartbeat {
        runs: vec![HeldRun {
            run: old.run,
            fence: old.fence,
        }],
    };
    let answer = worker.client.heartbeat(worker.id, &beat).await.unwrap();
    assert_eq!(answer.stop.len(), 1);
    assert!(
        answer.stop[0].reason.contains("iteration 2"),
        "{}",
        answer.stop[0].reason
    );
    let late = worker
        .client
        .finish_run(old.run, &finish(&old, OutcomeClass::Package, &[]))
        .await;
    assert!(matches!(late, Err(UploadError::Lost)), "{late:?}");
    let new = worker.claim().await;
    assert_eq!(
        (new.iteration, new.build.version.to_string().as_str()),
        (2, "2-1")
    );

    // The same tree under another commit makes no iteration.
    stage::git(
        &stage.source("a"),
        &["commit", "--quiet", "--allow-empty", "--message", "nothing"],
    );
    write_srcinfo(&stage.source("a"), &srcinfo("a", "3", &[]));
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.iterations[0].changesets[0].commit != commit
    })
    .await;
    assert_eq!(
        stage
            .client()
            .namespace(&name("n"))
            .await
            .unwrap()
            .iterations
            .len(),
        3
    );
    stage.stop().await;
}

#[tokio::test]
async fn cancel_resume_pause_and_archive() {
    let stage = Stage::start(&chain()).await;
    stage
        .namespace("n", &["a/main", "b/main"], Scope::None)
        .await;
    let client = stage.client();
    let worker = pair(&stage).await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    assert_eq!(
        client.cancel(&name("n")).await.unwrap().status,
        NamespaceStatus::Cancelled
    );
    assert!(
        statuses(&stage, "n", 1)
            .await
            .iter()
            .all(|(_, status)| *status == BuildStatus::Cancelled)
    );
    let beat = Heartbeat {
        runs: vec![HeldRun {
            run: run.run,
            fence: run.fence,
        }],
    };
    assert_eq!(
        worker
            .client
            .heartbeat(worker.id, &beat)
            .await
            .unwrap()
            .stop
            .len(),
        1
    );
    let refused = client
        .retry(&name("n"), &RetryRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.problem().unwrap().kind, ProblemType::Conflict);

    assert_eq!(
        client.resume(&name("n")).await.unwrap().status,
        NamespaceStatus::Active
    );
    let again = worker.claim().await;
    assert_eq!(again.build.pkgbase.as_ref(), "a");
    assert!(again.fence > run.fence);
    client.pause(&name("n")).await.unwrap();
    worker.succeed(&again).await;
    until(&stage, || async {
        statuses(&stage, "n", 1).await[0].1 == BuildStatus::Built
    })
    .await;
    client.resume(&name("n")).await.unwrap();
    assert_eq!(worker.claim().await.build.pkgbase.as_ref(), "b");

    assert_eq!(
        client.archive(&name("n")).await.unwrap().status,
        NamespaceStatus::Archived
    );
    // The name is free again, and the new one is found under it.
    stage.namespace("n", &["c/main"], Scope::None).await;
    assert_eq!(
        client
            .namespace(&name("n"))
            .await
            .unwrap()
            .namespace
            .changesets[0]
            .pkgbase
            .as_ref(),
        "c"
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_silent_worker_loses_its_run_and_another_gets_it() {
    let stage = Stage::start_with(&chain(), |config| config.lease_seconds = 1).await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let (silent, other) = (stage.worker("silent").await, stage.worker("other").await);
    let lost = silent.claim().await;
    silent.begin(&lost).await;
    let again = tokio::time::timeout(Duration::from_secs(20), other.claim())
        .await
        .unwrap();
    assert_eq!(again.build.pkgbase, lost.build.pkgbase);
    assert!(again.fence > lost.fence);
    let late = silent
        .client
        .finish_run(lost.run, &finish(&lost, OutcomeClass::Package, &[]))
        .await;
    assert!(matches!(late, Err(UploadError::Lost)), "{late:?}");
    let outcome = stage
        .client()
        .run(lost.run)
        .await
        .unwrap()
        .run
        .outcome
        .unwrap();
    assert_eq!(outcome.class, OutcomeClass::Infrastructure);
    other.succeed(&again).await;
    stage.stop().await;
}

#[tokio::test]
async fn runs_survive_a_restart_and_a_worker_that_forgot_them_gives_them_back() {
    let mut stage = Stage::start(&chain()).await;
    stage
        .namespace("n", &["a/main", "b/main"], Scope::None)
        .await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    stage.restart().await;

    let client = stage.worker_client();
    let mut again = registration("w");
    again.id = Some(worker.id);
    again.running = vec![HeldRun {
        run: run.run,
        fence: run.fence,
    }];
    assert_eq!(
        client.register_worker(&again).await.unwrap().carry_on,
        [run.run]
    );
    // The same worker anew, with nothing running: the run is lost at once and tried again.
    again.running.clear();
    client.register_worker(&again).await.unwrap();
    let outcome = stage
        .client()
        .run(run.run)
        .await
        .unwrap()
        .run
        .outcome
        .unwrap();
    assert_eq!(outcome.class, OutcomeClass::Infrastructure);
    let next = loop {
        if let Some(next) = client.claim(worker.id).await.unwrap() {
            break next;
        }
    };
    assert_eq!(next.build.pkgbase.as_ref(), "a");
    stage.stop().await;
}

#[tokio::test]
async fn a_finish_that_is_sent_twice_counts_once() {
    let stage = Stage::start(&chain()).await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    let (file, bytes) = worker.package(&run, "a");
    worker.upload(&run, &file, &bytes).await.unwrap();
    worker.upload(&run, &file, &bytes).await.unwrap();
    let report = finish(&run, OutcomeClass::Success, &[file]);
    worker.client.finish_run(run.run, &report).await.unwrap();
    worker.client.finish_run(run.run, &report).await.unwrap();
    until(&stage, || async {
        statuses(&stage, "n", 1).await[0].1 == BuildStatus::Built
    })
    .await;
    worker.client.finish_run(run.run, &report).await.unwrap();
    let other = worker
        .client
        .finish_run(run.run, &finish(&run, OutcomeClass::Timeout, &[]))
        .await;
    assert!(matches!(other, Err(UploadError::Lost)), "{other:?}");
    stage.stop().await;
}

#[tokio::test]
async fn what_a_person_leaves_out_holds_nobody_up() {
    let stage = Stage::start(&chain()).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    let worker = pair(&stage).await;
    let run = worker.claim().await;
    worker.fail(&run, OutcomeClass::Package).await;
    let waive = async |reason: &str| {
        let request = WaiveRequest {
            pkgbases: vec!["a".parse().unwrap()],
            reason: reason.to_owned(),
        };
        stage.client().waive(&name("n"), &request).await
    };
    assert!(waive(" ").await.is_err(), "a reason is wanted");
    let waived = waive("known upstream").await.unwrap();
    assert_eq!((waived.builds, waived.dependents), (1, 1));
    // Nothing is released here, so what needs it cannot be installed; but it is tried.
    let query = BuildQuery::default();
    let builds = stage.client().builds(&name("n"), 1, &query).await.unwrap();
    let status = |pkgbase: &str| {
        let mut builds = builds.items.iter();
        let build = builds
            .find(|build| build.pkgbase.as_str() == pkgbase)
            .unwrap();
        (build.status, build.reason.clone())
    };
    let reason = Some("waived: known upstream".to_owned());
    assert_eq!(status("a"), (BuildStatus::Waived, reason));
    assert_eq!(status("b").0, BuildStatus::Pending);
    assert!(waive("again").await.is_err(), "it is left out already");
    stage.stop().await;
}

#[tokio::test]
async fn a_name_that_is_used_again_leaves_the_repositories_of_the_old_one_where_they_are() {
    let stage = Stage::start(&chain()).await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let worker = pair(&stage).await;
    let run = worker.claim().await;
    worker.succeed(&run).await;
    until(&stage, || async {
        statuses(&stage, "n", 1).await[0].1 == BuildStatus::Built
    })
    .await;
    let file = format!("a-{}-x86_64.pkg.tar.zst", run.build.version);
    let url = format!("{}/repo/n/1/os/x86_64/{file}", stage.url());
    let found = async || reqwest::get(&url).await.unwrap().status().is_success();
    assert!(found().await);
    stage.client().archive(&name("n")).await.unwrap();
    let again = stage.namespace("n", &["b/main"], Scope::None).await;
    assert_eq!(again.iteration.unwrap().number, 2);
    assert!(found().await, "the old repository is where it was");
    // The old namespace is found by its iteration.
    for (number, pkgbase, status) in [
        (1, "a", NamespaceStatus::Archived),
        (2, "b", NamespaceStatus::Active),
    ] {
        let client = stage.client();
        let found = client.namespace_with(&name("n"), Some(number)).await;
        let found = found.unwrap();
        assert_eq!(found.namespace.status, status);
        assert_eq!(found.namespace.changesets[0].pkgbase.as_str(), pkgbase);
        assert_eq!(found.iterations[0].number, number);
    }
    let client = stage.client();
    assert!(client.namespace_with(&name("n"), Some(3)).await.is_err());
    stage.stop().await;
}
