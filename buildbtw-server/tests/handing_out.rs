//! Which ready build a worker gets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::namespaces::WaiveRequest;
use buildbtw_api::priority::PriorityRequest;
use buildbtw_api::{BuildStatus, OutcomeClass, ProblemType, WorkerId};
use buildbtw_graph::Scope;
use buildbtw_server::clock::{self, Simulated};
use buildbtw_server::config::Config;
use buildbtw_server::db::workers;
use buildbtw_server::dispatch::{claim, reports};
use buildbtw_server::scheduler::Told;
use jiff::Timestamp;
use stage::{Stage, Worker, srcinfo, until};

async fn status(stage: &Stage, namespace: &str, pkgbase: &str) -> BuildStatus {
    let (name, query) = (namespace.parse().unwrap(), BuildQuery::default());
    let builds = stage.client().builds(&name, 1, &query).await.unwrap();
    let mut builds = builds.items.iter();
    let build = builds.find(|build| build.pkgbase.as_str() == pkgbase);
    build.unwrap().status
}

/// `o` needs `n`, which needs `m`.
fn chain() -> [(&'static str, String); 3] {
    [
        ("m", srcinfo("m", "1", &[])),
        ("n", srcinfo("n", "1", &["depends = m"])),
        ("o", srcinfo("o", "1", &["depends = n"])),
    ]
}

#[tokio::test]
async fn who_waits_for_what_is_left_out_waits_for_what_that_waited_for() {
    let stage = Stage::start(&chain()).await;
    stage.namespace("n", &["m/main"], Scope::Transitive).await;
    let worker = Worker::register(stage.worker_client(), "w").await;
    let run = worker.claim().await;
    let request = WaiveRequest {
        pkgbases: vec!["n".parse().unwrap()],
        reason: "it needs no rebuild".to_owned(),
    };
    let name = "n".parse().unwrap();
    stage.client().waive(&name, &request).await.unwrap();
    assert_eq!(status(&stage, "n", "o").await, BuildStatus::Blocked);
    worker.succeed(&run).await;
    until(&stage, || async {
        status(&stage, "n", "o").await == BuildStatus::Pending
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn the_run_of_a_worker_that_never_comes_back_is_given_to_another() {
    let quick = |config: &mut buildbtw_server::config::Config| config.lease_seconds = 1;
    let mut stage = Stage::start_with(&chain(), quick).await;
    stage.namespace("n", &["m/main"], Scope::None).await;
    let gone = Worker::register(stage.worker_client(), "gone").await;
    let lost = gone.claim().await;
    stage.restart().await;
    let other = Worker::register(stage.worker_client(), "other").await;
    let run = other.claim().await;
    assert_eq!(run.build.pkgbase, lost.build.pkgbase);
    assert!(run.fence > lost.fence && run.run != lost.run);
    stage.stop().await;
}

#[tokio::test]
async fn the_longest_chain_begins_first() {
    let mut sources = vec![("alone", srcinfo("alone", "1", &[]))];
    sources.extend(chain());
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

#[tokio::test]
async fn a_raised_weight_counts_for_its_time_and_is_said() {
    let sources = [
        ("a", srcinfo("a", "1", &[])),
        ("b", srcinfo("b", "1", &[])),
        ("c", srcinfo("c", "1", &[])),
        ("d", srcinfo("d", "1", &[])),
    ];
    let stage = Stage::start(&sources).await;
    stage
        .namespace("first", &["a/main", "b/main"], Scope::None)
        .await;
    stage
        .namespace("raised", &["c/main", "d/main"], Scope::None)
        .await;
    let name = "raised".parse().unwrap();
    let set = async |weight, reason: Option<&str>, seconds| {
        let request = PriorityRequest {
            weight,
            reason: reason.map(str::to_owned),
            seconds,
        };
        stage.client().set_priority(&name, &request).await
    };
    for refused in [
        set(5, None, None).await,
        set(0, Some("x"), None).await,
        set(101, Some("x"), None).await,
        set(5, Some("x"), Some(31 * 24 * 3600)).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.problem().unwrap().kind, ProblemType::BadRequest);
        assert!(error.problem().unwrap().hint.is_some());
    }
    let raised = set(5, Some("a fix"), None).await.unwrap();
    let priority = raised.priority.unwrap();
    assert_eq!(
        (priority.weight, priority.reason.as_deref()),
        (5, Some("a fix"))
    );
    let worker = Worker::register(stage.worker_client(), "w").await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(worker.claim().await.namespace.to_string());
    }
    // With one slot each, a fifth of the weight has the other wait for the second.
    assert_eq!(got, ["first", "raised", "raised"]);
    assert_eq!(set(1, None, None).await.unwrap().priority, None);
    stage.stop().await;
}

#[tokio::test]
async fn what_a_faster_worker_ends_sooner_is_not_begun_by_a_slow_one_because_more_is_ready() {
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    let stage = Stage::with_namespace_of("n", &names).await;
    let server = stage.server();
    let mut ids = Vec::new();
    for (name, slots, speed) in [("slow", 1, 0.5), ("fast", 20, 2.0)] {
        let mut registration = stage::registration(name);
        registration.id = Some(WorkerId::generate());
        registration.offer.slots = slots;
        let id = reports::register(server, registration).await.unwrap().id;
        let mut tx = server.db.write().await.unwrap();
        let stored = workers::by_id(&mut tx, id).await.unwrap().unwrap();
        let told = Told { speed, runs: 100 };
        workers::set_told(&mut tx, stored.key, told).await.unwrap();
        tx.commit().await.unwrap();
        ids.push(id);
    }
    server.dispatch.workers_changed();
    let given = claim::try_claim(server, ids[0]).await.unwrap().given();
    assert!(given.is_none(), "{given:?}");
    let given = claim::try_claim(server, ids[1]).await.unwrap().given();
    assert!(given.is_some());
    stage.stop().await;
}

#[tokio::test]
async fn what_the_machinery_failed_on_one_worker_is_kept_for_another() {
    let stage = Stage::with_namespace_of("n", &["p".to_owned()]).await;
    let (unlucky, other) = (stage.worker("unlucky").await, stage.worker("other").await);
    let run = unlucky.claim().await;
    unlucky.fail(&run, OutcomeClass::Infrastructure).await;
    let minute = jiff::SignedDuration::from_mins(1);
    let simulated = Simulated {
        wall: Timestamp::now() + minute,
        monotonic: std::time::Instant::now(),
    };
    clock::simulate(Some(simulated));
    let given = claim::try_claim(stage.server(), unlucky.id).await.unwrap();
    assert!(given.given().is_none());
    let given = claim::try_claim(stage.server(), other.id).await.unwrap();
    assert!(given.given().is_some());
    clock::simulate(None);
    stage.stop().await;
}

#[tokio::test]
async fn what_fits_a_worker_is_found_however_much_stands_before_it() {
    let mut names: Vec<String> = (10..30).map(|number| format!("p{number}")).collect();
    let hints = tempfile::NamedTempFile::new().unwrap();
    let hint = |name: &String| {
        format!(
            "[[hint]]\npkgbase = \"{name}\"\nlabels = [\"kvm\"]\nexpires = \"2999-01-01\"\nreason = \"it needs one\"\n"
        )
    };
    let texts: Vec<String> = names.iter().map(hint).collect();
    std::fs::write(hints.path(), texts.concat()).unwrap();
    names.push("small".to_owned());
    let sources = names.iter();
    let sources: Vec<(&str, String)> = sources
        .map(|name| (name.as_str(), srcinfo(name, "1", &[])))
        .collect();
    let change = |config: &mut Config| config.hints_file = Some(hints.path().to_owned());
    let stage = Stage::start_with(&sources, change).await;
    stage.namespace_of("n", &names).await;
    let worker = stage.worker("w").await;
    let given = claim::try_claim(stage.server(), worker.id).await.unwrap();
    assert_eq!(given.given().unwrap().build.pkgbase.as_str(), "small");
    stage.stop().await;
}
