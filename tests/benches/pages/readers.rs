//! What people who look cost: two hundred pages that are open and fifty logs that are followed, while
//! nothing happens, and while workers ask for runs.

use std::time::{Duration, Instant};

use buildbtw_api::client::Client;
use buildbtw_api::runs::{Assignment, FinishReport};
use buildbtw_api::workers::{RegisterWorker, WorkerOffer};
use buildbtw_api::{OutcomeClass, WORKER_PROTOCOL, WorkerId};
use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::{Plan, SLEEPER, World, at, figure, load};

/// Who looks.
const PAGES: usize = 200;
const LOGS: usize = 50;

/// What they may cost while nothing happens, in percent of a core, and what a claim may take for
/// nineteen of twenty while they look, in milliseconds.
const CPU: f64 = 10.0;
const CLAIM: f64 = 100.0;

pub async fn measure(world: &mut World, plan: &Plan) {
    let (pages, logs, claims) = match plan.measure {
        true => (PAGES, LOGS, if plan.full { 200 } else { 40 }),
        false => (4, 2, 2),
    };
    let run = world
        .begin(SLEEPER)
        .await
        .run
        .expect("it is being built")
        .id;
    world.stage.bbtw_ok(&["pause", "large"]);
    let nothing = cpu(world, plan).await;
    let worker = register(&world.worker_client(), "asks").await;
    let alone = claim_times(world, worker, claims).await;
    let client = reqwest::Client::new();
    let mut readers = JoinSet::new();
    for number in 0..pages + logs {
        let log = number >= pages;
        let page = match log {
            true => format!("/runs/{run}/log"),
            false => ["/", "/namespaces/large", "/workers"][number % 3].to_owned(),
        };
        let stream = match log {
            true => format!("/api/v1/runs/{run}/log?follow=true"),
            false => "/api/v1/events".to_owned(),
        };
        for path in [page, stream] {
            let answer = client.get(world.url(&path)).send().await;
            let answer = answer.expect("the server answers");
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            if path.starts_with("/api") {
                readers.spawn(answer.bytes_stream().for_each(|_| std::future::ready(())));
            } else {
                answer.bytes().await.expect("it can be read");
            }
        }
    }
    let resting = cpu(world, plan).await;
    println!(
        "readers: {pages} event streams and {logs} followed logs; without them {nothing:.1} % of a core; load {}",
        load()
    );
    figure("readers: the server at rest", resting, CPU, "% of a core");
    let among = claim_times(world, worker, claims).await;
    for (what, mut times) in [("without readers", alone), ("with them", among)] {
        let name = format!("readers: a claim {what}, p95 of {}", times.len());
        figure(&name, at(95, &mut times), CLAIM, "ms");
        println!(
            "readers: a claim {what}: median {:.1} ms",
            at(50, &mut times)
        );
    }
    assert_eq!(readers.len(), pages + logs, "nobody was sent away");
}

/// How much of a core the server takes while nothing is asked of it, in percent.
async fn cpu(world: &mut World, plan: &Plan) -> f64 {
    // What is going on comes to its end first.
    tokio::time::sleep(Duration::from_secs(if plan.measure { 4 } else { 0 })).await;
    let time = match plan.measure {
        true => plan.seconds(60, 10),
        false => Duration::from_millis(200),
    };
    let (begin, before) = (Instant::now(), world.stage.server().cpu());
    tokio::time::sleep(time).await;
    let used = world.stage.server().cpu() - before;
    used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0
}

/// A worker that is played here.
pub async fn register(client: &Client, name: &str) -> WorkerId {
    let registration = RegisterWorker {
        id: None,
        name: name.to_owned(),
        protocol: WORKER_PROTOCOL,
        offer: WorkerOffer {
            architectures: vec!["x86_64".parse().expect("it is an architecture")],
            slots: 1,
            memory: None,
            labels: Vec::new(),
            builder: "fake".to_owned(),
            configuration: String::new(),
            root_modes: Vec::new(),
        },
        running: Vec::new(),
    };
    let registered = client.register_worker(&registration).await;
    registered.expect("the server takes it").id
}

/// How long claims of builds that are ready take, in milliseconds. Each is given back.
async fn claim_times(world: &World, worker: WorkerId, count: usize) -> Vec<f64> {
    let client = world.worker_client();
    // The worker that builds must not take what is asked for here.
    let names = ["large"].map(buildbtw_tests::stage::name_of);
    for name in &names {
        client.resume(name).await.expect("it goes on");
    }
    let mut times = Vec::new();
    while times.len() < count {
        let begin = Instant::now();
        let claimed = client.claim(worker).await.expect("the server answers");
        let took = begin.elapsed().as_secs_f64() * 1e3;
        let Some(run) = claimed else { continue };
        times.push(took);
        give_back(&client, &run).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for name in &names {
        client.pause(name).await.expect("it rests");
    }
    times
}

/// Gives a run back, as a worker that stops in order does.
pub async fn give_back(client: &Client, run: &Assignment) {
    let report = FinishReport {
        fence: run.fence,
        class: OutcomeClass::Cancelled,
        message: "it was only asked for".to_owned(),
        exit_code: None,
        failed_step: None,
        steps: Vec::new(),
        installed: Vec::new(),
        packages: Vec::new(),
    };
    let ended = client.finish_run(run.run, &report).await;
    ended.expect("it is given back");
}
