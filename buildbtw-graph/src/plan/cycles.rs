//! Breaking the cycles of a build set.
//!
//! What is given up is a pair: a build, and a member in its installation that
//! comes later. Pairs go in by kind, the ones that hurt most when they are
//! missing first; so a `depends` pair is only ever given up for a cycle of
//! `depends` pairs (and of such that cannot be given up), a `makedepends` pair
//! for one of both, and so on. What would close a cycle stays out, and at the
//! end no pair that was left out could be put back.

use super::arrange::Problem;
use super::bits::Bits;
use super::components::components;
use super::needs::Needs;
use super::order::line_of;
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

/// Orders the builds. `hard` says which pairs cannot be given up without harm
/// beyond a stale installation: for each build, the members that have no
/// released package that would do.
pub(super) fn break_cycles(needs: &[Needs], hard: &[Bits]) -> Acyclic {
    let members = needs.len();
    let mut all: Vec<Bits> = needs
        .iter()
        .map(|needs| needs.all().below(members))
        .collect();
    let parts = components(members, |node, at| next_bit(&all[node], at));
    let mut result = Acyclic {
        waits_for: Vec::new(),
        dropped: Vec::new(),
        nocheck: vec![false; members],
        line: Vec::with_capacity(members),
        part: parts.of.clone(),
    };
    for nodes in parts.members() {
        if let [single] = nodes[..] {
            result.line.push(single);
        } else {
            let mut part = Part::new(&nodes, needs, hard);
            part.solve();
            part.finish(&mut result, &mut all, needs);
        }
    }
    result.dropped.sort();
    result.waits_for = all;
    result
}

/// The next number of a row from `at` on, and where to go on.
fn next_bit(row: &Bits, at: usize) -> Option<(usize, usize)> {
    row.next_from(at).map(|number| (number, number + 1))
}

/// The sorts of pairs in the order in which they go in: first those whose
/// member has no released package that would do, then by kind.
const STAGES: [(RelationKind, bool); 7] = [
    (RelationKind::Depends, true),
    (RelationKind::Makedepends, true),
    (RelationKind::Implicit, true),
    (RelationKind::Depends, false),
    (RelationKind::Makedepends, false),
    // To skip a check gives up all that is only needed for it, released or not.
    (RelationKind::Checkdepends, false),
    (RelationKind::Implicit, false),
];
const CHECK: usize = 5;

/// One strongly connected part, its nodes numbered from 0.
struct Part<'n> {
    nodes: &'n [u32],
    /// The wanted pairs of each stage.
    pairs: [Vec<Bits>; STAGES.len()],
    /// The pairs that are in.
    kept: Vec<Bits>,
    /// The pairs that stay out, with the stage in which they were refused.
    left_out: Vec<(usize, usize, usize)>,
    nocheck: Vec<bool>,
}

impl<'n> Part<'n> {
    fn new(nodes: &'n [u32], needs: &[Needs], hard: &[Bits]) -> Self {
        let size = nodes.len();
        let local = |bits: &Bits| {
            let mut row = Bits::new(size);
            for (number, &node) in nodes.iter().enumerate() {
                if bits.contains(node as usize) {
                    row.insert(number);
                }
            }
            row
        };
        let mut pairs: [Vec<Bits>; STAGES.len()] = Default::default();
        for (number, &node) in nodes.iter().enumerate() {
            let needs = &needs[node as usize];
            let impossible = local(&hard[node as usize]);
            for (&(kind, hard), rows) in STAGES.iter().zip(&mut pairs) {
                let mut row = local(match kind {
                    RelationKind::Depends => &needs.depends,
                    RelationKind::Makedepends => &needs.makedepends,
                    RelationKind::Checkdepends => &needs.check,
                    RelationKind::Implicit => &needs.implicit,
                });
                row.remove(number);
                if hard {
                    row.intersect(&impossible);
                } else if kind != RelationKind::Checkdepends {
                    row.subtract(&impossible);
                }
                rows.push(row);
            }
        }
        Part {
            nodes,
            pairs,
            kept: vec![Bits::new(size); size],
            left_out: Vec::new(),
            nocheck: vec![false; size],
        }
    }

    fn solve(&mut self) {
        for stage in 0..STAGES.len() {
            let wanted = std::mem::take(&mut self.pairs[stage]);
            if wanted.iter().all(Bits::is_empty) {
                continue;
            }
            let mut both = self.kept.clone();
            both.iter_mut()
                .zip(&wanted)
                .for_each(|(both, wanted)| both.unite(wanted));
            let parts = components(self.nodes.len(), |node, at| next_bit(&both[node], at));
            let mut refused = vec![Bits::new(self.nodes.len()); self.nodes.len()];
            for inner in parts.members().iter().filter(|inner| inner.len() > 1) {
                self.solve_inner(stage, &wanted, inner, &mut refused);
            }
            for (node, row) in wanted.iter().enumerate() {
                if stage == CHECK && self.nocheck[node] {
                    continue;
                }
                let mut row = row.clone();
                row.subtract(&refused[node]);
                self.kept[node].unite(&row);
            }
            self.pairs[stage] = wanted;
        }
    }

