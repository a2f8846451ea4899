//! One line for a strongly connected part: which pairs stand against it.
//!
//! Finding the line with the fewest pairs against it is the minimum feedback
//! arc problem and cannot be solved exactly at this size. A greedy choice from
//! the front (who waits for nothing goes first, else who helps most others for
//! the least harm) is improved by a fixed number of rounds that move single
//! nodes to their best place.

use super::bits::Bits;

/// How often all nodes are moved to their best place.
const ROUNDS: usize = 4;

/// Nodes with pairs that must hold (and close no cycle) and pairs that should.
/// A row holds the nodes that come before the row's node.
pub(super) struct Problem {
    pub kept: Vec<Bits>,
    pub wanted: Vec<Bits>,
}

impl Problem {
    /// All nodes in a line that breaks no kept pair and few wanted ones.
    pub fn arrange(&self) -> Vec<usize> {
        let kept_after = transposed(&self.kept);
        let wanted_after = transposed(&self.wanted);
        let mut line = self.greedy(&kept_after, &wanted_after);
        for _ in 0..ROUNDS {
            if !self.improve(&mut line, &kept_after, &wanted_after) {
                break;
            }
        }
        line
    }

    fn greedy(&self, kept_after: &[Bits], wanted_after: &[Bits]) -> Vec<usize> {
        let nodes = self.kept.len();
        let mut kept_needs: Vec<usize> = self.kept.iter().map(Bits::count).collect();
        let mut wanted_needs: Vec<i64> = self.wanted.iter().map(|row| row.count() as i64).collect();
        let mut helped: Vec<i64> = wanted_after.iter().map(|row| row.count() as i64).collect();
        let mut left: Vec<usize> = (0..nodes).collect();
        let mut line = Vec::with_capacity(nodes);
        while !left.is_empty() {
            let mut best: Option<(usize, (bool, i64))> = None;
            for (at, &node) in left.iter().enumerate() {
                if kept_needs[node] > 0 {
                    continue;
                }
                let value = (wanted_needs[node] == 0, helped[node] - wanted_needs[node]);
                if best.is_none_or(|(_, known)| value > known) {
                    best = Some((at, value));
                }
            }
            let (at, _) = best.expect("kept pairs close no cycle, so some node waits for none");
            // Order matters for ties, so no swap_remove.
            let node = left.remove(at);
            for after in kept_after[node].iter() {
                kept_needs[after] -= 1;
            }
            for after in wanted_after[node].iter() {
                wanted_needs[after] -= 1;
            }
            for before in self.wanted[node].iter() {
                helped[before] -= 1;
            }
            line.push(node);
        }
        line
    }

    /// Moves each node to its best place once; says whether any moved.
    fn improve(&self, line: &mut [usize], kept_after: &[Bits], wanted_after: &[Bits]) -> bool {
        let nodes = line.len();
        let mut place = vec![0; nodes];
        for (at, &node) in line.iter().enumerate() {
            place[node] = at;
        }
        // What moving the node past a place saves (-) or costs (+), when it
        // moves to the front; to the back it is the other way round.
        let mut cost = vec![0i64; nodes];
        let mut moved = false;
        for node in 0..nodes {
            let from = place[node];
            let first = self.kept[node]
                .iter()
                .map(|other| place[other] + 1)
                .max()
                .unwrap_or(0);
            let last = kept_after[node]
                .iter()
                .map(|other| place[other])
                .min()
                .unwrap_or(nodes);
            cost[first..last].fill(0);
            for before in self.wanted[node].iter().map(|other| place[other]) {
                cost[before] += 1;
            }
            for after in wanted_after[node].iter().map(|other| place[other]) {
                cost[after] -= 1;
            }
            let (mut best, mut to) = (0, from);
            let mut sum = 0;
            for at in (first..from).rev() {
                sum += cost[at];
                if sum < best {
                    (best, to) = (sum, at);
                }
            }
            sum = 0;
            for (at, cost) in cost.iter().enumerate().take(last).skip(from + 1) {
                sum -= cost;
                if sum < best {
                    (best, to) = (sum, at);
                }
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
                    place[line[at]] = at;
                }
            }
        }
        moved
    }
}

/// The rows of the opposite direction.
pub(super) fn transposed(rows: &[Bits]) -> Vec<Bits> {
    let mut columns = vec![Bits::new(rows.len()); rows.len()];
    for (row, bits) in rows.iter().enumerate() {
        for column in bits.iter() {
            columns[column].insert(row);
        }
    }
    columns
}
