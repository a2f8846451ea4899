//! Packages of an equal input are taken over instead of being built again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::collections::BTreeMap;

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::{BuildStatus, NamespaceName, NamespaceStatus};
use buildbtw_graph::Scope;
use stage::{Stage, Worker, create, srcinfo, until, work, write_srcinfo};

fn name(name: &str) -> NamespaceName {
    name.parse().unwrap()
}

/// A chain of three, and one that nobody needs.
fn sources() -> Vec<(&'static str, String)> {
    vec![
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("c", srcinfo("c", "1", &["depends = b"])),
        ("d", srcinfo("d", "1", &[])),
    ]
}

async fn page(stage: &Stage, namespace: &str, iteration: u32) -> Vec<Build> {
    let query = BuildQuery::default();
    let (client, name) = (stage.client(), name(namespace));
    let page = client.builds(&name, iteration, &query).await.unwrap();
    page.items
}

async fn statuses(stage: &Stage, namespace: &str, iteration: u32) -> BTreeMap<String, BuildStatus> {
    page(stage, namespace, iteration)
        .await
        .into_iter()
        .map(|build| (build.pkgbase.to_string(), build.status))
        .collect()
}

fn reused<'a>(names: &'a [&'a str]) -> impl Iterator<Item = (String, BuildStatus)> + 'a {
    names
        .iter()
        .map(|name| (name.to_string(), BuildStatus::Reused))
}

#[tokio::test]
async fn a_second_iteration_builds_only_what_changed() {
    let stage = Stage::start(&sources()).await;
    stage
        .namespace("n", &["a/main", "d/main"], Scope::Transitive)
        .await;
    assert_eq!(work(&stage, "n", 1).await, ["a", "b", "c", "d"]);
    write_srcinfo(&stage.source("d"), &srcinfo("d", "2", &[]));
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.iterations.len() == 2
    })
    .await;
    assert_eq!(work(&stage, "n", 2).await, ["d"]);
    let statuses = statuses(&stage, "n", 2).await;
    let mut expected: BTreeMap<_, _> = reused(&["a", "b", "c"]).collect();
    expected.insert("d".to_owned(), BuildStatus::Built);
    assert_eq!(statuses, expected);
    // The new iteration's repository has all of them.
    let db = format!("{}/repo/n/2/os/x86_64/n.db", stage.url());
    let db = reqwest::get(db).await.unwrap().bytes().await.unwrap();
    let db = buildbtw_repo::read_db(&db[..], &buildbtw_repo::ReadLimits::DB).unwrap();
    let mut packages: Vec<_> = db.iter().map(|entry| entry.pkgname.clone()).collect();
    packages.sort();
    assert_eq!(packages, ["a", "b", "c", "d"]);
    // And each build names its own, whoever made them.
    for built in page(&stage, "n", 2).await {
        let (client, name) = (stage.client(), name("n"));
        let details = client.build(&name, 2, &built.architecture, &built.pkgbase, 1);
        let details = details.await.unwrap();
        let [package] = &details.packages[..] else {
            panic!("{:?}", details.packages);
        };
        let front = format!("{}-", built.pkgbase);
        assert!(package.file_name.starts_with(&front), "{package:?}");
        let url = format!("{}/repo/n/2/os/x86_64/{}", stage.url(), package.file_name);
        let content = reqwest::get(url).await.unwrap().bytes().await.unwrap();
        assert_eq!(content.len() as u64, package.size);
        let by = details
            .made_by
            .map(|by| (by.namespace.to_string(), by.iteration, by.run));
        let page = format!("{}/namespaces/n/2/x86_64/{}/1", stage.url(), built.pkgbase);
        let page = reqwest::get(page).await.unwrap().text().await.unwrap();
        match (built.pkgbase.as_str(), by) {
            ("d", None) => assert!(!page.contains("Not built again")),
            ("a" | "b" | "c", Some((namespace, 1, run))) if namespace == "n" => {
                let made = stage.client().run(run).await.unwrap();
                assert_eq!(made.pkgbase, built.pkgbase);
                assert!(page.contains(&format!("/runs/{run}/log")), "{page}");
            }
            (pkgbase, by) => panic!("{pkgbase} was made by {by:?}"),
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_package_that_comes_out_as_before_ends_the_chain() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    assert_eq!(work(&stage, "n", 1).await, ["a", "b", "c"]);
    // Another tree of the same version; the package has the same content.
    std::fs::write(stage.source("a").join("README"), "new").unwrap();
    write_srcinfo(&stage.source("a"), &srcinfo("a", "1", &[]));
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.iterations.len() == 2
    })
    .await;
    assert_eq!(work(&stage, "n", 2).await, ["a"]);
    let statuses = statuses(&stage, "n", 2).await;
    let mut expected: BTreeMap<_, _> = reused(&["b", "c"]).collect();
    expected.insert("a".to_owned(), BuildStatus::Built);
    assert_eq!(statuses, expected);
    stage.stop().await;
}

#[tokio::test]
async fn another_namespace_takes_over_too_unless_it_is_told_not_to() {
    let stage = Stage::start(&sources()).await;
    stage
        .namespace("first", &["a/main"], Scope::Transitive)
        .await;
    assert_eq!(work(&stage, "first", 1).await, ["a", "b", "c"]);
    stage
        .namespace("second", &["a/main"], Scope::Transitive)
        .await;
    assert_eq!(work(&stage, "second", 1).await, [""; 0]);
    let expected: BTreeMap<_, _> = reused(&["a", "b", "c"]).collect();
    assert_eq!(statuses(&stage, "second", 1).await, expected);

    let mut third = create(Some("third"), &["a/main"], Scope::Transitive);
    third.options.reuse = false;
    stage.client().create_namespace(&third).await.unwrap();
    assert_eq!(work(&stage, "third", 1).await, ["a", "b", "c"]);
    stage.stop().await;
}

#[tokio::test]
async fn two_builds_of_one_input_wait_for_one_run() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("first", &["d/main"], Scope::None).await;
    stage.namespace("second", &["d/main"], Scope::None).await;
    let worker = Worker::register(stage.worker_client(), "one").await;
    let run = worker.claim().await;
    // A second worker gets nothing as long as the first one builds.
    let other = Worker::register(stage.worker_client(), "two").await;
    tokio::select! {
        second = other.claim() => panic!("{:?} was handed out twice", second.build.pkgbase),
        () = worker.succeed(&run) => {}
    }
    let both_done = until(&stage, || async {
        let mut done = 0;
        for namespace in ["first", "second"] {
            let namespace = stage.client().namespace(&name(namespace)).await.unwrap();
            done += u32::from(namespace.namespace.status == NamespaceStatus::Finished);
        }
        done == 2
    });
    tokio::select! {
        second = other.claim() => panic!("{:?} was built twice", second.build.pkgbase),
        () = both_done => {}
    }
    stage.stop().await;
}

#[tokio::test]
async fn what_was_built_against_something_else_serves_nobody() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("first", &["a/main"], Scope::Direct).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    let a = worker.claim().await;
    worker.succeed(&a).await;
    let mut b = worker.claim().await;
    // It says that it had another version of `a` installed.
    b.build.expected[0].version = "9-1".parse().unwrap();
    worker.succeed(&b).await;
    stage.namespace("second", &["a/main"], Scope::Direct).await;
    assert_eq!(work(&stage, "second", 1).await, ["b"]);
    stage.stop().await;
}
