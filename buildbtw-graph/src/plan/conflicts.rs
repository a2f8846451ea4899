//! Installations that pacman refuses because two packages conflict, or because
//! it would need two packages of one name.
//!
//! Few packages of a build set conflict with another one of it, or share its
//! name. Which of those
//! an installation may contain is worked out for all builds at once; only where
//! two meet is it worked out what pacman would really install: it takes what
//! is in the transaction already before what it would choose otherwise, and of
//! two packages that conflict it leaves out the one that the other provides.

use std::collections::HashMap;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::bits::Bits;
use super::components::Components;
use super::graph::{Graph, Node, Root};
use super::mixed::Mixed;
use super::worlds::{Package, Resolution, World, resolve};
use crate::relation::{Provision, Relation};

/// Two packages that cannot be installed together, each with the relation of
/// the build that leads to it.
#[derive(Clone, Copy)]
pub(super) struct Conflict<'a> {
    pub one: (Package<'a>, &'a Relation),
    pub other: (Package<'a>, &'a Relation),
}

/// The packages of a graph that quarrel: they conflict, or have one name. Each
/// has a number among them.
pub(super) struct Conflicts {
    /// By part of the graph, what it brings along of them.
    reach: Vec<Company>,
    part: Vec<u32>,
    /// How many there are.
    count: usize,
}

/// Some packages that quarrel, with all that they quarrel with: whether two of
/// them do is one look, however many they are.
#[derive(Clone, Default)]
struct Company {
    members: Bits,
    against: Bits,
}

impl Company {
    fn new(count: usize) -> Self {
        Company {
            members: Bits::new(count),
            against: Bits::new(count),
        }
    }

    fn unite(&mut self, other: &Company) {
        self.members.unite(&other.members);
        self.against.unite(&other.against);
    }

    fn quarrels(&self) -> bool {
        self.members.meets(&self.against)
    }
}

impl Conflicts {
    /// Finds all pairs of packages that quarrel.
    pub fn new(graph: &Graph<'_>, parts: &Components, mixed: &Mixed<'_>) -> Self {
        let mut pairs = conflicting_pairs(graph, mixed);
        pairs.extend(namesakes(graph));
        let mut numbers: HashMap<u32, usize, FxBuildHasher> = HashMap::default();
        let mut number = |node: u32| {
            let next = numbers.len();
            *numbers.entry(node).or_insert(next)
        };
        let pairs: Vec<(usize, usize)> = pairs
            .iter()
            .map(|&(one, other)| (number(one), number(other)))
            .collect();
        let count = numbers.len();
        let mut alone = vec![Company::new(count); count];
        for (one, other) in pairs {
            for (one, other) in [(one, other), (other, one)] {
                alone[one].members.insert(one);
                alone[one].against.insert(other);
            }
        }
        let (mut reach, mut part) = (Vec::new(), Vec::new());
        if count > 0 {
            let of = &parts.of;
            for (number, nodes) in parts.members().iter().enumerate() {
                if !nodes.iter().any(|&node| graph.is_installed[node as usize]) {
                    reach.push(Company::default());
                    continue;
                }
                let mut row = Company::new(count);
                for &node in nodes {
                    if let Some(&own) = numbers.get(&node) {
                        row.unite(&alone[own]);
                    }
                    let strong = graph.nodes[node as usize].strong.iter();
                    let others = strong.map(|&next| of[next as usize] as usize);
                    others
                        .filter(|&other| other != number)
                        .for_each(|other| row.unite(&reach[other]));
                }
                reach.push(row);
            }
            part.clone_from(of);
        }
        Conflicts { reach, part, count }
    }

