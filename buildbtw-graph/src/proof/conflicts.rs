//! Packages that pacman does not install together: those that conflict, and
//! those of one name.

use rayon::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::lacks::assumed;
use super::packages::{Packages, Target, place_of};
use super::parts::parts;
use super::root::Root;
use super::row::Row;
use super::worlds::{By, Lookup, Pkg, satisfiers};
use crate::names::{Architecture, PkgName};
use crate::plan::PlannedBuild;
use crate::relation::{Provision, Relation};
use crate::source::RelationKind;

/// Which packages of a graph do not stand beside each other.
pub(super) struct Quarrels {
    /// How many nodes another one refuses, or has the name of. Each has a place
    /// in the list of them.
    count: usize,
    part: Vec<u32>,
    /// Those nodes that each part brings along, as places; behind them the
    /// places of the nodes that these do not stand beside.
    brings: Vec<[Row; 2]>,
}

impl Quarrels {
    /// Finds the pairs, and what leads to them. Most packages are in none.
    pub fn new(packages: &Packages<'_>) -> Self {
        let pairs = pairs(packages);
        let mut quarrelling: Vec<u32> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
        quarrelling.sort_unstable();
        quarrelling.dedup();
        let place = |node: u32| quarrelling.binary_search(&node).ok();
        let count = quarrelling.len();
        let mut against = vec![Row::new(count); count];
        for &(one, other) in &pairs {
            if let (Some(one), Some(other)) = (place(one), place(other)) {
                against[one].add(other);
                against[other].add(one);
            }
        }
        let parts = parts(packages.nodes.len(), |node| &packages.nodes[node].chosen);
        let mut brings: Vec<[Row; 2]> = Vec::with_capacity(parts.ends.len());
        let mut start = 0;
        for (number, &end) in parts.ends.iter().enumerate() {
            let [mut here, mut refused] = [Row::new(count), Row::new(count)];
            for &node in &parts.nodes[start..end as usize] {
                if let Some(place) = place(node) {
                    here.add(place);
                    refused.absorb(&against[place]);
                }
                for &next in &packages.nodes[node as usize].chosen {
                    let next = parts.of[next as usize] as usize;
                    if next != number {
                        here.absorb(&brings[next][0]);
                        refused.absorb(&brings[next][1]);
                    }
                }
            }
            start = end as usize;
            brings.push([here, refused]);
        }
        Quarrels {
            count,
            part: parts.of,
            brings,
        }
    }
}

/// Looks for packages that pacman refuses to install together.
pub(super) struct Conflicts<'p, 'w> {
    pub packages: &'p Packages<'w>,
    pub root: &'p Root<'p, 'w>,
    pub quarrels: &'p Quarrels,
}

/// Two packages that pacman refuses to install together.
pub(super) type Refused<'w> = [&'w PkgName; 2];

impl<'w> Conflicts<'_, 'w> {
    /// By member, what pacman refuses of its installation when the build gives nothing up.
    pub fn of_whole_builds(&self) -> Vec<Option<Refused<'w>>> {
        let members = (0..self.packages.members()).into_par_iter();
        let find = |member| self.among(member, |_| true, Vec::new());
        members.map(find).collect()
    }

    /// What pacman refuses of a build's installation, which was found already
    /// for one that gives nothing up.
    pub fn conflict(
        &self,
        member: usize,
        build: &PlannedBuild,
        whole: &[Option<Refused<'w>>],
    ) -> Option<Refused<'w>> {
        if !build.nocheck && build.assumed.is_empty() {
            return whole[member];
        }
        let is_handed = |target: &Target<'_, '_>| {
            let skipped = build.nocheck && target.kind == RelationKind::Checkdepends;
            !skipped
                && (build.assumed.is_empty()
                    || build.install.contains(&target.lead.relation.to_string()))
        };
        self.among(member, is_handed, assumed(build).collect())
    }

    /// What pacman refuses when it is handed these targets of a build, and told to take something as installed.
    fn among(
        &self,
        member: usize,
        is_handed: impl Fn(&Target<'_, '_>) -> bool,
        assumed: Vec<Provision>,
    ) -> Option<Refused<'w>> {
        let chosen = self.packages.chosen_targets(member, is_handed);
        let Quarrels {
            count,
            part,
            brings,
        } = self.quarrels;
        let [mut here, mut refused] = [Row::new(*count), Row::new(*count)];
        for &node in &chosen {
            let [all, not_beside] = &brings[part[node as usize] as usize];
            here.absorb(all);
            refused.absorb(not_beside);
        }
        // More than pacman installs: it takes what is there already before
        // what it would choose, and stops at the build's own packages.
        here.meets(&refused).then(|| {
            let targets = chosen.iter();
            let targets = targets.map(|&node| self.packages.nodes[node as usize].pkg);
            Transaction::refused(self, member as u32, targets.collect(), assumed)
        })?
    }
}

