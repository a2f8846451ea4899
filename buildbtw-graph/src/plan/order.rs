//! From needs to an order that can be stored and shown: only the pairs that
//! others do not imply, waves, and the longest chain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::bits::Bits;

/// An order of tasks, written with as few pairs as possible.
pub(super) struct Order {
    /// What each task waits for and no other pair implies, rising.
    pub direct: Vec<Vec<u32>>,
    /// The wave of each task; all it waits for lies in lower ones, from 1 on.
    pub wave: Vec<u32>,
}

/// The rows of the opposite direction.
fn transposed(rows: &[Bits]) -> Vec<Bits> {
    let mut columns = vec![Bits::new(rows.len()); rows.len()];
    for (row, bits) in rows.iter().enumerate() {
        for column in bits.iter() {
            columns[column].insert(row);
        }
    }
    columns
}

/// All tasks in a line, each behind what its row holds, else rising.
pub(super) fn line_of(rows: &[Bits]) -> Vec<u32> {
    let after = transposed(rows);
    let mut open: Vec<usize> = rows.iter().map(Bits::count).collect();
    let ready = (0..rows.len()).filter(|&task| open[task] == 0).map(Reverse);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.collect();
    let mut line = Vec::with_capacity(rows.len());
    while let Some(Reverse(task)) = ready.pop() {
        line.push(task as u32);
        for other in after[task].iter() {
            open[other] -= 1;
            if open[other] == 0 {
                ready.push(Reverse(other));
            }
        }
    }
    line
}

/// For so many tasks what they wait for is sorted by place at once, on all cores.
const AT_ONCE: usize = 512;

/// Leaves out what is implied. `rows` hold what each task waits for, `line`
/// has every task behind all it waits for.
pub(super) fn reduce(rows: &[Bits], line: &[u32]) -> Order {
    let mut place = vec![0; rows.len()];
    for (at, &task) in line.iter().enumerate() {
        place[task as usize] = at;
    }
    let mut order = Order {
        direct: vec![Vec::new(); rows.len()],
        wave: vec![1; rows.len()],
    };
    let by_place = |&task: &u32| {
        let mut by_place = Bits::new(rows.len());
        let row = rows[task as usize].iter();
        row.for_each(|other| by_place.insert(place[other]));
        by_place
    };
    // By place in the line, all a place waits for.
    let mut reach: Vec<Bits> = Vec::with_capacity(rows.len());
    let ahead = line.chunks(AT_ONCE).flat_map(|tasks| {
        let waits_for: Vec<Bits> = tasks.par_iter().map(by_place).collect();
        tasks.iter().zip(waits_for)
    });
    for (&task, mut left) in ahead {
        let task = task as usize;
        let mut reached = Bits::new(rows.len());
        // What comes last may imply the others, never the other way round.
        while let Some(last) = left.last() {
            reached.insert(last);
            reached.unite(&reach[last]);
            left.remove(last);
            left.subtract(&reach[last]);
            let other = line[last];
            order.direct[task].push(other);
            order.wave[task] = order.wave[task].max(order.wave[other as usize] + 1);
        }
        order.direct[task].sort_unstable();
        reach.push(reached);
    }
    order
}

impl Order {
    /// The longest chain of tasks that wait for each other, first to last; of
    /// several the one with the lowest numbers.
    pub fn longest_chain(&self) -> Vec<u32> {
        let last = (0..self.wave.len()).min_by_key(|&task| (Reverse(self.wave[task]), task));
        let before = |&task: &u32| {
            let wave = self.wave[task as usize];
            let mut direct = self.direct[task as usize].iter().copied();
            direct.find(|&other| self.wave[other as usize] + 1 == wave)
        };
        let mut chain: Vec<u32> =
            std::iter::successors(last.map(|task| task as u32), before).collect();
        chain.reverse();
        chain
    }
}
