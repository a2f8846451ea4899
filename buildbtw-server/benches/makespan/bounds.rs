//! What no schedule can undercut.

use std::cmp::Reverse;

use super::graph::Graph;

/// How many times from the end are looked at.
const STEPS: usize = 400;

/// The greater of the longest path on the fastest worker and the work by the speed of all, in milliseconds.
pub fn simple(graph: &Graph, speeds: &[f64]) -> f64 {
    let longest = graph.longest_paths().into_iter().max().unwrap_or(0);
    let path = longest as f64 / fastest(speeds);
    path.max(graph.work() as f64 / speeds.iter().sum::<f64>())
}

/// A greater one, which is valid as well: what cannot begin before some time, and behind which some time
/// passes, must be done in between by all workers together. It looks at all such times at both
/// ends, as Fernandez and Bussell (1973) do for workers that are equally fast.
pub fn by_intervals(graph: &Graph, speeds: &[f64]) -> f64 {
    let (fastest, all) = (fastest(speeds), speeds.iter().sum::<f64>());
    let (heads, tails) = (graph.heads(fastest, all), graph.tails(fastest, all));
    let through = |place: usize| heads[place] + graph.takes[place] as f64 / fastest + tails[place];
    let mut bound = (0..graph.takes.len()).map(through).fold(0.0, f64::max);
    let mut latest: Vec<usize> = (0..graph.takes.len()).collect();
    latest.sort_by_key(|place| Reverse(heads[*place] as i64));
    let mut ends = tails.clone();
    ends.sort_by(f64::total_cmp);
    for end in ends.iter().step_by((ends.len() / STEPS).max(1)) {
        let mut work = 0.0;
        for &place in latest.iter().filter(|place| tails[**place] >= *end) {
            work += graph.takes[place] as f64;
            bound = bound.max(heads[place] + work / all + end);
        }
    }
    bound
}

fn fastest(speeds: &[f64]) -> f64 {
    speeds.iter().copied().fold(0.0, f64::max)
}