/// Nodes that refuse each other, and those of one name.
fn pairs(packages: &Packages<'_>) -> Vec<(u32, u32)> {
    let on = packages.on;
    let mut refused: FxHashMap<&str, Vec<(u32, &Relation)>> = FxHashMap::default();
    let mut called: FxHashMap<&str, Vec<u32>> = FxHashMap::default();
    // What is in nobody's installation stands beside nothing.
    let installed = packages.installed();
    let nodes = || {
        let nodes = packages.nodes.iter().enumerate();
        nodes.filter(|&(number, _)| installed[number])
    };
    for (number, node) in nodes() {
        let entry = called.entry(node.pkg.name().as_str()).or_default();
        entry.push(number as u32);
        for relation in node.pkg.conflicts(on) {
            let entry = refused.entry(relation.name.as_str()).or_default();
            entry.push((number as u32, relation));
        }
    }
    let mut pairs = Vec::new();
    for numbers in called.into_values() {
        for (at, &one) in numbers.iter().enumerate() {
            pairs.extend(numbers[at + 1..].iter().map(|&other| (one, other)));
        }
    }
    for (number, node) in nodes() {
        for name in node.pkg.names(on) {
            for &(other, relation) in refused.get(name).into_iter().flatten() {
                let refuses = packages.nodes[other as usize].pkg;
                // A package may provide what it refuses to others.
                if refuses.name() != node.pkg.name() && node.pkg.does(relation, on) {
                    pairs.push((other, number as u32));
                }
            }
        }
    }
    pairs
}

/// A relation of a package, with its number if the index has one for it.
type Need<'w> = (&'w Relation, Option<u32>);

/// Room for so many packages from the start, of four names each: mostly it is large installations
/// in which two packages meet that quarrel.
const MANY: usize = 512;

/// What pacman does with a build's targets.
struct Transaction<'c, 'p, 'w> {
    conflicts: &'c Conflicts<'p, 'w>,
    member: u32,
    /// What pacman is told to take as installed.
    assumed: Vec<Provision>,
    targets: Vec<Pkg<'w>>,
    /// Every name that some target goes by.
    asked_for: FxHashSet<&'w str>,
    /// In the order in which pacman comes to them.
    taken: Vec<Pkg<'w>>,
    /// What was taken, by every name it goes by.
    named: FxHashMap<&'w str, Vec<Pkg<'w>>>,
    names: FxHashSet<&'w str>,
    /// By number, the relations that something taken does.
    done: Row,
    /// What nothing was found for in its turn, by the place of who needs it in `taken`.
    left: Vec<(usize, Need<'w>)>,
    /// The first package that was not found because of its name.
    passed_over: Option<Refused<'w>>,
}

