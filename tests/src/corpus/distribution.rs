//! What installing brings along, worked out from `.SRCINFO` texts in the plainest way: one walk a
//! build, nothing shared with the planner.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::srcinfo::{Made, Source, Wanted};

/// A package: the numbers of its source and of the package in it.
pub type PackageId = (usize, usize);

/// Which packages a build set is made of, by the number of the source.
pub type Members = BTreeSet<usize>;

/// All sources of a distribution, with the packages that satisfy each relation.
#[derive(Debug)]
pub struct Distribution {
    sources: Vec<Source>,
    numbers: HashMap<String, usize>,
    /// The packages of a name, the one that pacman would take first.
    named: HashMap<String, Vec<PackageId>>,
    /// The packages that provide a name, the one that pacman would take first.
    providing: HashMap<String, Vec<PackageId>>,
    /// For each package what satisfies each of its run-time dependencies, less those that it
    /// satisfies itself.
    along: HashMap<PackageId, Vec<Vec<PackageId>>>,
}

/// How far a build set reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Dependents, and their dependents, and so on.
    Transitive,
    /// Only the dependents of what changed.
    Direct,
    /// Only what changed.
    None,
}

impl Distribution {
    /// A distribution of some sources.
    pub fn new(sources: Vec<Source>) -> Self {
        let mut distribution = Self {
            sources: Vec::new(),
            numbers: HashMap::new(),
            named: HashMap::new(),
            providing: HashMap::new(),
            along: HashMap::new(),
        };
        for (number, source) in sources.iter().enumerate() {
            distribution.numbers.insert(source.pkgbase.clone(), number);
            for (at, made) in source.packages.iter().enumerate() {
                let id = (number, at);
                distribution
                    .named
                    .entry(made.pkgname.clone())
                    .or_default()
                    .push(id);
                for (name, _) in &made.provides {
                    let providers = distribution.providing.entry(name.clone()).or_default();
                    // A name may be provided in several versions.
                    if !providers.contains(&id) {
                        providers.push(id);
                    }
                }
            }
        }
        distribution.sources = sources;
        // pacman takes the first in the order of names; of two sources that make the same package
        // the one that is called like it.
        let sources = &distribution.sources;
        for list in distribution
            .named
            .values_mut()
            .chain(distribution.providing.values_mut())
        {
            list.sort_by_key(|&(source, at)| {
                let (pkgbase, pkgname) = (
                    &sources[source].pkgbase,
                    &sources[source].packages[at].pkgname,
                );
                (pkgname, pkgname != pkgbase, pkgbase)
            });
        }
        let along = |id: PackageId| {
            let depends = distribution.package(id).depends.iter();
            let others = depends.filter(|wanted| !distribution.satisfies_itself(id, wanted));
            (
                id,
                others
                    .map(|wanted| distribution.satisfying(wanted))
                    .collect(),
            )
        };
        distribution.along = distribution.packages().map(along).collect();
        distribution
    }

    /// The sources, by number.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The number of a source.
    pub fn number(&self, pkgbase: &str) -> Option<usize> {
        self.numbers.get(pkgbase).copied()
    }

    /// A package.
    pub fn package(&self, (source, at): PackageId) -> &Made {
        &self.sources[source].packages[at]
    }

    /// The packages that satisfy a relation: those of that very name, else those that provide it.
    /// pacman takes the first.
    pub fn satisfying(&self, wanted: &Wanted) -> Vec<PackageId> {
        let listed = |map: &HashMap<String, Vec<PackageId>>| {
            map.get(&wanted.name).cloned().unwrap_or_default()
        };
        let mut found = listed(&self.named);
        found.retain(|&(source, _)| wanted.accepts(&self.sources[source].version));
        if found.is_empty() {
            found = listed(&self.providing);
            found.retain(|&id| provides(self.package(id), wanted));
        }
        found
    }

    /// Whether a package satisfies a relation of its own, so that it brings nothing along.
    fn satisfies_itself(&self, id: PackageId, wanted: &Wanted) -> bool {
        let made = self.package(id);
        (made.pkgname == wanted.name && wanted.accepts(&self.sources[id.0].version))
            || provides(made, wanted)
    }

    /// The sources that depend at run time on some others, and these: at least and at most. They
    /// differ where a relation has several candidates, of which pacman takes one.
    pub fn dependents(&self, changed: &[usize], reach: Reach) -> (Members, Members) {
        let mut wanted_by_first: HashMap<PackageId, Vec<PackageId>> = HashMap::new();
        let mut wanted_by_any: HashMap<PackageId, Vec<PackageId>> = HashMap::new();
        for id in self.packages() {
            for first in self.along[&id]
                .iter()
                .filter_map(|candidates| candidates.first())
            {
                wanted_by_first.entry(*first).or_default().push(id);
            }
            for candidate in self
                .package(id)
                .depends
                .iter()
                .flat_map(|wanted| self.satisfying(wanted))
            {
                wanted_by_any.entry(candidate).or_default().push(id);
            }
        }
        let reached = |wanted_by: &HashMap<PackageId, Vec<PackageId>>| {
            let mut members: Members = changed.iter().copied().collect();
            let of_changed = self
                .packages()
                .filter(|(source, _)| changed.contains(source));
            let mut stack: Vec<PackageId> = of_changed.collect();
            let mut seen: HashSet<PackageId> = stack.iter().copied().collect();
            if reach == Reach::None {
                stack.clear();
            }
            while let Some(id) = stack.pop() {
                for &dependent in wanted_by.get(&id).into_iter().flatten() {
                    members.insert(dependent.0);
                    if seen.insert(dependent) && reach == Reach::Transitive {
                        stack.push(dependent);
                    }
                }
            }
            members
        };
        (reached(&wanted_by_first), reached(&wanted_by_any))
    }

