//! A whole distribution rebuilt in virtual time: how long it takes beside the shortest that is
//! possible, and what it costs the server. The server's own decisions and its own database; only the
//! workers and the clock are played.
//!
//! The server knows what it would know: of most packages how long they took before, and of the workers how
//! fast their last runs were, each half to twice what it is now. `cargo bench -p buildbtw-server --bench
//! makespan` measures a made-up distribution of 1,000 packages; with `-- corpus` and BUILDBTW_CORPUS a real one,
//! which takes a minute or two for each number of workers. Numbers behind that (`-- corpus 16 64`) are those of
//! workers; `strangers` makes them workers that were never seen before, `bounds` asks no server and only says
//! what is possible.
//!
//! Chance decides how fast workers are, how far estimates are off, and what the machinery fails: `seeds=5` plays it five
//! times, and the middle one is judged.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

mod bounds;
mod costs;
mod graph;
mod schedules;
mod work;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use buildbtw_api::namespaces::{IterationReason, NamespaceOptions};
use buildbtw_api::runs::{Assignment, FinishReport, InstalledPackage, Step};
use buildbtw_api::workers::{RegisterWorker, WorkerOffer};
use buildbtw_api::{OutcomeClass, WORKER_PROTOCOL, WorkerId};
use buildbtw_server::clock::{self, Simulated};
use buildbtw_server::config::Config;
use buildbtw_server::db::{audit, namespaces, ready, workers};
use buildbtw_server::dispatch::claim::{self, Claim};
use buildbtw_server::dispatch::{publisher, reports};
use buildbtw_server::planner::{self, Calculation};
use buildbtw_server::scheduler::{TELLING_RUNS, Told};
use buildbtw_server::{Server, open};
use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use costs::{Costs, charged, cpu_time, take_repository, watch_repository};
use graph::Graph;
use schedules::{best_known, first_in_first_out};
use work::{Work, factor, made_up, read};

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a makespan may be, beside what no schedule can undercut.
const BUDGET: f64 = 1.10;

/// Packages whose durations are not known to the server, in percent.
const UNKNOWN: u8 = 20;

/// The first seed of what is left to chance.
const SEED: u64 = 11;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let measuring = std::env::args().any(|argument| argument == "--bench");
    watch_repository();
    let crews: Vec<usize> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let whole = measuring && std::env::args().any(|argument| argument == "corpus");
    let corpus = std::env::var_os("BUILDBTW_CORPUS").filter(|_| whole);
    let crews = match (crews.is_empty(), measuring) {
        (false, true) => crews,
        (true, true) => vec![1, 4, 16, 64, 256],
        (_, false) => vec![1, 4],
    };
    let work = match &corpus {
        Some(folder) => Work::of(read(Path::new(folder)), "glibc"),
        None => Work::of(made_up(1_000), "p0"),
    };
    let builds: usize = (work.calculation)()
        .plan
        .architectures
        .values()
        .map(|set| set.builds.len())
        .sum();
    println!(
        "{builds} builds. The bound: the greater of longest path and work / workers. The intervals' bound and \
         all makespans stand beside it:"
    );
    println!(
        "workers  bound h  intervals  makespan  best known  first in first out  CPU ms a build  rows a build  written KiB a build  peak MiB"
    );
    let strangers = std::env::args().any(|argument| argument == "strangers");
    let only_bounds = std::env::args().any(|argument| argument == "bounds");
    let seeds = std::env::args().find_map(|argument| argument.strip_prefix("seeds=")?.parse().ok());
    let seeds: u64 = seeds.unwrap_or(1);
    let mut over = Vec::new();
    for crew in crews {
        let mut beside_possible = Vec::new();
        for seed in SEED..SEED + seeds {
            if only_bounds {
                say_bounds(&work, crew, seed);
                continue;
            }
            let result = rebuild(&work, crew, seed, !strangers);
            println!(
                "{crew:>7}  {:>7.2}  {:>9.3}  {:>8.3}  {:>10.3}  {:>18.3}  {:>14.2}  {:>12.1}  {:>19.1}  {:>8}",
                result.simple / 3_600_000.0,
                result.intervals / result.simple,
                result.makespan as f64 / result.simple,
                result.best_known as f64 / result.simple,
                result.first_in_first_out as f64 / result.simple,
                result.spent.cpu.as_secs_f64() * 1_000.0 / builds as f64,
                result.spent.rows as f64 / builds as f64,
                result.spent.written as f64 / 1024.0 / builds as f64,
                peak_memory().map_or(0, |kibibytes| kibibytes / 1024),
            );
            println!("{:>9} {}", "", result.spent.costs.of_each(builds));
            beside_possible.push(result.makespan as f64 / result.simple.max(result.intervals));
        }
        beside_possible.sort_unstable_by(f64::total_cmp);
        let (Some(most), Some(middle)) = (
            beside_possible.last(),
            beside_possible.get(beside_possible.len() / 2),
        ) else {
            continue;
        };
        println!("{crew:>7}  beside what is possible: {middle:.3}, at most {most:.3}");
        let judged = corpus.is_some() && !strangers && [4, 16, 64].contains(&crew);
        if judged && *middle > BUDGET {
            over.push(crew);
        }
    }
    println!("the peak is that of all so far, with this program's own copy of the sources");
    assert!(
        over.is_empty(),
        "more than a tenth above what is possible with {over:?} workers"
    );
}

