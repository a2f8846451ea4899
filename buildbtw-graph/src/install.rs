//! What pacman would install, worked out from the packages that are there.
//!
//! The rules are pacman's own for `pacman -S --noconfirm TARGET...` into an
//! empty root (libalpm's resolution, seen in its behaviour): a package of the
//! very name in repository order, else the first provider; but what is in the
//! transaction already, or was asked for, is taken before anything new.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::index::ReleasedIndex;
use crate::names::PkgName;
use crate::relation::{Provision, Relation};
use crate::released::ReleasedPackage;
use crate::version::Version;

/// What is to be installed, from where.
pub struct InstallRequest<'a> {
    /// The repositories in the order of pacman.conf: the namespace's first,
    /// then the base repositories.
    pub stack: &'a ReleasedIndex,
    /// The relations handed to pacman.
    pub targets: &'a [Relation],
    /// What pacman is told to take as installed.
    pub assumed: &'a [Provision],
    /// Whether a package (of the repository of that number) is not to be seen.
    pub hidden: &'a dyn Fn(&ReleasedPackage, usize) -> bool,
}

/// Why pacman would refuse an installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uninstallable {
    /// Nothing in the repositories satisfies a relation.
    #[error("nothing satisfies {relation}, which {} needs", wanting(.wanted_by))]
    Unsatisfied {
        /// The relation.
        relation: Relation,
        /// The package that has it; `None` for a target.
        wanted_by: Option<PkgName>,
    },
    /// A target leads to another package of a name that was asked for already.
    #[error(
        "{target} leads to {pkgname} {version}, but another target leads to {pkgname} {other}, \
         and pacman installs one package of a name"
    )]
    Twice {
        /// The later target.
        target: Relation,
        /// The name.
        pkgname: PkgName,
        /// What the later target leads to.
        version: Version,
        /// What the earlier one leads to.
        other: Version,
    },
    /// Two packages conflict, and neither stands in for the other one.
    #[error("{one} and {other} would both be installed, and they conflict")]
    Conflict {
        /// The package that says so.
        one: PkgName,
        /// The package that it does not want beside it.
        other: PkgName,
    },
}

fn wanting(package: &Option<PkgName>) -> &str {
    package.as_ref().map_or("the build", PkgName::as_str)
}

/// Works out what pacman would install, with the number of each package's
/// repository, in the order in which pacman comes across the packages.
///
/// Where two packages conflict and one provides the other's name, the other one
/// is left out.
///
/// # Errors
///
/// Why pacman would refuse: what it meets first, of its kind all there is, in
/// the order it was met.
pub fn resolve_installation<'a>(
    request: &InstallRequest<'a>,
) -> Result<Vec<(usize, &'a ReleasedPackage)>, Vec<Uninstallable>> {
    let targets = request.find_targets()?;
    let mut transaction = Found::with_room();
    let mut doubts = Doubts::default();
    for &start in &targets.packages {
        resolve_closure(request, &targets, &mut transaction, start, &mut doubts);
    }
    if doubts.missing {
        request.check_needs(&transaction)?;
    }
    // Conflicts come before the needs that they leave unmet, as for pacman.
    let left = transaction.without_stood_in()?;
    // What stands in may do less than what it takes the place of.
    if doubts.passed_over || left.len() < transaction.packages.len() {
        request.check_needs(&Found::of(&left))?;
    }
    Ok(left)
}

/// What may be unmet in a transaction.
#[derive(Default)]
struct Doubts {
    /// Nothing was found for a relation.
    missing: bool,
    /// A target was found for one, but another package of its name had come before it.
    passed_over: bool,
}

/// Adds a package and, depth first, what it needs.
fn resolve_closure<'a>(
    request: &InstallRequest<'a>,
    targets: &Found<'a>,
    transaction: &mut Found<'a>,
    start: (usize, &'a ReleasedPackage),
    doubts: &mut Doubts,
) {
    if !transaction.add(start.0, start.1) {
        return;
    }
    // A stack of its own instead of recursion: a chain may be of any length.
    let mut stack = vec![start.1.depends.iter()];
    while let Some(depends) = stack.last_mut() {
        let Some(relation) = depends.next() else {
            stack.pop();
            continue;
        };
        if request.is_met(relation, transaction) {
            continue;
        }
        let wanted = targets.satisfy(relation);
        let found = wanted.or_else(|| request.find(relation, transaction));
        match found {
            Some((repository, found)) if transaction.add(repository, found) => {
                stack.push(found.depends.iter());
            }
            Some(_) => doubts.passed_over = true,
            None => doubts.missing = true,
        }
    }
}

