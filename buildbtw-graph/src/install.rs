//! What pacman would install, worked out from the packages that are there.
//!
//! The rules are pacman's own for `pacman -S --noconfirm TARGET...` into an
//! empty root (libalpm's resolution, seen in its behaviour): a package of the
//! very name in repository order, else the first provider; but what is in the
//! transaction already, or was asked for, is taken before anything new.

use std::collections::HashMap;

use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::index::ReleasedIndex;
use crate::names::PkgName;
use crate::relation::{Provision, Relation};
use crate::released::ReleasedPackage;

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

/// A relation that nothing in the repositories satisfies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Unsatisfied {
    /// The relation.
    pub relation: Relation,
    /// The package that has it; `None` for a target.
    pub wanted_by: Option<PkgName>,
}

impl std::fmt::Display for Unsatisfied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.wanted_by {
            Some(package) => write!(
                f,
                "nothing satisfies {}, which {package} needs",
                self.relation
            ),
            None => write!(
                f,
                "nothing satisfies {}, which the build needs",
                self.relation
            ),
        }
    }
}

/// Works out what pacman would install, with the number of each package's
/// repository, in the order in which pacman comes across the packages.
///
/// Conflicts are not looked at, nor that pacman refuses two targets that lead
/// to packages of one name in different repositories (here the first one
/// counts): those show when pacman itself is run.
///
/// # Errors
///
/// All relations that nothing satisfies, in the order they were met.
pub fn resolve_installation<'a>(
    request: &InstallRequest<'a>,
) -> Result<Vec<(usize, &'a ReleasedPackage)>, Vec<Unsatisfied>> {
    let mut targets = Found::default();
    let mut unsatisfied = Vec::new();
    for target in request.targets {
        let found = request.find(target, &Found::default());
        let group = if found.is_none() {
            request.group(target)
        } else {
            Vec::new()
        };
        // What is assumed satisfies packages, but is no target, as for pacman.
        if found.is_none() && group.is_empty() {
            unsatisfied.push(Unsatisfied {
                relation: target.clone(),
                wanted_by: None,
            });
        }
        for (repository, package) in found.into_iter().chain(group) {
            targets.add(repository, package);
        }
    }
    let mut transaction = Found::default();
    for &(repository, package) in &targets.packages {
        resolve_closure(request, &targets, &mut transaction, (repository, package));
    }
    for (_, package) in &transaction.packages {
        for relation in &package.depends {
            if !request.is_met(package, relation, &transaction) {
                unsatisfied.push(Unsatisfied {
                    relation: relation.clone(),
                    wanted_by: Some(package.pkgname.clone()),
                });
            }
        }
    }
    if unsatisfied.is_empty() {
        Ok(transaction.packages)
    } else {
        Err(unsatisfied)
    }
}

/// Adds a package and, depth first, what it needs. What cannot be found is left
/// out; the needs of all that was added are looked at in the end.
fn resolve_closure<'a>(
    request: &InstallRequest<'a>,
    targets: &Found<'a>,
    transaction: &mut Found<'a>,
    start: (usize, &'a ReleasedPackage),
) {
    if !transaction.add(start.0, start.1) {
        return;
    }
    // A stack of its own instead of recursion: a chain may be of any length.
    let mut stack = vec![(start.1, start.1.depends.iter())];
    while let Some((package, depends)) = stack.last_mut() {
        let package = *package;
        let Some(relation) = depends.next() else {
            stack.pop();
            continue;
        };
        if request.is_met(package, relation, transaction) {
            continue;
        }
        let wanted = targets.satisfy(relation);
        let found = wanted.or_else(|| request.find(relation, transaction));
        if let Some((repository, found)) = found
            && transaction.add(repository, found)
        {
            stack.push((found, found.depends.iter()));
        }
    }
}

impl<'a> InstallRequest<'a> {
    fn is_assumed(&self, relation: &Relation) -> bool {
        self.assumed
            .iter()
            .any(|provision| relation.satisfied_by_provision(provision))
    }

    /// Whether a package's relation needs nothing more.
    fn is_met(
        &self,
        package: &ReleasedPackage,
        relation: &Relation,
        transaction: &Found<'a>,
    ) -> bool {
        package.satisfies(relation)
            || self.is_assumed(relation)
            || transaction.satisfy(relation).is_some()
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
        self.stack
            .packages()
            .filter(|(_, package)| package.groups.contains(&target.name))
            .filter(|(number, package)| !(self.hidden)(package, *number))
            .collect()
    }
}

/// Packages in the order they were taken, found by every name they go by.
#[derive(Default)]
struct Found<'a> {
    packages: Vec<(usize, &'a ReleasedPackage)>,
    names: FxHashSet<&'a str>,
    by_any_name: HashMap<&'a str, Vec<usize>, FxBuildHasher>,
}

impl<'a> Found<'a> {
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
            self.by_any_name.entry(name).or_default().push(number);
        }
        true
    }

    /// The first of these packages that satisfies a relation.
    fn satisfy(&self, relation: &Relation) -> Option<(usize, &'a ReleasedPackage)> {
        self.by_any_name
            .get(relation.name.as_str())?
            .iter()
            .map(|&number| self.packages[number])
            .find(|(_, package)| package.satisfies(relation))
    }
}
