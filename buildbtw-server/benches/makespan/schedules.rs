//! Schedules that are made without the server, by who knows all durations and speeds, and whose runs
//! never fail.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use fastrand::Rng;

use super::graph::Graph;

/// How many orders that differ a little from the longest path first are tried.
const TRIES: usize = 6;

/// The makespan when what became ready first goes to the fastest idle worker.
pub fn first_in_first_out(graph: &Graph, speeds: &[f64]) -> i64 {
    play(graph, speeds, None, false)
}

/// The shortest makespan that is known: the best of several.
pub fn best_known(graph: &Graph, speeds: &[f64]) -> i64 {
    let (fastest, all) = (
        speeds.iter().copied().fold(0.0, f64::max),
        speeds.iter().sum(),
    );
    let longest = graph.longest_paths();
    let tails = graph.tails(fastest, all);
    let tails = tails.iter().zip(&graph.takes);
    let with_work: Vec<i64> = tails
        .map(|(tail, takes)| (*tail * fastest) as i64 + takes)
        .collect();
    let mut rng = Rng::with_seed(3);
    let mut weights = vec![longest, with_work];
    for number in 0..TRIES {
        let shaken = weights[number % 2].iter();
        let shaken = shaken.map(|weight| (*weight as f64 * (0.95 + 0.1 * rng.f64())) as i64);
        let shaken: Vec<i64> = shaken.collect();
        weights.push(shaken);
    }
    let each = weights
        .iter()
        .flat_map(|weights| [false, true].map(|waits| play(graph, speeds, Some(weights), waits)));
    each.min().unwrap_or(0)
}

/// The makespan when ready builds are handed out by weight, or without weights in the order in which they
/// became ready: each to the fastest idle worker, or, if such builds wait, to the one on which it ends
/// first.
fn play(graph: &Graph, speeds: &[f64], weights: Option<&Vec<i64>>, waits: bool) -> i64 {
    let mut needs: Vec<usize> = graph.needs.iter().map(Vec::len).collect();
    let mut came = 0_i64;
    let mut ready: BTreeSet<(Reverse<i64>, i64, usize)> = BTreeSet::new();
    let mut add = |ready: &mut BTreeSet<_>, place: usize| {
        came += 1;
        let weight = weights.map_or(0, |weights| weights[place]);
        ready.insert((Reverse(weight), came, place));
    };
    for place in (0..needs.len()).filter(|place| graph.needs[*place].is_empty()) {
        add(&mut ready, place);
    }
    let mut fastest: Vec<usize> = (0..speeds.len()).collect();
    fastest.sort_by(|a, b| speeds[*b].total_cmp(&speeds[*a]));
    let takes = |place: usize, worker: usize| (graph.takes[place] as f64 / speeds[worker]) as i64;
    // When each is free, and what it does until then.
    let mut free_at = vec![0_i64; speeds.len()];
    let mut busy = vec![false; speeds.len()];
    let mut ends: BinaryHeap<(Reverse<i64>, usize, usize)> = BinaryHeap::new();
    let mut now = 0;
    loop {
        let mut planned: Vec<i64> = free_at.iter().map(|at| *at.max(&now)).collect();
        let mut given = Vec::new();
        let mut idle = busy.iter().filter(|busy| !**busy).count();
        for entry in &ready {
            if idle == 0 {
                break;
            }
            let place = entry.2;
            let candidates = fastest.iter().filter(|worker| waits || !busy[**worker]);
            let best = candidates.min_by_key(|worker| match waits {
                true => planned[**worker] + takes(place, **worker),
                // The first of the idle ones is the fastest.
                false => 0,
            });
            let Some(&worker) = best else { break };
            let end = planned[worker] + takes(place, worker);
            if planned[worker] == now && !busy[worker] {
                busy[worker] = true;
                free_at[worker] = end;
                ends.push((Reverse(end), worker, place));
                given.push(*entry);
                idle -= 1;
            }
            planned[worker] = end;
        }
        for entry in given {
            ready.remove(&entry);
        }
        let Some((Reverse(at), worker, place)) = ends.pop() else {
            return now;
        };
        now = at;
        busy[worker] = false;
        for &after in &graph.dependents[place] {
            needs[after] -= 1;
            if needs[after] == 0 {
                add(&mut ready, after);
            }
        }
    }
}
