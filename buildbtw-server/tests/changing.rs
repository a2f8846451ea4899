//! Changing a running namespace: other changesets, newer commits, all of it once more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::collections::BTreeMap;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::changing::{AddRequest, RebuildRequest, RemoveRequest};
use buildbtw_api::client::{Client, ClientError};
use buildbtw_api::namespaces::{IterationReason, Namespace, PlanRequest};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceName, NamespaceStatus, ProblemType};
use buildbtw_graph::Scope;
use buildbtw_server::db::namespaces;
use buildbtw_server::planner;
use stage::{Stage, base_db, create, seen, srcinfo, until, write_srcinfo};

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

async fn add(client: &Client, changesets: &[&str]) -> Result<Namespace, ClientError> {
    let changesets = changesets
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    client.add(&name(), &AddRequest { changesets }).await
}

async fn remove(client: &Client, changesets: &[&str]) -> Result<Namespace, ClientError> {
    let changesets = changesets
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    client.remove(&name(), &RemoveRequest { changesets }).await
}

fn reason(namespace: &Namespace) -> (u32, IterationStatus, String) {
    let iteration = namespace.iteration.as_ref().unwrap();
    (iteration.number, iteration.status, iteration.why.clone())
}

/// Asserts that something is refused for what it says.
fn assert_refused(answer: Result<Namespace, ClientError>, says: &str) {
    let error = answer.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.kind, ProblemType::Conflict, "{problem:?}");
    assert!(problem.detail.contains(says), "{problem:?}");
    assert!(problem.hint.is_some(), "{problem:?}");
}

async fn statuses(stage: &Stage, iteration: u32) -> BTreeMap<String, BuildStatus> {
    let query = BuildQuery::default();
    let page = stage.client().builds(&name(), iteration, &query).await;
    let items = page.unwrap().items.into_iter();
    items
        .map(|build| (build.pkgbase.to_string(), build.status))
        .collect()
}

/// Works until the newest iteration is finished; what was built comes back.
async fn work(stage: &Stage) -> Vec<String> {
    let namespace = stage.client().namespace(&name()).await.unwrap();
    stage::work(stage, "n", namespace.iterations[0].number).await
}

#[tokio::test]
async fn changesets_come_and_go() {
    let stage = Stage::start(&sources()).await;
    let client = stage.client();
    stage.namespace("n", &["d/main"], Scope::Transitive).await;
    assert_eq!(work(&stage).await, ["d"]);

    let added = add(&client, &["a/main"]).await.unwrap();
    assert_eq!(added.status, NamespaceStatus::Active);
    let current = IterationStatus::Current;
    assert_eq!(reason(&added), (2, current, "a/main was added".to_owned()));
    assert_eq!(added.changesets.len(), 2);
    // What is built already is not built again.
    assert_eq!(work(&stage).await, ["a", "b"]);
    assert_eq!(statuses(&stage, 2).await["d"], BuildStatus::Reused);

    // It is followed like the others.
    write_srcinfo(&stage.source("a"), &srcinfo("a", "2", &[]));
    until(&stage, || async {
        let namespace = client.namespace(&name()).await.unwrap();
        namespace.iterations.len() == 3
    })
    .await;

    let removed = remove(&client, &["a"]).await.unwrap();
    let why = "a/main was removed".to_owned();
    assert_eq!(reason(&removed), (4, current, why));
    let left: Vec<String> = removed.changesets.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["d/main"]);
    assert_eq!(statuses(&stage, 4).await.len(), 1);
    assert_eq!(work(&stage).await, [""; 0]);
    stage.stop().await;
}

#[tokio::test]
async fn changes_that_make_no_sense_are_refused_and_change_nothing() {
    let stage = Stage::start(&sources()).await;
    let client = stage.client();
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    assert_refused(add(&client, &["a/main"]).await, "already");
    assert_refused(add(&client, &["a/other"]).await, "a/main already");
    assert_refused(remove(&client, &["d"]).await, "not among");
    assert_refused(remove(&client, &["a/other"]).await, "not among");
    assert_refused(remove(&client, &["a"]).await, "without any");
    for (changesets, kind) in [
        (&["nonesuch/main"][..], ProblemType::UnknownPackage),
        (&["d/nonesuch"], ProblemType::UnknownReference),
        (&[], ProblemType::BadRequest),
        (&["d/main", "d/other"], ProblemType::BadRequest),
    ] {
        let error = add(&client, changesets).await.unwrap_err();
        assert_eq!(error.problem().unwrap().kind, kind, "{changesets:?}");
    }
    let namespace = client.namespace(&name()).await.unwrap();
    assert_eq!(namespace.iterations.len(), 1);
    assert_eq!(namespace.namespace.changesets.len(), 1);

    client.cancel(&name()).await.unwrap();
    assert_refused(add(&client, &["d/main"]).await, "cancelled");
    let rebuild = RebuildRequest::default();
    assert_refused(client.rebuild(&name(), &rebuild).await, "cancelled");
    client.archive(&name()).await.unwrap();
    assert_refused(remove(&client, &["a"]).await, "archived");
    stage.stop().await;
}

