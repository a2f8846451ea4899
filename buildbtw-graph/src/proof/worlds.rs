//! The packages a relation may lead to, before the change, after it, in the
//! released repositories, and in the root of a build.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::index::{Place, ReleasedIndex, Slot, SourceIndex, Wanted};
use crate::names::{Architecture, PkgBase, PkgName};
use crate::plan::PlanInput;
use crate::relation::Relation;
use crate::released::ReleasedPackage;
use crate::source::{SourcePackage, SplitPackage};
use crate::version::Version;

/// A package: one that a source makes, or one that is stored in a repository.
#[derive(Clone, Copy)]
pub(super) enum Pkg<'w> {
    Made {
        source: &'w SourcePackage,
        split: &'w SplitPackage,
        version: &'w Version,
    },
    Stored(&'w ReleasedPackage),
}

impl<'w> Pkg<'w> {
    pub fn name(self) -> &'w PkgName {
        match self {
            Pkg::Made { split, .. } => &split.pkgname,
            Pkg::Stored(package) => &package.pkgname,
        }
    }

    pub fn base(self) -> &'w PkgBase {
        match self {
            Pkg::Made { source, .. } => &source.pkgbase,
            Pkg::Stored(package) => &package.pkgbase,
        }
    }

    pub fn version(self) -> &'w Version {
        match self {
            Pkg::Made { version, .. } => version,
            Pkg::Stored(package) => &package.version,
        }
    }

    /// What it needs to run.
    pub fn depends(self, on: &Architecture) -> impl Iterator<Item = &'w Relation> + use<'w> {
        let (all, here) = match self {
            Pkg::Made { split, .. } => split.depends.slices(on),
            Pkg::Stored(package) => (package.depends.as_slice(), [].as_slice()),
        };
        all.iter().chain(here)
    }

    /// What it refuses to stand beside.
    pub fn conflicts(self, on: &Architecture) -> impl Iterator<Item = &'w Relation> + use<'w> {
        let (all, here) = match self {
            Pkg::Made { split, .. } => split.conflicts.slices(on),
            Pkg::Stored(package) => (package.conflicts.as_slice(), [].as_slice()),
        };
        all.iter().chain(here)
    }

    /// All names by which it can be found.
    pub fn names(self, on: &Architecture) -> Vec<&'w str> {
        let mut names = vec![self.name().as_str()];
        match self {
            Pkg::Made { split, .. } => names.extend(split.provides.on(on).map(|p| &*p.name)),
            Pkg::Stored(package) => names.extend(package.provides.iter().map(|p| &*p.name)),
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    pub fn provides(self, relation: &Relation, on: &Architecture) -> bool {
        match self {
            Pkg::Made { split, .. } => split.provides_for(relation, on),
            Pkg::Stored(package) => package.provides_for(relation),
        }
    }

    /// Whether it satisfies a relation in any way.
    pub fn does(self, relation: &Relation, on: &Architecture) -> bool {
        relation.satisfied_by_package(self.name().as_str(), self.version())
            || self.provides(relation, on)
    }

    /// Equal for the same entry of the same list only.
    pub fn key(self) -> usize {
        match self {
            Pkg::Made { split, .. } => std::ptr::from_ref(split) as usize,
            Pkg::Stored(package) => std::ptr::from_ref(package) as usize,
        }
    }
}

/// How a package goes by a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Name,
    Provision,
}

impl By {
    fn list(self, slot: &Slot) -> &[Place] {
        match self {
            By::Name => &slot.packages,
            By::Provision => &slot.providers,
        }
    }
}

/// Somewhere to look for packages, in pacman's order.
pub(super) trait Lookup<'w> {
    /// Adds the packages that go by a name.
    fn look_up(&self, name: &str, by: By, found: &mut Vec<Pkg<'w>>);
}

/// All that would satisfy a relation; what pacman takes comes first. Packages
/// of the very name leave no choice, unless two sources make it.
pub(super) fn satisfiers<'w>(
    lookup: &impl Lookup<'w>,
    relation: &Relation,
    on: &Architecture,
) -> Vec<Pkg<'w>> {
    let mut found = Vec::new();
    lookup.look_up(&relation.name, By::Name, &mut found);
    found.retain(|pkg| relation.accepts(pkg.version()));
    if let Some(&first) = found.first() {
        let mut at = 0;
        found.retain(|pkg| {
            at += 1;
            let both_made = matches!((first, pkg), (Pkg::Made { .. }, Pkg::Made { .. }));
            at == 1 || (both_made && pkg.base() != first.base())
        });
        return found;
    }
    lookup.look_up(&relation.name, By::Provision, &mut found);
    found.retain(|pkg| pkg.name().as_str() != relation.name && pkg.provides(relation, on));
    found
}

