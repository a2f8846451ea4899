//! Who gets runs: modes of workers, and what is said of each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::events::EventKind;
use buildbtw_api::idle::IdleReason;
use buildbtw_api::modes::{ServerModeChanged, ServerModeRequest, WorkerModeRequest};
use buildbtw_api::workers::{Heartbeat, HeldRun, Worker as Shown};
use buildbtw_api::{BuildStatus, OutcomeClass, ProblemType, ServerMode, WorkerId, WorkerMode};
use buildbtw_graph::Scope;
use buildbtw_server::db::events;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use stage::{Stage, srcinfo, until};

fn two() -> [(&'static str, String); 2] {
    [("a", srcinfo("a", "1", &[])), ("b", srcinfo("b", "1", &[]))]
}

async fn shown(stage: &Stage, id: WorkerId) -> Shown {
    let workers = stage.client().workers().await.unwrap();
    workers.into_iter().find(|worker| worker.id == id).unwrap()
}

async fn turn(stage: &Stage, id: WorkerId, mode: WorkerMode, reason: &str) {
    let request = WorkerModeRequest {
        mode,
        reason: Some(reason.to_owned()),
    };
    stage.client().set_worker_mode(id, &request).await.unwrap();
}

#[tokio::test]
async fn a_worker_says_what_it_builds_and_why_it_gets_nothing_more() {
    let stage = Stage::start(&two()).await;
    let worker = stage.worker("w").await;
    let idle = |worker: Shown| worker.idle.unwrap();
    assert_eq!(
        idle(shown(&stage, worker.id).await),
        IdleReason::NothingReady
    );
    stage
        .namespace("n", &["a/main", "b/main"], Scope::None)
        .await;
    assert_eq!(idle(shown(&stage, worker.id).await), IdleReason::NextInLine);
    let run = worker.claim().await;
    let now = shown(&stage, worker.id).await;
    assert_eq!(now.running.len(), 1);
    let build = &now.running[0];
    assert_eq!(
        (build.run, build.namespace.as_str(), &build.pkgbase),
        (run.run, "n", &run.build.pkgbase)
    );
    assert_eq!(idle(now), IdleReason::SlotsTaken { slots: 1 });
    stage.stop().await;
}

#[tokio::test]
async fn a_paused_worker_gets_nothing_until_it_is_active_again() {
    let stage = Stage::start(&two()).await;
    let worker = stage.worker("w").await;
    turn(&stage, worker.id, WorkerMode::Paused, "its disk is slow").await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    assert_eq!(
        shown(&stage, worker.id).await.idle,
        Some(IdleReason::NotActive {
            mode: WorkerMode::Paused,
            message: Some("its disk is slow".to_owned())
        })
    );
    // It waits already when the mode changes, and is woken by that.
    let (run, ()) = tokio::join!(worker.claim(), async {
        turn(&stage, worker.id, WorkerMode::Active, "it is quick again").await;
    });
    assert_eq!(run.build.pkgbase.as_str(), "a");
    let now = shown(&stage, worker.id).await.mode;
    assert_eq!(now.note.reason.as_deref(), Some("it is quick again"));
    assert!(now.note.since.is_some());
    let mut tx = stage.server().db.read().await.unwrap();
    let events = events::after(&mut tx, None, 0, 100).await.unwrap();
    let modes: Vec<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::WorkerMode)
        .map(|event| (event.worker.as_deref(), event.to.as_deref()))
        .collect();
    assert_eq!(
        modes,
        [(Some("w"), Some("paused")), (Some("w"), Some("active"))]
    );
    drop(tx);
    stage.stop().await;
}

#[tokio::test]
async fn a_worker_that_left_is_not_counted_on() {
    let stage = Stage::start(&two()).await;
    let worker = stage.worker("w").await;
    let pages = async |path: &str| {
        let answer = reqwest::get(stage.url() + path).await.unwrap();
        answer.text().await.unwrap()
    };
    assert!(pages("/workers").await.contains("of 1 slots"));
    worker.client.leave(worker.id).await.unwrap();
    assert!(!pages("/workers").await.contains("of 1 slots"));
    let gone = shown(&stage, worker.id).await;
    assert_eq!(gone.seen_at, None);
    assert_eq!(gone.idle, Some(IdleReason::NotHeardOf));
    // It is back as soon as it shows again.
    worker
        .client
        .heartbeat(worker.id, &Heartbeat::default())
        .await
        .unwrap();
    let back = shown(&stage, worker.id).await;
    assert_eq!(back.idle, Some(IdleReason::NothingReady));
    stage.stop().await;
}

#[tokio::test]
async fn a_drained_worker_is_told_at_its_next_heartbeat_also_by_another_server() {
    let mut stage = Stage::start(&two()).await;
    let id = stage.worker("w").await.id;
    let beat = async |stage: &Stage| {
        let beat = Heartbeat::default();
        stage.worker_client().heartbeat(id, &beat).await.unwrap()
    };
    assert_eq!(beat(&stage).await.drain, None);
    turn(&stage, id, WorkerMode::Draining, "a new kernel").await;
    assert_eq!(beat(&stage).await.drain.as_deref(), Some("a new kernel"));
    stage.restart().await;
    assert_eq!(beat(&stage).await.drain.as_deref(), Some("a new kernel"));
    turn(&stage, id, WorkerMode::Active, "done").await;
    assert_eq!(beat(&stage).await.drain, None);
    stage.stop().await;
}

