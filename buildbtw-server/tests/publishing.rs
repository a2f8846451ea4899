//! Publishing what runs made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::{BuildStatus, OutcomeClass};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, srcinfo, until};

/// A `.SRCINFO` of a package of the package base's name, and of one more.
fn split(pkgbase: &str, other: &str) -> String {
    format!("{}\npkgname = {other}\n", srcinfo(pkgbase, "1", &[]))
}

#[tokio::test]
async fn what_cannot_enter_the_repository_fails_alone_and_keeps_nothing_back() {
    let sources = [
        ("a", split("a", "both")),
        ("b", split("b", "both")),
        ("c", srcinfo("c", "1", &[])),
    ];
    let stage = Stage::start(&sources).await;
    let changesets = ["a/main", "b/main", "c/main"];
    stage.namespace("n", &changesets, Scope::None).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    let mut runs = Vec::new();
    for _ in changesets {
        runs.push(worker.claim().await);
    }
    runs.sort_by(|a, b| a.build.pkgbase.cmp(&b.build.pkgbase));
    // The same file name, with other bytes.
    for run in &runs {
        worker.succeed(run).await;
    }
    until(&stage, || async {
        let statuses = stage.statuses("n").await;
        statuses.iter().all(|(_, status)| status.is_final())
    })
    .await;
    let statuses = stage.statuses("n").await;
    let expected = [
        ("a", BuildStatus::Built),
        ("b", BuildStatus::Failed),
        ("c", BuildStatus::Built),
    ];
    for (found, expected) in statuses.iter().zip(expected) {
        assert_eq!((&*found.0, found.1), expected);
    }
    let (client, name) = (stage.client(), "n".parse().unwrap());
    let page = client
        .builds(&name, 1, &BuildQuery::default())
        .await
        .unwrap();
    let failed = page
        .items
        .iter()
        .find(|build| build.status == BuildStatus::Failed);
    let failed = failed.unwrap();
    let details = client.build(&name, 1, &failed.architecture, &failed.pkgbase, 1);
    let outcome = details.await.unwrap().runs[0].outcome.clone().unwrap();
    assert_eq!(outcome.class, OutcomeClass::Package);
    assert!(
        outcome.message.contains("both-1-1-x86_64.pkg.tar.zst")
            && outcome.message.contains("raise pkgrel"),
        "{}",
        outcome.message
    );
    stage.stop().await;
}