/// What is released.
#[derive(Clone, Copy)]
pub(super) enum Base<'w> {
    Repositories(&'w ReleasedIndex),
    DefaultBranches,
    Nothing,
}

/// The sources and the released packages as one architecture sees them.
pub(super) struct Worlds<'w> {
    pub on: &'w Architecture,
    pub sources: &'w SourceIndex,
    pub changes: &'w [SourcePackage],
    pub base: Base<'w>,
    changed: FxHashMap<&'w str, &'w SourcePackage>,
    /// The numbers of the default branches that are changed.
    outdated: FxHashSet<u32>,
    fresh: FxHashMap<&'w str, Vec<(&'w SourcePackage, &'w SplitPackage, By)>>,
    /// The packages (or sections) of changed sources with a relation to a name.
    fresh_wanting: FxHashMap<&'w str, Vec<User<'w>>>,
}

/// Who has a relation: a package of a source or, with `None`, its pkgbase section.
pub(super) type User<'w> = (&'w SourcePackage, Option<&'w SplitPackage>);

impl<'w> Worlds<'w> {
    pub fn new(input: &PlanInput<'w>, on: &'w Architecture) -> Self {
        let mut worlds = Worlds {
            on,
            sources: input.sources,
            changes: input.changes,
            base: match input.released.get(on) {
                Some(index) if !index.is_empty() => Base::Repositories(index),
                _ if input.options.bootstrap => Base::Nothing,
                _ => Base::DefaultBranches,
            },
            changed: FxHashMap::default(),
            outdated: FxHashSet::default(),
            fresh: FxHashMap::default(),
            fresh_wanting: FxHashMap::default(),
        };
        for source in input.changes {
            worlds.changed.insert(source.pkgbase.as_str(), source);
            worlds
                .outdated
                .extend(input.sources.number(&source.pkgbase));
            for split in source.pkgnames(on).filter(|_| source.builds_on(on)) {
                let name = split.pkgname.as_str();
                let fresh = &mut worlds.fresh;
                fresh
                    .entry(name)
                    .or_default()
                    .push((source, split, By::Name));
                for provision in split.provides.on(on) {
                    let known = fresh.entry(&provision.name).or_default();
                    if !known
                        .iter()
                        .any(|(_, s, by)| *by == By::Provision && std::ptr::eq(*s, split))
                    {
                        known.push((source, split, By::Provision));
                    }
                }
            }
            worlds.note_wanting(source);
        }
        worlds
    }

    fn note_wanting(&mut self, source: &'w SourcePackage) {
        let mut note = |relation: &'w Relation, split: Option<&'w SplitPackage>| {
            let known = self.fresh_wanting.entry(&relation.name).or_default();
            known.push((source, split));
        };
        for (_, relation) in source.build_relations(self.on) {
            note(relation, None);
        }
        for split in &source.packages {
            split
                .depends
                .on(self.on)
                .for_each(|relation| note(relation, Some(split)));
        }
    }

