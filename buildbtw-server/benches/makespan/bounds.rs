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

pub fn longest_path(set: &BuildSet, durations: &HashMap<String, i64>) -> i64 {
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
    longest.into_iter().max().unwrap_or(0)
}

/// The makespan when what became ready first is handed out first, without any failure.
pub fn first_in_first_out(set: &BuildSet, durations: &HashMap<String, i64>, speeds: &[f64]) -> i64 {
    let dependents = dependents(set);
    let mut waits = vec![0_usize; set.builds.len()];
    for after in dependents.iter().flatten() {
        waits[*after] += 1;
    }
    let mut ready: std::collections::VecDeque<usize> = (0..waits.len())
        .filter(|place| waits[*place] == 0)
        .collect();
    let mut idle: Vec<usize> = (0..speeds.len()).collect();
    let mut ends: BinaryHeap<(Reverse<i64>, usize, usize)> = BinaryHeap::new();
    let mut now = 0;
    loop {
        idle.sort_by(|a, b| speeds[*a].total_cmp(&speeds[*b]));
        while let (Some(&worker), Some(&place)) = (idle.last(), ready.front()) {
            idle.pop();
            ready.pop_front();
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
                ready.push_back(after);
            }
        }
    }
}
