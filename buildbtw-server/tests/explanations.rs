//! Why a build is not running now.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::explanations::Explanation;
use buildbtw_api::{NamespaceName, NamespaceStatus, OutcomeClass};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, srcinfo};

fn name() -> NamespaceName {
    "n".parse().unwrap()
}

async fn explain(stage: &Stage, pkgbase: &str) -> Explanation {
    let client = stage.client();
    let query = BuildQuery::default();
    let builds = client.builds(&name(), 1, &query).await.unwrap();
    let mut builds = builds.items.iter();
    let build = builds
        .find(|build| build.pkgbase.as_str() == pkgbase)
        .unwrap();
    client
        .explanation(&name(), 1, build)
        .await
        .unwrap()
        .explanation
}

#[tokio::test]
async fn each_build_says_what_it_waits_for() {
    let sources = [
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("c", srcinfo("c", "1", &["depends = b"])),
    ];
    let stage = Stage::start(&sources).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    assert_eq!(explain(&stage, "a").await, Explanation::NoWorker);
    let waits = explain(&stage, "c").await;
    // The one in between waits itself; the first one is what matters.
    assert_eq!(
        waits.to_string(),
        "it waits for b, which waits for a (pending)"
    );
    let Explanation::WaitsForBuilds { count, front, .. } = waits else {
        panic!("c waits for others")
    };
    assert_eq!((count, front.len(), front[0].pkgbase.as_str()), (1, 1, "a"));

    stage.client().pause(&name()).await.unwrap();
    let paused = NamespaceStatus::Paused;
    assert_eq!(
        explain(&stage, "a").await,
        Explanation::NotActive { status: paused }
    );
    stage.client().resume(&name()).await.unwrap();

    let worker = Worker::register(stage.worker_client(), "w").await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    let Explanation::Running { worker: by, .. } = explain(&stage, "a").await else {
        panic!("a is being built")
    };
    assert_eq!(by.as_deref(), Some("w"));

    worker.fail(&run, OutcomeClass::Package).await;
    let Explanation::Failed { class, .. } = explain(&stage, "a").await else {
        panic!("a failed")
    };
    assert_eq!(class, Some(OutcomeClass::Package));
    let Explanation::DependencyFailed { causes } = explain(&stage, "c").await else {
        panic!("c cannot go on")
    };
    assert_eq!(causes[0].pkgbase.as_str(), "a");
    stage.stop().await;
}

#[tokio::test]
async fn a_build_for_which_nobody_builds_says_so() {
    let sources = [("a", srcinfo("a", "1", &[])), ("b", srcinfo("b", "1", &[]))];
    let stage = Stage::start_with(&sources, |config| {
        config.architectures = vec!["x86_64".parse().unwrap()];
    })
    .await;
    stage
        .namespace("n", &["a/main", "b/main"], Scope::None)
        .await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    let first = worker.claim().await;
    let other = if first.build.pkgbase.as_str() == "a" {
        "b"
    } else {
        "a"
    };
    // Its only slot is taken.
    assert_eq!(
        explain(&stage, other).await,
        Explanation::WorkersBusy {
            slots: 1,
            resting: 0,
            ahead: 0
        }
    );
    stage.stop().await;
}
