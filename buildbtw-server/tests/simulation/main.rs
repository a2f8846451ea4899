//! One simulated world for everything that hands out and takes back: the server's own decisions and
//! its own database, under a clock that jumps from event to event, with a network that loses, delays,
//! doubles and reorders, and programs that are killed anywhere.
//!
//! `SIMULATION_SEEDS=20000..20100` plays other seeds, `SIMULATION_SEED=7` one of them with its story.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod checks;
mod happenings;
mod packages;
mod people;
mod worker;
mod world;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use world::World;

/// How often it is said how far a long run is.
const SAID_EVERY: Duration = Duration::from_secs(5);

/// A world mostly waits for its database's thread, and that for the world.
const THREADS_A_CORE: usize = 4;

/// The seeds of `just test`; `just simulate` plays many more.
const SEEDS: std::ops::Range<u64> = 0..200;

/// Seeds that once went wrong. 278 and 281: of two workers with one name the events did not say which they were about.
const FOUND: [u64; 2] = [278, 281];

/// Plays a seed; what went wrong comes back, with the story.
fn play(seed: u64) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async {
        let mut world = World::new(seed).await;
        let result = world.run().await;
        if let Some(server) = world.server.take() {
            server.db.close().await;
        }
        result.map_err(|violation| {
            let tail: Vec<&str> = world.story.lines().rev().take(40).collect();
            let tail: Vec<&str> = match std::env::var_os("SIMULATION_SEED") {
                Some(_) => world.story.lines().collect(),
                None => tail.into_iter().rev().collect(),
            };
            format!("seed {seed}: {}\n{}", violation.0, tail.join("\n"))
        })
    });
    buildbtw_server::clock::simulate(None);
    result
}

/// How far a long run is, said now and then.
struct Progress {
    total: u64,
    began: Instant,
    /// How many seeds were played, and when that was said last.
    done: Mutex<(u64, Instant)>,
}

impl Progress {
    fn new(seeds: &std::ops::Range<u64>) -> Self {
        let began = Instant::now();
        Self {
            total: seeds.end.saturating_sub(seeds.start),
            began,
            done: Mutex::new((0, began)),
        }
    }

    /// One more seed was played.
    fn one_more(&self) {
        let mut done = self.done.lock().unwrap();
        done.0 += 1;
        if done.1.elapsed() < SAID_EVERY && done.0 < self.total {
            return;
        }
        done.1 = Instant::now();
        let took = self.began.elapsed().as_secs_f64();
        let left = took / done.0 as f64 * self.total.saturating_sub(done.0) as f64;
        eprintln!(
            "{} of {} seeds in {took:.0} s, {:.1} a second, {left:.0} s left",
            done.0,
            self.total,
            done.0 as f64 / took
        );
    }
}

fn range(text: &str) -> Option<std::ops::Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

#[test]
fn nothing_is_lost_doubled_or_stuck() {
    // The server has an HTTP client, though nobody here is asked anything over the net.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        let seed = seed.parse().expect("SIMULATION_SEED is a number");
        return play(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    let asked = std::env::var("SIMULATION_SEEDS").ok();
    let seeds = asked.as_ref().map_or(SEEDS, |text| {
        range(text).expect("SIMULATION_SEEDS is a range such as 0..10000")
    });
    let progress = asked.is_some().then(|| Progress::new(&seeds));
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let wrong = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = THREADS_A_CORE * cores;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= seeds.end || wrong.lock().unwrap().len() >= 3 {
                        return;
                    }
                    if let Err(what) = play(seed) {
                        eprintln!("{what}");
                        wrong.lock().unwrap().push(what);
                    }
                    if let Some(progress) = &progress {
                        progress.one_more();
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_was_found_stays_mended() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for seed in FOUND {
        play(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}
