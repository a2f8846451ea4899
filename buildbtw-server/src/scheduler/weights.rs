//! What a build's turn goes by, worked out once when it is planned: the longest path to the end, as in
//! list scheduling by critical path (Graham 1966; Adam, Chandy, Dickson 1974), and how many builds
//! wait for it.

use std::cmp::Reverse;
use std::collections::HashMap;

use buildbtw_graph::{BuildKey, BuildSet, Estimate};

/// How long a build takes of which nothing is known, where nothing is known of any, in milliseconds.
const UNKNOWN_MS: i64 = 5 * 60 * 1000;

/// What a build's turn goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// The longest path from its begin to the end of the build set, in milliseconds.
    pub remaining_ms: i64,
    /// How many builds wait for it, directly or not.
    pub unlocks: u32,
    /// How long it is expected to take itself, in milliseconds.
    pub own_ms: i64,
    /// Whether that is only what is expected of a build of which nothing is known.
    pub unknown: bool,
}

/// The median of some durations; the upper one of two.
pub fn median(durations: &[i64]) -> Option<i64> {
    part(durations, 1, 2)
}

/// The duration that so large a part of some durations does not reach.
fn part(durations: &[i64], of: usize, parts: usize) -> Option<i64> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() * of / parts).copied()
}

/// The weights of a build set's builds, in their order. `durations` are those of the last runs, in
/// milliseconds, by package base. A build of which nothing is known counts as the upper quartile of the
/// others: build times have long tails, so their mean lies about there, and what might be long is
/// better begun too early than too late.
pub fn weights(set: &BuildSet, durations: &HashMap<String, Vec<i64>>) -> Vec<Weight> {
    let medians: HashMap<&str, i64> = durations
        .iter()
        .filter_map(|(pkgbase, recent)| Some((pkgbase.as_str(), median(recent)?)))
        .collect();
    let all: Vec<i64> = medians.values().copied().collect();
    let unknown = part(&all, 3, 4).unwrap_or(UNKNOWN_MS);
    let numbers: HashMap<BuildKey, usize> = set
        .builds
        .iter()
        .enumerate()
        .map(|(number, build)| (build.key(), number))
        .collect();
    let mut dependents = vec![Vec::new(); set.builds.len()];
    for edge in set.edges.iter().filter(|edge| !edge.dropped) {
        if let (Some(&before), Some(&after)) = (numbers.get(&edge.before), numbers.get(&edge.after))
        {
            dependents[before].push(after);
        }
    }
    // What waits for a build lies in higher waves, so from the last wave on everything is known.
    let mut line: Vec<usize> = (0..set.builds.len()).collect();
    line.sort_by_key(|&number| std::cmp::Reverse(set.builds[number].wave));
    let mut weights = vec![Weight::default(); set.builds.len()];
    let words = set.builds.len().div_ceil(64);
    let mut waiting: Vec<Vec<u64>> = vec![Vec::new(); set.builds.len()];
    for number in line {
        let mut row = vec![0_u64; words];
        let mut longest = 0;
        for &after in &dependents[number] {
            row[after / 64] |= 1 << (after % 64);
            for (word, other) in row.iter_mut().zip(&waiting[after]) {
                *word |= other;
            }
            longest = longest.max(weights[after].remaining_ms);
        }
        let own = medians.get(set.builds[number].pkgbase.as_str());
        let own_ms = *own.unwrap_or(&unknown);
        weights[number] = Weight {
            remaining_ms: longest.saturating_add(own_ms),
            unlocks: row.iter().map(|word| word.count_ones()).sum(),
            own_ms,
            unknown: own.is_none(),
        };
        waiting[number] = row;
    }
    weights
}

/// Says of a build set what durations tell: which chain takes longest, and how long it takes on so many slots.
pub fn foresee(set: &mut BuildSet, durations: &HashMap<String, Vec<i64>>, slots: u32) {
    let weights = weights(set, durations);
    set.critical_path = longest_chain(set, &weights);
    set.estimate = estimate(set, &weights, durations, slots);
}

