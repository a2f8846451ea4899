//! How long it takes until a build that becomes ready is in the hands of a worker that waits: real
//! time, a real socket, and many workers that all ask at once.
//!
//! And what a heartbeat costs, which each worker sends every few seconds.
//!
//! `cargo bench -p buildbtw-server --bench handing_out` measures and judges; run in any other way it only
//! shows that it works, with few.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use buildbtw_api::NamespaceStatus;
use buildbtw_api::events::EventKind;
use buildbtw_api::workers::{Heartbeat, HeldRun};
use buildbtw_graph::Scope;
use buildbtw_server::db::events;
use jiff::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use stage::{Stage, Worker, srcinfo, until};
use tokio::sync::{mpsc, oneshot};

/// What it may take for nineteen of twenty, in milliseconds.
const BUDGET: f64 = 100.0;

/// What a heartbeat may cost, in milliseconds of processor time.
const HEARTBEAT_BUDGET: f64 = 0.2;

/// Builds that become ready at once, beside the one that the next ones wait for.
const LEAVES: usize = 8;

#[tokio::main]
async fn main() -> ExitCode {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let (crews, gates) = match measuring {
        true => (vec![16, 64, 256], 20),
        false => (vec![10], 2),
    };
    println!("from ready to in the hands of a waiting worker, over HTTP, in milliseconds");
    println!("workers  builds      p50      p95      max");
    let mut within = true;
    for crew in crews {
        let mut took = measure(crew, gates).await;
        took.sort_by(f64::total_cmp);
        let at = |percent: usize| took[(took.len() - 1) * percent / 100];
        println!(
            "{crew:>7}  {:>6}  {:>7.1}  {:>7.1}  {:>7.1}",
            took.len(),
            at(50),
            at(95),
            at(100)
        );
        within &= at(95) < BUDGET;
    }
    let beats = if measuring { 5_000 } else { 10 };
    let (cost, took) = heartbeats(beats).await;
    println!(
        "a heartbeat over HTTP, of {beats}: {cost:.3} ms of the server's processor time, {took:.3} ms until it is answered"
    );
    if measuring && cost >= HEARTBEAT_BUDGET {
        println!("OVER the budget of {HEARTBEAT_BUDGET} ms");
        return ExitCode::FAILURE;
    }
    if measuring && !within {
        println!("OVER the budget of {BUDGET} ms for 95 %");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What heartbeats of a worker with a run cost the server each, in milliseconds of processor time, and how
/// long one takes. The client has a thread of its own, whose time does not count.
async fn heartbeats(count: u32) -> (f64, f64) {
    let stage = Stage::start(&[("a", srcinfo("a", "1", &[]))]).await;
    let worker = stage.worker("w").await;
    stage.namespace("n", &["a/main"], Scope::None).await;
    let run = worker.claim().await;
    let held = HeldRun {
        run: run.run,
        fence: run.fence,
    };
    let beat = Heartbeat { runs: vec![held] };
    let client = stage.worker_client();
    let beating = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            // The connection is made before.
            client.heartbeat(worker.id, &beat).await.unwrap();
            let own = processor_time(UsageWho::RUSAGE_THREAD);
            let (cpu, began) = (processor_time(UsageWho::RUSAGE_SELF), Instant::now());
            for _ in 0..count {
                client.heartbeat(worker.id, &beat).await.unwrap();
            }
            let all = processor_time(UsageWho::RUSAGE_SELF) - cpu;
            let own = processor_time(UsageWho::RUSAGE_THREAD) - own;
            (all.saturating_sub(own), began.elapsed())
        })
    });
    let beating = tokio::task::spawn_blocking(|| beating.join().unwrap());
    let (cpu, took) = beating.await.unwrap();
    let each = |time: Duration| time.as_secs_f64() * 1_000.0 / f64::from(count);
    stage.stop().await;
    (each(cpu), each(took))
}

/// The processor time of this program, or of the thread that asks.
fn processor_time(of: UsageWho) -> Duration {
    let used = getrusage(of).unwrap();
    let duration = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), 0)
            + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    duration(used.user_time()) + duration(used.system_time())
}

