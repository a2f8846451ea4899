//! The line class by class: present heuristics.

use super::super::arrange::Problem;
use super::super::bits::Bits;
use super::super::components::components_of_rows;
use super::super::order::line_of;
use super::tangle::{CHECK, Tangle};

pub(super) fn staged(tangle: &Tangle) -> Vec<u32> {
    let mut part = Part {
        pairs: tangle.pairs.clone(),
        kept: vec![Bits::new(tangle.size()); tangle.size()],
        left_out: Vec::new(),
        nocheck: vec![false; tangle.size()],
        size: tangle.size(),
    };
    part.solve();
    line_of(&part.kept)
}

struct Part {
    size: usize,
    pairs: [Vec<Bits>; 7],
    kept: Vec<Bits>,
    left_out: Vec<(usize, usize, usize)>,
    nocheck: Vec<bool>,
}

impl Part {
    fn solve(&mut self) {
        for stage in 0..7 {
            let wanted = std::mem::take(&mut self.pairs[stage]);
            if wanted.iter().all(Bits::is_empty) {
                continue;
            }
            let mut both = self.kept.clone();
            both.iter_mut()
                .zip(&wanted)
                .for_each(|(both, wanted)| both.unite(wanted));
            let parts = components_of_rows(&both);
            let mut refused = vec![Bits::new(self.size); self.size];
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
