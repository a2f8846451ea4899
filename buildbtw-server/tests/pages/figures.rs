//! Numbers on pages: what is to come and when, the same wherever it stands.

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::explanations::Explanation;
use buildbtw_api::modes::{ServerModeRequest, WorkerModeRequest};
use buildbtw_api::namespaces::PlanRequest;
use buildbtw_api::{ServerMode, WorkerMode};
use buildbtw_graph::Scope;
use buildbtw_server::db::{builds, chains, iterations, namespaces};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::stage::{Stage, create, srcinfo};

/// A server with sources `p0` to `p8` that need nothing, for one architecture.
async fn stage() -> Stage {
    let names: Vec<String> = (0..9).map(|number| format!("p{number}")).collect();
    let sources: Vec<(&str, String)> = names
        .iter()
        .map(|name| (name.as_str(), srcinfo(name, "1", &[])))
        .collect();
    Stage::start(&sources).await
}

/// A namespace of some of those.
async fn namespace(stage: &Stage, name: &str, numbers: std::ops::Range<u32>) {
    let changesets: Vec<String> = numbers.map(|number| format!("p{number}/main")).collect();
    let changesets: Vec<&str> = changesets.iter().map(String::as_str).collect();
    stage.namespace(name, &changesets, Scope::None).await;
}

async fn page(stage: &Stage, path: &str) -> String {
    let answer = reqwest::get(stage.url() + path).await.unwrap();
    answer.text().await.unwrap()
}

