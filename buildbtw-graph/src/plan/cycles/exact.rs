//! The best order of a few builds.
//!
//! Dynamic programming over subsets, as Held and Karp do it for sequencing
//! ("A Dynamic Programming Approach to Sequencing Problems", 1962) and Lawler
//! for feedback arcs ("A Comment on Minimum Feedback Arc Sets", 1964): what a
//! build gives up depends on which builds come before it, not on their order.

use super::tangle::{CHECK, Tangle};

/// The order with the least harm; of several always the same one.
pub(super) fn best_order(tangle: &Tangle) -> Vec<u32> {
    let size = tangle.size();
    let wanted: Vec<Vec<usize>> = tangle
        .pairs
        .iter()
        .map(|rows| {
            rows.iter()
                .map(|row| row.iter().fold(0, |set, other| set | 1 << other))
                .collect()
        })
        .collect();
    let given_up = |build: usize, before: usize| {
        let of = |class: usize| {
            let wanted: Option<&usize> = wanted[class].get(build);
            wanted.map_or(0, |wanted| (wanted & !before).count_ones() as usize)
        };
        [
            of(0),
            of(1),
            of(2),
            of(3),
            of(4),
            usize::from(of(CHECK) > 0),
            of(6),
        ]
    };
    // For each set of builds, the least harm when they come first, and which of
    // them is the last then.
    let mut best: Vec<([usize; 7], usize)> = vec![([0; 7], 0)];
    for set in 1usize..1 << size {
        let ending = |last: usize| {
            let before = set & !(1 << last);
            let more = given_up(last, before);
            let mut harm = best[before].0;
            harm.iter_mut()
                .zip(more)
                .for_each(|(harm, more)| *harm += more);
            (harm, last)
        };
        let builds = (0..size).filter(|build| set >> build & 1 == 1);
        best.push(builds.map(ending).min().unwrap_or_default());
    }
    let mut line = Vec::with_capacity(size);
    let mut set = best.len() - 1;
    while set != 0 {
        let last = best[set].1;
        line.push(last as u32);
        set &= !(1 << last);
    }
    line.reverse();
    line
}
