//! Workers that fail their builds: what is tried elsewhere for it, and what follows from that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::events::EventKind;
use buildbtw_api::namespaces::RetryRequest;
use buildbtw_api::workers::Worker as Shown;
use buildbtw_api::{BuildStatus, OutcomeClass, WorkerId, WorkerMode};
use buildbtw_graph::Scope;
use buildbtw_server::clock::{self, Simulated};
use buildbtw_server::db::events;
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use stage::{Stage, srcinfo, until};

async fn shown(stage: &Stage, id: WorkerId) -> Shown {
    let workers = stage.client().workers().await.unwrap();
    workers.into_iter().find(|worker| worker.id == id).unwrap()
}

fn twelve() -> Vec<(String, String)> {
    let names = (0..12).map(|number| format!("p{number}"));
    names
        .map(|name| {
            // Each of the first six has one that waits for it.
            let number: usize = name[1..].parse().unwrap();
            let need = format!("depends = p{}", number.saturating_sub(6));
            let needs: Vec<&str> = if number < 6 { vec![] } else { vec![&need] };
            (name.clone(), srcinfo(&name, "1", &needs))
        })
        .collect()
}

async fn twelve_builds(stage: &Stage) {
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    stage.namespace_of("n", &names).await;
}

async fn stage_of_twelve() -> Stage {
    let sources = twelve();
    let sources: Vec<(&str, String)> = sources
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    Stage::start(&sources).await
}

#[tokio::test]
async fn a_worker_that_fails_everything_is_set_aside_and_no_package_is_blamed() {
    let stage = stage_of_twelve().await;
    let bad = stage.worker("bad").await;
    let good = stage.worker("good").await;
    let better = stage.worker("better").await;
    twelve_builds(&stage).await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        let run = bad.claim().await;
        failed.push(run.build.pkgbase.to_string());
        bad.fail(&run, OutcomeClass::Package).await;
    }
    let suspect = shown(&stage, bad.id).await;
    assert_eq!(suspect.mode.mode, WorkerMode::SetAside);
    let reason = suspect.mode.note.reason.clone().unwrap();
    assert!(reason.starts_with("under suspicion"), "{reason}");
    assert_eq!(suspect.evidence.len(), 3);
    assert!(failed.iter().all(|name| reason.contains(name)), "{reason}");
    // Nothing failed any more: all of it is tried elsewhere.
    let now = stage.statuses("n").await;
    assert!(
        now.iter().all(|(_, status)| !status.is_failure()),
        "{now:?}"
    );
    let mut left = 12;
    while left > 0 {
        for worker in [&good, &better] {
            if left > 0 {
                let run = worker.claim().await;
                worker.succeed(&run).await;
                left -= 1;
            }
        }
    }
    until(&stage, || async {
        let now = stage.statuses("n").await;
        now.iter().all(|(_, status)| *status == BuildStatus::Built)
    })
    .await;
    until(&stage, || async {
        let reason = shown(&stage, bad.id).await.mode.note.reason.unwrap();
        reason.contains("passed elsewhere")
    })
    .await;
    let aside = shown(&stage, bad.id).await;
    assert_eq!(aside.mode.mode, WorkerMode::SetAside);
    assert!(aside.evidence.iter().all(|one| one.passed.is_some()));
    for evidence in &aside.evidence {
        let run = stage.client().run(evidence.run).await.unwrap();
        let class = run.run.outcome.unwrap().class;
        assert_eq!(class, OutcomeClass::Infrastructure);
    }
    let mut tx = stage.server().db.read().await.unwrap();
    let events = events::after(&mut tx, None, 0, 1000).await.unwrap();
    drop(tx);
    let reclassed = events.iter();
    let reclassed = reclassed.filter(|event| event.kind == EventKind::RunReclassed);
    assert_eq!(reclassed.count(), 3);
    // After an hour it is tried out with one of those builds; nothing else comes of that.
    let hours = |hours: i64| {
        let simulated = Simulated {
            wall: Timestamp::now() + jiff::SignedDuration::from_hours(hours),
            monotonic: std::time::Instant::now(),
        };
        clock::simulate(Some(simulated));
    };
    hours(2);
    let canary = bad.claim().await;
    assert!(failed.contains(&canary.build.pkgbase.to_string()));
    bad.fail(&canary, OutcomeClass::Package).await;
    assert_eq!(shown(&stage, bad.id).await.mode.mode, WorkerMode::SetAside);
    hours(5);
    let canary = bad.claim().await;
    bad.succeed(&canary).await;
    let now = stage.statuses("n").await;
    assert!(now.iter().all(|(_, status)| *status == BuildStatus::Built));
    let back = shown(&stage, bad.id).await;
    assert_eq!(back.mode.mode, WorkerMode::Active);
    assert!(back.evidence.is_empty());
    clock::simulate(None);
    stage.stop().await;
}