/// How fast the workers are, by chance.
fn speeds(crew: usize, rng: &mut Rng) -> Vec<f64> {
    match crew {
        1 => vec![1.0],
        _ => (0..crew).map(|_| factor(rng)).collect(),
    }
}

/// Says what is possible with so many workers.
fn say_bounds(work: &Work, crew: usize, seed: u64) {
    let speeds = speeds(crew, &mut Rng::with_seed(seed));
    let calculation = (work.calculation)();
    let set = calculation.plan.architectures.values().next().unwrap();
    let graph = Graph::of(set, &work.with_failures(seed));
    let simple = bounds::simple(&graph, &speeds);
    println!(
        "{crew:>7}  {:>7.2}  {:>9.3}  {:>8}  {:>10.3}  {:>18.3}",
        simple / 3_600_000.0,
        bounds::by_intervals(&graph, &speeds) / simple,
        "",
        best_known(&graph, &speeds) as f64 / simple,
        first_in_first_out(&graph, &speeds) as f64 / simple,
    );
}

/// Lengths of time in milliseconds.
struct Measured {
    simple: f64,
    intervals: f64,
    makespan: i64,
    best_known: i64,
    first_in_first_out: i64,
    spent: Spent,
}

/// What the rebuild took of this machine.
struct Spent {
    cpu: Duration,
    costs: Costs,
    /// Inserted, changed or deleted.
    rows: i64,
    written: u64,
}

/// Rebuilds all with so many workers.
fn rebuild(work: &Work, crew: usize, seed: u64, known: bool) -> Measured {
    let mut rng = Rng::with_seed(seed);
    let speeds = speeds(crew, &mut rng);
    let calculation = (work.calculation)();
    let set = calculation.plan.architectures.values().next().unwrap();
    // What fails has to be done, too, by whatever schedule.
    let graph = Graph::of(set, &work.with_failures(seed));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut failures = work.failures(seed);
    let played = play(work, calculation, &speeds, &mut failures, known, &mut rng);
    let (makespan, spent) = runtime.block_on(played);
    clock::simulate(None);
    Measured {
        simple: bounds::simple(&graph, &speeds),
        intervals: bounds::by_intervals(&graph, &speeds),
        makespan,
        best_known: best_known(&graph, &speeds),
        first_in_first_out: first_in_first_out(&graph, &speeds),
        spent,
    }
}

