//! What a plan must say, worked out the slow and plain way from the model. It
//! shares no code with the planner.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Base, Dep, Distribution, Prov, Rel};

/// A package as one world sees it.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub base: String,
    pub version: u32,
    pub depends: Vec<Dep>,
    pub provides: Vec<Prov>,
    /// From a source: bare sonames count for every number.
    pub source: bool,
    /// Its repository, for the order of the released ones.
    pub repository: usize,
}

fn compares(found: u32, op: &str, wanted: u32) -> bool {
    match op {
        "<" => found < wanted,
        "<=" => found <= wanted,
        "=" => found == wanted,
        ">=" => found >= wanted,
        _ => found > wanted,
    }
}

fn by_name(dep: &Dep, package: &Package) -> bool {
    dep.name == package.name
        && dep
            .constraint
            .is_none_or(|(op, version)| compares(package.version, op, version))
}

fn by_provision(dep: &Dep, package: &Package) -> bool {
    package.provides.iter().any(|provision| {
        provision.name == dep.name
            && match (dep.constraint, provision.version) {
                (None, _) => true,
                (Some(_), None) => package.source && dep.name.ends_with(".so"),
                (Some((op, wanted)), Some(found)) => compares(found, op, wanted),
            }
    })
}

/// All packages that satisfy a relation, as pacman would look at them: those
/// of the name (only the first repository's), else the providers.
pub fn candidates<'w>(world: &'w [Package], dep: &Dep) -> Vec<&'w Package> {
    let order = |p: &&Package| {
        (
            !p.source,
            p.repository,
            p.name.clone(),
            p.name != p.base,
            p.base.clone(),
        )
    };
    let mut named: Vec<&Package> = world.iter().filter(|p| by_name(dep, p)).collect();
    named.sort_by_key(order);
    if let Some(&first) = named.first() {
        named.retain(|p| p.base == first.base || (first.source && p.source));
        if !first.source {
            named.truncate(1);
        }
        return named;
    }
    let mut providers: Vec<&Package> = world
        .iter()
        .filter(|p| p.name != dep.name && by_provision(dep, p))
        .collect();
    providers.sort_by_key(order);
    providers
}

pub fn of_sources<'b>(bases: impl IntoIterator<Item = &'b Base>) -> Vec<Package> {
    let mut packages = Vec::new();
    for base in bases {
        for split in &base.splits {
            packages.push(Package {
                name: split.name.clone(),
                base: base.name.clone(),
                version: base.version,
                depends: base.depends_of(split).to_vec(),
                provides: split.provides.clone(),
                source: true,
                repository: 0,
            });
        }
    }
    packages
}

fn of_released(repositories: &[Vec<Rel>]) -> Vec<Package> {
    let mut packages = Vec::new();
    for (repository, list) in repositories.iter().enumerate() {
        for package in list {
            packages.push(Package {
                name: package.name.clone(),
                base: package.base.clone(),
                version: package.version,
                depends: package.depends.clone(),
                provides: package.provides.clone(),
                source: false,
                repository,
            });
        }
    }
    packages
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Transitive,
    Direct,
    None,
}

/// The worlds of a distribution.
pub struct Worlds {
    /// The sources with the changes on top, by name.
    pub sources: BTreeMap<String, Base>,
    pub new: Vec<Package>,
    pub before: Vec<Package>,
    pub released: Vec<Package>,
    pub real_repositories: bool,
    changed: BTreeSet<String>,
}

impl Worlds {
    pub fn new(distribution: &Distribution, bootstrap: bool) -> Self {
        let mut sources: BTreeMap<String, Base> = distribution
            .bases
            .iter()
            .map(|base| (base.name.clone(), base.clone()))
            .collect();
        for change in &distribution.changes {
            sources.insert(change.name.clone(), change.clone());
        }
        let before = of_sources(&distribution.bases);
        let real_repositories = distribution.repositories.iter().any(|r| !r.is_empty());
        Worlds {
            new: of_sources(sources.values()),
            released: match (real_repositories, bootstrap) {
                (true, _) => of_released(&distribution.repositories),
                (false, true) => Vec::new(),
                (false, false) => before.clone(),
            },
            before,
            sources,
            real_repositories,
            changed: distribution
                .changes
                .iter()
                .map(|change| change.name.clone())
                .collect(),
        }
    }

