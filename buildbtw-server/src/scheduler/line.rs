//! In which order what is ready is handed out if nothing else becomes ready: the namespaces take turns by
//! their shares, each with what comes next in itself.

use std::collections::HashMap;

use buildbtw_graph::Architecture;

use super::{ReadyBuild, Share, Situation};

/// When a build of a namespace has its turn; the smallest is next.
type Turn = ((u64, i64), i64);

/// The turn of a namespace when so many more of its builds are handed out.
fn turn(namespace: i64, share: Share, place: u32, virtual_time: i64) -> Turn {
    let then = Share {
        running: share.running.saturating_add(place),
        ..share
    };
    (then.turn(virtual_time), namespace)
}

/// How much a namespace has ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// The namespace.
    pub namespace: i64,
    /// What it has of the workers, and had.
    pub share: Share,
    /// How many of its builds are ready.
    pub ready: u32,
}

/// How many ready builds are handed out before one of a namespace, before which so many of the same namespace
/// come: those, and what the others get meanwhile.
pub fn handed_out_before(queues: &[Queue], namespace: i64, place: u32, virtual_time: i64) -> u32 {
    let own = queues.iter().find(|queue| queue.namespace == namespace);
    let share = own.map_or_else(Share::default, |queue| queue.share);
    let at = turn(namespace, share, place, virtual_time);
    let others = queues.iter().filter(|queue| queue.namespace != namespace);
    let before = others.map(|queue| {
        // Each has its turn later than the one before, so the first that does not come earlier is looked for.
        let (mut from, mut to) = (0, queue.ready);
        while from < to {
            let middle = from + (to - from) / 2;
            match turn(queue.namespace, queue.share, middle, virtual_time) < at {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        from
    });
    before.fold(place, u32::saturating_add)
}

impl<K: Copy + Ord> Situation<K> {
    /// All that is ready, for one architecture or all of them, in the order in which it is handed out if nothing
    /// else becomes ready.
    pub fn line(&self, architecture: Option<&Architecture>) -> Vec<K> {
        let ready = self.ready.iter();
        let ready = ready.filter(|build| architecture.is_none_or(|on| build.architecture == *on));
        let mut places: HashMap<i64, u32> = HashMap::new();
        let line = self.in_order(ready.collect());
        let mut line: Vec<_> = line
            .into_iter()
            .map(|build: &ReadyBuild<K>| {
                let place = places.entry(build.namespace).or_default();
                let share = self.share(build.namespace);
                let turn = turn(build.namespace, share, *place, self.virtual_time);
                *place += 1;
                ((!build.evidence, turn), build.key)
            })
            .collect();
        // What has the same turn stays as it is.
        line.sort_by_key(|(turn, _)| *turn);
        line.into_iter().map(|(_, key)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(namespace: i64, running: u32, weight: u32, served: i64, ready: u32) -> Queue {
        let share = Share {
            running,
            weight,
            served,
        };
        Queue {
            namespace,
            share,
            ready,
        }
    }

    #[test]
    fn others_come_before_it_by_their_weights_and_never_more_than_they_have() {
        let before = |queues: &[Queue], place| handed_out_before(queues, 1, place, 0);
        let alone = [queue(1, 0, 1, 0, 30)];
        assert_eq!(before(&alone, 20), 20);
        // Whoever of the two is served next, it differs by one build at most.
        for served in [0, 99] {
            let two = [queue(1, 1, 1, 50, 30), queue(2, 1, 1, served, 200)];
            assert!((40..=41).contains(&before(&two, 20)), "{served}");
        }
        let few = [queue(1, 1, 1, 0, 30), queue(2, 1, 1, 0, 5)];
        assert_eq!(before(&few, 20), 25);
        let heavy = [queue(1, 0, 1, 0, 30), queue(2, 0, 3, 0, 200)];
        assert!((80..=81).contains(&before(&heavy, 20)));
        // Who has four of the slots waits until the other has as many.
        let large = [queue(1, 0, 1, 0, 3), queue(2, 4, 1, 0, 200)];
        assert_eq!(before(&large, 2), 2);
    }
}