/// A chain of builds, each of which makes some others ready with the next one of the chain.
fn sources(gates: usize) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for gate in 0..gates {
        let name = format!("gate{gate}");
        let before = gate
            .checked_sub(1)
            .map(|before| format!("depends = gate{before}"));
        let relations: Vec<&str> = before.iter().map(String::as_str).collect();
        sources.push((name.clone(), srcinfo(&name, "1", &relations)));
        for leaf in 0..LEAVES {
            let leaf = format!("leaf{gate}-{leaf}");
            let text = srcinfo(&leaf, "1", &[&format!("depends = {name}")]);
            sources.push((leaf, text));
        }
    }
    sources
}

/// A run that a worker got, and how to have it go on.
struct Held {
    pkgbase: String,
    received: Timestamp,
    go_on: oneshot::Sender<oneshot::Sender<()>>,
}

impl Held {
    /// Has the worker succeed, and waits for that.
    async fn succeed(self) {
        let (done, over) = oneshot::channel();
        self.go_on.send(done).unwrap();
        over.await.unwrap();
    }
}

/// A worker that asks for runs and holds each until it is told to go on.
async fn hold(worker: Worker, held: mpsc::Sender<Held>) {
    loop {
        let run = worker.claim().await;
        let (go_on, told) = oneshot::channel();
        let one = Held {
            pkgbase: run.build.pkgbase.to_string(),
            received: Timestamp::now(),
            go_on,
        };
        held.send(one).await.unwrap();
        let done = told.await.unwrap();
        worker.succeed(&run).await;
        let _ = done.send(());
    }
}

/// Has everything built by so many workers. How long each build waited for its worker comes back, in
/// milliseconds. While some become ready, all workers but the one that made them so wait.
async fn measure(crew: usize, gates: usize) -> Vec<f64> {
    let sources = sources(gates);
    let named: Vec<(&str, String)> = sources
        .iter()
        .map(|(name, text)| (name.as_str(), text.clone()))
        .collect();
    let stage = Stage::start(&named).await;
    let (sender, mut held) = mpsc::channel(crew);
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..crew {
        let worker = Worker::register(stage.worker_client(), &format!("w{number}")).await;
        workers.spawn(hold(worker, sender.clone()));
    }
    stage
        .namespace("n", &["gate0/main"], Scope::Transitive)
        .await;
    let mut received = HashMap::new();
    let mut next = held.recv().await.unwrap();
    for gate in 0..gates {
        received.insert(next.pkgbase.clone(), next.received);
        next.succeed().await;
        let last = gate + 1 == gates;
        let mut runs = Vec::new();
        for _ in 0..LEAVES + usize::from(!last) {
            runs.push(held.recv().await.unwrap());
        }
        // What the next ones wait for comes last, so that nobody is at work then.
        runs.sort_by_key(|run| run.pkgbase.starts_with("gate"));
        let gate = if last { None } else { runs.pop() };
        for run in runs {
            received.insert(run.pkgbase.clone(), run.received);
            run.succeed().await;
        }
        match gate {
            Some(gate) => next = gate,
            None => break,
        }
    }
    until(&stage, || async {
        let namespace = stage.client().namespace(&"n".parse().unwrap()).await;
        namespace.unwrap().namespace.status == NamespaceStatus::Finished
    })
    .await;
    workers.shutdown().await;
    let mut tx = stage.server().db.read().await.unwrap();
    let all = events::after(&mut tx, None, 0, u32::MAX).await.unwrap();
    drop(tx);
    stage.stop().await;
    let ready = all.into_iter().filter(|event| {
        event.kind == EventKind::BuildStatus && event.to.as_deref() == Some("pending")
    });
    ready
        .map(|event| {
            let pkgbase = event.pkgbase.unwrap().to_string();
            let waited = received[&pkgbase].duration_since(event.at);
            waited.as_secs_f64() * 1_000.0
        })
        .collect()
}