async fn play(
    work: &Work,
    calculation: Calculation,
    speeds: &[f64],
    failures: &mut HashMap<String, u32>,
    known: bool,
    rng: &mut Rng,
) -> (i64, Spent) {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let sources = folder.path().join("sources");
    std::fs::create_dir(&sources).unwrap();
    let began = Instant::now();
    let beginning: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let set_clock = |at: i64| {
        clock::simulate(Some(Simulated {
            wall: beginning + jiff::SignedDuration::from_millis(at),
            monotonic: began + Duration::from_millis(at.unsigned_abs()),
        }));
    };
    set_clock(0);
    let config = Config::for_folders(folder.path().join("data"), &sources);
    let server = open(
        config,
        "http://simulated".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    learn(&server, work, rng).await;
    let mut tx = server.db.write().await.unwrap();
    let options = NamespaceOptions::default();
    let namespace = namespaces::insert(&mut tx, &"all".parse().unwrap(), &options, &[])
        .await
        .unwrap();
    let iteration = planner::new_iteration(&mut tx, namespace, &IterationReason::Created, &[])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    planner::store(&server, &iteration, calculation)
        .await
        .unwrap();
    let mut crew = Vec::new();
    for (number, speed) in speeds.iter().enumerate() {
        let registration = registration(number);
        let id = registration.id.unwrap();
        if known {
            let mut tx = server.db.write().await.unwrap();
            let (name, offer) = (&registration.name, &registration.offer);
            let stored = workers::register(&mut tx, id, name, offer, WORKER_PROTOCOL);
            let stored = stored.await.unwrap();
            let mut told = Told::default();
            for _ in 0..TELLING_RUNS {
                told.add((1_000.0 * speed * factor(rng)) as i64);
            }
            workers::set_told(&mut tx, stored.key, told).await.unwrap();
            tx.commit().await.unwrap();
        }
        reports::register(&server, registration).await.unwrap();
        crew.push(id);
    }

    let (cpu, written, rows) = (cpu_time(), written_bytes(), changed_rows(&server).await);
    let mut costs = Costs::default();
    take_repository();
    let mut ends: BinaryHeap<(Reverse<i64>, Reverse<usize>)> = BinaryHeap::new();
    let mut held: HashMap<usize, (Assignment, OutcomeClass)> = HashMap::new();
    let mut idle: Vec<usize> = (0..crew.len()).collect();
    let mut now = 0;
    loop {
        // Who builds says that it lives, too.
        for id in &crew {
            let leases = &server.dispatch.leases;
            leases.note_seen(*id, clock::instant());
        }
        // Who waits for longest asks first, as over HTTP: that says nothing of who is fast.
        let mut put_off: Option<i64> = None;
        let mut waiting = Vec::new();
        for worker in std::mem::take(&mut idle) {
            let asked = claim::try_claim(&server, crew[worker]);
            match charged(&mut costs.claims, asked).await.unwrap() {
                Claim::Given(assignment) => {
                    let pkgbase = assignment.build.pkgbase.as_str();
                    let takes = work.durations[pkgbase];
                    let class = match failures.get_mut(pkgbase) {
                        Some(left @ 1..) => {
                            *left -= 1;
                            OutcomeClass::Infrastructure
                        }
                        _ => OutcomeClass::Success,
                    };
                    let end = now + (takes as f64 / speeds[worker]) as i64;
                    charged(&mut costs.reports, begin(&server, &assignment)).await;
                    ends.push((Reverse(end), Reverse(worker)));
                    held.insert(worker, (*assignment, class));
                }
                Claim::Nothing(until) => {
                    waiting.push(worker);
                    put_off = put_off.into_iter().chain(until).min();
                }
            }
        }
        idle = waiting;
        // What was put off may come before the next end.
        let until = put_off.map(|until| (until - beginning.as_microsecond()) / 1_000 + 1);
        let next = ends.peek().map(|(Reverse(at), _)| *at);
        if let Some(until) = until.filter(|until| next.is_none_or(|next| *until < next)) {
            now = until;
            set_clock(now);
            continue;
        }
        let Some((Reverse(at), Reverse(worker))) = ends.pop() else {
            break;
        };
        now = at;
        set_clock(now);
        let (assignment, class) = held.remove(&worker).unwrap();
        end(&server, work, &assignment, class, &mut costs).await;
        let published = publisher::publish_waiting(&server);
        charged(&mut costs.publishing, published).await.unwrap();
        server.dispatch.wake();
        idle.push(worker);
    }
    costs.repository = take_repository();
    let spent_here = Spent {
        cpu: cpu_time() - cpu,
        costs,
        rows: changed_rows(&server).await - rows,
        written: written_bytes() - written,
    };
    let mut tx = server.db.read().await.unwrap();
    let done = namespaces::by_key(&mut tx, namespace).await.unwrap().status;
    println!("{:>9} {done} after {:.1} h", "", now as f64 / 3_600_000.0);
    drop(tx);
    server.db.close().await;
    (now, spent_here)
}

/// The rows that the server's one connection that writes has changed so far.
async fn changed_rows(server: &Server) -> i64 {
    let mut tx = server.db.write().await.unwrap();
    audit::changed_rows(&mut tx).await.unwrap()
}

/// What the server knows of earlier runs.
async fn learn(server: &Server, work: &Work, rng: &mut Rng) {
    let mut tx = server.db.write().await.unwrap();
    let mut names: Vec<_> = work.durations.iter().collect();
    names.sort_unstable();
    for (pkgbase, takes) in names {
        if rng.u8(0..100) >= UNKNOWN {
            let took = (*takes as f64 * factor(rng)) as i64;
            ready::learn(&mut tx, pkgbase, "x86_64", took)
                .await
                .unwrap();
        }
    }
    tx.commit().await.unwrap();
}

fn registration(number: usize) -> RegisterWorker {
    RegisterWorker {
        id: Some(WorkerId::generate()),
        name: format!("w{number}"),
        protocol: WORKER_PROTOCOL,
        offer: WorkerOffer {
            architectures: vec!["x86_64".parse().unwrap()],
            slots: 1,
            memory: None,
            labels: Vec::new(),
            builder: "played".to_owned(),
            configuration: String::new(),
            root_modes: Vec::new(),
        },
        running: Vec::new(),
    }
}

async fn begin(server: &Server, assignment: &Assignment) {
    let step = Step {
        name: "build".to_owned(),
        started_ms: 0,
        ended_ms: None,
        succeeded: None,
    };
    reports::report_steps(server, assignment.run, assignment.fence, &[step])
        .await
        .unwrap();
}

async fn end(
    server: &Server,
    work: &Work,
    assignment: &Assignment,
    class: OutcomeClass,
    costs: &mut Costs,
) {
    let mut packages = Vec::new();
    if class == OutcomeClass::Success {
        for package in work.made(assignment) {
            let (run, fence) = (assignment.run, assignment.fence);
            let received = reports::add_package(server, run, fence, &package.file_name, &package);
            charged(&mut costs.receiving, received).await.unwrap();
            packages.push(package.file_name);
        }
    }
    let expected = assignment.build.expected.iter();
    let report = FinishReport {
        fence: assignment.fence,
        class,
        message: String::new(),
        exit_code: None,
        failed_step: None,
        steps: Vec::new(),
        installed: expected
            .map(|package| InstalledPackage {
                pkgname: package.pkgname.to_string(),
                version: package.version.to_string(),
            })
            .collect(),
        packages,
    };
    let finished = reports::finish(server, assignment.run, report);
    charged(&mut costs.reports, finished).await.unwrap();
}

/// The bytes that this program handed to the kernel to write.
fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// The most memory that this program ever had, in KiB.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
