//! Which ready build a worker gets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::BuildStatus;
use buildbtw_api::builds::BuildQuery;
use buildbtw_api::namespaces::WaiveRequest;
use buildbtw_graph::Scope;
use stage::{Stage, Worker, srcinfo, until};

async fn status(stage: &Stage, namespace: &str, pkgbase: &str) -> BuildStatus {
    let (name, query) = (namespace.parse().unwrap(), BuildQuery::default());
    let builds = stage.client().builds(&name, 1, &query).await.unwrap();
    let mut builds = builds.items.iter();
    let build = builds.find(|build| build.pkgbase.as_str() == pkgbase);
    build.unwrap().status
}

/// `o` needs `n`, which needs `m`.
fn chain() -> [(&'static str, String); 3] {
    [
        ("m", srcinfo("m", "1", &[])),
        ("n", srcinfo("n", "1", &["depends = m"])),
        ("o", srcinfo("o", "1", &["depends = n"])),
    ]
}

#[tokio::test]
async fn who_waits_for_what_is_left_out_waits_for_what_that_waited_for() {
    let stage = Stage::start(&chain()).await;
    stage.namespace("n", &["m/main"], Scope::Transitive).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    let run = worker.claim().await;
    let request = WaiveRequest {
        pkgbases: vec!["n".parse().unwrap()],
        reason: "it needs no rebuild".to_owned(),
    };
    let name = "n".parse().unwrap();
    stage.client().waive(&name, &request).await.unwrap();
    assert_eq!(status(&stage, "n", "o").await, BuildStatus::Blocked);
    worker.succeed(&run).await;
    until(&stage, || async {
        status(&stage, "n", "o").await == BuildStatus::Pending
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn the_run_of_a_worker_that_never_comes_back_is_given_to_another() {
    let quick = |config: &mut buildbtw_server::config::Config| config.lease_seconds = 1;
    let mut stage = Stage::start_with(&chain(), quick).await;
    stage.namespace("n", &["m/main"], Scope::None).await;
    let gone = Worker::register(stage.worker_client(), "gone").await;
    let lost = gone.claim().await;
    stage.restart().await;
    let other = Worker::register(stage.worker_client(), "other").await;
    let run = other.claim().await;
    assert_eq!(run.build.pkgbase, lost.build.pkgbase);
    assert!(run.fence > lost.fence && run.run != lost.run);
    stage.stop().await;
}

#[tokio::test]
async fn the_longest_chain_begins_first() {
    let mut sources = vec![("alone", srcinfo("alone", "1", &[]))];
    sources.extend(chain());
    let stage = Stage::start(&sources).await;
    let changesets = ["alone/main", "m/main"];
    stage.namespace("n", &changesets, Scope::Transitive).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    assert_eq!(worker.claim().await.build.pkgbase.as_str(), "m");
    assert_eq!(worker.claim().await.build.pkgbase.as_str(), "alone");
    stage.stop().await;
}

#[tokio::test]
async fn a_small_namespace_gets_the_next_slot_beside_a_large_one() {
    let sources: Vec<(String, String)> = (0..6)
        .map(|number| format!("p{number}"))
        .map(|name| (name.clone(), srcinfo(&name, "1", &[])))
        .collect();
    let sources: Vec<(&str, String)> = sources
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    let stage = Stage::start(&sources).await;
    let large: Vec<String> = (0..5).map(|number| format!("p{number}/main")).collect();
    let large: Vec<&str> = large.iter().map(String::as_str).collect();
    stage.namespace("large", &large, Scope::None).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    let first = worker.claim().await;
    stage.namespace("small", &["p5/main"], Scope::None).await;
    let second = worker.claim().await;
    assert_eq!(
        (first.namespace.as_str(), second.namespace.as_str()),
        ("large", "small")
    );
    stage.stop().await;
}
