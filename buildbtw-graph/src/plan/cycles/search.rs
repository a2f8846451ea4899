//! A good order of many builds: two first lines, and a fixed number of rounds
//! that improve them.
//!
//! The line that gives up least is the minimum feedback arc problem and cannot
//! be found exactly at this size. `notes/decisions/0003-cycle-breaking.md` has
//! the figures that led to these heuristics.

use super::eject::eject;
use super::greedy::greedy;
use super::links::{Class, classes};
use super::settle::{Settled, settle};
use super::sift::Sifting;
use super::staged::staged;
use super::tangle::Tangle;

/// How many neighbouring builds move together, one length after the other.
const RUNS: [usize; 5] = [1, 2, 4, 8, 1];

/// The better one of two lines, improved by so many rounds; without rounds
/// only the first one.
pub(super) fn order(tangle: &Tangle, rounds: usize) -> Settled {
    if rounds == 0 {
        return staged(tangle);
    }
    let classes = classes(tangle);
    let (staged, greedy) = rayon::join(
        || improved(tangle, &classes, rounds, staged(tangle).line),
        || improved(tangle, &classes, rounds, greedy(&classes, tangle.size())),
    );
    if greedy.harm() < staged.harm() {
        greedy
    } else {
        staged
    }
}

/// Sifts, tries chains, and puts back what closes no cycle, in turns.
fn improved(tangle: &Tangle, classes: &[Class], rounds: usize, line: Vec<u32>) -> Settled {
    let mut settled = Settled::new(line);
    for round in 0..rounds {
        let mut sifting = Sifting::new(classes, settled.line);
        for length in RUNS {
            sifting.round(length, round % 2 == 1);
        }
        // At first single moves win more, and in less time.
        if round > 0 {
            eject(&mut sifting, round);
        }
        settled = settle(tangle, sifting.line());
    }
    settled
}