    /// The rebuild set: the plain fixed point over every relation there is.
    pub fn rebuild_set(&self, reach: Reach, make: bool, check: bool) -> BTreeSet<String> {
        let mut members = self.changed.clone();
        if reach == Reach::None {
            return members;
        }
        let mut rebuilt: BTreeSet<(String, String)> = self
            .new
            .iter()
            .filter(|package| members.contains(&package.base))
            .map(|package| (package.base.clone(), package.name.clone()))
            .collect();
        let after = self.mixed(&self.changed);
        let mut joined = self.that_resolve_differently(&after, make, check);
        loop {
            self.dependents(&rebuilt, make, check, &mut joined);
            let before = (members.len(), rebuilt.len());
            members.extend(joined.iter().map(|(base, _)| base.clone()));
            rebuilt.extend(std::mem::take(&mut joined));
            if reach == Reach::Direct || before == (members.len(), rebuilt.len()) {
                return members;
            }
        }
    }

    fn whole(&self, base: &Base) -> Vec<(String, String)> {
        base.splits
            .iter()
            .map(|split| (base.name.clone(), split.name.clone()))
            .collect()
    }

    fn build_lists<'b>(&self, base: &'b Base, make: bool, check: bool) -> Vec<&'b Dep> {
        let mut list = Vec::new();
        if make {
            list.extend(base.depends.iter().chain(&base.make));
        }
        if check {
            list.extend(&base.check);
        }
        list
    }

    fn dependents(
        &self,
        rebuilt: &BTreeSet<(String, String)>,
        make: bool,
        check: bool,
        joined: &mut BTreeSet<(String, String)>,
    ) {
        let leads_in = |world: &[Package], dep: &Dep, by_base: bool| {
            candidates(world, dep)
                .first()
                .is_some_and(|found| match by_base {
                    true => rebuilt.contains(&(found.base.clone(), found.name.clone())),
                    false => rebuilt.iter().any(|(_, name)| *name == found.name),
                })
        };
        for package in &self.new {
            if package
                .depends
                .iter()
                .any(|dep| leads_in(&self.new, dep, true))
            {
                joined.insert((package.base.clone(), package.name.clone()));
            }
        }
        for base in self.sources.values() {
            if self
                .build_lists(base, make, check)
                .iter()
                .any(|dep| leads_in(&self.new, dep, true))
            {
                joined.extend(self.whole(base));
            }
        }
        if self.real_repositories {
            for package in &self.released {
                if package
                    .depends
                    .iter()
                    .any(|dep| leads_in(&self.released, dep, false))
                    && let Some(base) = self.source_of(package)
                {
                    joined.insert((base, package.name.clone()));
                }
            }
        }
    }

    /// The source of a released package: of its base, else whoever makes it.
    fn source_of(&self, package: &Package) -> Option<String> {
        if self.sources.contains_key(&package.base) {
            return Some(package.base.clone());
        }
        let dep = Dep {
            name: package.name.clone(),
            constraint: None,
        };
        let found = candidates(&self.new, &dep).first().map(|p| (*p).clone());
        found
            .filter(|found| found.name == package.name)
            .map(|found| found.base)
    }

    fn that_resolve_differently(
        &self,
        after: &[Package],
        make: bool,
        check: bool,
    ) -> BTreeSet<(String, String)> {
        let chosen = |world: &[Package], dep: &Dep| {
            candidates(world, dep)
                .first()
                .map(|found| found.name.clone())
        };
        let differs = |dep: &Dep| chosen(&self.before, dep) != chosen(&self.new, dep);
        let mut joined = BTreeSet::new();
        for package in self
            .new
            .iter()
            .filter(|package| !self.changed.contains(&package.base))
        {
            if package.depends.iter().any(differs) {
                joined.insert((package.base.clone(), package.name.clone()));
            }
        }
        for base in self
            .sources
            .values()
            .filter(|base| !self.changed.contains(&base.name))
        {
            if self.build_lists(base, make, check).into_iter().any(differs) {
                joined.extend(self.whole(base));
            }
        }
        if self.real_repositories {
            for package in self
                .released
                .iter()
                .filter(|p| !self.changed.contains(&p.base))
            {
                let differs = |dep: &Dep| chosen(&self.released, dep) != chosen(after, dep);
                if package.depends.iter().any(differs)
                    && let Some(base) = self.source_of(package)
                {
                    joined.insert((base, package.name.clone()));
                }
            }
        }
        joined
    }

    /// New packages of the members, and what is released of others.
    pub fn mixed(&self, members: &BTreeSet<String>) -> Vec<Package> {
        let mut world: Vec<Package> = self
            .new
            .iter()
            .filter(|package| members.contains(&package.base))
            .cloned()
            .collect();
        let made: BTreeSet<String> = world.iter().map(|package| package.name.clone()).collect();
        for package in &self.released {
            if !members.contains(&package.base) && !made.contains(&package.name) {
                let mut package = package.clone();
                // Behind all new ones.
                package.repository += 1;
                world.push(package);
            }
        }
        world
    }
}

