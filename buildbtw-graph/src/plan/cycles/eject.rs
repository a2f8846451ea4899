//! Improving a line by chains of moves.
//!
//! Where no single move wins anything, one that loses may open the way for
//! others: an ejection chain (Glover, "Ejection Chains, Reference Structures
//! and Alternating Path Methods for Traveling Salesman Problems", 1996). A
//! chain begins with a pair that stands against the line and puts it right,
//! whatever that costs; then those that suffer from it seek new places, the
//! nearest first. What was worse in the end is undone.

use super::links::{Class, PRICES, Price, digits};
use super::sift::Sifting;
use super::tangle::{CHECK, CLASSES};

/// How many builds may seek a new place because of one.
const LONGEST: usize = 48;

/// How many pairs of a class are tried in one round.
const TRIES: usize = 200;

/// Tries to put right pairs of all classes but the one that hurts least. What
/// is not tried in one round is tried in another.
pub(super) fn eject(sifting: &mut Sifting<'_>, round: usize) {
    let classes = sifting.classes.iter();
    for class in classes.filter(|class| class.number != CHECK && !class.is_least()) {
        let against = pairs_against(sifting, class);
        let step = against.len().div_ceil(TRIES).max(1);
        for &(build, other) in against.iter().skip(round % step).step_by(step) {
            for forward in [true, false] {
                // An earlier chain may have put it right.
                if sifting.place(other) > sifting.place(build) {
                    chain(sifting, build, other, forward);
                }
            }
        }
    }
}

fn pairs_against(sifting: &Sifting<'_>, class: &Class) -> Vec<(u32, u32)> {
    let of_build = |build: u32| {
        let needs = class.needs.of(build as usize).iter().copied();
        let later = needs.filter(move |&other| sifting.place(other) > sifting.place(build));
        later.map(move |other| (build, other))
    };
    (0..sifting.line().len() as u32)
        .flat_map(of_build)
        .collect()
}

/// Moves the build behind the other (forward) or the other before the build,
/// and then whom that hurt.
fn chain(sifting: &mut Sifting<'_>, build: u32, other: u32, forward: bool) {
    let before = sifting.clone_line();
    let (low, high) = (sifting.place(build), sifting.place(other));
    let (node, from, to) = match forward {
        true => (build, low, high),
        false => (other, high, low),
    };
    let mut balance = [0; CLASSES.len()];
    let mut pay = |price: Price| {
        let digits = digits(price);
        balance
            .iter_mut()
            .zip(digits)
            .for_each(|(sum, digit)| *sum += digit);
    };
    pay(sifting.price_of(from, to));
    sifting.shift(from, from + 1, to);
    let mut hurt: Vec<u32> = Vec::new();
    for class in sifting.classes.iter().filter(|class| !class.is_least()) {
        let links = if forward { &class.helps } else { &class.needs };
        for &other in links.of(node as usize) {
            let crossed = (low..=high).contains(&sifting.place(other));
            if crossed && hurt.len() < LONGEST && !hurt.contains(&other) {
                hurt.push(other);
            }
        }
    }
    hurt.sort_unstable_by_key(|&other| sifting.place(other));
    if forward {
        hurt.reverse();
    }
    hurt.push(node);
    for _ in 0..2 {
        for &other in &hurt {
            let from = sifting.place(other);
            let (to, price) = sifting.best_place(from, from + 1, false);
            if to != from {
                pay(price);
                sifting.shift(from, from + 1, to);
            }
        }
    }
    if balance > [0; PRICES.len()] {
        sifting.restore(before);
    }
}