/// The chain that takes longest of those that wait for each other, first to last. Between those that take equally
/// long names decide, so that everybody who is asked says the same.
fn longest_chain(set: &BuildSet, weights: &[Weight]) -> Vec<BuildKey> {
    let remaining: HashMap<BuildKey, i64> = set
        .builds
        .iter()
        .zip(weights)
        .map(|(build, weight)| (build.key(), weight.remaining_ms))
        .collect();
    let order = |key: &&BuildKey| (Reverse(remaining.get(*key).copied()), (*key).clone());
    let mut dependents: HashMap<&BuildKey, Vec<&BuildKey>> = HashMap::new();
    for edge in set.edges.iter().filter(|edge| !edge.dropped) {
        dependents
            .entry(&edge.before)
            .or_default()
            .push(&edge.after);
    }
    let next = |key: &&BuildKey| {
        let after = dependents.get(*key)?.iter().copied();
        after.min_by_key(order)
    };
    // No chain is longer than one that begins with what waits for nothing.
    let first = set.builds.iter().filter(|build| build.wave == 1);
    let first: Vec<BuildKey> = first.map(|build| build.key()).collect();
    let first = first.iter().min_by_key(order);
    let chain = std::iter::successors(first, next).take(set.builds.len());
    chain.cloned().collect()
}