#[tokio::test]
async fn an_update_takes_what_is_newer_and_says_when_nothing_is() {
    let stage = Stage::start_with(&sources(), |config| {
        let folder = config.sources_dir.parent().unwrap().join("core");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("core.db"), base_db(&[("zlib", "1-1", &[])])).unwrap();
        let base = format!("core=file://{}", folder.display());
        config.base_repositories = vec![base.parse().unwrap()];
    })
    .await;
    let client = stage.client();
    let mut request = create(Some("n"), &["a/main"], Scope::Transitive);
    request.options.base = None;
    client.create_namespace(&request).await.unwrap();
    let nothing = client.update(&name()).await.unwrap();
    assert!(!nothing.updated);
    assert_eq!(reason(&nothing.namespace).0, 1);

    let text = srcinfo("b", "2", &["depends = a"]);
    let b = write_srcinfo(&stage.source("b"), &text);
    seen(&stage, "b", &b).await;
    let shown = client.namespace(&name()).await.unwrap();
    assert_eq!(shown.iterations.len(), 1, "a dependent makes no iteration");
    let newer: Vec<_> = shown.newer_commits.iter().map(|one| &one.to).collect();
    assert_eq!(newer, [&b]);
    // A look at what adding would do leaves it where it is, as adding does.
    let ahead = PlanRequest {
        changesets: vec!["a/main".parse().unwrap(), "d/main".parse().unwrap()],
        options: request.options.clone(),
        namespace: Some(name()),
    };
    let version = |plan: &buildbtw_graph::Plan| {
        let set = plan.architectures.values().next().unwrap();
        let mut builds = set.builds.iter();
        let b = builds.find(|build| build.pkgbase.as_str() == "b").unwrap();
        b.version.to_string()
    };
    assert_eq!(version(&client.plan(&ahead).await.unwrap()), "1-1");

    let updated = client.update(&name()).await.unwrap();
    assert!(updated.updated);
    let why = "an update was asked for: a newer commit of one dependent".to_owned();
    assert_eq!(reason(&updated.namespace).2, why);
    assert_eq!(
        version(&client.iteration_plan(&name(), 2).await.unwrap()),
        "2-1"
    );
    let shown = client.namespace(&name()).await.unwrap();
    assert!(shown.newer_commits.is_empty());

    let db = stage.folder.path().join("core/core.db");
    std::fs::write(db, base_db(&[("zlib", "2-1", &[])])).unwrap();
    let updated = client.update(&name()).await.unwrap();
    let why = "an update was asked for: newer base repositories (core)".to_owned();
    assert_eq!(
        reason(&updated.namespace),
        (3, IterationStatus::Current, why)
    );
    assert!(!client.update(&name()).await.unwrap().updated);
    stage.stop().await;
}

#[tokio::test]
async fn a_rebuild_makes_an_iteration_in_any_case() {
    let stage = Stage::start(&sources()).await;
    let client = stage.client();
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    assert_eq!(work(&stage).await, ["a", "b"]);
    let request = RebuildRequest::default();
    let again = client.rebuild(&name(), &request).await.unwrap();
    let why = "a rebuild was asked for".to_owned();
    assert_eq!(reason(&again), (2, IterationStatus::Current, why));
    assert_eq!(work(&stage).await, [""; 0]);
    let request = RebuildRequest { reuse: false };
    let again = client.rebuild(&name(), &request).await.unwrap();
    assert_eq!(reason(&again).0, 3);
    assert_eq!(work(&stage).await, ["a", "b"]);
    stage.stop().await;
}

/// What a full disk leaves behind: an iteration that is pinned, and then nothing.
#[tokio::test]
async fn what_a_fault_kept_from_being_planned_is_planned_later() {
    let stage = Stage::start(&sources()).await;
    stage.namespace("n", &["a/main"], Scope::Transitive).await;
    let server = stage.server();
    let changesets = ["a/main".parse().unwrap()];
    let resolved = planner::resolve(server, &changesets).await.unwrap();
    let mut tx = server.db.write().await.unwrap();
    let namespace = namespaces::by_name(&mut tx, &name()).await.unwrap();
    let reason = IterationReason::Created;
    let pinned = planner::new_iteration(&mut tx, namespace.unwrap().key, &reason, &resolved);
    pinned.await.unwrap();
    tx.commit().await.unwrap();
    let shown = stage.client().namespace(&name()).await.unwrap();
    assert_eq!(shown.iterations[0].status, IterationStatus::Planning);

    planner::plan_what_was_cut_short(server).await;
    let shown = stage.client().namespace(&name()).await.unwrap();
    let iteration = &shown.iterations[0];
    let (number, status) = (iteration.number, iteration.status);
    assert_eq!((number, status), (2, IterationStatus::Current));
    assert_eq!(statuses(&stage, 2).await.len(), 2);
    stage.stop().await;
}