    /// Decides which wanted pairs inside one strongly connected part of what
    /// is kept and wanted are refused.
    fn solve_inner(&mut self, stage: usize, wanted: &[Bits], inner: &[u32], refused: &mut [Bits]) {
        let problem = Problem {
            kept: restricted(&self.kept, inner),
            wanted: restricted(wanted, inner),
        };
        let line = problem.arrange();
        let mut place = vec![0; line.len()];
        for (at, &node) in line.iter().enumerate() {
            place[node] = at;
        }
        let mut order = Waiting::new(&problem.kept);
        let mut against: Vec<(usize, Vec<usize>)> = Vec::new();
        for &node in &line {
            let (before, after): (Vec<_>, Vec<_>) = problem.wanted[node]
                .iter()
                .partition(|&other| place[other] < place[node]);
            // A check is skipped as a whole or not at all.
            let none = stage == CHECK && !after.is_empty();
            order.append(node, if none { &[] } else { &before });
            if none {
                against.push((node, problem.wanted[node].iter().collect()));
            } else if !after.is_empty() {
                against.push((node, after));
            }
        }
        // What stands against the line may still close no cycle.
        let real = |number: usize| inner[number] as usize;
        for (node, others) in against {
            if stage == CHECK {
                if others.iter().any(|&other| order.waits(other, node)) {
                    self.nocheck[real(node)] = true;
                } else {
                    others.iter().for_each(|&other| order.add(node, other));
                }
                continue;
            }
            for other in others {
                if order.waits(other, node) {
                    refused[real(node)].insert(real(other));
                    self.left_out.push((stage, real(node), real(other)));
                } else {
                    order.add(node, other);
                }
            }
        }
    }

    /// Writes what was decided into the result.
    fn finish(self, result: &mut Acyclic, all: &mut [Bits], needs: &[Needs]) {
        let real = |number: usize| self.nodes[number] as usize;
        for &(stage, node, other) in &self.left_out {
            all[real(node)].remove(real(other));
            let (kind, missing) = STAGES[stage];
            result.dropped.push(Dropped {
                build: self.nodes[node],
                later: self.nodes[other],
                kind,
                missing,
            });
        }
        let line = line_of(&self.kept);
        if self.nocheck.contains(&true) {
            let mut order = Waiting::new(&self.kept);
            line.iter()
                .for_each(|&node| order.append(node as usize, &[]));
            for node in (0..self.nodes.len()).filter(|&node| self.nocheck[node]) {
                result.nocheck[real(node)] = true;
                all[real(node)].subtract(&needs[real(node)].check);
                let later = self.pairs[CHECK][node]
                    .iter()
                    .filter(|&o| order.waits(o, node));
                result.dropped.extend(later.map(|other| Dropped {
                    build: self.nodes[node],
                    later: self.nodes[other],
                    kind: RelationKind::Checkdepends,
                    missing: false,
                }));
            }
        }
        result
            .line
            .extend(line.into_iter().map(|node| self.nodes[node as usize]));
    }
}

/// The rows of some nodes, with only those nodes in them, numbered anew.
fn restricted(rows: &[Bits], nodes: &[u32]) -> Vec<Bits> {
    let mut number = vec![None; rows.len()];
    for (at, &node) in nodes.iter().enumerate() {
        number[node as usize] = Some(at);
    }
    let restrict = |&node: &u32| {
        let mut row = Bits::new(nodes.len());
        let inside = rows[node as usize].iter().filter_map(|other| number[other]);
        inside.for_each(|other| row.insert(other));
        row
    };
    nodes.iter().map(restrict).collect()
}

/// Who waits for whom, directly or not, among the pairs that are in so far.
struct Waiting<'k> {
    kept: &'k [Bits],
    reach: Vec<Bits>,
}

impl<'k> Waiting<'k> {
    fn new(kept: &'k [Bits]) -> Self {
        Waiting {
            kept,
            reach: vec![Bits::new(kept.len()); kept.len()],
        }
    }

    /// Takes in a node whose kept pairs were all taken in before, and pairs of
    /// it with other such nodes.
    fn append(&mut self, node: usize, others: &[usize]) {
        let mut row = self.kept[node].clone();
        others.iter().for_each(|&other| row.insert(other));
        let mut reach = Bits::new(self.kept.len());
        for other in row.iter() {
            reach.insert(other);
            reach.unite(&self.reach[other]);
        }
        self.reach[node] = reach;
    }

    fn waits(&self, node: usize, other: usize) -> bool {
        self.reach[node].contains(other)
    }

    /// Adds a pair that closes no cycle.
    fn add(&mut self, node: usize, other: usize) {
        if self.waits(node, other) {
            return;
        }
        let mut more = self.reach[other].clone();
        more.insert(other);
        for (number, row) in self.reach.iter_mut().enumerate() {
            if number == node || row.contains(node) {
                row.unite(&more);
            }
        }
    }
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
    fn tangle(seed: u64, members: usize, one_in: u64) -> Vec<Needs> {
        let mut numbers = Numbers(seed);
        let mut one = |build: usize| {
            let mut rows = [(); 4].map(|()| Bits::new(members));
            for other in (0..members).filter(|&other| other != build) {
                if numbers.below(one_in) == 0 {
                    rows[numbers.below(4) as usize].insert(other);
                }
            }
            let [depends, makedepends, check, implicit] = rows;
            Needs {
                depends,
                makedepends,
                check,
                implicit,
                own: Vec::new(),
            }
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
            let needs = tangle(seed, members, 3 + seed % 17);
            let acyclic = break_cycles(&needs, &vec![Bits::new(members); members]);
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
                let mut all = match acyclic.nocheck[build] {
                    true => needs.without_check(),
                    false => needs.all(),
                };
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
