//! Packages that pacman does not install together: those that conflict, and
//! targets of one name.

use rustc_hash::{FxHashMap, FxHashSet};

use super::lacks::assumed;
use super::packages::Packages;
use super::parts::parts;
use super::row::Row;
use crate::names::PkgName;
use crate::plan::PlannedBuild;
use crate::relation::{Provision, Relation};

/// A node that refuses another one, by which of its conflicts it does so, and
/// the other one.
type Pair = (u32, usize, u32);

/// Which packages of a graph do not stand beside each other.
pub(super) struct Conflicts<'p, 'w> {
    packages: &'p Packages<'w>,
    pairs: Vec<Pair>,
    /// Whether a node is one of several with its name.
    ambiguous: Vec<bool>,
    /// For each node in a pair, by its place in the list of them, the places of
    /// the others.
    against: Vec<Row>,
    part: Vec<u32>,
    /// The nodes of pairs that each part brings along, as places.
    brings: Vec<Row>,
}

impl<'p, 'w> Conflicts<'p, 'w> {
    /// Finds the pairs, and what leads to them. Most packages are in none.
    pub fn new(packages: &'p Packages<'w>) -> Self {
        let pairs = pairs(packages);
        let mut quarrelling: Vec<u32> = pairs.iter().flat_map(|&(a, _, b)| [a, b]).collect();
        quarrelling.sort_unstable();
        quarrelling.dedup();
        let place = |node: u32| quarrelling.binary_search(&node).ok();
        let mut against = vec![Row::new(quarrelling.len()); quarrelling.len()];
        for &(one, _, other) in &pairs {
            if let (Some(one), Some(other)) = (place(one), place(other)) {
                against[one].add(other);
                against[other].add(one);
            }
        }
        let parts = parts(packages.nodes.len(), |node| &packages.nodes[node].chosen);
        let mut brings: Vec<Row> = Vec::with_capacity(parts.ends.len());
        let mut start = 0;
        for (number, &end) in parts.ends.iter().enumerate() {
            let mut row = Row::new(quarrelling.len());
            for &node in &parts.nodes[start..end as usize] {
                place(node).into_iter().for_each(|place| row.add(place));
                for &next in &packages.nodes[node as usize].chosen {
                    let next = parts.of[next as usize] as usize;
                    if next != number {
                        row.absorb(&brings[next]);
                    }
                }
            }
            start = end as usize;
            brings.push(row);
        }
        Conflicts {
            packages,
            pairs,
            ambiguous: ambiguous(packages),
            against,
            part: parts.of,
            brings,
        }
    }

    /// Two packages of a build's installation that pacman refuses to install
    /// together, if there are any.
    pub fn conflict(&self, member: usize, build: &PlannedBuild) -> Option<[&'w PkgName; 2]> {
        let chosen = self.packages.chosen_targets(member, build);
        // pacman does not even begin with two targets of one name.
        let name = |node: u32| self.packages.nodes[node as usize].pkg.name();
        let mut unclear: Vec<u32> = chosen.clone();
        unclear.retain(|&node| self.ambiguous[node as usize]);
        unclear.sort_unstable_by_key(|&node| (name(node), node));
        unclear.dedup();
        let mut neighbours = unclear.windows(2);
        if let Some(two) = neighbours.find(|two| name(two[0]) == name(two[1])) {
            return Some([name(two[0]), name(two[1])]);
        }
        let mut row = Row::new(self.against.len());
        for &node in &chosen {
            row.absorb(&self.brings[self.part[node as usize] as usize]);
        }
        // More than pacman installs: it takes what is there already before
        // what it would choose, and stops at the build's own packages.
        let suspicious = row.from(0).any(|place| self.against[place].meets(&row));
        suspicious.then(|| {
            let transaction = Transaction::of(self.packages, member, &chosen, build);
            transaction.conflict(&self.pairs)
        })?
    }
}

fn ambiguous(packages: &Packages<'_>) -> Vec<bool> {
    let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
    let name = |number: usize| packages.nodes[number].pkg.name().as_str();
    let all = 0..packages.nodes.len();
    all.clone()
        .for_each(|number| *counts.entry(name(number)).or_default() += 1);
    all.map(|number| counts[name(number)] > 1).collect()
}