#[tokio::test]
async fn what_fails_elsewhere_as_well_is_the_packages_failure() {
    let stage = stage_of_twelve().await;
    let one = stage.worker("one").await;
    let other = stage.worker("other").await;
    twelve_builds(&stage).await;
    let mut broken = Vec::new();
    for _ in 0..3 {
        let run = one.claim().await;
        broken.push(run.build.pkgbase.to_string());
        one.fail(&run, OutcomeClass::Package).await;
    }
    assert_eq!(shown(&stage, one.id).await.mode.mode, WorkerMode::SetAside);
    for _ in 0..12 {
        let run = other.claim().await;
        match broken.contains(&run.build.pkgbase.to_string()) {
            true => other.fail(&run, OutcomeClass::Package).await,
            false => other.succeed(&run).await,
        }
        if shown(&stage, one.id).await.mode.mode == WorkerMode::Active {
            break;
        }
    }
    assert_eq!(shown(&stage, one.id).await.mode.mode, WorkerMode::Active);
    let now = stage.statuses("n").await;
    for (name, status) in now {
        if broken.contains(&name) {
            assert_eq!(status, BuildStatus::Failed, "{name}");
        }
    }
    stage.stop().await;
}

async fn database(stage: &Stage) -> SqliteConnection {
    let file = stage.config.data_dir.join("buildbtw.db");
    let options = SqliteConnectOptions::new().filename(file);
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn what_is_to_clear_or_confirm_a_suspicion_goes_first_in_line() {
    let stage = stage_of_twelve().await;
    let bad = stage.worker("bad").await;
    let good = stage.worker("good").await;
    twelve_builds(&stage).await;
    let mut failed = Vec::new();
    for _ in 0..2 {
        let run = bad.claim().await;
        failed.push(run.build.pkgbase.to_string());
        bad.fail(&run, OutcomeClass::Package).await;
    }
    let last = bad.claim().await;
    failed.push(last.build.pkgbase.to_string());
    // They stand far behind, and another namespace would have the next turn.
    sqlx::query("UPDATE build SET remaining_ms = 0, unlocks = 0 WHERE pkgbase IN (?, ?, ?)")
        .bind(&failed[0])
        .bind(&failed[1])
        .bind(&failed[2])
        .execute(&mut database(&stage).await)
        .await
        .unwrap();
    bad.fail(&last, OutcomeClass::Package).await;
    stage.namespace("small", &["p11/main"], Scope::None).await;
    assert_eq!(shown(&stage, bad.id).await.mode.mode, WorkerMode::SetAside);

    let (client, name) = (stage.client(), "n".parse().unwrap());
    let query = BuildQuery::default();
    let builds = client.builds(&name, 1, &query).await.unwrap().items;
    let suspicious = builds.iter();
    let suspicious = suspicious.filter(|build| failed.contains(&build.pkgbase.to_string()));
    for build in suspicious {
        let explained = client.explanation(&name, 1, build).await.unwrap();
        let said = explained.explanation.to_string();
        assert!(
            said.starts_with("it may have failed by the fault of bad"),
            "{said}"
        );
        assert!(!said.contains("3 ready builds"), "{said}");
    }
    let mut tried = Vec::new();
    for _ in 0..3 {
        let run = good.claim().await;
        tried.push(run.build.pkgbase.to_string());
        good.succeed(&run).await;
    }
    failed.sort();
    tried.sort();
    assert_eq!(tried, failed);
    stage.stop().await;
}

#[tokio::test]
async fn what_failed_on_another_worker_in_another_namespace_already_is_not_held_against_one() {
    let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
    let stage = Stage::with_namespace_of("first", &names).await;
    let other = stage.worker("other").await;
    let broken = ["a", "c", "e"];
    for _ in names {
        let run = other.claim().await;
        match broken.contains(&run.build.pkgbase.as_str()) {
            true => other.fail(&run, OutcomeClass::Package).await,
            // What succeeds between them keeps that worker from being suspected itself.
            false => other.succeed(&run).await,
        }
    }
    let one = stage.worker("one").await;
    let changesets = ["a/main", "c/main", "e/main"];
    stage.namespace("second", &changesets, Scope::None).await;
    for _ in broken {
        let run = one.claim().await;
        one.fail(&run, OutcomeClass::Package).await;
    }
    for worker in [&one, &other] {
        let mode = shown(&stage, worker.id).await.mode;
        assert_eq!(mode.mode, WorkerMode::Active, "{:?}", mode.note.reason);
    }
    let now = stage.statuses("second").await;
    assert!(
        now.iter().all(|(_, status)| *status == BuildStatus::Failed),
        "{now:?}"
    );
    stage.stop().await;
}

#[tokio::test]
async fn two_that_fail_everything_say_nothing_for_each_other() {
    let stage = stage_of_twelve().await;
    twelve_builds(&stage).await;
    let first = stage.worker("first").await;
    for _ in 0..3 {
        let run = first.claim().await;
        first.fail(&run, OutcomeClass::Package).await;
    }
    // What it failed is tried on the second, which fails it as well.
    let second = stage.worker("second").await;
    for _ in 0..3 {
        let run = second.claim().await;
        second.fail(&run, OutcomeClass::Package).await;
    }
    // The third is the first that could tell.
    let _third = stage.worker("third").await;
    let mode = shown(&stage, second.id).await.mode.mode;
    assert_eq!(mode, WorkerMode::SetAside);
    stage.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_alone_is_not_suspected() {
    let stage = stage_of_twelve().await;
    let one = stage.worker("one").await;
    twelve_builds(&stage).await;
    for _ in 0..4 {
        let run = one.claim().await;
        one.fail(&run, OutcomeClass::Package).await;
    }
    assert_eq!(shown(&stage, one.id).await.mode.mode, WorkerMode::Active);
    // When another one comes, there is somebody to try what failed.
    let _other = stage.worker("other").await;
    assert_eq!(shown(&stage, one.id).await.mode.mode, WorkerMode::SetAside);
    stage.stop().await;
}

#[tokio::test]
async fn what_passes_elsewhere_when_it_is_retried_speaks_against_a_worker_that_also_succeeds() {
    let names: Vec<String> = (0..6).map(|number| format!("p{number}")).collect();
    let stage = Stage::with_namespace_of("n", &names).await;
    let (bad, good) = (stage.worker("bad").await, stage.worker("good").await);
    for _ in 0..3 {
        let run = bad.claim().await;
        bad.fail(&run, OutcomeClass::Package).await;
        let run = bad.claim().await;
        bad.succeed(&run).await;
    }
    assert_eq!(shown(&stage, bad.id).await.mode.mode, WorkerMode::Active);
    let retry = RetryRequest::default();
    let namespace = "n".parse().unwrap();
    stage.client().retry(&namespace, &retry).await.unwrap();
    for _ in 0..3 {
        let run = good.claim().await;
        good.succeed(&run).await;
    }
    until(&stage, || async {
        shown(&stage, bad.id).await.mode.mode == WorkerMode::SetAside
    })
    .await;
    stage.stop().await;
}
