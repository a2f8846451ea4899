//! A first line class by class.
//!
//! The pairs that hurt most are put in order first; what is kept of them binds
//! the next class. Only strongly connected parts of both have to be arranged,
//! and those of the first classes are small.

use super::super::bits::Bits;
use super::super::components::components_of_rows;
use super::arrange::Problem;
use super::links::Links;
use super::settle::{Settled, note_unchecked, settle_class};
use super::tangle::Tangle;

/// The line, with what it gives up. Settling the line again would come to the
/// same: it agrees with all that is kept, and every pair that is given up closes
/// a cycle with kept pairs that hurt at least as much.
pub(super) fn staged(tangle: &Tangle) -> Settled {
    let size = tangle.size();
    let mut settled = Settled::new((0..size as u32).collect());
    let mut kept = vec![Bits::new(size); size];
    for (class, wanted) in tangle.pairs.iter().enumerate() {
        if !wanted.is_empty() {
            settled.line = arranged(&kept, wanted);
            settle_class(class, wanted, &mut kept, &mut settled);
        }
    }
    note_unchecked(tangle, &kept, &mut settled);
    settled
}

/// A line that agrees with what is kept, and with much of what is wanted.
fn arranged(kept: &[Bits], wanted: &[Bits]) -> Vec<u32> {
    let mut both = kept.to_vec();
    let rows = both.iter_mut().zip(wanted);
    rows.for_each(|(both, wanted)| both.unite(wanted));
    let mut line = Vec::with_capacity(kept.len());
    for nodes in components_of_rows(&both).members() {
        if nodes.len() == 1 {
            line.extend(nodes);
            continue;
        }
        let problem = Problem::new(restricted(kept, &nodes), restricted(wanted, &nodes));
        let arranged = problem.arrange().into_iter();
        line.extend(arranged.map(|number| nodes[number as usize]));
    }
    line
}

/// The rows of some nodes, with only those nodes in them, numbered anew.
fn restricted(rows: &[Bits], nodes: &[u32]) -> Links {
    let mut inside = Bits::new(rows.len());
    let mut number = vec![0; rows.len()];
    for (at, &node) in nodes.iter().enumerate() {
        inside.insert(node as usize);
        number[node as usize] = at as u32;
    }
    Links::of_lists(nodes.iter().map(|&node| {
        let row = rows[node as usize].iter_both(&inside);
        row.map(|other| number[other])
    }))
}