impl<'c, 'p, 'w> Transaction<'c, 'p, 'w> {
    /// Two packages because of which pacman refuses, if it does.
    fn refused(
        conflicts: &'c Conflicts<'p, 'w>,
        member: u32,
        targets: Vec<Pkg<'w>>,
        assumed: Vec<Provision>,
    ) -> Option<Refused<'w>> {
        // pacman does not even begin with two targets of one name.
        for (at, one) in targets.iter().enumerate() {
            let mut others = targets[at + 1..].iter();
            let same = |other: &&Pkg<'w>| other.name() == one.name() && other.key() != one.key();
            if let Some(other) = others.find(same) {
                return Some([one.name(), other.name()]);
            }
        }
        let mut transaction = Transaction {
            conflicts,
            member,
            assumed,
            asked_for: targets
                .iter()
                .flat_map(|target| target.names(conflicts.packages.on))
                .collect(),
            targets,
            taken: Vec::with_capacity(MANY),
            named: FxHashMap::with_capacity_and_hasher(4 * MANY, FxBuildHasher),
            names: FxHashSet::with_capacity_and_hasher(MANY, FxBuildHasher),
            done: Row::new(conflicts.packages.index.relations()),
            left: Vec::new(),
            passed_over: None,
        };
        for target in transaction.targets.clone() {
            transaction.install(target);
        }
        transaction.missed().or_else(|| transaction.conflict())
    }

    fn on(&self) -> &'w Architecture {
        self.conflicts.packages.on
    }

    /// What a package needs to run. Those of the build's own packages are not followed.
    fn needs(&self, pkg: Pkg<'w>) -> Vec<Need<'w>> {
        if self.conflicts.root.maker(pkg) == Some(self.member) {
            return Vec::new();
        }
        let Packages { index, on, .. } = *self.conflicts.packages;
        if let Pkg::Made { source, split, .. } = pkg
            && let Some(numbered) = index.numbered(source)
        {
            let needs = numbered.depends(source, place_of(source, split), on);
            return needs.map(|(it, number)| (it, Some(number))).collect();
        }
        pkg.depends(on).map(|it| (it, None)).collect()
    }

    /// Whether a need is met. Once it is, it stays so, as nothing is taken out again.
    fn is_done(&mut self, (relation, number): Need<'w>) -> bool {
        let Some(number) = number.map(|number| number as usize) else {
            return self.is_met(relation);
        };
        if !self.done.has(number) && self.is_met(relation) {
            self.done.add(number);
        }
        self.done.has(number)
    }

    fn take(&mut self, pkg: Pkg<'w>) -> bool {
        if !self.names.insert(pkg.name().as_str()) {
            return false;
        }
        self.taken.push(pkg);
        for name in pkg.names(self.on()) {
            self.named.entry(name).or_default().push(pkg);
        }
        true
    }

    fn is_assumed(&self, relation: &Relation) -> bool {
        let mut assumed = self.assumed.iter();
        assumed.any(|provision| relation.satisfied_by_provision(provision))
    }

    fn is_met(&self, relation: &Relation) -> bool {
        let known = self.named.get(relation.name.as_str());
        known.is_some_and(|known| known.iter().any(|pkg| pkg.does(relation, self.on())))
            || self.is_assumed(relation)
    }

    /// What pacman takes for a need: mostly what it would take for anybody.
    fn find(&mut self, (relation, number): Need<'w>) -> Option<Pkg<'w>> {
        let packages = self.conflicts.packages;
        if let Some(lead) = number.and_then(|number| packages.lead_of(number)) {
            let first = packages.nodes[*lead.next.first()? as usize].pkg;
            if !self.names.contains(first.name().as_str()) {
                return Some(first);
            }
        }
        self.free(relation)
    }

    /// What is found for a relation when no name may come twice.
    fn free(&mut self, relation: &Relation) -> Option<Pkg<'w>> {
        let mut found = Vec::new();
        self.conflicts
            .root
            .look_up(&relation.name, By::Name, &mut found);
        found.retain(|pkg| relation.accepts(pkg.version()));
        if let Some(&first) = found.first()
            && !self.names.contains(first.name().as_str())
        {
            return Some(first);
        }
        let mut provided = Vec::new();
        self.conflicts
            .root
            .look_up(&relation.name, By::Provision, &mut provided);
        provided.retain(|pkg| pkg.name().as_str() != relation.name);
        provided.retain(|pkg| pkg.provides(relation, self.on()));
        found.extend(provided);
        if let Some(first) = found.first()
            && self.names.contains(first.name().as_str())
        {
            self.passed_over.get_or_insert([first.name(); 2]);
        }
        let mut found = found.into_iter();
        found.find(|pkg| !self.names.contains(pkg.name().as_str()))
    }

    /// Installs a package with its needs. Whatever is there already, or was
    /// asked for, comes before anything else.
    fn install(&mut self, target: Pkg<'w>) {
        let on = self.on();
        if !self.take(target) {
            return;
        }
        let newest = |taken: &[Pkg<'w>]| taken.len() - 1;
        let mut open = vec![(newest(&self.taken), self.needs(target).into_iter())];
        while let Some((who, left)) = open.last_mut() {
            let Some(need) = left.next() else {
                open.pop();
                continue;
            };
            let who = *who;
            if self.is_done(need) {
                continue;
            }
            let (relation, _) = need;
            let known = self.asked_for.contains(relation.name.as_str());
            let mut targets = self.targets.iter().copied().filter(|_| known);
            let wanted = targets.find(|other| other.does(relation, on));
            let Some(next) = wanted.or_else(|| self.find(need)) else {
                self.left.push((who, need));
                continue;
            };
            if self.take(next) {
                open.push((newest(&self.taken), self.needs(next).into_iter()));
            } else {
                self.left.push((who, need));
                // A target whose name was taken before its turn.
                self.passed_over.get_or_insert([next.name(); 2]);
            }
        }
    }

    /// A package that is needed, but whose name another one has taken.
    fn missed(&mut self) -> Option<Refused<'w>> {
        let on = self.on();
        // Whatever was met or found in its turn is so still.
        let mut left = std::mem::take(&mut self.left);
        left.sort_by_key(|&(who, _)| who);
        left.retain(|&(_, need)| !self.is_done(need));
        left.into_iter().find_map(|(_, (relation, _))| {
            let wanted = satisfiers(self.conflicts.root, relation, on);
            let wanted = wanted.first().map(|wanted| wanted.name());
            let mut taken = self.taken.iter().map(|pkg| pkg.name());
            let instead = taken.find(|&name| Some(name) == wanted);
            // What nothing at all satisfies is a matter of its own, unless the
            // one who needs it took the place of another package.
            instead.map(|name| [name; 2]).or(self.passed_over)
        })
    }

    /// Leaves out what another package stands in for, as pacman does, and says
    /// which two remain that cannot be installed together.
    fn conflict(&self) -> Option<Refused<'w>> {
        let on = self.on();
        let refusals = self.taken.iter().flat_map(|&one| {
            let relations = one.conflicts(on);
            relations.flat_map(move |relation| {
                let met = self.named.get(relation.name.as_str()).into_iter().flatten();
                let met =
                    met.filter(move |other| other.name() != one.name() && other.does(relation, on));
                met.map(move |&other| (one, other))
            })
        });
        let mut left_out: Vec<(Pkg<'w>, Refused<'w>)> = Vec::new();
        for (one, other) in refusals {
            let is_here = |pkg: Pkg<'w>| left_out.iter().all(|(out, _)| out.key() != pkg.key());
            // What is left out before conflicts no more.
            if !is_here(one) || !is_here(other) {
                continue;
            }
            let stands_for = |a: Pkg<'w>, b: Pkg<'w>| {
                let name = b.name().as_str().to_owned();
                let constraint = None;
                a.does(&Relation { name, constraint }, on)
            };
            let pair = [one.name(), other.name()];
            match (stands_for(one, other), stands_for(other, one)) {
                (true, _) => left_out.push((other, pair)),
                (_, true) => left_out.push((one, pair)),
                _ => return Some(pair),
            }
        }
        let mut here = self.taken.clone();
        here.retain(|pkg| left_out.iter().all(|(out, _)| out.key() != pkg.key()));
        // What stands in may be too old for somebody.
        let missed = |out: Pkg<'w>| {
            let mut needs = here.iter().flat_map(|pkg| pkg.depends(on));
            needs.any(|relation| {
                out.does(relation, on)
                    && !here.iter().any(|pkg| pkg.does(relation, on))
                    && !self.is_assumed(relation)
            })
        };
        let mut missing = left_out.into_iter().filter(|&(out, _)| missed(out));
        missing.next().map(|(_, pair)| pair)
    }
}
