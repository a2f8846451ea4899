//! One line for a strongly connected part: which pairs stand against it.
//!
//! Finding the line with the fewest pairs against it is the minimum feedback
//! arc problem and cannot be solved exactly at this size. A greedy choice from
//! the front (who waits for nothing goes first, else who helps most others for
//! the least harm) is improved by a fixed number of rounds that move single
//! nodes to their best place.

use super::super::bits::Bits;
use super::links::Links;

/// How often all nodes are moved to their best place.
const ROUNDS: usize = 4;

/// What a node is worth above all others when it waits for nothing wanted.
const WAITS_FOR_NOTHING: i32 = 1 << 29;
/// So many nodes are looked through at a time.
const CHUNK: usize = 64;

/// The worth of a node that cannot be next.
const NOT_NEXT: i32 = i32::MIN;

/// Nodes with pairs that must hold (and close no cycle) and pairs that should.
/// The links lead to the nodes that come before a node.
pub(super) struct Problem {
    kept: Links,
    wanted: Links,
    kept_after: Links,
    wanted_after: Links,
}

impl Problem {
    pub fn new(kept: Links, wanted: Links) -> Self {
        Problem {
            kept_after: kept.reversed(),
            wanted_after: wanted.reversed(),
            kept,
            wanted,
        }
    }

    /// All nodes in a line that breaks no kept pair and few wanted ones.
    pub fn arrange(&self) -> Vec<u32> {
        let mut line = self.greedy();
        for _ in 0..ROUNDS {
            if !self.improve(&mut line) {
                break;
            }
        }
        line
    }

    fn greedy(&self) -> Vec<u32> {
        let nodes = self.kept.size();
        let count = |links: &Links| -> Vec<i32> {
            (0..nodes).map(|node| links.of(node).len() as i32).collect()
        };
        let mut kept_needs = count(&self.kept);
        let mut wanted_needs = count(&self.wanted);
        let mut helped = count(&self.wanted_after);
        let mut done = vec![false; nodes];
        // What each node is worth as the next one; all in one list, because
        // the greatest number of a list is found many numbers at a time.
        let mut worth = vec![NOT_NEXT; nodes];
        let weigh = |node: usize, wanted_needs: &[i32], helped: &[i32]| {
            let bonus = if wanted_needs[node] == 0 {
                WAITS_FOR_NOTHING
            } else {
                0
            };
            bonus + helped[node] - wanted_needs[node]
        };
        for node in (0..nodes).filter(|&node| kept_needs[node] == 0) {
            worth[node] = weigh(node, &wanted_needs, &helped);
        }
        let mut line = Vec::with_capacity(nodes);
        for _ in 0..nodes {
            // Of equals the one with the lowest number.
            let (mut best, mut start) = (NOT_NEXT, 0);
            for (at, some) in worth.chunks(CHUNK).enumerate() {
                let most = some.iter().copied().max().unwrap_or(NOT_NEXT);
                if most > best {
                    (best, start) = (most, at * CHUNK);
                }
            }
            let mut after = worth[start..].iter();
            let Some(node) = after.position(|&worth| worth == best) else {
                break;
            };
            let node = start + node;
            done[node] = true;
            worth[node] = NOT_NEXT;
            let mut change = |other: usize, wanted_needs: &[i32], helped: &[i32], open: i32| {
                if open == 0 && !done[other] {
                    worth[other] = weigh(other, wanted_needs, helped);
                }
            };
            for &after in self.wanted_after.of(node) {
                let after = after as usize;
                wanted_needs[after] -= 1;
                change(after, &wanted_needs, &helped, kept_needs[after]);
            }
            for &before in self.wanted.of(node) {
                let before = before as usize;
                helped[before] -= 1;
                change(before, &wanted_needs, &helped, kept_needs[before]);
            }
            for &after in self.kept_after.of(node) {
                let after = after as usize;
                kept_needs[after] -= 1;
                change(after, &wanted_needs, &helped, kept_needs[after]);
            }
            line.push(node as u32);
        }
        line
    }

    /// Moves each node to its best place once; says whether any moved.
    fn improve(&self, line: &mut [u32]) -> bool {
        let nodes = line.len();
        let mut place = vec![0u32; nodes];
        for (at, &node) in line.iter().enumerate() {
            place[node as usize] = at as u32;
        }
        // What moving the node past a place saves (-) or costs (+), when it
        // moves to the front; to the back it is the other way round. Only few
        // places make a difference, and only where it can move.
        let mut cost = vec![0i32; nodes];
        let mut matters = Bits::new(nodes);
        let mut near: Vec<(usize, i32)> = Vec::new();
        let mut moved = false;
        for node in 0..nodes {
            let from = place[node] as usize;
            let at = |&other: &u32| place[other as usize] as usize;
            let kept = self.kept.of(node).iter().map(at);
            let first = kept.max().map_or(0, |last| last + 1);
            let last = self.kept_after.of(node).iter().map(at).min();
            let last = last.unwrap_or(nodes);
            if last - first == 1 {
                continue;
            }
            near.clear();
            for (links, price) in [(&self.wanted, 1), (&self.wanted_after, -1)] {
                let places = links.of(node).iter().map(at);
                let movable = places.filter(|&at| first <= at && at < last);
                near.extend(movable.map(|at| (at, price)));
            }
            for &(at, price) in &near {
                cost[at] += price;
                matters.insert(at);
            }
            let (mut best, mut to) = (0, from);
            let mut sum = 0;
            for at in matters.iter_down(from) {
                sum += cost[at];
                if sum < best {
                    (best, to) = (sum, at);
                }
            }
            sum = 0;
            for at in matters.iter_from(from + 1) {
                sum -= cost[at];
                if sum < best {
                    (best, to) = (sum, at);
                }
            }
            for &(at, _) in &near {
                cost[at] = 0;
                matters.remove(at);
            }
            if to != from {
                moved = true;
                let range = to.min(from)..=to.max(from);
                if to < from {
                    line[range.clone()].rotate_right(1);
                } else {
                    line[range.clone()].rotate_left(1);
                }
                for at in range {
                    place[line[at] as usize] = at as u32;
                }
            }
        }
        moved
    }
}