    /// A source as it is after the change.
    pub fn source(&self, pkgbase: &str) -> Option<&'w SourcePackage> {
        let changed = self.changed.get(pkgbase).copied();
        changed.or_else(|| self.default_branch(pkgbase))
    }

    pub fn is_changed(&self, pkgbase: &PkgBase) -> bool {
        self.changed.contains_key(pkgbase.as_str())
    }

    /// A source as it is before the change.
    pub fn default_branch(&self, pkgbase: &str) -> Option<&'w SourcePackage> {
        let place = self.sources.slot(pkgbase)?.bases.first()?;
        Some(self.sources.source(*place).as_ref())
    }

    /// Whether a relation or provision of a source names its very version.
    pub fn names_own_version(&self, source: &SourcePackage) -> bool {
        let known = self.sources.numbered(source);
        known.map_or_else(|| source.names_own_version(), |it| it.names_own_version)
    }

    fn branches(&self, name: &str, by: By, outdated: bool, found: &mut Vec<Pkg<'w>>) {
        let places = self
            .sources
            .slot(name)
            .map_or(&[][..], |slot| by.list(slot));
        for &place in places {
            if !outdated && self.outdated.contains(&place.container) {
                continue;
            }
            let (source, split) = self.sources.package(place);
            if let Some(split) = split
                && split.is_made_for(self.on)
                && source.builds_on(self.on)
            {
                let version = &source.version;
                found.push(Pkg::Made {
                    source,
                    split,
                    version,
                });
            }
        }
    }

    /// The relations of default branches to a name, with whoever has them.
    pub fn relations_to(&self, name: &str) -> &'w [Wanted] {
        let slot = self.sources.slot(name);
        slot.map_or(&[][..], |slot| &slot.wanted)
    }

    /// The package (or, with `None`, pkgbase section) at a place, unless the
    /// source is changed.
    pub fn unchanged(&self, place: Place) -> Option<User<'w>> {
        let is_outdated = self.outdated.contains(&place.container);
        (!is_outdated).then(|| self.sources.package(place))
    }

    /// The packages (or sections) of changed sources that have a relation to a name.
    pub fn changed_wanting(&self, name: &str) -> Vec<User<'w>> {
        let fresh = self.fresh_wanting.get(name).into_iter().flatten();
        fresh.copied().filter(|&user| self.is_here(user)).collect()
    }

    /// Whether it is built, or made, on this architecture.
    pub fn is_here(&self, (source, split): User<'w>) -> bool {
        split.is_none_or(|split| split.is_made_for(self.on)) && source.builds_on(self.on)
    }

    /// Whether a package of a name is released.
    pub fn is_released(&self, name: &str) -> bool {
        match self.base {
            Base::Nothing => false,
            Base::Repositories(index) => index.packages_named(name).next().is_some(),
            Base::DefaultBranches => {
                let slot = self.sources.slot(name);
                let places = slot.map_or(&[][..], |slot| &slot.packages);
                let mut users = places.iter().map(|&place| self.sources.package(place));
                users.any(|user| self.is_here(user))
            }
        }
    }

    /// Whether a package of the name of one that is built here is released.
    pub fn has_released(&self, pkg: Pkg<'_>) -> bool {
        // An unchanged source is what stands for its own release.
        let itself = match (self.base, pkg) {
            (Base::DefaultBranches, Pkg::Made { source, split, .. }) => {
                self.sources.numbered(source).is_some()
                    && split.is_made_for(self.on)
                    && source.builds_on(self.on)
            }
            _ => false,
        };
        itself || self.is_released(pkg.name().as_str())
    }

    /// The released package of a name.
    pub fn released_named(&self, name: &str) -> Option<Pkg<'w>> {
        let mut found = Vec::new();
        AsReleased(self).look_up(name, By::Name, &mut found);
        found.first().copied()
    }
}

/// The order of the repositories into which all sources were built.
fn sort_made(sources: &SourceIndex, packages: &mut [Pkg<'_>]) {
    packages.sort_by(|a, b| {
        let key = |pkg: &Pkg<'_>| pkg.name().as_str() != pkg.base().as_str();
        let repository = |pkg: &Pkg<'_>| sources.repository(pkg.base());
        repository(a)
            .cmp(&repository(b))
            .then_with(|| a.name().cmp(b.name()))
            .then_with(|| key(a).cmp(&key(b)))
            .then_with(|| a.base().cmp(b.base()))
    });
}

/// The sources before the change.
pub(super) struct Before<'v, 'w>(pub &'v Worlds<'w>);

impl<'w> Lookup<'w> for Before<'_, 'w> {
    fn look_up(&self, name: &str, by: By, found: &mut Vec<Pkg<'w>>) {
        let start = found.len();
        self.0.branches(name, by, true, found);
        sort_made(self.0.sources, &mut found[start..]);
    }
}

/// The sources after the change.
pub(super) struct After<'v, 'w>(pub &'v Worlds<'w>);

impl<'w> Lookup<'w> for After<'_, 'w> {
    fn look_up(&self, name: &str, by: By, found: &mut Vec<Pkg<'w>>) {
        let start = found.len();
        self.0.branches(name, by, false, found);
        let fresh = self.0.fresh.get(name).into_iter().flatten();
        found.extend(
            fresh
                .filter(|entry| entry.2 == by)
                .map(|&(source, split, _)| {
                    let version = &source.version;
                    Pkg::Made {
                        source,
                        split,
                        version,
                    }
                }),
        );
        sort_made(self.0.sources, &mut found[start..]);
    }
}

/// What is released.
pub(super) struct AsReleased<'v, 'w>(pub &'v Worlds<'w>);

impl<'w> Lookup<'w> for AsReleased<'_, 'w> {
    fn look_up(&self, name: &str, by: By, found: &mut Vec<Pkg<'w>>) {
        match self.0.base {
            Base::Nothing => {}
            Base::DefaultBranches => Before(self.0).look_up(name, by, found),
            Base::Repositories(index) => {
                let stored = |(_, package)| Pkg::Stored(package);
                match by {
                    By::Name => found.extend(index.packages_named(name).map(stored)),
                    By::Provision => found.extend(index.providers_of(name).map(stored)),
                }
            }
        }
    }
}
