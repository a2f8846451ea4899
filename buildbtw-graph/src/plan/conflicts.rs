//! Installations that pacman refuses because two packages conflict, or because
//! two targets lead to different packages of one name.
//!
//! Few packages of a build set conflict with another one of it. Which of those
//! an installation may contain is worked out for all builds at once; only where
//! two meet is it worked out what pacman would really install: it takes what
//! is in the transaction already before what it would choose otherwise, and of
//! two packages that conflict it leaves out the one that the other provides.

use std::collections::HashMap;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::bits::Bits;
use super::components::components;
use super::graph::{Graph, Root};
use super::mixed::Mixed;
use super::worlds::{Package, World, resolve};
use crate::relation::{Provision, Relation};

/// Two packages that cannot be installed together, each with the relation of
/// the build that leads to it.
pub(super) struct Conflict<'a> {
    pub one: (Package<'a>, &'a Relation),
    pub other: (Package<'a>, &'a Relation),
}

/// The conflicts among the packages of a graph.
pub(super) struct Conflicts {
    /// Pairs of nodes; the first one says that it conflicts, in the relation
    /// of that number.
    pairs: Vec<(u32, u32, u32)>,
    /// The nodes that share their name with others.
    namesakes: FxHashSet<u32>,
    /// What each package brings along of the packages in pairs, each package
    /// by the number it has among them.
    reach: Vec<Bits>,
    part: Vec<u32>,
    /// The pairs as such numbers.
    numbered: Vec<(usize, usize)>,
    count: usize,
}

impl Conflicts {
    /// Finds all pairs of packages that conflict.
    pub fn new(graph: &Graph<'_>, mixed: &Mixed<'_>) -> Self {
        let pairs = conflicting_pairs(graph, mixed);
        let mut numbers: HashMap<u32, usize, FxBuildHasher> = HashMap::default();
        let mut number = |node: u32| {
            let next = numbers.len();
            *numbers.entry(node).or_insert(next)
        };
        let numbered: Vec<(usize, usize)> = pairs
            .iter()
            .map(|&(one, _, other)| (number(one), number(other)))
            .collect();
        let count = numbers.len();
        let (mut reach, mut part) = (Vec::new(), Vec::new());
        if count > 0 {
            let parts = components(graph.nodes.len(), |node, at| {
                let next = graph.nodes[node].strong.get(at);
                next.map(|&next| (next as usize, at + 1))
            });
            for (number, nodes) in parts.members().into_iter().enumerate() {
                let mut row = Bits::new(count);
                for node in nodes {
                    if let Some(&own) = numbers.get(&node) {
                        row.insert(own);
                    }
                    let strong = graph.nodes[node as usize].strong.iter();
                    let others = strong.map(|&next| parts.of[next as usize] as usize);
                    others
                        .filter(|&other| other != number)
                        .for_each(|other| row.unite(&reach[other]));
                }
                reach.push(row);
            }
            part = parts.of;
        }
        Conflicts {
            pairs,
            namesakes: namesakes(graph),
            reach,
            part,
            numbered,
            count,
        }
    }

    /// The first conflict that pacman would meet when it installs what some
    /// relations of a member's build lead to.
    pub fn find<'a>(
        &self,
        member: u32,
        roots: &[&Root<'a>],
        assumed: &[Provision],
        graph: &Graph<'a>,
        mixed: &Mixed<'a>,
    ) -> Option<Conflict<'a>> {
        if let Some(twice) = self.twice(roots, graph) {
            return Some(twice);
        }
        let mut row = Bits::new(self.count);
        if self.count > 0 {
            for node in roots.iter().filter_map(|root| root.chosen) {
                row.unite(&self.reach[self.part[node as usize] as usize]);
            }
        }
        let both = |&&(one, other): &&(usize, usize)| row.contains(one) && row.contains(other);
        self.numbered.iter().find(both)?;
        let mut transaction = Transaction {
            mixed,
            member,
            targets: Vec::new(),
            assumed,
            taken: Vec::new(),
            names: FxHashSet::default(),
            by_name: HashMap::default(),
        };
        for root in roots {
            if let Some(chosen) = root.chosen {
                let package = graph.nodes[chosen as usize].package;
                transaction.targets.push((package, root.relation));
            }
        }
        transaction.fill();
        let package = |node: u32| graph.nodes[node as usize].package;
        let pairs = self.pairs.iter();
        transaction.conflict(pairs.map(|&(one, by, other)| (package(one), by, package(other))))
    }

    /// Two targets that lead to different packages of one name, which pacman
    /// refuses before it looks at anything else.
    fn twice<'a>(&self, roots: &[&Root<'a>], graph: &Graph<'a>) -> Option<Conflict<'a>> {
        if self.namesakes.is_empty() {
            return None;
        }
        let mut met: Vec<(Package<'a>, &Relation)> = Vec::new();
        for root in roots {
            let Some(node) = root.chosen.filter(|node| self.namesakes.contains(node)) else {
                continue;
            };
            let package = graph.nodes[node as usize].package;
            let mut known = met.iter();
            match known.find(|(known, _)| known.pkgname() == package.pkgname()) {
                Some(&one) if !one.0.is(package) => {
                    let other = (package, root.relation);
                    return Some(Conflict { one, other });
                }
                _ => met.push((package, root.relation)),
            }
        }
        None
    }
}

fn namesakes(graph: &Graph<'_>) -> FxHashSet<u32> {
    let mut found = FxHashSet::default();
    let mut names: HashMap<&str, u32, FxBuildHasher> = HashMap::default();
    for (number, node) in graph.nodes.iter().enumerate() {
        let number = number as u32;
        let first = *names
            .entry(node.package.pkgname().as_str())
            .or_insert(number);
        if first != number {
            found.extend([first, number]);
        }
    }
    found
}

