//! A first line from both ends.
//!
//! Eades, Lin and Smyth, "A Fast and Effective Heuristic for the Feedback Arc
//! Set Problem" (1993), with a price for each class of pairs: who waits for
//! nothing goes to the front and who helps nobody to the back, else to the
//! front who helps others most beyond what it waits for itself.

use super::links::{Class, Price};

pub(super) fn greedy(classes: &[Class], size: usize) -> Vec<u32> {
    let mut wanted: Vec<Price> = vec![0; size];
    let mut helped: Vec<Price> = vec![0; size];
    for class in classes {
        for node in 0..size {
            wanted[node] += class.price * class.needs.of(node).len() as Price;
            helped[node] += class.price * class.helps.of(node).len() as Price;
        }
    }
    let mut left: Vec<usize> = (0..size).collect();
    let mut front = Vec::with_capacity(size);
    let mut back = Vec::new();
    while !left.is_empty() {
        let first = left.iter().position(|&node| wanted[node] == 0);
        let last = || left.iter().position(|&node| helped[node] == 0);
        let best = || (0..left.len()).max_by_key(|&at| helped[left[at]] - wanted[left[at]]);
        let (at, to) = if let Some(at) = first {
            (at, &mut front)
        } else if let Some(at) = last() {
            (at, &mut back)
        } else {
            (best().unwrap_or(0), &mut front)
        };
        // Order matters for ties, so no swap_remove.
        let node = left.remove(at);
        to.push(node as u32);
        for class in classes {
            for &other in class.helps.of(node) {
                wanted[other as usize] -= class.price;
            }
            for &other in class.needs.of(node) {
                helped[other as usize] -= class.price;
            }
        }
    }
    back.reverse();
    front.extend(back);
    front
}
