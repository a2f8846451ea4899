//! What people leave out: for how long that holds, and how it is taken back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::namespaces::{UnwaiveRequest, Unwaived, WaiveRequest};
use buildbtw_api::{BuildStatus, NamespaceName, NamespaceStatus, OutcomeClass};
use buildbtw_graph::Scope;
use buildbtw_server::db::audit;
use stage::{Stage, Worker, base_db, create, seen, srcinfo, until, write_srcinfo};

use BuildStatus::{Blocked, Built, DependencyFailed, Pending, Waived};

fn name(text: &str) -> NamespaceName {
    text.parse().unwrap()
}

/// `a` is changed; `b` needs it, and `c` needs `b`. All three are released.
async fn stage() -> Stage {
    let sources = [
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("c", srcinfo("c", "1", &["depends = b"])),
    ];
    let stage = Stage::start_with(&sources, |config| {
        let folder = config.sources_dir.parent().unwrap().join("core");
        std::fs::create_dir_all(&folder).unwrap();
        let released = [
            ("a", "0-1", &[][..]),
            ("b", "0-1", &["a"]),
            ("c", "0-1", &["b"]),
        ];
        std::fs::write(folder.join("core.db"), base_db(&released)).unwrap();
        let base = format!("core=file://{}", folder.display());
        config.base_repositories = vec![base.parse().unwrap()];
    })
    .await;
    let mut request = create(Some("n"), &["a/main"], Scope::Transitive);
    request.options.base = None;
    stage.client().create_namespace(&request).await.unwrap();
    stage
}

async fn builds(stage: &Stage, iteration: u32) -> Vec<Build> {
    let query = BuildQuery::default();
    let page = stage.client().builds(&name("n"), iteration, &query).await;
    page.unwrap().items
}

async fn statuses(stage: &Stage, iteration: u32) -> Vec<BuildStatus> {
    let builds = builds(stage, iteration).await;
    builds.iter().map(|build| build.status).collect()
}

async fn come_to(stage: &Stage, iteration: u32, expected: [BuildStatus; 3]) {
    until(stage, || async {
        statuses(stage, iteration).await == expected
    })
    .await;
}

async fn waive(stage: &Stage, pkgbase: &str) {
    let request = WaiveRequest {
        pkgbases: vec![pkgbase.parse().unwrap()],
        reason: "upstream knows".to_owned(),
    };
    stage.client().waive(&name("n"), &request).await.unwrap();
}

async fn unwaive(stage: &Stage, pkgbase: &str) -> Result<Unwaived, String> {
    let request = UnwaiveRequest {
        pkgbases: vec![pkgbase.parse().unwrap()],
    };
    let taken_back = stage.client().unwaive(&name("n"), &request).await;
    let mut tx = stage.server().db.read().await.unwrap();
    let found = audit::contradictions(&mut tx).await.unwrap();
    assert_eq!(found, Vec::<String>::new());
    taken_back.map_err(|error| error.to_string())
}

/// Commits to a source and waits until the next iteration is worked on.
async fn change(stage: &Stage, pkgbase: &str, version: &str, iteration: u32) {
    let relations: &[&str] = match pkgbase {
        "a" => &[],
        "b" => &["depends = a"],
        _ => &["depends = b"],
    };
    let commit = write_srcinfo(
        &stage.source(pkgbase),
        &srcinfo(pkgbase, version, relations),
    );
    seen(stage, pkgbase, &commit).await;
    if pkgbase != "a" {
        stage.client().update(&name("n")).await.unwrap();
    }
    until(stage, || async {
        let details = stage.client().namespace(&name("n")).await.unwrap();
        let newest = &details.iterations[0];
        newest.number == iteration && newest.status == buildbtw_api::IterationStatus::Current
    })
    .await;
}

#[tokio::test]
async fn a_waiver_holds_in_later_iterations_until_the_source_changes() {
    let stage = stage().await;
    waive(&stage, "b").await;
    assert_eq!(statuses(&stage, 1).await, [Pending, Waived, Blocked]);
    change(&stage, "a", "2", 2).await;
    let second = builds(&stage, 2).await;
    assert_eq!(statuses(&stage, 2).await, [Pending, Waived, Blocked]);
    let reason = second[1].reason.as_deref();
    assert_eq!(reason, Some("waived since iteration 1: upstream knows"));
    // A third one still says since when.
    change(&stage, "a", "3", 3).await;
    let reason = builds(&stage, 3).await[1].reason.clone();
    assert_eq!(
        reason.as_deref(),
        Some("waived since iteration 1: upstream knows")
    );
    // Who mends the source wants to see it built.
    change(&stage, "b", "2", 4).await;
    assert_eq!(statuses(&stage, 4).await, [Pending, Blocked, Blocked]);
    stage.stop().await;
}

