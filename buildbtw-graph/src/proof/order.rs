//! The order that the undropped edges of a plan make.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::flaw::Flaw;
use super::row::Row;
use crate::index::address;
use crate::names::PkgBase;
use crate::plan::{BuildKey, BuildSet, Decision};

/// The builds of a set by number: the first passes, by pkgbase, then the
/// second ones.
pub(super) struct Builds<'p> {
    pub set: &'p BuildSet,
    /// Where each build stands in the plan.
    pub at: Vec<usize>,
    /// The member that each build builds.
    pub member: Vec<u32>,
    /// The number of each member's second pass.
    pub second: Vec<Option<u32>>,
    numbers: FxHashMap<(&'p PkgBase, u8), u32>,
    /// The same by where the names stand in memory: edges mostly share them
    /// with the builds, and what stands in one place is equal.
    places: FxHashMap<(usize, u8), u32>,
}

fn place(pkgbase: &PkgBase, pass: u8) -> (usize, u8) {
    (address(pkgbase.as_str()), pass)
}

impl<'p> Builds<'p> {
    /// Numbers the builds; the set has each member's first pass exactly once.
    pub fn new(set: &'p BuildSet, flaws: &mut Vec<Flaw>) -> Self {
        let mut order: Vec<usize> = (0..set.builds.len()).collect();
        order.sort_by_key(|&at| (set.builds[at].pass, &set.builds[at].pkgbase));
        let mut builds = Builds {
            set,
            at: Vec::with_capacity(order.len()),
            member: Vec::with_capacity(order.len()),
            second: Vec::new(),
            numbers: FxHashMap::default(),
            places: FxHashMap::default(),
        };
        for at in order {
            let build = &set.builds[at];
            let number = builds.at.len() as u32;
            let first = builds.numbers.get(&(&build.pkgbase, 1)).copied();
            let known = builds.numbers.contains_key(&(&build.pkgbase, build.pass));
            match (build.pass, first) {
                (1, None) => {
                    builds.member.push(number);
                    builds.second.push(None);
                }
                (2, Some(first)) if !known => {
                    builds.member.push(first);
                    builds.second[first as usize] = Some(number);
                }
                _ => {
                    flaws.push(Flaw::ExtraPass { build: build.key() });
                    continue;
                }
            }
            builds.at.push(at);
            builds.numbers.insert((&build.pkgbase, build.pass), number);
            let place = place(&build.pkgbase, build.pass);
            builds.places.insert(place, number);
        }
        builds
    }

    pub fn number(&self, key: &BuildKey) -> Option<u32> {
        let known = self.places.get(&place(&key.pkgbase, key.pass));
        let by_name = || self.numbers.get(&(&key.pkgbase, key.pass));
        known.or_else(by_name).copied()
    }

    pub fn key(&self, number: usize) -> BuildKey {
        self.set.builds[self.at[number]].key()
    }

    pub fn pkgbase(&self, number: usize) -> &'p PkgBase {
        &self.set.builds[self.at[number]].pkgbase
    }

    /// The members that are built twice, with the number of their second pass.
    pub fn twice(&self) -> Vec<(usize, usize)> {
        let second = self.second.iter().enumerate();
        second
            .filter_map(|(member, second)| Some((member, (*second)? as usize)))
            .collect()
    }

    pub fn members(&self) -> usize {
        self.second.len()
    }

    /// What was decided about the members, as the builds show it.
    pub fn decisions(&self) -> Vec<Decision<'p>> {
        let one = |(member, second): (usize, &Option<u32>)| {
            let first = &self.set.builds[self.at[member]];
            let last = second.map_or(member, |second| second as usize);
            let last = &self.set.builds[self.at[last]];
            Decision {
                pkgbase: &first.pkgbase,
                version: &last.version,
                pkgrel: last.pkgrel.as_deref(),
                elsewhere: first.refers_to.is_some(),
            }
        };
        self.second.iter().enumerate().map(one).collect()
    }
}