/// How long a build set is expected to take on so many slots; `None` while none of its builds has
/// ever run, since then there is nothing to go by.
fn estimate(
    set: &BuildSet,
    weights: &[Weight],
    durations: &HashMap<String, Vec<i64>>,
    slots: u32,
) -> Option<Estimate> {
    let own = set.builds.iter().zip(weights);
    let own = own.filter(|(build, _)| build.refers_to.is_none() && build.unbuildable.is_none());
    let (mut work_ms, mut known, mut unknown) = (0_u64, 0_u32, 0_u32);
    for (build, weight) in own {
        work_ms = work_ms.saturating_add(weight.own_ms.unsigned_abs());
        match durations.get(build.pkgbase.as_str()) {
            Some(recent) if !recent.is_empty() => known += 1,
            _ => unknown += 1,
        }
    }
    let longest = weights.iter().map(|weight| weight.remaining_ms).max();
    (known > 0).then(|| Estimate {
        longest_path_ms: longest.unwrap_or(0).unsigned_abs(),
        work_ms,
        unknown,
        slots,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build set with edges like `a>b`, and the names of its builds.
    fn set_of<'e>(edges: &[&'e str]) -> (BuildSet, Vec<&'e str>) {
        let pairs: Vec<(&str, &str)> = edges
            .iter()
            .map(|edge| edge.split_once('>').unwrap())
            .collect();
        let mut wave: HashMap<&str, u32> = HashMap::new();
        for _ in 0..pairs.len() + 1 {
            for (before, after) in &pairs {
                let first = *wave.entry(before).or_insert(1);
                let second = wave.entry(after).or_insert(1);
                *second = (*second).max(first + 1);
            }
        }
        let mut names: Vec<&str> = wave.keys().copied().collect();
        names.sort_unstable();
        let builds: Vec<serde_json::Value> = names
            .iter()
            .map(|name| {
                serde_json::json!({"pkgbase": name, "pass": 1, "version": "1-1", "pkgrel": null,
                    "wave": wave[name], "nocheck": false, "pkgnames": [name], "refers_to": null,
                    "because": "changed", "unbuildable": null, "install": [], "assumed": []})
            })
            .collect();
        let edges: Vec<serde_json::Value> = pairs
            .iter()
            .map(|(before, after)| {
                serde_json::json!({"before": {"pkgbase": before, "pass": 1},
                    "after": {"pkgbase": after, "pass": 1}, "kind": "depends",
                    "relation": before, "through": [], "dropped": false})
            })
            .collect();
        let set: BuildSet = serde_json::from_value(serde_json::json!({"builds": builds,
            "edges": edges, "broken": [], "unresolved": [], "ambiguous": [], "risks": [],
            "critical_path": [], "waves": 1}))
        .unwrap();
        (set, names)
    }

    fn known(durations: &[(&str, &[i64])]) -> HashMap<String, Vec<i64>> {
        let each = durations.iter();
        each.map(|(name, recent)| (name.to_string(), recent.to_vec()))
            .collect()
    }

    /// The weights of the builds of such a set as `a 3+2`.
    fn shown(edges: &[&str], durations: &[(&str, &[i64])]) -> Vec<String> {
        let (set, names) = set_of(edges);
        weights(&set, &known(durations))
            .iter()
            .zip(names)
            .map(|(weight, name)| format!("{name} {}+{}", weight.remaining_ms, weight.unlocks))
            .collect()
    }

    #[test]
    fn the_longest_path_counts_and_each_dependent_once() {
        let durations: [(&str, &[i64]); 4] = [("a", &[1]), ("b", &[10]), ("c", &[2]), ("d", &[5])];
        let diamond = shown(&["a>b", "a>c", "b>d", "c>d"], &durations);
        assert_eq!(diamond, ["a 16+3", "b 15+1", "c 7+1", "d 5+0"]);
    }

    #[test]
    fn the_median_of_the_last_runs_counts_and_the_upper_quartile_of_all_for_the_unknown() {
        let durations: [(&str, &[i64]); 2] = [("a", &[3, 90, 4]), ("x", &[8])];
        assert_eq!(shown(&["a>b"], &durations), ["a 12+1", "b 8+0"]);
        let durations: [(&str, &[i64]); 4] = [("v", &[1]), ("x", &[2]), ("y", &[7]), ("z", &[9])];
        assert_eq!(shown(&["a>b"], &durations), ["a 18+1", "b 9+0"]);
        assert_eq!(shown(&["a>b"], &[]), ["a 600000+1", "b 300000+0"]);
    }

    #[test]
    fn of_chains_that_take_equally_long_names_decide() {
        let chain = |edges: &[&str], durations: &[(&str, &[i64])]| {
            let (mut set, _) = set_of(edges);
            foresee(&mut set, &known(durations), 1);
            let names: Vec<&str> = set
                .critical_path
                .iter()
                .map(|key| key.pkgbase.as_str())
                .collect();
            names.join(" ")
        };
        let edges = ["z>y", "z>b", "y>c", "b>d", "b>e"];
        assert_eq!(chain(&edges, &[]), "z b d");
        // The one that takes longest, not the one of the most builds.
        assert_eq!(
            chain(
                &["a>b", "b>c", "a>x"],
                &[("x", &[9]), ("b", &[1]), ("c", &[2])]
            ),
            "a x"
        );
    }

    #[test]
    fn an_estimate_is_the_longest_path_or_the_share_of_the_work() {
        let (mut set, _) = set_of(&["a>b", "a>c", "a>d", "a>e"]);
        let durations: [(&str, &[i64]); 4] =
            [("a", &[10]), ("b", &[20]), ("c", &[20]), ("d", &[40])];
        let durations = known(&durations);
        let at_least = |set: &BuildSet, slots| {
            let estimate = estimate(set, &weights(set, &durations), &durations, slots).unwrap();
            (estimate.work_ms, estimate.unknown, estimate.at_least_ms())
        };
        // `e` never ran, and counts as 40.
        assert_eq!(at_least(&set, 1), (130, 1, Some(130)));
        assert_eq!(at_least(&set, 2), (130, 1, Some(65)));
        assert_eq!(at_least(&set, 9), (130, 1, Some(50)));
        assert_eq!(at_least(&set, 0).2, None);
        let nothing = HashMap::new();
        assert_eq!(estimate(&set, &weights(&set, &nothing), &nothing, 2), None);
        // A build that another architecture carries out costs nothing here.
        set.builds[2].refers_to = Some("x86_64".parse().unwrap());
        assert_eq!(at_least(&set, 1).0, 110);
    }
}
