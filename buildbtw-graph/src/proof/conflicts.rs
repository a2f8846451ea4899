//! Packages that pacman does not install together.

use rustc_hash::{FxHashMap, FxHashSet};

use super::packages::{Mark, Packages, Target};
use super::row::Row;
use crate::names::PkgName;
use crate::relation::Relation;
use crate::source::RelationKind;

/// Finds the pairs of packages of which the first refuses the second, and
/// marks both. Most packages are in none.
pub(super) fn find_conflicts(packages: &mut Packages<'_>) -> Vec<(u32, u32)> {
    let on = packages.on;
    let mut refused: FxHashMap<&str, Vec<(u32, &Relation)>> = FxHashMap::default();
    for (number, node) in packages.nodes.iter().enumerate() {
        for relation in node.pkg.conflicts(on) {
            let entry = refused.entry(relation.name.as_str()).or_default();
            entry.push((number as u32, relation));
        }
    }
    let mut pairs = Vec::new();
    for (number, node) in packages.nodes.iter().enumerate() {
        for name in node.pkg.names(on) {
            for &(other, relation) in refused.get(name).into_iter().flatten() {
                let refuses = packages.nodes[other as usize].pkg;
                if refuses.name() != node.pkg.name() && node.pkg.does(relation, on) {
                    pairs.push((other, number as u32));
                }
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    for &(one, other) in &pairs {
        for node in [one, other] {
            let node = &mut packages.nodes[node as usize];
            let known = |mark: &u32| matches!(packages.marks[*mark as usize], Mark::Quarrels);
            if !node.marks.iter().any(known) {
                node.marks.push(packages.marks.len() as u32);
                packages.marks.push(Mark::Quarrels);
            }
        }
    }
    pairs
}

/// The first two packages of a build's installation that pacman refuses to
/// install together, if there are any. `row` is what the build installs.
pub(super) fn conflict<'w>(
    packages: &Packages<'w>,
    member: usize,
    check: bool,
    row: &Row,
) -> Option<[&'w PkgName; 2]> {
    let mark = |node: u32| {
        let mut marks = packages.nodes[node as usize].marks.iter();
        marks.find(|&&mark| matches!(packages.marks[mark as usize], Mark::Quarrels))
    };
    let has = |node: u32| {
        // The build's own packages are not in the row.
        packages.nodes[node as usize].member == Some(member as u32)
            || mark(node).is_some_and(|&mark| row.has(packages.members() + mark as usize))
    };
    packages
        .conflicts
        .iter()
        .any(|&(one, other)| has(one) && has(other))
        .then(|| Transaction::of(packages, member, check).conflict())?
}

/// What pacman does with a build's targets.
struct Transaction<'p, 'w> {
    packages: &'p Packages<'w>,
    /// In the order in which pacman comes to them.
    taken: Vec<u32>,
    names: FxHashSet<&'w str>,
}

impl<'p, 'w> Transaction<'p, 'w> {
    fn of(packages: &'p Packages<'w>, member: usize, check: bool) -> Self {
        let counts = |target: &&Target<'_>| check || target.kind != RelationKind::Checkdepends;
        let targets = packages.targets[member].iter().filter(counts);
        let targets: Vec<u32> = targets.filter_map(|t| t.next.first().copied()).collect();
        let mut transaction = Transaction {
            packages,
            taken: Vec::new(),
            names: FxHashSet::default(),
        };
        for &target in &targets {
            transaction.install(target, member as u32, &targets);
        }
        transaction
    }

    /// Installs a package with its needs. Whatever is there already, or was
    /// asked for, comes before anything else.
    fn install(&mut self, target: u32, member: u32, targets: &[u32]) {
        let on = self.packages.on;
        let mut open = vec![(target, 0)];
        while let Some((number, at)) = open.pop() {
            let node = &self.packages.nodes[number as usize];
            if at == 0 {
                if !self.names.insert(node.pkg.name().as_str()) {
                    continue;
                }
                self.taken.push(number);
            }
            if node.member == Some(member) {
                continue;
            }
            let Some(relation) = node.pkg.depends(on).nth(at) else {
                continue;
            };
            open.push((number, at + 1));
            let does = |&&other: &&u32| self.packages.nodes[other as usize].pkg.does(relation, on);
            if node.pkg.does(relation, on) || self.taken.iter().any(|other| does(&other)) {
                continue;
            }
            let wanted = targets.iter().find(does).copied();
            open.extend(
                wanted
                    .or_else(|| self.packages.led_to(relation))
                    .map(|next| (next, 0)),
            );
        }
    }

    /// Leaves out what another package stands in for, as pacman does, and says
    /// which two remain that cannot be installed together.
    fn conflict(mut self) -> Option<[&'w PkgName; 2]> {
        let packages = self.packages;
        let pkg = |number: u32| packages.nodes[number as usize].pkg;
        let on = packages.on;
        for &(one, other) in &packages.conflicts {
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
