//! Why something was built although it had been built before, and what is flaky.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::{BuildDetails, BuildQuery};
use buildbtw_api::changing::RebuildRequest;
use buildbtw_api::ingredients::{ChangedIngredient, Rebuilt};
use buildbtw_api::namespaces::RetryRequest;
use buildbtw_api::{NamespaceName, NamespaceStatus, OutcomeClass};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, srcinfo, until, write_srcinfo};

fn name() -> NamespaceName {
    "n".parse().unwrap()
}

fn sources() -> Vec<(&'static str, String)> {
    vec![
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("d", srcinfo("d", "1", &[])),
    ]
}

/// Works until the namespace is finished in an iteration.
async fn work(stage: &Stage, iteration: u32) {
    let worker = Worker::register(stage.worker_client(), "w").await;
    let done = until(stage, || async {
        let namespace = stage.client().namespace(&name()).await.unwrap();
        namespace.iterations[0].number == iteration
            && namespace.namespace.status == NamespaceStatus::Finished
    });
    let work = async {
        loop {
            worker.succeed(&worker.claim().await).await;
        }
    };
    tokio::select! {
        () = done => {}
        () = work => {}
    }
}

async fn details(stage: &Stage, iteration: u32, pkgbase: &str) -> BuildDetails {
    let (client, query) = (stage.client(), BuildQuery::default());
    let page = client.builds(&name(), iteration, &query).await.unwrap();
    let mut items = page.items.iter();
    let build = items.find(|build| build.pkgbase.as_str() == pkgbase);
    let build = build.unwrap();
    client
        .build(&name(), iteration, &build.architecture, &build.pkgbase, 1)
        .await
        .unwrap()
}

async fn rebuilt(stage: &Stage, iteration: u32, pkgbase: &str) -> Option<Rebuilt> {
    let build = details(stage, iteration, pkgbase).await.build;
    let explained = stage.client().explanation(&name(), iteration, &build).await;
    explained.unwrap().rebuilt
}

#[tokio::test]
async fn what_is_built_once_more_says_which_ingredient_changed() {
    let stage = Stage::start(&sources()).await;
    stage
        .namespace("n", &["a/main", "d/main"], Scope::Transitive)
        .await;
    work(&stage, 1).await;
    for pkgbase in ["a", "b", "d"] {
        assert_eq!(rebuilt(&stage, 1, pkgbase).await, None, "{pkgbase} is new");
    }
    write_srcinfo(&stage.source("a"), &srcinfo("a", "2", &[]));
    until(&stage, || async {
        let namespace = stage.client().namespace(&name()).await.unwrap();
        namespace.iterations.len() == 2
    })
    .await;
    work(&stage, 2).await;
    let a = rebuilt(&stage, 2, "a").await.unwrap();
    assert_eq!((a.namespace, a.iteration), (name(), 1));
    assert_eq!(a.run, details(&stage, 1, "a").await.runs[0].id);
    let [
        ChangedIngredient::Tree { .. },
        ChangedIngredient::Version { from, to },
    ] = &a.because[..]
    else {
        panic!("{:?}", a.because)
    };
    assert_eq!((from.as_str(), to.as_str()), ("1-1", "2-1"));
    let b = rebuilt(&stage, 2, "b").await.unwrap().because;
    let [ChangedIngredient::Package { pkgname, from, to }] = &b[..] else {
        panic!("{b:?}")
    };
    assert_eq!(pkgname, "a");
    assert!(from.is_some() && to.is_some() && from != to, "{b:?}");
    assert_eq!(rebuilt(&stage, 2, "d").await, None, "it was taken over");

    let request = RebuildRequest { reuse: false };
    stage.client().rebuild(&name(), &request).await.unwrap();
    work(&stage, 3).await;
    let d = rebuilt(&stage, 3, "d").await.unwrap().because;
    assert_eq!(d, [ChangedIngredient::ReuseOff]);
    stage.stop().await;
}

#[tokio::test]
async fn what_fails_and_then_succeeds_is_remembered_as_flaky() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    let worker = stage.worker("w").await;
    let failed = worker.claim().await;
    worker.fail(&failed, OutcomeClass::Package).await;
    assert_eq!(details(&stage, 1, "a").await.flaky, []);
    let retry = RetryRequest::default();
    stage.client().retry(&name(), &retry).await.unwrap();
    let passed = worker.claim().await;
    worker.succeed(&passed).await;
    let b = worker.claim().await;
    let flaky = details(&stage, 1, "a").await.flaky;
    assert_eq!(flaky.len(), 1);
    assert_eq!((flaky[0].failed, flaky[0].passed), (failed.run, passed.run));

    // A dependent whose sources are mended is not flaky.
    worker.fail(&b, OutcomeClass::Package).await;
    let mended = srcinfo("b", "2", &["depends = a"]);
    let commit = write_srcinfo(&stage.source("b"), &mended);
    stage::seen(&stage, "b", &commit).await;
    stage.client().update(&name()).await.unwrap();
    work(&stage, 2).await;
    assert_eq!(details(&stage, 2, "b").await.flaky, []);
    assert_eq!(
        details(&stage, 2, "a").await.flaky,
        flaky,
        "it is remembered"
    );
    stage.stop().await;
}
