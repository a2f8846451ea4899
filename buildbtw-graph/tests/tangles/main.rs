//! Orders of builds that wait for each other, against all permutations.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use buildbtw_graph::{
    Harm, Pair, PlanInput, PlanOptions, RelationKind, SourceIndex, SourcePackage, Tangle,
    read_srcinfo, tangles,
};

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        let next = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = next.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

const KINDS: [RelationKind; 4] = [
    RelationKind::Depends,
    RelationKind::Makedepends,
    RelationKind::Checkdepends,
    RelationKind::Implicit,
];

/// So many builds, a pair in so many, and one in `hard` of them hard.
fn tangle(numbers: &mut Numbers, size: u32, one_in: u64, hard: u64) -> Tangle {
    let mut pairs = Vec::new();
    for build in 0..size {
        for other in 0..size {
            if build != other && numbers.below(one_in) == 0 {
                let kind = KINDS[numbers.below(4) as usize];
                let hard = numbers.below(hard) == 0;
                pairs.push(Pair {
                    build,
                    other,
                    kind,
                    hard,
                });
            }
        }
    }
    Tangle::new(size as usize, pairs)
}

/// What stands against an order, counted from the pairs alone.
fn against(pairs: &[Pair], order: &[u32]) -> Harm {
    let place = |build: u32| order.iter().position(|&at| at == build).unwrap();
    let mut harm = Harm::default();
    let mut unchecked = BTreeSet::new();
    for pair in pairs
        .iter()
        .filter(|pair| place(pair.other) > place(pair.build))
    {
        let count = match (pair.kind, pair.hard) {
            (RelationKind::Depends, true) => &mut harm.hard_depends,
            (RelationKind::Makedepends, true) => &mut harm.hard_makedepends,
            (RelationKind::Implicit, true) => &mut harm.hard_implicit,
            (RelationKind::Depends, false) => &mut harm.depends,
            (RelationKind::Makedepends, false) => &mut harm.makedepends,
            (RelationKind::Implicit, false) => &mut harm.implicit,
            (RelationKind::Checkdepends, _) => {
                unchecked.insert(pair.build);
                continue;
            }
        };
        *count += 1;
    }
    harm.nocheck = unchecked.len();
    harm
}

/// The least harm of all permutations (Heap's algorithm).
fn least(tangle: &Tangle) -> Harm {
    let pairs: Vec<Pair> = tangle.pairs().collect();
    let mut order: Vec<u32> = (0..tangle.size() as u32).collect();
    let mut least = against(&pairs, &order);
    let mut counters = vec![0; order.len()];
    let mut at = 0;
    while at < order.len() {
        if counters[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { counters[at] }, at);
            least = least.min(against(&pairs, &order));
            counters[at] += 1;
            at = 0;
        } else {
            counters[at] = 0;
            at += 1;
        }
    }
    least
}

fn is_order(tangle: &Tangle, order: &[u32]) -> bool {
    let builds: BTreeSet<u32> = order.iter().copied().collect();
    order.len() == tangle.size() && builds.iter().copied().eq(0..tangle.size() as u32)
}

fn is_best(tangle: &Tangle) {
    let order = tangle.order(0);
    assert!(is_order(tangle, &order));
    let least = least(tangle);
    assert_eq!(tangle.harm(&order), least, "{order:?} of {tangle:?}");
    let pairs: Vec<Pair> = tangle.pairs().collect();
    assert_eq!(against(&pairs, &order), least, "{order:?} of {tangle:?}");
}

#[test]
fn few_builds_come_in_the_best_order() {
    let mut numbers = Numbers(3);
    for (size, times) in [
        (2, 100),
        (3, 300),
        (4, 600),
        (5, 600),
        (6, 300),
        (7, 80),
        (8, 12),
    ] {
        for _ in 0..times {
            let (one_in, hard) = (1 + numbers.below(4), 1 + numbers.below(12));
            is_best(&tangle(&mut numbers, size, one_in, hard));
        }
    }
}

/// No order at all gives up less than what is put back where it closes no
/// cycle; and what the search finds is never worse than the first lines.
#[test]
fn many_builds_come_in_an_order_that_rounds_improve() {
    let mut numbers = Numbers(4);
    for round in 0..30 {
        let size = Tangle::EXACT as u32 + 1 + numbers.below(40) as u32;
        let (one_in, hard) = (2 + numbers.below(8), 1 + numbers.below(12));
        let tangle = tangle(&mut numbers, size, one_in, hard);
        let pairs: Vec<Pair> = tangle.pairs().collect();
        let mut before = None;
        for rounds in [0, 1, 2, 6] {
            let order = tangle.order(rounds);
            assert!(is_order(&tangle, &order));
            assert_eq!(order, tangle.order(rounds), "two orders of one tangle");
            let harm = tangle.harm(&order);
            assert!(harm <= against(&pairs, &order), "{round}");
            assert!(before.is_none_or(|before| harm <= before), "{round}");
            before = Some(harm);
        }
    }
}

/// Parts of exactly the size at which the search begins are compared with what
/// the exact solution of the same pairs says.
#[test]
fn the_search_is_close_to_the_best() {
    let mut numbers = Numbers(5);
    let mut best = 0;
    for _ in 0..200 {
        let small = tangle(&mut numbers, Tangle::EXACT as u32, 4, 10);
        // One more build that waits for nothing changes nothing.
        let grown = Tangle::new(small.size() + 1, small.pairs());
        let (small, grown) = (small.harm(&small.order(0)), grown.harm(&grown.order(3)));
        assert!(small <= grown);
        best += usize::from(small == grown);
    }
    assert!(
        best > 150,
        "the search finds the best order in {best} of 200 cases"
    );
}

#[test]
fn small_parts_of_a_distribution_come_in_the_best_order() {
    let Some(folder) = std::env::var_os("BUILDBTW_CORPUS").map(PathBuf::from) else {
        return;
    };
    let files = std::fs::read_dir(folder).unwrap();
    let texts = files
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join(".SRCINFO")).ok());
    let sources: Vec<SourcePackage> = texts
        .filter_map(|text| Some(read_srcinfo(&text).ok()?.package))
        .collect();
    let index: SourceIndex = sources.into_iter().collect();
    let mut seen = BTreeSet::new();
    let named = ["glibc", "python", "gcc", "curl", "qt6-base"].map(|name| name.parse().unwrap());
    let some = index
        .iter()
        .step_by(79)
        .chain(named.iter().filter_map(|name| index.get(name)));
    for source in some {
        let changes = [SourcePackage::clone(source)];
        let input = PlanInput {
            sources: &index,
            released: &BTreeMap::new(),
            changes: &changes,
            options: &PlanOptions::default(),
        };
        for tangle in tangles(&input).unwrap() {
            let pairs: Vec<Pair> = tangle.pairs().collect();
            if tangle.size() <= 8 && seen.insert(pairs) {
                is_best(&tangle);
            }
        }
    }
    assert!(seen.len() > 10, "{} small parts", seen.len());
}
