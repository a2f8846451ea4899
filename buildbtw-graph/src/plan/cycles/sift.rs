//! Improving a line: each build moves to its best place while all others stay.
//!
//! "Sifting", as Matuszewski, Schönfeld and Molitor have it for drawing layers
//! ("Using Sifting for k-Layer Straightline Crossing Minimization", 1999), on
//! the insertion neighbourhood of the linear ordering problem (Laguna, Martí
//! and Campos, "Intensification and Diversification with Elite Tabu Search
//! Solutions for the Linear Ordering Problem", 1999).

use super::links::{Class, LARGEST_SUM, Price, check_of};
use super::tangle::CHECK;

/// A line of builds that is being improved.
pub(super) struct Sifting<'c> {
    pub classes: &'c [Class],
    line: Vec<u32>,
    place: Vec<u32>,
    /// How many builds that are only needed for its check come after each.
    unchecked: Vec<u32>,
    /// What a build would give up (+) or win (-) by moving before the one at
    /// each place; moving behind it is the opposite.
    cost: Vec<Price>,
    /// Room for counting.
    seen: Vec<u32>,
    touched: Vec<u32>,
}

/// A line with all that is known about it.
pub(super) struct Line {
    line: Vec<u32>,
    place: Vec<u32>,
    unchecked: Vec<u32>,
}

impl<'c> Sifting<'c> {
    pub fn new(classes: &'c [Class], line: Vec<u32>) -> Self {
        let size = line.len();
        let mut sifting = Sifting {
            classes,
            line,
            place: vec![0; size],
            unchecked: vec![0; size],
            cost: vec![0; size],
            seen: vec![0; size],
            touched: Vec::new(),
        };
        sifting.recount();
        sifting
    }

    pub fn line(&self) -> &[u32] {
        &self.line
    }

    pub fn place(&self, build: u32) -> usize {
        self.place[build as usize] as usize
    }

    /// The line as it is, to be restored later.
    pub fn clone_line(&self) -> Line {
        Line {
            line: self.line.clone(),
            place: self.place.clone(),
            unchecked: self.unchecked.clone(),
        }
    }

    pub fn restore(&mut self, line: Line) {
        self.line = line.line;
        self.place = line.place;
        self.unchecked = line.unchecked;
    }

    fn recount(&mut self) {
        for (at, &node) in self.line.iter().enumerate() {
            self.place[node as usize] = at as u32;
        }
        if let Some(check) = check_of(self.classes) {
            for node in 0..self.line.len() {
                let later = check
                    .needs
                    .of(node)
                    .iter()
                    .filter(|&&other| self.place[other as usize] > self.place[node]);
                self.unchecked[node] = later.count() as u32;
            }
        }
    }

    /// Moves runs of so many builds, each once, to their best place.
    /// `sideways` takes moves that win nothing as well.
    pub fn round(&mut self, length: usize, sideways: bool) {
        // Prices of more builds than that would run into each other.
        if length * self.line.len() >= LARGEST_SUM {
            return;
        }
        // Runs are taken by the build that they begin with, so that each has
        // its turn although others move.
        let starts: Vec<u32> = if length == 1 {
            (0..self.line.len() as u32).collect()
        } else {
            self.line
                .iter()
                .copied()
                .step_by(length.div_ceil(2))
                .collect()
        };
        for start in starts {
            let from = self.place[start as usize] as usize;
            let end = from + length;
            if end > self.line.len() {
                continue;
            }
            let (to, _) = self.best_place(from, end, sideways);
            if to != from {
                self.shift(from, end, to);
            }
        }
    }

    /// The best place for the first of a run, and what moving it there costs.
    pub fn best_place(&mut self, from: usize, end: usize, sideways: bool) -> (usize, Price) {
        self.weigh(from, end);
        let better = |sum: Price, best: Price| sum < best || (sideways && sum == best);
        let (mut best, mut to) = (0, from);
        let mut sum = 0;
        for at in (0..from).rev() {
            sum += self.cost[at];
            if better(sum, best) {
                (best, to) = (sum, at);
            }
        }
        sum = 0;
        for (at, cost) in self.cost.iter().enumerate().skip(end) {
            sum -= cost;
            if better(sum, best) {
                (best, to) = (sum, at + 1 + from - end);
            }
        }
        (to, best)
    }

    /// What moving one build to another place costs.
    pub fn price_of(&mut self, from: usize, to: usize) -> Price {
        self.weigh(from, from + 1);
        if to < from {
            self.cost[to..from].iter().sum()
        } else {
            -self.cost[from + 1..=to].iter().sum::<Price>()
        }
    }

    /// What moving a run past each place costs.
    fn weigh(&mut self, from: usize, end: usize) {
        self.cost.fill(0);
        for class in self.classes {
            if class.number == CHECK {
                self.cost_of_checks(class, from, end);
                continue;
            }
            for &node in &self.line[from..end] {
                for &other in class.needs.of(node as usize) {
                    self.cost[self.place[other as usize] as usize] += class.price;
                }
                for &other in class.helps.of(node as usize) {
                    self.cost[self.place[other as usize] as usize] -= class.price;
                }
            }
        }
    }

    fn cost_of_checks(&mut self, check: &Class, from: usize, end: usize) {
        let inside = from as u32..end as u32;
        for at in from..end {
            let node = self.line[at] as usize;
            let places = || {
                check
                    .needs
                    .of(node)
                    .iter()
                    .map(|&other| self.place[other as usize])
            };
            // What the run itself makes it skip its check, no move changes.
            if places().any(|place| inside.contains(&place) && place > at as u32) {
                continue;
            }
            if let Some(last) = places().filter(|place| !inside.contains(place)).max() {
                self.cost[last as usize] += check.price;
            }
        }
        self.touched.clear();
        for at in from..end {
            let node = self.line[at] as usize;
            for &other in check.helps.of(node) {
                if !inside.contains(&self.place[other as usize]) {
                    let count = &mut self.seen[other as usize];
                    if *count == 0 {
                        self.touched.push(other);
                    }
                    *count += 1;
                }
            }
        }
        for &other in &self.touched {
            let place = self.place[other as usize];
            let count = std::mem::take(&mut self.seen[other as usize]);
            let by_run = if place < from as u32 { count } else { 0 };
            if self.unchecked[other as usize] == by_run {
                self.cost[place as usize] -= check.price;
            }
        }
    }

    /// Moves a run so that it begins at another place.
    pub fn shift(&mut self, from: usize, end: usize, to: usize) {
        let crossed = if to < from {
            to..from
        } else {
            end..end + to - from
        };
        if let Some(check) = check_of(self.classes) {
            let forward = to > from;
            let crossed = crossed.start as u32..crossed.end as u32;
            for at in from..end {
                let node = self.line[at] as usize;
                for &other in check.needs.of(node) {
                    if crossed.contains(&self.place[other as usize]) {
                        let count = &mut self.unchecked[node];
                        *count = if forward { *count - 1 } else { *count + 1 };
                    }
                }
                for &other in check.helps.of(node) {
                    if crossed.contains(&self.place[other as usize]) {
                        let count = &mut self.unchecked[other as usize];
                        *count = if forward { *count + 1 } else { *count - 1 };
                    }
                }
            }
        }
        let range = from.min(crossed.start)..end.max(crossed.end);
        if to < from {
            self.line[range.clone()].rotate_right(end - from);
        } else {
            self.line[range.clone()].rotate_left(end - from);
        }
        for at in range {
            self.place[self.line[at] as usize] = at as u32;
        }
    }
}
