//! Compares heuristics for the order inside cycles: what each gives up, and
//! how long it takes.
//!
//! Measured are the strongly connected parts of plans over a real distribution
//! (`BUILDBTW_CORPUS`, else none) and of made-up ones. What stands against an
//! order and closes no cycle is put back for all of them.

#[path = "../corpus/mod.rs"]
mod corpus;
mod heuristics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use buildbtw_graph::{
    Harm, Pair, PlanInput, PlanOptions, RelationKind, SourcePackage, Tangle, tangles,
};
use heuristics::Weights;

const PLANS: [&str; 6] = ["glibc", "gcc", "python", "dbus", "curl", "qt6-base"];

/// The smallest parts that are listed; the exact solution has the others.
const SMALLEST: usize = 2 * Tangle::EXACT;

type Heuristic = (&'static str, fn(&Tangle) -> Vec<u32>);

const HEURISTICS: [Heuristic; 11] = [
    ("by degree", |t| heuristics::by_degree(&Weights::new(t))),
    ("KwikSort", |t| heuristics::kwik_sort(&Weights::new(t))),
    ("Eades-Lin-Smyth", |t| {
        heuristics::eades_lin_smyth(&Weights::new(t))
    }),
    ("least harm first", |t| {
        heuristics::least_harm_first(&Weights::new(t))
    }),
    ("class by class", |t| t.order(0)),
    ("least harm first, sifted", |t| {
        let weights = Weights::new(t);
        heuristics::sifted(&weights, heuristics::least_harm_first(&weights), 4)
    }),
    ("Eades-Lin-Smyth, sifted", |t| {
        let weights = Weights::new(t);
        heuristics::sifted(&weights, heuristics::eades_lin_smyth(&weights), 4)
    }),
    ("class by class, sifted", |t| {
        heuristics::sifted(&Weights::new(t), t.order(0), 4)
    }),
    ("plan, 1 round", |t| t.order(1)),
    ("plan, 3 rounds (default)", |t| t.order(3)),
    ("plan, 10 rounds", |t| t.order(10)),
];

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let measuring = std::env::args().any(|argument| argument == "--bench");
    println!("hard: pairs whose member has no released package that would do; time: median of 3\n");
    if corpus::texts().is_empty() {
        println!("set BUILDBTW_CORPUS to a folder <pkgbase>/.SRCINFO to compare on a real one\n");
    } else if measuring {
        PLANS.iter().for_each(|name| of_plan(name));
    }
    let sizes: &[u32] = if measuring {
        &[40, 150, 500, 1500]
    } else {
        &[25]
    };
    for &size in sizes {
        for (shape, degree, against) in [("sparse", 4, 10), ("dense", size / 6, 20)] {
            table(
                &format!("made up, {shape}"),
                &made_up(size, degree, against),
            );
        }
    }
}

fn of_plan(name: &str) {
    let Some(source) = name
        .parse()
        .ok()
        .and_then(|name| corpus::index().get(&name))
    else {
        return;
    };
    let input = PlanInput {
        sources: corpus::index(),
        released: &BTreeMap::new(),
        changes: &[SourcePackage::clone(source)],
        options: &PlanOptions::default(),
    };
    let tangles = tangles(&input).expect("the corpus can be planned");
    let large: Vec<&Tangle> = tangles.iter().filter(|t| t.size() >= SMALLEST).collect();
    println!(
        "{name}: {} cycles, {} of them with fewer than {SMALLEST} builds",
        tangles.len(),
        tangles.len() - large.len()
    );
    large.into_iter().for_each(|tangle| table(name, tangle));
}

fn table(name: &str, tangle: &Tangle) {
    println!(
        "\n{name}: {} builds, {} pairs\n",
        tangle.size(),
        tangle.pairs().count()
    );
    println!("| heuristic | hard | depends | makedepends | nocheck | implicit | ms |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (heuristic, order) in HEURISTICS {
        let mut times: Vec<Duration> = Vec::new();
        let mut line = Vec::new();
        for _ in 0..3 {
            let start = Instant::now();
            line = order(tangle);
            times.push(start.elapsed());
        }
        times.sort();
        let Harm {
            hard_depends,
            hard_makedepends,
            hard_implicit,
            depends,
            makedepends,
            nocheck,
            implicit,
        } = tangle.harm(&line);
        println!(
            "| {heuristic} | {hard_depends}+{hard_makedepends}+{hard_implicit} | {depends} | \
             {makedepends} | {nocheck} | {implicit} | {:.1} |",
            times[1].as_secs_f64() * 1e3
        );
    }
    println!();
}

/// Builds that mostly agree with an order, but for one pair in so many.
fn made_up(size: u32, degree: u32, against: u64) -> Tangle {
    let mut state = u64::from(size) * 1000 + u64::from(degree);
    let mut below = |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    // A cycle through all of them makes them one part.
    let mut pairs: Vec<Pair> = (0..size)
        .map(|build| Pair {
            build,
            other: (build + size - 1) % size,
            kind: RelationKind::Implicit,
            hard: false,
        })
        .collect();
    for _ in 0..size * degree {
        let (a, b) = (below(size.into()) as u32, below(size.into()) as u32);
        let (build, other) = match below(against) {
            0 => (a.min(b), a.max(b)),
            _ => (a.max(b), a.min(b)),
        };
        let kind = match below(10) {
            0 => RelationKind::Depends,
            1..=3 => RelationKind::Makedepends,
            4..=5 => RelationKind::Checkdepends,
            _ => RelationKind::Implicit,
        };
        let hard = below(40) == 0;
        pairs.push(Pair {
            build,
            other,
            kind,
            hard,
        });
    }
    Tangle::new(size as usize, pairs)
}
