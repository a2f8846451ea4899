//! What the graph crate takes for pacman's behaviour, against the real pacman
//! and vercmp: installations, conflicts, satisfied relations, versions.
//!
//! It is here, and not in the graph crate, because pacman wants real sync dbs.
//! `BUILDBTW_CASES` asks for more cases than usual. Without pacman these tests
//! fail and say so.
//!
//! Left out: what pacman asks about (with `--noconfirm` it takes the first
//! provider and all packages of a group), packages that are installed already
//! (a build root begins empty), `IgnorePkg`, and targets like `core/foo`, which
//! no relation can be.

// clippy.toml allows this in tests, but does not see what they call.
#![allow(clippy::unwrap_used)]

mod cases;
mod conflicts;
mod installations;
mod numbers;
mod pacman;
mod satisfied;
mod versions;

use std::sync::atomic::{AtomicU64, Ordering};

/// How many cases are tried; `BUILDBTW_CASES` asks for more.
fn number_of_cases(usual: u64) -> u64 {
    let asked = std::env::var("BUILDBTW_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs cases in several threads, each of which makes what it needs once: they
/// mostly wait for other programs.
fn in_parallel<T>(cases: u64, make: impl Fn() -> T + Sync, run: impl Fn(&T, u64) + Sync) {
    let next = AtomicU64::new(0);
    let work = || {
        let tools = make();
        loop {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= cases {
                break;
            }
            run(&tools, case);
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get() * 2);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}
