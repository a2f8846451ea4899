//! What makespans are held against: the longest path, and what is handed out in the order in which it
//! became ready.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use buildbtw_graph::BuildSet;

/// Who waits for whom, by place in the build set.
fn dependents(set: &BuildSet) -> Vec<Vec<usize>> {
    let places: HashMap<_, _> = set
        .builds
        .iter()
        .enumerate()
        .map(|(place, build)| (build.key(), place))
        .collect();
    let mut dependents = vec![Vec::new(); set.builds.len()];
    for edge in set.edges.iter().filter(|edge| !edge.dropped) {
        dependents[places[&edge.before]].push(places[&edge.after]);
    }
    dependents
}

/// The longest path from the begin of each build to the end of all.
fn longest_paths(set: &BuildSet, durations: &HashMap<String, i64>) -> Vec<i64> {
    let dependents = dependents(set);
    let mut line: Vec<usize> = (0..set.builds.len()).collect();
    line.sort_by_key(|place| Reverse(set.builds[*place].wave));
    let mut longest = vec![0; set.builds.len()];
    for place in line {
        let after = dependents[place]
            .iter()
            .map(|after| longest[*after])
            .max()
            .unwrap_or(0);
        longest[place] = after + durations[set.builds[place].pkgbase.as_str()];
    }
    longest
}

pub fn longest_path(set: &BuildSet, durations: &HashMap<String, i64>) -> i64 {
    let longest = longest_paths(set, durations);
    longest.into_iter().max().unwrap_or(0)
}

/// The makespan when what became ready first is handed out first, without any failure.
pub fn first_in_first_out(set: &BuildSet, durations: &HashMap<String, i64>, speeds: &[f64]) -> i64 {
    in_order(set, durations, speeds, None)
}

/// The makespan of the longest path first, if all durations were known and nothing failed.
pub fn all_known(set: &BuildSet, durations: &HashMap<String, i64>, speeds: &[f64]) -> i64 {
    let longest = longest_paths(set, durations);
    in_order(set, durations, speeds, Some(&longest))
}

/// The makespan when the ready build of the greatest weight goes to the fastest idle worker; without
/// weights, the one that is ready for longest.
fn in_order(
    set: &BuildSet,
    durations: &HashMap<String, i64>,
    speeds: &[f64],
    weights: Option<&[i64]>,
) -> i64 {
    let dependents = dependents(set);
    let mut waits = vec![0_usize; set.builds.len()];
    for after in dependents.iter().flatten() {
        waits[*after] += 1;
    }
    let mut came = 0_i64;
    let mut ready: BinaryHeap<(i64, Reverse<i64>, usize)> = BinaryHeap::new();
    let mut add = |ready: &mut BinaryHeap<_>, place: usize| {
        came += 1;
        let weight = weights.map_or(0, |weights| weights[place]);
        ready.push((weight, Reverse(came), place));
    };
    for (place, waits) in waits.iter().enumerate() {
        if *waits == 0 {
            add(&mut ready, place);
        }
    }
    let mut idle: Vec<usize> = (0..speeds.len()).collect();
    let mut ends: BinaryHeap<(Reverse<i64>, usize, usize)> = BinaryHeap::new();
    let mut now = 0;
    loop {
        idle.sort_by(|a, b| speeds[*a].total_cmp(&speeds[*b]));
        while !ready.is_empty() {
            let Some(worker) = idle.pop() else { break };
            let Some((_, _, place)) = ready.pop() else {
                break;
            };
            let takes = durations[set.builds[place].pkgbase.as_str()] as f64 / speeds[worker];
            ends.push((Reverse(now + takes as i64), worker, place));
        }
        let Some((Reverse(at), worker, place)) = ends.pop() else {
            return now;
        };
        now = at;
        idle.push(worker);
        for &after in &dependents[place] {
            waits[after] -= 1;
            if waits[after] == 0 {
                add(&mut ready, after);
            }
        }
    }
}