async fn database(stage: &Stage) -> SqliteConnection {
    let file = stage.config.data_dir.join("buildbtw.db");
    let options = SqliteConnectOptions::new().filename(file);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// What both pages say of the time until a namespace `n` is built.
async fn to_go(stage: &Stage) -> Option<String> {
    let told = |text: &str, end: &str| {
        let (_, behind) = text.split_once("about ")?;
        Some(behind.split_once(end)?.0.to_owned())
    };
    let home = told(&page(stage, "/").await, "</td>");
    let own = told(&page(stage, "/namespaces/n").await, " to go");
    assert_eq!(home, own);
    home
}

#[tokio::test]
async fn the_time_to_go_counts_down_and_only_slots_that_get_builds_count() {
    let stage = stage().await;
    namespace(&stage, "n", 0..2).await;
    assert_eq!(to_go(&stage).await, None);
    assert!(page(&stage, "/").await.contains("no worker is there"));
    let worker = stage.worker("w").await;
    // Nothing is known of builds that never ran: five minutes each.
    assert_eq!(to_go(&stage).await.as_deref(), Some("10 min"));
    let other = stage.worker("other").await;
    assert_eq!(to_go(&stage).await.as_deref(), Some("5 min"));
    let paused = WorkerModeRequest {
        mode: WorkerMode::Paused,
        reason: Some("a new kernel".to_owned()),
    };
    let client = stage.client();
    client.set_worker_mode(other.id, &paused).await.unwrap();
    assert_eq!(to_go(&stage).await.as_deref(), Some("10 min"));

    let run = worker.claim().await;
    worker.begin(&run).await;
    let mut db = database(&stage).await;
    sqlx::query("UPDATE run SET started_at = started_at - 240000000")
        .execute(&mut db)
        .await
        .unwrap();
    assert_eq!(to_go(&stage).await.as_deref(), Some("6 min"));

    for mode in [ServerMode::Drain, ServerMode::Run] {
        let request = ServerModeRequest {
            mode,
            reason: Some("an update".to_owned()),
        };
        client.set_mode(&request).await.unwrap();
        assert_eq!(to_go(&stage).await.is_some(), mode == ServerMode::Run);
    }
    client.pause(&"n".parse().unwrap()).await.unwrap();
    assert_eq!(to_go(&stage).await, None);
    stage.stop().await;
}

#[tokio::test]
async fn what_comes_before_a_build_is_what_is_handed_out_before_it() {
    let stage = stage().await;
    namespace(&stage, "large", 0..6).await;
    namespace(&stage, "small", 6..9).await;
    let worker = stage.worker("w").await;
    let client = stage.client();
    let small = "small".parse().unwrap();
    let ahead = async || {
        let builds = client.builds(&small, 1, &BuildQuery::default()).await;
        let last = builds.unwrap().items.pop().unwrap();
        let explained = client.explanation(&small, 1, &last).await.unwrap();
        match explained.explanation {
            Explanation::NextInLine { ahead } | Explanation::WorkersBusy { ahead, .. } => ahead,
            other => panic!("{other}"),
        }
    };
    // Two of its own namespace, and about as many of the other one.
    let first = ahead().await;
    assert!((4..=5).contains(&first), "{first}");
    let mut left = first;
    let home = page(&stage, "/").await;
    let (_, waiting) = home.split_once("id=\"waiting\"").unwrap();
    for name in ["large", "small"] {
        assert!(
            waiting.contains(&format!("/namespaces/{name}/1/x86_64/")),
            "{waiting}"
        );
    }
    // It counts down one by one with what is handed out, whoever gets it.
    for _ in 0..first {
        let run = worker.claim().await;
        worker.succeed(&run).await;
        let now = ahead().await;
        assert!(
            now < left || (now == left && left == first),
            "{now} after {left}"
        );
        left = now;
    }
    assert!(left <= 1);
    stage.stop().await;
}

#[tokio::test]
async fn what_stands_far_behind_in_a_long_line_says_so() {
    let names: Vec<String> = (0..70).map(|number| format!("p{number:02}")).collect();
    let stage = Stage::with_namespace_of("n", &names).await;
    stage.namespace_of("other", &names[..5]).await;
    stage.worker("w").await;
    let (client, name) = (stage.client(), "n".parse().unwrap());
    let builds = client.builds(&name, 1, &BuildQuery::default()).await;
    let last = builds.unwrap().items.pop().unwrap();
    let explained = client.explanation(&name, 1, &last).await.unwrap();
    let ahead = Explanation::NextInLine { ahead: 69 + 5 };
    assert_eq!(explained.explanation, ahead);
    stage.stop().await;
}

#[tokio::test]
async fn durations_of_a_package_come_newest_first() {
    let stage = stage().await;
    let mut db = database(&stage).await;
    sqlx::query("INSERT INTO duration VALUES ('p0', 'x86_64', '[6500,5700,7400]')")
        .execute(&mut db)
        .await
        .unwrap();
    let page = page(&stage, "/packages/p0").await;
    assert!(
        page.contains("worker of speed 1. On x86_64: 7.4 s, 5.7 s, 6.5 s."),
        "{page}"
    );
    stage.stop().await;
}

#[tokio::test]
async fn plan_and_map_show_the_same_longest_chain() {
    let stage = Stage::start(&[
        ("z", srcinfo("z", "1", &[])),
        ("y", srcinfo("y", "1", &["depends = z"])),
        ("b", srcinfo("b", "1", &["depends = z"])),
        ("a", srcinfo("a", "1", &["depends = y"])),
        ("d", srcinfo("d", "1", &["depends = b"])),
    ])
    .await;
    let request = create(Some("n"), &["z/main"], Scope::Transitive);
    let plan = PlanRequest {
        changesets: request.changesets.clone(),
        options: request.options.clone(),
        namespace: None,
    };
    let plan = stage.client().plan(&plan).await.unwrap();
    let (_, set) = plan.architectures.first_key_value().unwrap();
    let planned: Vec<String> = set
        .critical_path
        .iter()
        .map(|key| key.pkgbase.to_string())
        .collect();
    assert_eq!(planned, ["z", "b", "d"]);
    stage.client().create_namespace(&request).await.unwrap();
    let mut tx = stage.server().db.read().await.unwrap();
    let name = "n".parse().unwrap();
    let namespace = namespaces::by_name(&mut tx, &name).await.unwrap().unwrap();
    let iteration = iterations::by_number(&mut tx, namespace.key, 1).await;
    let iteration = iteration.unwrap().unwrap();
    let mut drawn = Vec::new();
    for key in chains::longest(&mut tx, iteration.key).await.unwrap() {
        drawn.push(builds::state(&mut tx, key).await.unwrap().pkgbase);
    }
    drop(tx);
    drawn.sort();
    assert_eq!(drawn, ["b", "d", "z"]);
    stage.stop().await;
}