    fn packages(&self) -> impl Iterator<Item = PackageId> {
        let of_source = |(number, source): (usize, &Source)| {
            (0..source.packages.len()).map(move |at| (number, at))
        };
        self.sources.iter().enumerate().flat_map(of_source)
    }

    /// The members whose packages are installed to build a source with some relations: what
    /// satisfies these, with its whole run-time closure, up to the source's own packages.
    ///
    /// Of several packages that satisfy a relation, those of members count: their repository comes
    /// first, and which of them pacman finds there may change while they are built. Where there is
    /// none, the first one counts.
    pub fn installed_members(
        &self,
        build: usize,
        relations: &[&Wanted],
        members: &Members,
    ) -> Members {
        let mut stack: Vec<PackageId> = Vec::new();
        let count = |candidates: &[PackageId], stack: &mut Vec<PackageId>| {
            let of_members = candidates.iter().filter(|id| members.contains(&id.0));
            let before = stack.len();
            stack.extend(of_members);
            if stack.len() == before {
                stack.extend(candidates.first());
            }
        };
        for wanted in relations {
            count(&self.satisfying(wanted), &mut stack);
        }
        let mut seen: HashSet<PackageId> = HashSet::new();
        let mut installed = Members::new();
        while let Some(id) = stack.pop() {
            if id.0 == build || !seen.insert(id) {
                continue;
            }
            if members.contains(&id.0) {
                installed.insert(id.0);
            }
            for candidates in &self.along[&id] {
                count(candidates, &mut stack);
            }
        }
        installed
    }
}

/// Whether what a package provides satisfies a relation. makepkg adds the number to a soname
/// (`libfoo.so`) when the package is built; until then it counts for every number.
fn provides(made: &Made, wanted: &Wanted) -> bool {
    made.provides
        .iter()
        .filter(|(name, _)| *name == wanted.name)
        .any(|(name, version)| match version {
            Some(version) => wanted.accepts(version),
            None => wanted.constraint.is_none() || name.ends_with(".so"),
        })
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Members, Reach};
    use crate::corpus::srcinfo::read;

    fn distribution(texts: &[&str]) -> Distribution {
        let whole = |text: &&str| {
            let (pkgbase, rest) = text.split_once('|').expect("a name stands first");
            let rest = rest.replace(';', "\n");
            read(&format!(
                "pkgbase = {pkgbase}\npkgver = 1\npkgrel = 1\narch = x86_64\n{rest}"
            ))
        };
        Distribution::new(texts.iter().map(whole).collect())
    }

    fn names(distribution: &Distribution, members: &Members) -> Vec<String> {
        members
            .iter()
            .map(|&number| distribution.sources()[number].pkgbase.clone())
            .collect()
    }

    #[test]
    fn a_name_goes_before_what_provides_it_and_a_version_may_lead_on() {
        let all = distribution(&[
            "a|pkgname = a",
            "b|pkgname = b;provides = a=7",
            "c|pkgname = c;depends = a",
            "d|pkgname = d;depends = a>6",
            "e|pkgname = e;depends = a>8",
        ]);
        let first = |source: usize| {
            let found = all.satisfying(&all.sources()[source].packages[0].depends[0]);
            found.first().map(|&(number, _)| number)
        };
        assert_eq!((first(2), first(3), first(4)), (Some(0), Some(1), None));
    }

    #[test]
    fn dependents_go_by_package_and_as_far_as_asked() {
        let all = distribution(&[
            "lib|pkgname = lib",
            "split|pkgname = split-tool;depends = lib;pkgname = split-data",
            "user|pkgname = user;depends = split-tool",
            "other|pkgname = other;depends = split-data",
        ]);
        let reached = |reach| {
            let (least, most) = all.dependents(&[0], reach);
            assert_eq!(least, most);
            names(&all, &least)
        };
        assert_eq!(reached(Reach::Transitive), ["lib", "split", "user"]);
        assert_eq!(reached(Reach::Direct), ["lib", "split"]);
        assert_eq!(reached(Reach::None), ["lib"]);
    }

    #[test]
    fn an_installation_holds_the_closure_up_to_the_own_packages() {
        let all = distribution(&[
            "x|makedepends = tool;pkgname = x;depends = only-at-run-time",
            "tool|pkgname = tool;depends = virtual;depends = x",
            "one|pkgname = one;provides = virtual;depends = far",
            "two|pkgname = two;provides = virtual",
            "only-at-run-time|pkgname = only-at-run-time",
            "far|pkgname = far",
        ]);
        let relations: Vec<_> = all.sources()[0].makedepends.iter().collect();
        let installed = |members: &[usize]| {
            let members = members.iter().copied().collect();
            names(&all, &all.installed_members(0, &relations, &members))
        };
        assert_eq!(
            installed(&[0, 1, 2, 3, 4, 5]),
            ["tool", "one", "two", "far"]
        );
        assert_eq!(installed(&[0, 2, 5]), ["one", "far"]);
        assert_eq!(
            installed(&[0, 3, 5]),
            ["two"],
            "a member goes before what is released"
        );
        assert_eq!(
            installed(&[0, 5]),
            ["far"],
            "of what is released, the first name goes first"
        );
    }
}
