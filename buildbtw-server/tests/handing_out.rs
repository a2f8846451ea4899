//! Which ready build a worker gets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_graph::Scope;
use stage::{Stage, Worker, srcinfo};

#[tokio::test]
async fn the_longest_chain_begins_first() {
    let sources = [
        ("alone", srcinfo("alone", "1", &[])),
        ("m", srcinfo("m", "1", &[])),
        ("n", srcinfo("n", "1", &["depends = m"])),
        ("o", srcinfo("o", "1", &["depends = n"])),
    ];
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
