//! A good order of many builds: a first line, and a fixed number of rounds
//! that improve it.

use super::links::classes;
use super::settle::settle;
use super::sift::Sifting;
use super::staged::staged;
use super::tangle::Tangle;

/// How many neighbouring builds move together, one length after the other.
const RUNS: [usize; 5] = [1, 2, 4, 8, 1];

/// Sifts and puts back what closes no cycle, in turns.
pub(super) fn order(tangle: &Tangle, rounds: usize) -> Vec<u32> {
    let classes = classes(tangle);
    let mut line = staged(tangle);
    for round in 0..rounds {
        let mut sifting = Sifting::new(&classes, line);
        for length in RUNS {
            sifting.round(length, round % 2 == 1);
        }
        line = settle(tangle, &sifting.line).line;
    }
    line
}
