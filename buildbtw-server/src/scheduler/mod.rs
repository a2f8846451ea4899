//! The decision which ready build a worker gets next: a pure function of what is ready and what
//! the worker offers. It reads no clock and no database.

pub mod explain;
mod weights;

use std::cmp::Reverse;

use buildbtw_graph::Architecture;

pub use weights::{Weight, weights};

/// A build that may be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyBuild<K> {
    /// What names it to the caller.
    pub key: K,
    /// Its architecture.
    pub architecture: Architecture,
    /// Its namespace.
    pub namespace: i64,
    /// How many builds of its namespace are handed out already.
    pub running_in_namespace: u32,
    /// What its turn goes by inside its namespace.
    pub weight: Weight,
    /// Since when it is ready; smaller is longer.
    pub ready_since: i64,
}

/// The builds that a worker can carry out, best first.
///
/// Namespaces with fewer running builds come first, so that a large one does not starve a small
/// one: one that has nothing running gets the next slot that is free. Within a namespace the longest
/// path comes first, then what most others wait for, then what is ready for longest.
pub fn candidates<K: Copy + Ord>(
    ready: &[ReadyBuild<K>],
    architectures: &[Architecture],
) -> Vec<K> {
    let mut fitting: Vec<&ReadyBuild<K>> = ready
        .iter()
        .filter(|build| architectures.contains(&build.architecture))
        .collect();
    fitting.sort_by_key(|build| {
        (
            build.running_in_namespace,
            build.namespace,
            Reverse(build.weight.remaining_ms),
            Reverse(build.weight.unlocks),
            build.ready_since,
            build.key,
        )
    });
    fitting.into_iter().map(|build| build.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(key: u32, namespace: i64, running: u32, remaining_ms: i64) -> ReadyBuild<u32> {
        ReadyBuild {
            key,
            architecture: "x86_64".parse().unwrap(),
            namespace,
            running_in_namespace: running,
            weight: Weight {
                remaining_ms,
                unlocks: 0,
            },
            ready_since: 1,
        }
    }

    fn order(ready: &[ReadyBuild<u32>]) -> Vec<u32> {
        candidates(ready, &["x86_64".parse().unwrap()])
    }

    #[test]
    fn a_small_namespace_is_served_beside_a_large_one() {
        let ready = [build(1, 1, 4, 99), build(2, 1, 4, 90), build(3, 2, 0, 5)];
        assert_eq!(order(&ready), [3, 1, 2]);
    }

    #[test]
    fn the_longest_path_comes_first_then_what_most_wait_for_then_age() {
        let mut ready = [
            build(1, 1, 0, 5),
            build(2, 1, 0, 9),
            build(3, 1, 0, 5),
            build(4, 1, 0, 5),
        ];
        ready[2].weight.unlocks = 7;
        ready[3].ready_since = 0;
        assert_eq!(order(&ready), [2, 3, 4, 1]);
    }

    #[test]
    fn a_worker_of_another_architecture_gets_nothing() {
        assert!(candidates(&[build(1, 1, 0, 0)], &["aarch64".parse().unwrap()]).is_empty());
    }
}
