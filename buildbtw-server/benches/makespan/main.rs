//! A whole distribution rebuilt in virtual time: how long it takes beside the shortest that is
//! possible, and what it costs the server. The server's own decisions and its own database; only the
//! workers and the clock are played.
//!
//! The server knows what it would know: of most packages how long they took before, which is half to
//! twice what they take now. `cargo bench -p buildbtw-server --bench makespan` measures a made-up
//! distribution of 1,000 packages; with `-- corpus` and BUILDBTW_CORPUS a real one, which takes a minute or
//! two for each number of workers. Numbers behind that (`-- corpus 16 64`) are those of workers.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

mod bounds;
mod costs;
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
use buildbtw_server::db::{namespaces, ready};
use buildbtw_server::dispatch::claim::{self, Claim};
use buildbtw_server::dispatch::{publisher, reports};
use buildbtw_server::planner::{self, Calculation};
use buildbtw_server::{Server, open};
use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use bounds::{all_known, first_in_first_out, longest_path};
use costs::{Costs, charged, cpu_time, take_repository, watch_repository};
use work::{Work, factor, made_up, read};

/// What a makespan may be, beside the lower bound.
const BUDGET: f64 = 1.10;

/// Packages whose durations are not known to the server, and runs that the machinery fails: in percent.
const UNKNOWN: u8 = 20;
const FAILING: u8 = 2;

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
        (true, true) if corpus.is_some() => vec![4, 16, 64, 256],
        (true, true) => vec![1, 4, 16, 64],
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
    println!("{builds} builds; makespans beside the lower bound max(longest path, work / workers)");
    println!(
        "workers  bound h  makespan  all known  first in first out  CPU ms a build  written KiB a build  peak MiB"
    );
    let mut over = Vec::new();
    for crew in crews {
        let result = rebuild(&work, crew);
        println!(
            "{crew:>7}  {:>7.1}  {:>8.3}  {:>9.3}  {:>18.3}  {:>14.2}  {:>19.1}  {:>8}",
            result.bound as f64 / 3_600_000.0,
            result.makespan as f64 / result.bound as f64,
            result.all_known as f64 / result.bound as f64,
            result.first_in_first_out as f64 / result.bound as f64,
            result.cpu.as_secs_f64() * 1_000.0 / builds as f64,
            result.written as f64 / 1024.0 / builds as f64,
            peak_memory().map_or(0, |kibibytes| kibibytes / 1024),
        );
        println!("{:>9} {}", "", result.costs.of_each(builds));
        let judged = corpus.is_some() && [4, 16, 64].contains(&crew);
        if judged && result.makespan as f64 > result.bound as f64 * BUDGET {
            over.push(crew);
        }
    }
    println!("the peak is that of all so far, with this program's own copy of the sources");
    assert!(
        over.is_empty(),
        "more than a tenth above the bound with {over:?} workers"
    );
}

struct Measured {
    bound: i64,
    makespan: i64,
    all_known: i64,
    first_in_first_out: i64,
    cpu: Duration,
    costs: Costs,
    written: u64,
}

/// Rebuilds all with so many workers.
fn rebuild(work: &Work, crew: usize) -> Measured {
    let mut rng = Rng::with_seed(11);
    let speeds: Vec<f64> = match crew {
        1 => vec![1.0],
        _ => (0..crew).map(|_| factor(&mut rng)).collect(),
    };
    let calculation = (work.calculation)();
    let set = calculation
        .plan
        .architectures
        .values()
        .next()
        .unwrap()
        .clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (makespan, spent, cpu, costs, written) =
        runtime.block_on(play(work, calculation, &speeds, &mut rng));
    clock::simulate(None);
    let total: f64 = spent as f64;
    let fastest = speeds.iter().copied().fold(0.0, f64::max);
    let path = longest_path(&set, &work.durations) as f64 / fastest;
    let bound = path.max(total / speeds.iter().sum::<f64>()) as i64;
    Measured {
        bound,
        makespan,
        all_known: all_known(&set, &work.durations, &speeds),
        first_in_first_out: first_in_first_out(&set, &work.durations, &speeds),
        cpu,
        costs,
        written,
    }
}

async fn play(
    work: &Work,
    calculation: Calculation,
    speeds: &[f64],
    rng: &mut Rng,
) -> (i64, i64, Duration, Costs, u64) {
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
    let mut workers = Vec::new();
    for number in 0..speeds.len() {
        workers.push(
            reports::register(&server, registration(number))
                .await
                .unwrap()
                .id,
        );
    }

    let (cpu, written) = (cpu_time(), written_bytes());
    let mut costs = Costs::default();
    take_repository();
    let mut ends: BinaryHeap<(Reverse<i64>, Reverse<usize>)> = BinaryHeap::new();
    let mut held: HashMap<usize, (Assignment, OutcomeClass)> = HashMap::new();
    let mut idle: Vec<usize> = (0..workers.len()).collect();
    let (mut now, mut spent) = (0, 0);
    loop {
        // The fastest of those that wait asks first.
        idle.sort_by(|a, b| speeds[*b].total_cmp(&speeds[*a]));
        let mut put_off: Option<i64> = None;
        let mut waiting = Vec::new();
        for worker in std::mem::take(&mut idle) {
            server
                .dispatch
                .leases
                .note_seen(workers[worker], clock::instant());
            let asked = claim::try_claim(&server, workers[worker]);
            match charged(&mut costs.claims, asked).await.unwrap() {
                Claim::Given(assignment) => {
                    let takes = work.durations[assignment.build.pkgbase.as_str()];
                    let class = match rng.u8(0..100) < FAILING {
                        true => OutcomeClass::Infrastructure,
                        false => OutcomeClass::Success,
                    };
                    spent += takes;
                    let end = now + (takes as f64 / speeds[worker]) as i64;
                    charged(&mut costs.reports, begin(&server, &assignment)).await;
                    ends.push((Reverse(end), Reverse(worker)));
                    held.insert(worker, (*assignment, class));
                }
                Claim::Nothing(until) => {
                    waiting.push(worker);
                    put_off = put_off.or(until);
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
    let mut tx = server.db.read().await.unwrap();
    let done = namespaces::by_key(&mut tx, namespace).await.unwrap().status;
    println!("{:>9} {done} after {:.1} h", "", now as f64 / 3_600_000.0);
    drop(tx);
    server.db.close().await;
    costs.repository = take_repository();
    let cpu = cpu_time() - cpu;
    (now, spent, cpu, costs, written_bytes() - written)
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