    /// The first conflict that pacman would meet when it installs what some
    /// relations of a member's build lead to.
    pub fn find<'a>(
        &self,
        member: u32,
        roots: &[Root<'_, 'a>],
        assumed: &[Provision],
        graph: &Graph<'a>,
        mixed: &Mixed<'a>,
    ) -> Option<Conflict<'a>> {
        if self.count == 0 {
            return None;
        }
        let mut company = Company::new(self.count);
        for node in roots.iter().filter_map(|root| root.to.chosen) {
            company.unite(&self.reach[self.part[node as usize] as usize]);
        }
        if !company.quarrels() {
            return None;
        }
        let mut transaction = Transaction {
            graph,
            mixed,
            member,
            targets: Vec::new(),
            target_names: FxHashSet::default(),
            assumed,
            taken: Vec::with_capacity(ROOM),
            names: FxHashSet::with_capacity_and_hasher(ROOM, FxBuildHasher),
            by_name: HashMap::with_capacity_and_hasher(4 * ROOM, FxBuildHasher),
            met: Bits::new(mixed.index().relations()),
            open: Vec::new(),
            detour: None,
        };
        for root in roots {
            if let Some(chosen) = root.to.chosen {
                let package = graph.nodes[chosen as usize].package;
                transaction.targets.push((package, root.to.relation));
                transaction.target_names.extend(package.names(mixed.on()));
            }
        }
        if let Some(twice) = transaction.twice() {
            return Some(twice);
        }
        transaction.fill();
        transaction.unmet().or_else(|| transaction.conflict())
    }
}

/// The packages that anybody installs, by number: what nobody does meets nothing.
fn installed<'g, 'a>(graph: &'g Graph<'a>) -> impl Iterator<Item = (u32, &'g Node<'a>)> {
    let nodes = graph.nodes.iter().enumerate();
    let nodes = nodes.filter(|&(number, _)| graph.is_installed[number]);
    nodes.map(|(number, node)| (number as u32, node))
}

/// Pairs of packages of one name, from different repositories or sources.
fn namesakes(graph: &Graph<'_>) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    let mut names: HashMap<&str, Vec<u32>, FxBuildHasher> = HashMap::default();
    for (number, node) in installed(graph) {
        let known = names.entry(node.package.pkgname().as_str()).or_default();
        found.extend(known.iter().map(|&other| (other, number)));
        known.push(number);
    }
    found
}

