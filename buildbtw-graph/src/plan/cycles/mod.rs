//! Breaking the cycles of a build set.
//!
//! What is given up is a pair: a build, and a member in its installation that
//! comes later. Pairs go in by kind, the ones that hurt most when they are
//! missing first; so a `depends` pair is only ever given up for a cycle of
//! `depends` pairs (and of such that cannot be given up), a `makedepends` pair
//! for one of both, and so on. What would close a cycle stays out, and at the
//! end no pair that was left out could be put back.

mod arrange;
mod eject;
mod exact;
mod greedy;
mod links;
mod search;
mod settle;
mod sift;
mod staged;
mod tangle;

use tangle::{CHECK, CLASSES};
pub use tangle::{Harm, Pair, Tangle};

use super::bits::Bits;
use super::components::components_of_rows;
use super::needs::{Needs, Strong};
use crate::source::RelationKind;

/// A pair that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Dropped {
    /// The build that should have waited.
    pub build: u32,
    /// The member that comes later.
    pub later: u32,
    pub kind: RelationKind,
    /// The later member has no released package that would do.
    pub missing: bool,
}

/// An order of builds without cycles.
pub(super) struct Acyclic {
    /// What each build waits for, all of it named.
    pub waits_for: Vec<Bits>,
    /// The pairs that were given up, sorted.
    pub dropped: Vec<Dropped>,
    /// The builds that skip their check.
    pub nocheck: Vec<bool>,
    /// All members, so that each comes after all it waits for.
    pub line: Vec<u32>,
    /// The cycle (strongly connected part) that each member sits in.
    pub part: Vec<u32>,
}

/// Works out by which kinds some builds install others.
pub(super) type StrongNeeds<'s> = &'s dyn Fn(&[u32]) -> Vec<Strong>;

/// Orders the builds. `hard` says which pairs cannot be given up without harm
/// beyond a stale installation: for each build, the members that have no
/// released package that would do.
pub(super) fn break_cycles(
    needs: &[Needs],
    hard: &[Vec<u32>],
    strong: StrongNeeds<'_>,
    rounds: usize,
) -> Acyclic {
    let members = needs.len();
    let mut all: Vec<Bits> = needs.iter().map(|one| one.all.clone()).collect();
    let parts = components_of_rows(&all);
    let mut result = Acyclic {
        waits_for: Vec::new(),
        dropped: Vec::new(),
        nocheck: vec![false; members],
        line: Vec::with_capacity(members),
        part: parts.of.clone(),
    };
    for nodes in parts.members().iter() {
        if let [single] = *nodes {
            result.line.push(single);
        } else {
            let tangle = Tangle::of(nodes, needs, hard, &strong(nodes));
            untangle(&tangle, nodes, needs, rounds, &mut result, &mut all);
        }
    }
    result.dropped.sort();
    result.waits_for = all;
    result
}

/// The strongly connected parts of more than one build.
pub(super) fn tangles(needs: &[Needs], hard: &[Vec<u32>], strong: StrongNeeds<'_>) -> Vec<Tangle> {
    let rows: Vec<Bits> = needs.iter().map(|one| one.all.clone()).collect();
    let parts = components_of_rows(&rows).members();
    let parts = parts.iter().filter(|nodes| nodes.len() > 1);
    parts
        .map(|nodes| Tangle::of(nodes, needs, hard, &strong(nodes)))
        .collect()
}

/// Decides about one strongly connected part and writes it into the result.
fn untangle(
    tangle: &Tangle,
    nodes: &[u32],
    needs: &[Needs],
    rounds: usize,
    result: &mut Acyclic,
    all: &mut [Bits],
) {
    let settled = tangle.settled(rounds);
    let real = |number: usize| nodes[number] as usize;
    for &(class, build, later) in &settled.dropped {
        all[real(build)].remove(real(later));
        let (kind, missing) = CLASSES[class];
        result.dropped.push(Dropped {
            build: nodes[build],
            later: nodes[later],
            kind,
            missing,
        });
    }
    for build in (0..nodes.len()).filter(|&build| settled.nocheck[build]) {
        result.nocheck[real(build)] = true;
        let check = needs[real(build)].check.iter();
        check.for_each(|&other| all[real(build)].remove(other as usize));
    }
    let unchecked = settled.unchecked.iter();
    result
        .dropped
        .extend(unchecked.map(|&(build, later)| Dropped {
            build: nodes[build],
            later: nodes[later],
            kind: CLASSES[CHECK].0,
            missing: false,
        }));
    result
        .line
        .extend(settled.line.iter().map(|&number| nodes[number as usize]));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same every time.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) % bound
        }
    }

    /// Needs of each kind between so many members, a pair in so many.
    fn tangle(seed: u64, members: usize, one_in: u64) -> Vec<(Needs, Strong)> {
        let mut numbers = Numbers(seed);
        let mut one = |build: usize| {
            let mut rows = [(); 4].map(|()| Bits::new(members));
            for other in (0..members).filter(|&other| other != build) {
                if numbers.below(one_in) == 0 {
                    rows[numbers.below(4) as usize].insert(other);
                }
            }
            let [depends, makedepends, check, mut all] = rows;
            let rows = [&depends, &makedepends, &check];
            rows.into_iter().for_each(|row| all.unite(row));
            let check = check.iter().map(|other| other as u32).collect();
            let strong = Strong {
                depends,
                makedepends,
            };
            (Needs::of_members(all, check), strong)
        };
        (0..members).map(&mut one).collect()
    }

    /// Who waits for whom, by trying all ways.
    fn closure(rows: &[Bits]) -> Vec<Bits> {
        let mut reach = rows.to_vec();
        for middle in 0..rows.len() {
            let row = reach[middle].clone();
            for other in &mut reach {
                if other.contains(middle) {
                    other.unite(&row);
                }
            }
        }
        reach
    }

    #[test]
    fn nothing_is_given_up_that_could_be_kept() {
        let mut put_to_the_test = 0;
        for seed in 0..150 {
            let members = 10 + seed as usize % 50;
            let tangle = tangle(seed, members, 3 + seed % 17);
            let (needs, strong): (Vec<Needs>, Vec<Strong>) = tangle.into_iter().unzip();
            let of = |nodes: &[u32]| -> Vec<Strong> {
                let strong = nodes.iter().map(|&node| &strong[node as usize]);
                strong.cloned().collect()
            };
            let acyclic = break_cycles(&needs, &vec![Vec::new(); members], &of, 2);
            let waits = closure(&acyclic.waits_for);
            for (build, row) in waits.iter().enumerate() {
                assert!(!row.contains(build), "{seed}: {build} waits for itself");
            }
            let mut given_up = vec![Bits::new(members); members];
            for pair in &acyclic.dropped {
                let (build, later) = (pair.build as usize, pair.later as usize);
                assert!(
                    waits[later].contains(build),
                    "{seed}: {pair:?} could be kept"
                );
                given_up[build].insert(later);
                put_to_the_test += 1;
            }
            for (build, needs) in needs.iter().enumerate() {
                let mut all = needs.all.clone();
                let check = needs.check.iter().filter(|_| acyclic.nocheck[build]);
                check.for_each(|&other| all.remove(other as usize));
                all.subtract(&given_up[build]);
                assert_eq!(
                    all, acyclic.waits_for[build],
                    "{seed}: the needs of {build}"
                );
            }
        }
        assert!(put_to_the_test > 1000);
    }
}