impl<'a> InstallRequest<'a> {
    /// What the targets themselves lead to.
    fn find_targets(&self) -> Result<Found<'a>, Vec<Uninstallable>> {
        let mut targets = Found::default();
        let mut refused = Vec::new();
        for target in self.targets {
            let found = self.find(target, &Found::default());
            let group = if found.is_none() {
                self.group(target)
            } else {
                Vec::new()
            };
            // What is assumed satisfies packages, but is no target, as for pacman.
            if found.is_none() && group.is_empty() {
                refused.push(Uninstallable::Unsatisfied {
                    relation: target.clone(),
                    wanted_by: None,
                });
            }
            for (repository, package) in found.into_iter().chain(group) {
                if targets.add(repository, package) {
                    continue;
                }
                let same_name = |&&(_, other): &&(usize, &ReleasedPackage)| {
                    other.pkgname == package.pkgname && !std::ptr::eq(other, package)
                };
                if let Some((_, other)) = targets.packages.iter().find(same_name) {
                    refused.push(Uninstallable::Twice {
                        target: target.clone(),
                        pkgname: package.pkgname.clone(),
                        version: package.version.clone(),
                        other: other.version.clone(),
                    });
                }
            }
        }
        if refused.is_empty() {
            Ok(targets)
        } else {
            Err(refused)
        }
    }

    /// Whether packages satisfy all their relations themselves.
    fn check_needs(&self, all: &Found<'a>) -> Result<(), Vec<Uninstallable>> {
        let mut unsatisfied = Vec::new();
        for (_, package) in &all.packages {
            for relation in &package.depends {
                if !self.is_met(relation, all) {
                    unsatisfied.push(Uninstallable::Unsatisfied {
                        relation: relation.clone(),
                        wanted_by: Some(package.pkgname.clone()),
                    });
                }
            }
        }
        if unsatisfied.is_empty() {
            Ok(())
        } else {
            Err(unsatisfied)
        }
    }

    fn is_assumed(&self, relation: &Relation) -> bool {
        self.assumed
            .iter()
            .any(|provision| relation.satisfied_by_provision(provision))
    }

    /// Whether a relation of a package of the transaction needs nothing more. The package itself may satisfy it.
    fn is_met(&self, relation: &Relation, transaction: &Found<'a>) -> bool {
        transaction.satisfy(relation).is_some() || self.is_assumed(relation)
    }

    /// A package of the very name, else a provider, never one whose name is in
    /// the transaction already.
    fn find(&self, relation: &Relation, taken: &Found<'a>) -> Option<(usize, &'a ReleasedPackage)> {
        let free = |&(repository, package): &(usize, &'a ReleasedPackage)| {
            !taken.names.contains(package.pkgname.as_str()) && !(self.hidden)(package, repository)
        };
        self.stack
            .packages_named(&relation.name)
            .filter(|(_, package)| relation.accepts(&package.version))
            .find(free)
            .or_else(|| {
                self.stack
                    .providers_of(&relation.name)
                    .filter(|(_, package)| package.pkgname.as_str() != relation.name)
                    .filter(|(_, package)| package.provides_for(relation))
                    .find(free)
            })
    }

    /// The packages of a group of that name.
    fn group(&self, target: &Relation) -> Vec<(usize, &'a ReleasedPackage)> {
        if target.constraint.is_some() {
            return Vec::new();
        }
        let all = self.stack.packages();
        let mut found: Vec<(usize, &ReleasedPackage)> = all
            .filter(|(_, package)| package.groups.contains(&target.name))
            .filter(|(number, package)| !(self.hidden)(package, *number))
            .collect();
        // Inside a repository pacman goes by name; of the same name it takes
        // the first one.
        found.sort_by_key(|&(number, package)| (number, &package.pkgname));
        let mut names = FxHashSet::default();
        found.retain(|(_, package)| names.insert(&package.pkgname));
        found
    }
}

