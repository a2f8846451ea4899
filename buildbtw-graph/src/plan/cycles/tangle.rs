//! A strongly connected part of a build set, and what an order of it gives up.

use rayon::prelude::*;

use super::super::bits::Bits;
use super::super::needs::{Needs, Strong};
use super::settle::{Settled, settle};
use super::{exact, search};
use crate::source::RelationKind;

/// The classes of pairs, the ones that hurt most when they are given up first:
/// those whose member has no released package that would do, then by kind.
pub(super) const CLASSES: [(RelationKind, bool); 7] = [
    (RelationKind::Depends, true),
    (RelationKind::Makedepends, true),
    (RelationKind::Implicit, true),
    (RelationKind::Depends, false),
    (RelationKind::Makedepends, false),
    // To skip a check gives up all that is only needed for it, released or not.
    (RelationKind::Checkdepends, false),
    (RelationKind::Implicit, false),
];

/// The class of the pairs that are given up a build at a time.
pub(super) const CHECK: usize = 5;

/// The class of the pairs of a kind, but for those of checks.
fn class_of(kind: RelationKind, hard: bool) -> usize {
    let soft = match kind {
        RelationKind::Depends => 3,
        RelationKind::Makedepends => 4,
        RelationKind::Checkdepends => return CHECK,
        RelationKind::Implicit => 6,
    };
    match (hard, kind) {
        (false, _) => soft,
        (true, RelationKind::Implicit) => 2,
        (true, _) => soft - 3,
    }
}

/// A build, and another one whose packages it installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The build that should wait.
    pub build: u32,
    /// The one that should come before it.
    pub other: u32,
    /// The strongest kind of relation that brings it in.
    pub kind: RelationKind,
    /// No released package would do in its place. It makes no difference for
    /// `checkdepends`, as the check can be skipped.
    pub hard: bool,
}

/// What is given up, the worst first: of two, the smaller one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Harm {
    /// Hard `depends` pairs.
    pub hard_depends: usize,
    /// Hard `makedepends` pairs.
    pub hard_makedepends: usize,
    /// Hard pairs of implicit packages.
    pub hard_implicit: usize,
    /// `depends` pairs.
    pub depends: usize,
    /// `makedepends` pairs.
    pub makedepends: usize,
    /// Builds that skip their check.
    pub nocheck: usize,
    /// Pairs of implicit packages.
    pub implicit: usize,
}

/// Builds that wait for each other in cycles, numbered from 0, and the pairs
/// that an order of them should keep.
#[derive(Debug, Clone)]
pub struct Tangle {
    size: usize,
    /// By class and build, what should come before it; classes without pairs
    /// have no rows.
    pub(super) pairs: [Vec<Bits>; CLASSES.len()],
}

impl Tangle {
    /// So many builds with these pairs between them.
    pub fn new(size: usize, pairs: impl IntoIterator<Item = Pair>) -> Self {
        let mut tangle = Tangle {
            size,
            pairs: Default::default(),
        };
        for pair in pairs {
            let hard = pair.hard && pair.kind != RelationKind::Checkdepends;
            let class = CLASSES.iter().position(|&class| class == (pair.kind, hard));
            let inside = (pair.build as usize) < size && (pair.other as usize) < size;
            if let Some(class) = class.filter(|_| inside && pair.build != pair.other) {
                let rows = &mut tangle.pairs[class];
                rows.resize(size, Bits::new(size));
                rows[pair.build as usize].insert(pair.other as usize);
            }
        }
        tangle
    }

    /// The part of a build set that some of its members make up; `strong` has
    /// one entry for each of them.
    pub(in super::super) fn of(
        nodes: &[u32],
        needs: &[Needs],
        hard: &[Vec<u32>],
        strong: &[Strong],
    ) -> Self {
        let size = nodes.len();
        let mut inside = Bits::new(needs.len());
        nodes.iter().for_each(|&node| inside.insert(node as usize));
        let mut number = vec![0; needs.len()];
        for (at, &node) in nodes.iter().enumerate() {
            number[node as usize] = at;
        }
        let is_hard = nodes.iter().any(|&node| !hard[node as usize].is_empty());
        let classes_of = |(&node, strong): (&u32, &Strong)| {
            let needs = &needs[node as usize];
            let hard = &hard[node as usize];
            let mut rows: [Bits; CLASSES.len()] = CLASSES.map(|(_, hard)| match hard && !is_hard {
                true => Bits::default(),
                false => Bits::new(size),
            });
            let mut put = |kind: RelationKind, other: usize| {
                let is_hard = hard.binary_search(&(other as u32)).is_ok();
                rows[class_of(kind, is_hard)].insert(number[other]);
            };
            let mut left = needs.all.clone();
            left.intersect(&inside);
            left.remove(node as usize);
            for other in needs.check.iter().map(|&other| other as usize) {
                if left.contains(other) {
                    left.remove(other);
                    put(RelationKind::Checkdepends, other);
                }
            }
            let strong = [
                (RelationKind::Depends, &strong.depends),
                (RelationKind::Makedepends, &strong.makedepends),
            ];
            for (kind, these) in strong {
                left.iter_both(these).for_each(|other| put(kind, other));
                left.subtract(these);
            }
            left.iter()
                .for_each(|other| put(RelationKind::Implicit, other));
            rows
        };
        let of_nodes: Vec<[Bits; CLASSES.len()]> =
            nodes.par_iter().zip(strong).map(classes_of).collect();
        let mut pairs: [Vec<Bits>; CLASSES.len()] = Default::default();
        for rows in of_nodes {
            for (row, rows) in rows.into_iter().zip(&mut pairs) {
                rows.push(row);
            }
        }
        for rows in &mut pairs {
            if rows.iter().all(Bits::is_empty) {
                rows.clear();
            }
        }
        Tangle { size, pairs }
    }

    /// How many builds there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All pairs, by class and build.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> {
        let of_class = |(rows, &(kind, hard)): (&'_ Vec<Bits>, &(RelationKind, bool))| {
            let of_build = move |(build, row): (usize, &Bits)| {
                let pair = |other: usize| Pair {
                    build: build as u32,
                    other: other as u32,
                    kind,
                    hard,
                };
                row.iter().map(pair).collect::<Vec<Pair>>()
            };
            rows.iter()
                .enumerate()
                .flat_map(of_build)
                .collect::<Vec<Pair>>()
        };
        self.pairs.iter().zip(&CLASSES).flat_map(of_class)
    }

    /// An order that gives up little, as plans have it: the best one there is
    /// for up to [`Tangle::EXACT`] builds, else the better the more rounds of
    /// improvement there are.
    pub fn order(&self, rounds: usize) -> Vec<u32> {
        self.settled(rounds).line
    }

    /// The same order with what is given up for it.
    pub(super) fn settled(&self, rounds: usize) -> Settled {
        if self.size <= Self::EXACT {
            settle(self, &exact::best_order(self))
        } else {
            search::order(self, rounds)
        }
    }

    /// The most builds for which [`Tangle::order`] finds the best order.
    pub const EXACT: usize = 10;

    /// What is given up when the builds come in this order (each once), where
    /// what stands against the order and closes no cycle is kept all the same.
    pub fn harm(&self, order: &[u32]) -> Harm {
        settle(self, order).harm()
    }
}
