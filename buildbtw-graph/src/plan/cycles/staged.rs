//! A first line class by class.
//!
//! The pairs that hurt most are put in order first; what is kept of them binds
//! the next class. Only strongly connected parts of both have to be arranged,
//! and those of the first classes are small.

use super::super::bits::Bits;
use super::super::components::components_of_rows;
use super::arrange::Problem;
use super::links::Links;
use super::settle::{Kept, Settled, note_unchecked, settle_class};
use super::tangle::Tangle;

/// The line, with what it gives up. Settling the line again would come to the
/// same: it agrees with all that is kept, and every pair that is given up closes
/// a cycle with kept pairs that hurt at least as much.
pub(super) fn staged(tangle: &Tangle) -> Settled {
    let size = tangle.size();
    let mut settled = Settled::new((0..size as u32).collect());
    let mut kept = Kept::new(size);
    for (class, wanted) in tangle.pairs.iter().enumerate() {
        if !wanted.is_empty() {
            settled.line = arranged(&kept, wanted);
            settle_class(class, wanted, &mut kept, &mut settled);
        }
    }
    note_unchecked(tangle, &kept, &mut settled);
    settled
}

/// The number of what is not in the part.
const OUTSIDE: u32 = u32::MAX;

/// A line that agrees with what is kept, and with much of what is wanted.
fn arranged(kept: &Kept, wanted: &[Bits]) -> Vec<u32> {
    let mut both = kept.rows.clone();
    let rows = both.iter_mut().zip(wanted);
    rows.for_each(|(both, wanted)| both.unite(wanted));
    let mut line = Vec::with_capacity(both.len());
    // By node, its number in a part.
    let mut number = vec![OUTSIDE; both.len()];
    for nodes in components_of_rows(&both).members().iter() {
        if nodes.len() == 1 {
            line.extend(nodes);
            continue;
        }
        for (at, &node) in nodes.iter().enumerate() {
            number[node as usize] = at as u32;
        }
        let inside = |other: u32| Some(number[other as usize]).filter(|&at| at != OUTSIDE);
        // More than lie inside, but not by much.
        let sum = |count: &dyn Fn(usize) -> usize| nodes.iter().map(|&it| count(it as usize)).sum();
        let kept_links = Links::of_lists(
            nodes.iter().map(|&node| {
                let direct = kept.direct[node as usize].iter();
                direct.filter_map(|&other| inside(other))
            }),
            sum(&|node| kept.direct[node].len()),
        );
        let wanted_links = Links::of_lists(
            nodes.iter().map(|&node| {
                let row = wanted[node as usize].iter();
                row.filter_map(|other| inside(other as u32))
            }),
            sum(&|node| wanted[node].count()),
        );
        let problem = Problem::new(kept_links, wanted_links);
        for &node in nodes {
            number[node as usize] = OUTSIDE;
        }
        let arranged = problem.arrange().into_iter();
        line.extend(arranged.map(|number| nodes[number as usize]));
    }
    line
}