/// Packages in the order they were taken, found by every name they go by.
#[derive(Default)]
struct Found<'a> {
    packages: Vec<(usize, &'a ReleasedPackage)>,
    names: FxHashSet<&'a str>,
    /// The first package that goes by a name.
    first: FxHashMap<&'a str, usize>,
    /// The others, where there are any.
    others: FxHashMap<&'a str, Vec<usize>>,
}

/// For how many packages, and names that they go by, there is room at first.
const ROOM: (usize, usize) = (400, 1200);

impl<'a> Found<'a> {
    /// None, with room for those of an installation.
    fn with_room() -> Self {
        let (packages, names) = ROOM;
        let mut found = Self::default();
        found.packages.reserve(packages);
        found.names.reserve(packages);
        found.first.reserve(names);
        found
    }

    /// Some packages.
    fn of(packages: &[(usize, &'a ReleasedPackage)]) -> Self {
        let mut found = Self::with_room();
        for &(repository, package) in packages {
            found.add(repository, package);
        }
        found
    }

    /// Takes a package, unless one of its name is there already.
    fn add(&mut self, repository: usize, package: &'a ReleasedPackage) -> bool {
        if !self.names.insert(package.pkgname.as_str()) {
            return false;
        }
        let number = self.packages.len();
        self.packages.push((repository, package));
        let provided = package
            .provides
            .iter()
            .map(|provision| provision.name.as_str());
        for name in std::iter::once(package.pkgname.as_str()).chain(provided) {
            match self.first.entry(name) {
                Entry::Vacant(first) => {
                    first.insert(number);
                }
                Entry::Occupied(_) => self.others.entry(name).or_default().push(number),
            }
        }
        true
    }

    /// The packages that go by a name, in their order.
    fn named<'s>(
        &'s self,
        name: &'s str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> + 's {
        let first = self.first.get(name);
        let others = move || self.others.get(name).into_iter().flatten();
        let others = std::iter::once_with(others).flatten();
        let numbers = first.into_iter().chain(others);
        numbers.map(|&number| self.packages[number])
    }

    /// The first of these packages that satisfies a relation.
    fn satisfy(&self, relation: &Relation) -> Option<(usize, &'a ReleasedPackage)> {
        self.named(&relation.name)
            .find(|(_, package)| package.satisfies(relation))
    }

    /// These packages less those that others conflict with and stand in for.
    fn without_stood_in(&self) -> Result<Vec<(usize, &'a ReleasedPackage)>, Vec<Uninstallable>> {
        let mut out: FxHashSet<&str> = FxHashSet::default();
        // pacman goes by the packages, their conflicts, and whom these meet.
        for &(_, one) in &self.packages {
            for relation in &one.conflicts {
                for (_, other) in self.named(&relation.name) {
                    let is_out = |package: &ReleasedPackage| out.contains(package.pkgname.as_str());
                    // Nothing conflicts with itself by what it provides.
                    if other.pkgname == one.pkgname
                        || !other.satisfies(relation)
                        || is_out(one)
                        || is_out(other)
                    {
                        continue;
                    }
                    if stands_in(one, other) {
                        out.insert(other.pkgname.as_str());
                    } else if stands_in(other, one) {
                        out.insert(one.pkgname.as_str());
                    } else {
                        return Err(vec![Uninstallable::Conflict {
                            one: one.pkgname.clone(),
                            other: other.pkgname.clone(),
                        }]);
                    }
                }
            }
        }
        let left = self.packages.iter().copied();
        Ok(left
            .filter(|(_, package)| !out.contains(package.pkgname.as_str()))
            .collect())
    }
}

/// Whether a package provides another one's name.
fn stands_in(package: &ReleasedPackage, other: &ReleasedPackage) -> bool {
    package.satisfies(&Relation {
        name: other.pkgname.to_string(),
        constraint: None,
    })
}