#[tokio::test]
async fn what_goes_on_without_it_is_built_and_the_namespace_finishes() {
    let stage = stage().await;
    waive(&stage, "b").await;
    change(&stage, "a", "2", 2).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    assert_eq!(run.build.pkgbase.as_str(), "a");
    worker.succeed(&run).await;
    let run = worker.claim().await;
    assert_eq!(run.build.pkgbase.as_str(), "c");
    worker.succeed(&run).await;
    until(&stage, || async {
        let namespace = stage.client().namespace(&name("n")).await.unwrap();
        namespace.namespace.status == NamespaceStatus::Finished
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn what_is_taken_back_is_built_before_what_needs_it() {
    let stage = stage().await;
    let worker = stage.worker("w").await;
    worker.succeed(&worker.claim().await).await;
    come_to(&stage, 1, [Built, Pending, Blocked]).await;
    waive(&stage, "b").await;
    assert_eq!(statuses(&stage, 1).await, [Built, Waived, Pending]);
    let taken_back = unwaive(&stage, "b").await.unwrap();
    assert_eq!((taken_back.builds, taken_back.next_iteration), (1, vec![]));
    assert_eq!(statuses(&stage, 1).await, [Built, Pending, Blocked]);
    for pkgbase in ["b", "c"] {
        let run = worker.claim().await;
        assert_eq!(run.build.pkgbase.as_str(), pkgbase);
        worker.succeed(&run).await;
    }
    come_to(&stage, 1, [Built; 3]).await;
    // It is forgotten, too.
    let refused = unwaive(&stage, "b").await.unwrap_err();
    assert!(refused.contains("nobody left"), "{refused}");
    change(&stage, "a", "2", 2).await;
    assert_eq!(statuses(&stage, 2).await, [Pending, Blocked, Blocked]);
    stage.stop().await;
}

#[tokio::test]
async fn two_that_need_each_other_in_turn_are_taken_back_in_any_order() {
    for order in [["b", "c"], ["c", "b"]] {
        let stage = stage().await;
        waive(&stage, "b").await;
        waive(&stage, "c").await;
        for pkgbase in order {
            assert_eq!(unwaive(&stage, pkgbase).await.unwrap().builds, 1);
        }
        assert_eq!(statuses(&stage, 1).await, [Pending, Blocked, Blocked]);
        stage.stop().await;
    }
}

#[tokio::test]
async fn what_went_on_with_the_released_package_keeps_it_until_the_next_iteration() {
    let stage = stage().await;
    let worker = stage.worker("w").await;
    worker.succeed(&worker.claim().await).await;
    come_to(&stage, 1, [Built, Pending, Blocked]).await;
    waive(&stage, "b").await;
    let run = worker.claim().await;
    assert_eq!(run.build.pkgbase.as_str(), "c");
    let taken_back = unwaive(&stage, "b").await.unwrap();
    assert_eq!(taken_back.builds, 0);
    assert_eq!(taken_back.next_iteration, ["b"]);
    worker.succeed(&run).await;
    come_to(&stage, 1, [Built, Waived, Built]).await;
    change(&stage, "a", "2", 2).await;
    assert_eq!(statuses(&stage, 2).await, [Pending, Blocked, Blocked]);
    stage.stop().await;
}

#[tokio::test]
async fn what_failed_meanwhile_keeps_it_from_being_built() {
    let stage = stage().await;
    let worker: Worker = stage.worker("w").await;
    waive(&stage, "b").await;
    worker
        .fail(&worker.claim().await, OutcomeClass::Package)
        .await;
    let first = statuses(&stage, 1).await;
    assert_eq!(first[1..], [Waived, DependencyFailed]);
    assert_eq!(unwaive(&stage, "b").await.unwrap().builds, 1);
    let now = statuses(&stage, 1).await;
    assert_eq!(now[1..], [DependencyFailed, DependencyFailed]);
    stage.stop().await;
}