/// Which build waits for which.
pub(super) struct Order {
    /// The builds that each build waits for by an edge of its own.
    pub direct: Vec<Vec<u32>>,
    /// The members that each build gives up.
    pub dropped: Vec<Vec<u32>>,
    /// The builds that each build waits for in any way.
    pub waits: Vec<Row>,
}

/// Follows the edges; `None` when they make no order.
pub(super) fn order(builds: &Builds<'_>, flaws: &mut Vec<Flaw>) -> Option<Order> {
    let count = builds.at.len();
    let mut order = Order {
        direct: vec![Vec::new(); count],
        dropped: vec![Vec::new(); count],
        waits: vec![Row::default(); count],
    };
    let edges = &builds.set.edges;
    let ends: Vec<(Option<u32>, Option<u32>)> = edges
        .par_iter()
        .map(|edge| (builds.number(&edge.before), builds.number(&edge.after)))
        .collect();
    for (edge, ends) in edges.iter().zip(ends) {
        let (Some(before), Some(after)) = ends else {
            flaws.push(Flaw::EdgeOutside {
                before: edge.before.clone(),
                after: edge.after.clone(),
            });
            continue;
        };
        if edge.dropped {
            order.dropped[after as usize].push(builds.member[before as usize]);
        } else {
            order.direct[after as usize].push(before);
        }
    }
    let mut open: Vec<usize> = order.direct.iter().map(Vec::len).collect();
    let mut later: Vec<Vec<u32>> = vec![Vec::new(); count];
    for (after, direct) in order.direct.iter().enumerate() {
        direct
            .iter()
            .for_each(|&before| later[before as usize].push(after as u32));
    }
    let mut ready: Vec<usize> = (0..count).filter(|&build| open[build] == 0).collect();
    let mut waves = vec![1; count];
    let mut done = 0;
    while let Some(build) = ready.pop() {
        done += 1;
        let mut row = Row::new(count);
        for &before in &order.direct[build] {
            row.absorb(&order.waits[before as usize]);
            row.add(before as usize);
        }
        order.waits[build] = row;
        for &after in &later[build] {
            let after = after as usize;
            waves[after] = waves[after].max(waves[build] + 1);
            open[after] -= 1;
            if open[after] == 0 {
                ready.push(after);
            }
        }
    }
    if done < count {
        let builds = cycle(&order.direct, &open)
            .into_iter()
            .map(|b| builds.key(b))
            .collect();
        flaws.push(Flaw::Cycle { builds });
        return None;
    }
    check_lengths(builds, &order, &waves, flaws);
    Some(order)
}

/// One cycle among the builds that never became ready.
fn cycle(direct: &[Vec<u32>], open: &[usize]) -> Vec<usize> {
    let stuck = |build: &usize| open[*build] > 0;
    let mut path: Vec<usize> = Vec::new();
    let mut next = (0..open.len()).find(stuck);
    while let Some(build) = next {
        if let Some(start) = path.iter().position(|&known| known == build) {
            path.drain(..start);
            return path;
        }
        path.push(build);
        next = direct[build]
            .iter()
            .map(|&before| before as usize)
            .find(stuck);
    }
    path
}

fn check_lengths(builds: &Builds<'_>, order: &Order, waves: &[u32], flaws: &mut Vec<Flaw>) {
    for (number, &expected) in waves.iter().enumerate() {
        let wave = builds.set.builds[builds.at[number]].wave;
        if wave != expected {
            let build = builds.key(number);
            flaws.push(Flaw::WrongWave {
                build,
                wave,
                expected,
            });
        }
    }
    let longest = waves.iter().copied().max().unwrap_or(0);
    if builds.set.waves != longest {
        flaws.push(Flaw::WrongLength {
            what: "the number of waves",
        });
    }
    let path: Option<Vec<u32>> = builds
        .set
        .critical_path
        .iter()
        .map(|key| builds.number(key))
        .collect();
    let holds = path.is_some_and(|path| {
        let follows = |pair: &[u32]| order.direct[pair[1] as usize].contains(&pair[0]);
        path.len() == longest as usize && path.windows(2).all(follows)
    });
    if !holds {
        flaws.push(Flaw::WrongLength {
            what: "the critical path",
        });
    }
}
