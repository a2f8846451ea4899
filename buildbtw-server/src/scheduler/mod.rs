//! The decision which ready build a worker gets next: a pure function of what is ready and what
//! the worker offers. It reads no clock and no database.

pub mod explain;

use buildbtw_graph::Architecture;

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
    /// Its wave.
    pub wave: u32,
    /// Since when it is ready; smaller is longer.
    pub ready_since: i64,
}

/// The builds that a worker can carry out, best first.
///
/// Namespaces with fewer running builds come first, so that a large one does not starve a small
/// one; within a namespace, earlier waves come first, then those that are ready for longest.
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
            build.wave,
            build.ready_since,
            build.key,
        )
    });
    fitting.into_iter().map(|build| build.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(
        key: u32,
        namespace: i64,
        running: u32,
        wave: u32,
        ready_since: i64,
    ) -> ReadyBuild<u32> {
        ReadyBuild {
            key,
            architecture: "x86_64".parse().unwrap(),
            namespace,
            running_in_namespace: running,
            wave,
            ready_since,
        }
    }

    #[test]
    fn a_small_namespace_is_served_beside_a_large_one() {
        let ready = [
            build(1, 1, 4, 0, 1),
            build(2, 1, 4, 0, 1),
            build(3, 2, 0, 5, 9),
        ];
        assert_eq!(candidates(&ready, &["x86_64".parse().unwrap()]), [3, 1, 2]);
    }

    #[test]
    fn earlier_waves_come_first() {
        let ready = [
            build(1, 1, 0, 2, 1),
            build(2, 1, 0, 1, 7),
            build(3, 1, 0, 1, 3),
        ];
        assert_eq!(candidates(&ready, &["x86_64".parse().unwrap()]), [3, 2, 1]);
    }

    #[test]
    fn a_worker_of_another_architecture_gets_nothing() {
        assert!(candidates(&[build(1, 1, 0, 0, 0)], &["aarch64".parse().unwrap()]).is_empty());
    }
}
