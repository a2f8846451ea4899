//! What a new iteration keeps of the one before: commits of dependents and base repositories.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use std::collections::BTreeMap;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::namespaces::{CreateNamespace, Iteration};
use buildbtw_api::{IterationStatus, NamespaceName};
use buildbtw_graph::Scope;
use stage::{Stage, base_db, create, seen, srcinfo, until, write_srcinfo};

fn name() -> NamespaceName {
    "n".parse().unwrap()
}

/// A namespace over a base repository that the test writes into the folder of the stage.
fn over_base(stage: &Stage) -> CreateNamespace {
    let mut request = create(Some("n"), &["a/main"], Scope::Transitive);
    let folder = stage.folder.path().join("core");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("core.db"), base_db(&[("zlib", "1-1", &[])])).unwrap();
    let base = format!("core=file://{}", folder.display());
    request.options.base = Some(vec![base.parse().unwrap()]);
    request
}

async fn stage() -> Stage {
    let sources = [
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &["depends = a"])),
        ("c", srcinfo("c", "1", &[])),
    ];
    Stage::start_with(&sources, |config| {
        let folder = config.sources_dir.parent().unwrap().join("core");
        let base = format!("core=file://{}", folder.display());
        config.base_repositories = vec![base.parse().unwrap()];
    })
    .await
}

/// An iteration, once it is the current one.
async fn current(stage: &Stage, number: u32) -> Iteration {
    let newest = async || {
        let namespace = stage.client().namespace(&name()).await.unwrap();
        namespace.iterations[0].clone()
    };
    until(stage, || async {
        let newest = newest().await;
        newest.number == number && newest.status == IterationStatus::Current
    })
    .await;
    newest().await
}

/// Version and commit of each build.
async fn builds(stage: &Stage, number: u32) -> BTreeMap<String, (String, String)> {
    let query = BuildQuery::default();
    let page = stage
        .client()
        .builds(&name(), number, &query)
        .await
        .unwrap();
    let items = page.items.into_iter();
    items
        .map(|build| {
            let version = build.version.to_string();
            (build.pkgbase.to_string(), (version, build.commit))
        })
        .collect()
}

fn digest(iteration: &Iteration) -> &str {
    &iteration.build_sets.values().next().unwrap().base[0].digest
}

#[tokio::test]
async fn a_commit_on_an_origin_changes_nothing_beside() {
    let stage = stage().await;
    let request = over_base(&stage);
    stage.client().create_namespace(&request).await.unwrap();
    let first = current(&stage, 1).await;
    let pinned = builds(&stage, 1).await;
    // A dependent moves, another package becomes a dependent, and the mirror goes on.
    let depends = ["depends = a"];
    let b = write_srcinfo(&stage.source("b"), &srcinfo("b", "2", &depends));
    let c = write_srcinfo(&stage.source("c"), &srcinfo("c", "2", &depends));
    seen(&stage, "b", &b).await;
    seen(&stage, "c", &c).await;
    let db = stage.folder.path().join("core/core.db");
    std::fs::write(db, base_db(&[("zlib", "2-1", &[])])).unwrap();

    let a = write_srcinfo(&stage.source("a"), &srcinfo("a", "2", &[]));
    let second = current(&stage, 2).await;
    let now = builds(&stage, 2).await;
    assert_eq!(now["a"], ("2-1".to_owned(), a));
    assert_eq!(now["b"], pinned["b"]);
    assert_eq!(
        now["c"],
        ("2-1".to_owned(), c),
        "a new member is taken as it is"
    );
    assert_eq!(digest(&second), digest(&first));
    stage.stop().await;
}

#[tokio::test]
async fn a_pinned_commit_that_is_gone_gives_way_to_the_newest() {
    let stage = stage().await;
    let request = over_base(&stage);
    stage.client().create_namespace(&request).await.unwrap();
    current(&stage, 1).await;
    // The repository is made anew, with another history.
    let path = stage.source("b");
    std::fs::remove_dir_all(path.join(".git")).unwrap();
    stage::git(&path, &["init", "--quiet", "--initial-branch=main"]);
    let depends = ["depends = a"];
    let b = write_srcinfo(&path, &srcinfo("b", "2", &depends));
    seen(&stage, "b", &b).await;
    write_srcinfo(&stage.source("a"), &srcinfo("a", "2", &[]));
    current(&stage, 2).await;
    assert_eq!(builds(&stage, 2).await["b"], ("2-1".to_owned(), b));
    let plan = stage.client().iteration_plan(&name(), 2).await.unwrap();
    let warnings: Vec<String> = plan
        .warnings
        .iter()
        .map(|one| one.message.clone())
        .collect();
    assert!(
        warnings
            .iter()
            .any(|one| one.contains("newest commit is taken")),
        "{warnings:?}"
    );
    stage.stop().await;
}