fn conflicting_pairs(graph: &Graph<'_>, mixed: &Mixed<'_>) -> Vec<(u32, u32)> {
    let on = mixed.on();
    let mut unwanted: HashMap<&str, Vec<(u32, &Relation)>, FxBuildHasher> = HashMap::default();
    for (number, node) in installed(graph) {
        for relation in node.package.conflicts(on) {
            let known = unwanted.entry(&relation.name).or_default();
            known.push((number, relation));
        }
    }
    let mut pairs = Vec::new();
    for (number, node) in installed(graph) {
        for name in node.package.names(on) {
            for &(other, relation) in unwanted.get(name).map_or(&[][..], Vec::as_slice) {
                // Nothing conflicts with itself by what it provides.
                let itself = graph.nodes[other as usize].package.pkgname();
                if node.package.pkgname() != itself && node.package.satisfies(relation, on) {
                    pairs.push((other, number));
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// How many packages an installation has room for at first: where two quarrel it is mostly a large one. Each
/// goes by a few names.
const ROOM: usize = 512;

/// What a package needs to run, with its number if the index has one for it.
type Need<'a> = (&'a Relation, Option<u32>);

/// What pacman installs for some targets.
struct Transaction<'t, 'a> {
    graph: &'t Graph<'a>,
    mixed: &'t Mixed<'a>,
    member: u32,
    targets: Vec<(Package<'a>, &'a Relation)>,
    /// All names that the targets go by.
    target_names: FxHashSet<&'a str>,
    /// What pacman takes for installed.
    assumed: &'t [Provision],
    /// What it installs, with the relation of the build that led there.
    taken: Vec<(Package<'a>, &'a Relation)>,
    names: FxHashSet<&'a str>,
    by_name: HashMap<&'a str, Vec<Package<'a>>, FxBuildHasher>,
    /// The relations of the index, by number, that something taken satisfies. Hundreds of packages
    /// have the same few.
    met: Bits,
    /// Needs that nothing was taken for when their turn came, each with the place of who has it among
    /// what is taken.
    open: Vec<(usize, Need<'a>)>,
    /// Where it first could not take what it would have taken by itself.
    detour: Option<Conflict<'a>>,
}

impl<'a> Transaction<'_, 'a> {
    fn fill(&mut self) {
        // Depth first: needs with the place of who has them, the next one last.
        let mut stack: Vec<(usize, Need<'a>)> = Vec::new();
        for (target, root) in self.targets.clone() {
            self.take(target, root, &mut stack);
            while let Some((by, need)) = stack.pop() {
                if self.is_need_met(need) {
                    continue;
                }
                let (relation, _) = need;
                let does = |package: Package<'a>| package.satisfies(relation, self.mixed.on());
                let may_be_wanted = self.target_names.contains(relation.name.as_str());
                let targets = self.targets.iter().filter(|_| may_be_wanted);
                let wanted = targets.map(|&(target, _)| target).find(|&it| does(it));
                let found = wanted.or_else(|| self.find(need, root));
                if found.is_some_and(|found| self.take(found, root, &mut stack)) {
                    continue;
                }
                self.open.push((by, need));
                // pacman thinks no further where a target is not the package
                // of its name that came first.
                if let Some(found) = found
                    && self.detour.is_none()
                {
                    self.detour = self.instead_of(found, root);
                }
            }
        }
    }

    /// Installs a package, unless one of its name is there already, and puts what it needs on the
    /// stack, the first one last.
    fn take(
        &mut self,
        package: Package<'a>,
        root: &'a Relation,
        stack: &mut Vec<(usize, Need<'a>)>,
    ) -> bool {
        if !self.names.insert(package.pkgname().as_str()) {
            return false;
        }
        let on = self.mixed.on();
        let (place, start) = (self.taken.len(), stack.len());
        self.taken.push((package, root));
        for name in package.names(on) {
            self.by_name.entry(name).or_default().push(package);
        }
        // The closure stops at the build's own packages.
        if self.mixed.member_of(package) == Some(self.member) {
            return true;
        }
        if let Some((numbered, source, item)) = self.mixed.numbered(package) {
            let depends = numbered.depends(source, item, on);
            stack.extend(depends.map(|(it, number)| (place, (it, Some(number)))));
        } else {
            stack.extend(package.depends(on).map(|it| (place, (it, None))));
        }
        stack[start..].reverse();
        true
    }

    /// What pacman takes: never a second package of a name.
    fn find(&mut self, need: Need<'a>, root: &'a Relation) -> Option<Package<'a>> {
        let (relation, number) = need;
        // Mostly it is what was chosen for others long ago.
        if let Some(known) = number.and_then(|number| self.graph.resolved_of(number)) {
            let chosen = *known.candidates.first()?;
            if !self.names.contains(chosen.pkgname().as_str()) {
                return Some(chosen);
            }
        }
        let Resolution { chosen, others } = resolve(self.mixed, relation);
        let chosen = chosen?;
        if !self.names.contains(chosen.pkgname().as_str()) {
            return Some(chosen);
        }
        if self.detour.is_none() {
            self.detour = self.instead_of(chosen, root);
        }
        let named = chosen.pkgname().as_str() == relation.name;
        let mut found = Vec::new();
        if named {
            self.mixed.providing(&relation.name, &mut found);
        }
        let provides = |package: &Package<'a>| {
            package.pkgname().as_str() != relation.name
                && package.provides_for(relation, self.mixed.on())
        };
        found.retain(provides);
        let mut all = others.into_iter().chain(found);
        all.find(|package| !self.names.contains(package.pkgname().as_str()))
    }

    /// The package that is installed where another one of its name is wanted.
    fn instead_of(&self, wanted: Package<'a>, root: &'a Relation) -> Option<Conflict<'a>> {
        let mut taken = self.taken.iter();
        let one = taken.find(|(other, _)| other.pkgname() == wanted.pkgname());
        one.map(|&one| Conflict {
            one,
            other: (wanted, root),
        })
    }

    /// Two targets that lead to different packages of one name, which pacman
    /// refuses before it looks at anything else.
    fn twice(&self) -> Option<Conflict<'a>> {
        let mut met: HashMap<&str, (Package<'a>, &'a Relation), FxBuildHasher> = HashMap::default();
        for &other in &self.targets {
            let one = *met.entry(other.0.pkgname().as_str()).or_insert(other);
            if !one.0.is(other.0) {
                return Some(Conflict { one, other });
            }
        }
        None
    }

    /// A need that is not met because of two packages of one name: one of them
    /// would meet it, or something else was taken in its place.
    fn unmet(&mut self) -> Option<Conflict<'a>> {
        let mut open = std::mem::take(&mut self.open);
        open.sort_by_key(|&(by, _)| by);
        // Something may have been taken since then that does.
        open.retain(|&(_, need)| !self.is_need_met(need));
        open.into_iter().find_map(|(by, (relation, _))| {
            let wanted = resolve(self.mixed, relation).chosen;
            let instead = wanted.and_then(|wanted| self.instead_of(wanted, self.taken[by].1));
            // Without a detour, what nothing satisfies is said elsewhere.
            instead.or(self.detour)
        })
    }

    /// Whether something that is taken satisfies a need. Once it is so, it stays so.
    fn is_need_met(&mut self, (relation, number): Need<'a>) -> bool {
        let Some(number) = number.map(|number| number as usize) else {
            return self.is_met(relation);
        };
        if !self.met.contains(number) && self.is_met(relation) {
            self.met.insert(number);
        }
        self.met.contains(number)
    }

    fn is_met(&self, relation: &Relation) -> bool {
        let named = self.by_name.get(relation.name.as_str());
        let mut named = named.into_iter().flatten();
        named.any(|package| package.satisfies(relation, self.mixed.on()))
            || self.is_assumed(relation)
    }

    fn is_assumed(&self, relation: &Relation) -> bool {
        let mut assumed = self.assumed.iter();
        assumed.any(|provision| relation.satisfied_by_provision(provision))
    }

    /// Leaves out what others provide, and answers with the first conflict
    /// that cannot be solved so.
    fn conflict(&self) -> Option<Conflict<'a>> {
        let on = self.mixed.on();
        let mut out: Vec<(Package<'a>, Conflict<'a>)> = Vec::new();
        // pacman goes by the packages, their conflicts, and whom these meet.
        for &one in &self.taken {
            for relation in one.0.conflicts(on) {
                let met = self.by_name.get(relation.name.as_str());
                for &other in met.into_iter().flatten() {
                    let is_out = |package: Package<'a>| out.iter().any(|(o, _)| o.is(package));
                    if other.pkgname() == one.0.pkgname()
                        || !other.satisfies(relation, on)
                        || is_out(one.0)
                        || is_out(other)
                    {
                        continue;
                    }
                    let mut taken = self.taken.iter().copied();
                    let other = taken.find(|(package, _)| package.is(other))?;
                    let conflict = Conflict { one, other };
                    if stands_in(one.0, other.0, self.mixed) {
                        out.push((other.0, conflict));
                    } else if stands_in(other.0, one.0, self.mixed) {
                        out.push((one.0, conflict));
                    } else {
                        return Some(conflict);
                    }
                }
            }
        }
        // Whoever stands in may do less than what it takes the place of.
        let taken = self.taken.iter().map(|&(package, _)| package);
        let left: Vec<Package<'a>> = taken
            .filter(|&package| !out.iter().any(|(o, _)| o.is(package)))
            .collect();
        out.into_iter().find_map(|(out, conflict)| {
            let lost = |relation: &Relation| {
                out.satisfies(relation, on)
                    && !left.iter().any(|package| package.satisfies(relation, on))
                    && !self.is_assumed(relation)
            };
            let mut needs = left.iter().flat_map(|package| package.depends(on));
            needs.any(lost).then_some(conflict)
        })
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