fn pairs(packages: &Packages<'_>) -> Vec<Pair> {
    let on = packages.on;
    let mut refused: FxHashMap<&str, Vec<(u32, usize, &Relation)>> = FxHashMap::default();
    for (number, node) in packages.nodes.iter().enumerate() {
        for (by, relation) in node.pkg.conflicts(on).enumerate() {
            let entry = refused.entry(relation.name.as_str()).or_default();
            entry.push((number as u32, by, relation));
        }
    }
    let mut pairs = Vec::new();
    for (number, node) in packages.nodes.iter().enumerate() {
        for name in node.pkg.names(on) {
            for &(other, by, relation) in refused.get(name).into_iter().flatten() {
                let refuses = packages.nodes[other as usize].pkg;
                // A package may provide what it refuses to others.
                if refuses.name() != node.pkg.name() && node.pkg.does(relation, on) {
                    pairs.push((other, by, number as u32));
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// What pacman does with a build's targets.
struct Transaction<'p, 'w> {
    packages: &'p Packages<'w>,
    /// What pacman is told to take as installed.
    assumed: Vec<Provision>,
    /// In the order in which pacman comes to them.
    taken: Vec<u32>,
    /// What was taken, by every name it goes by.
    named: FxHashMap<&'w str, Vec<u32>>,
    names: FxHashSet<&'w str>,
}

impl<'p, 'w> Transaction<'p, 'w> {
    fn of(
        packages: &'p Packages<'w>,
        member: usize,
        targets: &[u32],
        build: &PlannedBuild,
    ) -> Self {
        let mut transaction = Transaction {
            packages,
            assumed: assumed(build).collect(),
            taken: Vec::new(),
            named: FxHashMap::default(),
            names: FxHashSet::default(),
        };
        for &target in targets {
            transaction.install(target, member as u32, targets);
        }
        transaction
    }

    fn take(&mut self, number: u32) -> bool {
        let pkg = self.packages.nodes[number as usize].pkg;
        if !self.names.insert(pkg.name().as_str()) {
            return false;
        }
        self.taken.push(number);
        for name in pkg.names(self.packages.on) {
            self.named.entry(name).or_default().push(number);
        }
        true
    }

    fn does(&self, number: u32, relation: &Relation) -> bool {
        let pkg = self.packages.nodes[number as usize].pkg;
        pkg.does(relation, self.packages.on)
    }

    fn is_met(&self, relation: &Relation) -> bool {
        let known = self.named.get(relation.name.as_str());
        known.is_some_and(|known| known.iter().any(|&number| self.does(number, relation)))
            || self
                .assumed
                .iter()
                .any(|provision| relation.satisfied_by_provision(provision))
    }

    /// Installs a package with its needs. Whatever is there already, or was
    /// asked for, comes before anything else.
    fn install(&mut self, target: u32, member: u32, targets: &[u32]) {
        let packages = self.packages;
        let needs = |number: u32| packages.nodes[number as usize].pkg.depends(packages.on);
        if !self.take(target) {
            return;
        }
        let mut open = vec![(target, needs(target))];
        while let Some((number, left)) = open.last_mut() {
            let number = *number;
            let own = packages.nodes[number as usize].member == Some(member);
            let Some(relation) = left.next().filter(|_| !own) else {
                open.pop();
                continue;
            };
            if self.does(number, relation) || self.is_met(relation) {
                continue;
            }
            let wanted = targets
                .iter()
                .copied()
                .find(|&other| self.does(other, relation));
            if let Some(next) = wanted.or_else(|| packages.led_to(relation))
                && self.take(next)
            {
                open.push((next, needs(next)));
            }
        }
    }

    /// Leaves out what another package stands in for, as pacman does, and says
    /// which two remain that cannot be installed together.
    fn conflict(mut self, pairs: &[Pair]) -> Option<[&'w PkgName; 2]> {
        let pkg = |number: u32| self.packages.nodes[number as usize].pkg;
        let on = self.packages.on;
        let here = |node: u32| self.taken.iter().position(|&number| number == node);
        let mut met: Vec<((usize, usize, usize), u32, u32)> = pairs
            .iter()
            .filter_map(|&(one, by, other)| Some(((here(one)?, by, here(other)?), one, other)))
            .collect();
        // As pacman comes to them: what is left out before conflicts no more.
        met.sort_unstable();
        for (_, one, other) in met {
            if !self.taken.contains(&one) || !self.taken.contains(&other) {
                continue;
            }
            let stands_for = |a: u32, b: u32| {
                let name = pkg(b).name().as_str().to_owned();
                let constraint = None;
                pkg(a).does(&Relation { name, constraint }, on)
            };
            let pair = Some([pkg(one).name(), pkg(other).name()]);
            let out = match (stands_for(one, other), stands_for(other, one)) {
                (true, _) => other,
                (_, true) => one,
                _ => return pair,
            };
            self.taken.retain(|&number| number != out);
            // What stands in may be too old for somebody.
            let met = |relation: &Relation| {
                let mut taken = self.taken.iter();
                !pkg(out).does(relation, on) || taken.any(|&number| pkg(number).does(relation, on))
            };
            let mut users = self.taken.iter();
            if !users.all(|&number| pkg(number).depends(on).all(met)) {
                return pair;
            }
        }
        None
    }
}
