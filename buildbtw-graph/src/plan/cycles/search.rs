//! A good order of many builds: two first lines, and a fixed number of rounds
//! that improve them.
//!
//! The line that gives up least is the minimum feedback arc problem and cannot
//! be found exactly at this size. `notes/decisions/0003-cycle-breaking.md` has
//! the figures that led to these heuristics.

use super::eject::eject;
use super::greedy::greedy;
use super::links::{Class, classes};
use super::settle::settle;
use super::sift::Sifting;
use super::staged::staged;
use super::tangle::{Harm, Tangle};

/// How many neighbouring builds move together, one length after the other.
const RUNS: [usize; 5] = [1, 2, 4, 8, 1];

/// The better one of two lines, improved by so many rounds; without rounds
/// only the first one.
pub(super) fn order(tangle: &Tangle, rounds: usize) -> Vec<u32> {
    if rounds == 0 {
        return staged(tangle);
    }
    let classes = classes(tangle);
    let (staged, greedy) = rayon::join(
        || improved(tangle, &classes, rounds, staged(tangle)),
        || improved(tangle, &classes, rounds, greedy(&classes, tangle.size())),
    );
    if greedy.0 < staged.0 {
        greedy.1
    } else {
        staged.1
    }
}

/// Sifts, tries chains, and puts back what closes no cycle, in turns.
fn improved(
    tangle: &Tangle,
    classes: &[Class],
    rounds: usize,
    mut line: Vec<u32>,
) -> (Harm, Vec<u32>) {
    let mut harm = Harm::default();
    for round in 0..rounds {
        let mut sifting = Sifting::new(classes, line);
        for length in RUNS {
            sifting.round(length, round % 2 == 1);
        }
        // At first single moves win more, and in less time.
        if round > 0 {
            eject(&mut sifting, round);
        }
        let settled = settle(tangle, sifting.line());
        harm = settled.harm();
        line = settled.line;
    }
    (harm, line)
}