fn conflicting_pairs(graph: &Graph<'_>, mixed: &Mixed<'_>) -> Vec<(u32, u32, u32)> {
    let on = mixed.on();
    let mut unwanted: HashMap<&str, Vec<(u32, u32, &Relation)>, FxBuildHasher> = HashMap::default();
    for (number, node) in graph.nodes.iter().enumerate() {
        for (by, relation) in (0..).zip(node.package.conflicts(on)) {
            let known = unwanted.entry(&relation.name).or_default();
            known.push((number as u32, by, relation));
        }
    }
    let mut pairs = Vec::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        for name in node.package.names(on) {
            for &(other, by, relation) in unwanted.get(name).map_or(&[][..], Vec::as_slice) {
                // Nothing conflicts with itself by what it provides.
                let itself = graph.nodes[other as usize].package.pkgname();
                if node.package.pkgname() != itself && node.package.satisfies(relation, on) {
                    pairs.push((other, by, number as u32));
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// What pacman installs for some targets.
struct Transaction<'t, 'a> {
    mixed: &'t Mixed<'a>,
    member: u32,
    targets: Vec<(Package<'a>, &'a Relation)>,
    /// What pacman takes for installed.
    assumed: &'t [Provision],
    /// What it installs, with the relation of the build that led there.
    taken: Vec<(Package<'a>, &'a Relation)>,
    names: FxHashSet<&'a str>,
    by_name: HashMap<&'a str, Vec<Package<'a>>, FxBuildHasher>,
}

impl<'a> Transaction<'_, 'a> {
    fn fill(&mut self) {
        for (target, root) in self.targets.clone() {
            // Depth first: packages with the relations that are left of them.
            let mut stack: Vec<(Package<'a>, Vec<&'a Relation>)> = Vec::new();
            stack.extend(self.take(target, root));
            while let Some((package, left)) = stack.last_mut() {
                let package = *package;
                let Some(relation) = left.pop() else {
                    stack.pop();
                    continue;
                };
                let does = |package: Package<'a>| package.satisfies(relation, self.mixed.on());
                if does(package) || self.is_met(relation) {
                    continue;
                }
                let mut targets = self.targets.iter().map(|&(target, _)| target);
                let wanted = targets.find(|&target| does(target));
                let found = wanted.or_else(|| resolve(self.mixed, relation).chosen);
                stack.extend(found.and_then(|found| self.take(found, root)));
            }
        }
    }

    /// Installs a package, unless one of its name is there already; answers
    /// with what it needs, the first one last.
    fn take(
        &mut self,
        package: Package<'a>,
        root: &'a Relation,
    ) -> Option<(Package<'a>, Vec<&'a Relation>)> {
        if !self.names.insert(package.pkgname().as_str()) {
            return None;
        }
        let on = self.mixed.on();
        self.taken.push((package, root));
        for name in package.names(on) {
            self.by_name.entry(name).or_default().push(package);
        }
        // The closure stops at the build's own packages.
        let own = self.mixed.member_of(package) == Some(self.member);
        let mut needs: Vec<&Relation> = package.depends(on).filter(|_| !own).collect();
        needs.reverse();
        Some((package, needs))
    }

    fn is_met(&self, relation: &Relation) -> bool {
        let named = self.by_name.get(relation.name.as_str());
        let mut named = named.into_iter().flatten();
        named.any(|package| package.satisfies(relation, self.mixed.on()))
            || self
                .assumed
                .iter()
                .any(|provision| relation.satisfied_by_provision(provision))
    }

    /// Leaves out what others provide, and answers with the first conflict
    /// that cannot be solved so.
    fn conflict(
        mut self,
        pairs: impl Iterator<Item = (Package<'a>, u32, Package<'a>)>,
    ) -> Option<Conflict<'a>> {
        let on = self.mixed.on();
        let place = |wanted: Package<'a>| {
            let mut taken = self.taken.iter();
            taken.position(|(package, _)| package.is(wanted))
        };
        // pacman meets them in the order of the transaction, and of each
        // package's conflicts.
        let mut met: Vec<(usize, u32, usize)> = pairs
            .filter_map(|(one, by, other)| Some((place(one)?, by, place(other)?)))
            .collect();
        met.sort_unstable();
        let all = self.taken.clone();
        for (one, _, other) in met {
            let (one, other) = (all[one], all[other]);
            let is_left = |wanted: Package<'a>| {
                let mut taken = self.taken.iter();
                taken.any(|(package, _)| package.is(wanted))
            };
            if !is_left(one.0) || !is_left(other.0) {
                continue;
            }
            let conflict = Some(Conflict { one, other });
            let out = if stands_in(one.0, other.0, self.mixed) {
                other.0
            } else if stands_in(other.0, one.0, self.mixed) {
                one.0
            } else {
                return conflict;
            };
            self.taken.retain(|(package, _)| !package.is(out));
            // Whoever stands in may do less than what it takes the place of.
            let lost = |relation: &&Relation| {
                let mut left = self.taken.iter();
                out.satisfies(relation, on)
                    && !left.any(|(package, _)| package.satisfies(relation, on))
            };
            let mut needs = self
                .taken
                .iter()
                .flat_map(|(package, _)| package.depends(on));
            if needs.any(|relation| lost(&relation)) {
                return conflict;
            }
        }
        None
    }
}

/// Whether a package provides another one's name.
fn stands_in<'a>(package: Package<'a>, other: Package<'a>, mixed: &Mixed<'a>) -> bool {
    let name = Relation {
        name: other.pkgname().to_string(),
        constraint: None,
    };
    package.satisfies(&name, mixed.on())
}