#[tokio::test]
async fn a_heartbeat_renews_a_lease_and_writes_nothing_to_the_database() {
    let stage = Stage::start(&two()).await;
    let worker = stage.worker("w").await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let run = worker.claim().await;
    // Of a connection that writes nothing itself, this changes with each commit of any other.
    let file = stage.config.data_dir.join("buildbtw.db");
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    let mut version = async || -> i64 {
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut db);
        version.await.unwrap()
    };
    let before = version().await;
    let beat = Heartbeat {
        runs: vec![HeldRun {
            run: run.run,
            fence: run.fence,
        }],
    };
    let seen = async || shown(&stage, worker.id).await.seen_at.unwrap();
    let seen_before = seen().await;
    for _ in 0..20 {
        let answer = stage.worker_client().heartbeat(worker.id, &beat).await;
        assert!(answer.unwrap().stop.is_empty());
    }
    assert!(seen().await > seen_before);
    assert_eq!(version().await, before);
    turn(&stage, worker.id, WorkerMode::Paused, "a pause").await;
    assert_ne!(version().await, before);
    stage.stop().await;
}

#[tokio::test]
async fn who_stops_a_worker_says_why_and_only_the_server_sets_one_aside() {
    let stage = Stage::start(&two()).await;
    let worker = stage.worker("w").await;
    for (mode, reason) in [
        (WorkerMode::Draining, None),
        (WorkerMode::Paused, Some(" ".to_owned())),
        (WorkerMode::SetAside, Some("it is odd".to_owned())),
    ] {
        let request = WorkerModeRequest { mode, reason };
        let refused = stage.client().set_worker_mode(worker.id, &request).await;
        let error = refused.unwrap_err();
        let problem = error.problem().unwrap();
        assert_eq!(problem.kind, ProblemType::BadRequest, "{mode}");
        assert!(problem.hint.is_some(), "{mode}");
    }
    let active = WorkerModeRequest {
        mode: WorkerMode::Active,
        reason: None,
    };
    let unknown = stage
        .client()
        .set_worker_mode(WorkerId::generate(), &active)
        .await;
    assert_eq!(
        unknown.unwrap_err().problem().unwrap().kind,
        ProblemType::NotFound
    );
    stage.stop().await;
}

async fn set(stage: &Stage, mode: ServerMode, reason: Option<&str>) -> ServerModeChanged {
    let request = ServerModeRequest {
        mode,
        reason: reason.map(str::to_owned),
    };
    stage.client().set_mode(&request).await.unwrap()
}

#[tokio::test]
async fn a_drained_server_hands_out_nothing_and_lets_runs_go_on() {
    let stage = Stage::start(&two()).await;
    stage
        .namespace("n", &["a/main", "b/main"], Scope::None)
        .await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    set(&stage, ServerMode::Drain, Some("an update")).await;
    let health = stage.client().health().await.unwrap();
    assert_eq!(health.mode.mode, ServerMode::Drain);
    assert_eq!(health.mode.note.reason.as_deref(), Some("an update"));
    worker.succeed(&run).await;
    assert_eq!(
        shown(&stage, worker.id).await.idle,
        Some(IdleReason::ServerHandsOutNothing {
            mode: ServerMode::Drain,
            message: Some("an update".to_owned())
        })
    );
    let page = reqwest::get(stage.url())
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(page.contains("hands out no runs (drain)"), "{page}");
    let (next, _) = tokio::join!(worker.claim(), set(&stage, ServerMode::Run, None));
    assert_ne!(next.build.pkgbase, run.build.pkgbase);
    stage.stop().await;
}

#[tokio::test]
async fn a_stopped_server_takes_its_runs_back_and_blames_nobody() {
    let stage = Stage::start(&two()).await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    let refused = ServerModeRequest {
        mode: ServerMode::Stopped,
        reason: None,
    };
    assert!(stage.client().set_mode(&refused).await.is_err());
    let changed = set(&stage, ServerMode::Stopped, Some("a full disk")).await;
    assert_eq!(changed.taken_back, 1);
    let held = HeldRun {
        run: run.run,
        fence: run.fence,
    };
    let beat = Heartbeat { runs: vec![held] };
    let answer = worker.client.heartbeat(worker.id, &beat).await.unwrap();
    assert!(answer.stop[0].reason.contains("a full disk"));
    let name = "n".parse().unwrap();
    let (client, query) = (stage.client(), BuildQuery::default());
    let mut builds = client.builds(&name, 1, &query).await.unwrap().items;
    let build = builds.remove(0);
    assert_eq!(build.status, BuildStatus::Pending);
    let class = build.run.unwrap().outcome.unwrap().class;
    assert_eq!(class, OutcomeClass::Cancelled);
    set(&stage, ServerMode::Run, None).await;
    let again = worker.claim().await;
    assert!(again.fence > run.fence);
    worker.succeed(&again).await;
    stage.stop().await;
}

#[tokio::test]
async fn what_workers_give_back_in_order_counts_against_nothing() {
    let stage = Stage::start(&two()).await;
    let worker = stage.worker("w").await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    // More often than the machinery may fail.
    for _ in 0..6 {
        let run = worker.claim().await;
        worker.fail(&run, OutcomeClass::Cancelled).await;
        assert_eq!(
            stage.statuses("n").await,
            [("a".to_owned(), BuildStatus::Pending)]
        );
    }
    let run = worker.claim().await;
    worker.succeed(&run).await;
    until(&stage, || async {
        stage.statuses("n").await[0].1 == BuildStatus::Built
    })
    .await;
    stage.stop().await;
}
