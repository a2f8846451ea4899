//! Measures the server as a process: how long it reads a distribution, starts again and plans, and
//! how much memory it takes meanwhile.
//!
//! `just bench` builds the server and runs this. `BUILDBTW_CORPUS` names a folder of
//! `.SRCINFO` files; without it a made-up distribution of 2,000 sources stands in. Nothing is
//! judged here: figures of one machine are no bounds for another.

use std::time::{Duration, Instant};

use buildbtw_tests::corpus::{self, SrcinfoText, synthetic};
use buildbtw_tests::stage::Stage;
use serde_json::{Value, json};

/// How often each plan is asked for.
const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let measure = std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(whole_program(measure));
}

async fn whole_program(measure: bool) {
    let stage = Stage::new()
        .with("ROOT_MODE", "packages")
        .with("RUST_LOG", "warn");
    let corpus = if measure { corpus::corpus() } else { None };
    let made_up = if measure { 2000 } else { 50 };
    let is_corpus = corpus.is_some();
    let texts = corpus.unwrap_or_else(|| synthetic::distribution(1, made_up));
    let start = Instant::now();
    corpus::write_repositories(&stage, &texts);
    println!(
        "{} source repositories, written in {:.1?}",
        texts.len(),
        start.elapsed()
    );

    let mut stage = stage;
    start_server(&mut stage, &texts, "first start, nothing known").await;
    stop_server(&mut stage);
    for round in 1..=3 {
        start_server(
            &mut stage,
            &texts,
            &format!("start {round} with nothing changed"),
        )
        .await;
        if round < 3 {
            stop_server(&mut stage);
        }
    }
    let changed: &[&str] = if is_corpus {
        &["openimageio", "curl", "glibc"]
    } else {
        &["s049", "s025", "s000"]
    };
    for pkgbase in changed {
        plan(&mut stage, pkgbase).await;
    }
    // The last plan's namespace, worked on by a worker that makes empty packages at once. There is no base repository
    // from which the first builds could install base-devel, so the host has it.
    stop_server(&mut stage);
    let mut stage = stage.with("ROOT_MODE", "host");
    start_server(&mut stage, &texts, "start with the tools of the host").await;
    let largest = changed[changed.len() - 1];
    let start = Instant::now();
    stage.bbtw_ok(&[
        "new",
        "--yes",
        "--name",
        "large",
        &format!("{largest}/main"),
    ]);
    println!(
        "bbtw new {largest}/main: {:.1?}; {}",
        start.elapsed(),
        stage.server().memory()
    );
    stage.start_worker(&[("BUILDER", "fake"), ("WORKER_SLOTS", "4")]);
    let begun = |event: &buildbtw_api::events::Event| event.to.as_deref() == Some("built");
    stage.events_until(begun).await;
    pages(&mut stage, "large", largest).await;
    stop_server(&mut stage);
}

/// Fetches pages of a namespace on which a worker works, several times, as a browser does.
async fn pages(stage: &mut Stage, namespace: &str, pkgbase: &str) {
    let client = reqwest::Client::new();
    let build = format!("/namespaces/{namespace}/1/x86_64/{pkgbase}/1");
    let map = format!("/namespaces/{namespace}/1/map.json");
    let namespace = format!("/namespaces/{namespace}");
    let unlocked = format!("{namespace}?sort=unlocks");
    for path in ["/", &namespace, &unlocked, &build, &map] {
        let url = format!("{}{path}", stage.address());
        let (mut times, mut size) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let request = client.get(&url).header("accept-encoding", "gzip");
            let response = request.send().await.expect("the server answers");
            times.push(start.elapsed());
            assert!(
                response.status().is_success(),
                "{path}: {}",
                response.status()
            );
            size = response.bytes().await.expect("it can be read").len();
        }
        let (least, median) = spread(&mut times);
        println!(
            "GET {path}: first byte after {least:.1?} at best, {median:.1?} in the middle of {ROUNDS}; {} KiB compressed",
            size / 1024
        );
    }
    println!("with the pages: {}", stage.server().memory());
}

/// Starts the server and waits until it has read all sources.
async fn start_server(stage: &mut Stage, texts: &[SrcinfoText], what: &str) {
    let start = Instant::now();
    stage.start_server();
    let listening = start.elapsed();
    let health = stage.sources_in_sync().await;
    let read = start.elapsed();
    assert_eq!(health.sources, texts.len() as u64, "{}", stage.logs());
    let memory = stage.server().memory();
    println!(
        "{what}: listens after {listening:.2?}, has all sources after {read:.2?}; {}",
        memory
    );
}

fn stop_server(stage: &mut Stage) {
    let status = stage.stop_server();
    assert!(status.success(), "the server ended with {status}");
}

/// Has the server plan over the API, several times.
async fn plan(stage: &mut Stage, pkgbase: &str) {
    let body = json!({ "changesets": [format!("{pkgbase}/main")] });
    let client = reqwest::Client::new();
    let url = format!("{}/api/v1/plans", stage.address());
    let mut times = Vec::new();
    let mut answer = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let response = client
            .post(&url)
            .json(&body)
            .send()
            .await
            .expect("the server answers");
        assert!(
            response.status().is_success(),
            "{pkgbase}: {}\n{}",
            response.status(),
            stage.logs()
        );
        answer = response
            .bytes()
            .await
            .expect("the answer can be read")
            .to_vec();
        times.push(start.elapsed());
    }
    let plan: Value = serde_json::from_slice(&answer).expect("a plan is JSON");
    let set = &plan["architectures"]["x86_64"];
    let count = |key: &str| set[key].as_array().map_or(0, Vec::len);
    let memory = stage.server().memory();
    // The server remembers the last large plan.
    let first = times[0];
    let (least, median) = spread(&mut times[1..]);
    println!(
        "POST /api/v1/plans {pkgbase}/main: {first:.1?}, and again {least:.1?} at best, {median:.1?} in the middle; {} builds, {} \
         pairs, {} KiB of JSON; {}",
        count("builds"),
        count("edges"),
        answer.len() / 1024,
        memory,
    );
}

fn spread(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[0], times[times.len() / 2])
}
