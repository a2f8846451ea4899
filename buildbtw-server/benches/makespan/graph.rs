//! A build set as numbers: who waits for whom, and how long each takes.

use std::cmp::Reverse;
use std::collections::HashMap;

use buildbtw_graph::BuildSet;

/// A build set; builds are named by their places in it.
pub struct Graph {
    /// What each takes on a worker of speed one, in milliseconds.
    pub takes: Vec<i64>,
    /// Who waits for each.
    pub dependents: Vec<Vec<usize>>,
    /// What each waits for.
    pub needs: Vec<Vec<usize>>,
    /// All of them, each behind what it waits for.
    pub order: Vec<usize>,
}

impl Graph {
    pub fn of(set: &BuildSet, durations: &HashMap<String, i64>) -> Self {
        let places: HashMap<_, _> = set
            .builds
            .iter()
            .enumerate()
            .map(|(place, build)| (build.key(), place))
            .collect();
        let count = set.builds.len();
        let (mut dependents, mut needs) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        for edge in set.edges.iter().filter(|edge| !edge.dropped) {
            let (before, after) = (places[&edge.before], places[&edge.after]);
            dependents[before].push(after);
            needs[after].push(before);
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|place| set.builds[*place].wave);
        let builds = set.builds.iter();
        Self {
            takes: builds
                .map(|build| durations[build.pkgbase.as_str()])
                .collect(),
            dependents,
            needs,
            order,
        }
    }

    pub fn work(&self) -> i64 {
        self.takes.iter().sum()
    }

    /// The longest path from the begin of each build to the end of all.
    pub fn longest_paths(&self) -> Vec<i64> {
        let mut longest = vec![0; self.takes.len()];
        for &place in self.order.iter().rev() {
            let behind = self.dependents[place].iter().map(|after| longest[*after]);
            longest[place] = behind.max().unwrap_or(0) + self.takes[place];
        }
        longest
    }

    /// How soon each build can begin at the earliest, in milliseconds: not before the longest path of what
    /// it waits for is over, however fast; and not before all workers together could have done
    /// what it waits for that cannot begin earlier either.
    pub fn heads(&self, fastest: f64, all: f64) -> Vec<f64> {
        earliest(&self.order, &self.needs, &self.takes, fastest, all)
    }

    /// How long it takes at least from the end of each build to the end of all: the same backwards.
    pub fn tails(&self, fastest: f64, all: f64) -> Vec<f64> {
        let backwards: Vec<usize> = self.order.iter().rev().copied().collect();
        earliest(&backwards, &self.dependents, &self.takes, fastest, all)
    }
}

fn earliest(
    order: &[usize],
    before: &[Vec<usize>],
    takes: &[i64],
    fastest: f64,
    all: f64,
) -> Vec<f64> {
    let words = takes.len().div_ceil(64);
    let mut rows: Vec<Vec<u64>> = vec![Vec::new(); takes.len()];
    let mut begins = vec![0.0_f64; takes.len()];
    for &place in order {
        let mut row = vec![0_u64; words];
        let mut begin = 0.0_f64;
        for &other in &before[place] {
            row[other / 64] |= 1 << (other % 64);
            for (word, more) in row.iter_mut().zip(&rows[other]) {
                *word |= more;
            }
            begin = begin.max(begins[other] + takes[other] as f64 / fastest);
        }
        let mut all_before: Vec<usize> = (0..takes.len())
            .filter(|other| row[other / 64] >> (other % 64) & 1 == 1)
            .collect();
        all_before.sort_by_key(|other| Reverse(begins[*other] as i64));
        let mut work = 0.0;
        for other in all_before {
            work += takes[other] as f64;
            begin = begin.max(begins[other] + work / all);
        }
        begins[place] = begin;
        rows[place] = row;
    }
    begins
}