/// A need of a build and how strong it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Depends,
    Makedepends,
    Checkdepends,
    Implicit,
}

/// What each build installs.
pub struct Installs {
    /// The members, with the strongest kind that leads to each.
    pub members: BTreeMap<String, Kind>,
    /// Members that are installed only for the check.
    pub only_check: BTreeSet<String>,
    /// All packages (base and name) that are installed without the check.
    pub packages: BTreeSet<(String, String)>,
    /// All that are installed for the check.
    pub check_packages: BTreeSet<(String, String)>,
    /// Own packages that are installed without the check.
    pub own: BTreeSet<String>,
    /// Own packages that are installed for the check.
    pub check_own: BTreeSet<String>,
}

/// Walks through the installation of one build.
pub fn installs(
    worlds: &Worlds,
    members: &BTreeSet<String>,
    mixed: &[Package],
    implicit: &[Dep],
    build: &str,
) -> Installs {
    let base = &worlds.sources[build];
    let closure = |roots: Vec<&Dep>, every: bool, own: &mut BTreeSet<String>| {
        let mut packages: BTreeSet<(String, String)> = BTreeSet::new();
        let mut open: Vec<Package> = Vec::new();
        let follow = |dep: &Dep, open: &mut Vec<Package>| {
            let found = candidates(mixed, dep);
            for (number, package) in found.into_iter().enumerate() {
                if number == 0 || (every && members.contains(&package.base) && package.source) {
                    open.push(package.clone());
                }
            }
        };
        roots.into_iter().for_each(|dep| follow(dep, &mut open));
        while let Some(package) = open.pop() {
            if package.source && package.base == build && members.contains(build) {
                own.insert(package.name.clone());
                continue;
            }
            if packages.insert((package.base.clone(), package.name.clone())) {
                for dep in &package.depends {
                    if !by_name(dep, &package) && !by_provision(dep, &package) {
                        follow(dep, &mut open);
                    }
                }
            }
        }
        packages
    };
    let (mut own, mut check_own) = (BTreeSet::new(), BTreeSet::new());
    let depends = closure(base.depends.iter().collect(), false, &mut own);
    let make = closure(base.make.iter().collect(), false, &mut own);
    let always = closure(
        base.depends
            .iter()
            .chain(&base.make)
            .chain(implicit)
            .collect(),
        true,
        &mut own,
    );
    let check = closure(base.check.iter().collect(), true, &mut check_own);
    let mut result = Installs {
        members: BTreeMap::new(),
        only_check: BTreeSet::new(),
        packages: always.clone(),
        check_packages: check.clone(),
        own,
        check_own,
    };
    let new = |(base, name): &(String, String)| {
        mixed
            .iter()
            .any(|p| p.source && p.base == *base && p.name == *name && members.contains(base))
    };
    for (set, kind) in [
        (&always, Kind::Implicit),
        (&make, Kind::Makedepends),
        (&depends, Kind::Depends),
    ] {
        for (base, _) in set.iter().filter(|package| new(package)) {
            result.members.insert(base.clone(), kind);
        }
    }
    for (base, _) in check.iter().filter(|package| new(package)) {
        if !result.members.contains_key(base) {
            result.members.insert(base.clone(), Kind::Checkdepends);
            result.only_check.insert(base.clone());
        }
    }
    result
}
