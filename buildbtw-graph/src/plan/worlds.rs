//! The two worlds a plan looks at, and how a relation is resolved in one.

use rustc_hash::FxHashSet;

use crate::index::{Place, ReleasedIndex, Slot, SourceIndex, address};
use crate::names::{Architecture, PkgBase, PkgName};
use crate::relation::Relation;
use crate::released::ReleasedPackage;
use crate::source::{SourcePackage, SplitPackage};
use crate::version::Version;

/// One package of either world.
#[derive(Debug, Clone, Copy)]
pub(super) enum Package<'a> {
    /// As a `.SRCINFO` describes it, in the version it is to have.
    Source(&'a SourcePackage, &'a SplitPackage, &'a Version),
    /// As a released repository describes it.
    Released(&'a ReleasedPackage),
}

impl<'a> Package<'a> {
    pub fn pkgname(self) -> &'a PkgName {
        match self {
            Package::Source(_, package, _) => &package.pkgname,
            Package::Released(package) => &package.pkgname,
        }
    }

    pub fn pkgbase(self) -> &'a PkgBase {
        match self {
            Package::Source(source, ..) => &source.pkgbase,
            Package::Released(package) => &package.pkgbase,
        }
    }

    pub fn version(self) -> &'a Version {
        match self {
            Package::Source(_, _, version) => version,
            Package::Released(package) => &package.version,
        }
    }

    /// Its run-time dependencies on an architecture.
    pub fn depends(self, on: &Architecture) -> impl Iterator<Item = &'a Relation> + use<'a> {
        let (every, only) = match self {
            Package::Source(_, package, _) => package.depends.slices(on),
            Package::Released(package) => (&package.depends[..], &[][..]),
        };
        every.iter().chain(only)
    }

    /// What it cannot be installed beside on an architecture.
    pub fn conflicts(self, on: &Architecture) -> impl Iterator<Item = &'a Relation> + use<'a> {
        let (every, only) = match self {
            Package::Source(_, package, _) => package.conflicts.slices(on),
            Package::Released(package) => (&package.conflicts[..], &[][..]),
        };
        every.iter().chain(only)
    }

    /// Its own name and the names it provides.
    pub fn names(self, on: &Architecture) -> impl Iterator<Item = &'a str> + use<'a> {
        let (every, only) = match self {
            Package::Source(_, package, _) => package.provides.slices(on),
            Package::Released(package) => (&package.provides[..], &[][..]),
        };
        let provided = every
            .iter()
            .chain(only)
            .map(|provision| provision.name.as_str());
        std::iter::once(self.pkgname().as_str()).chain(provided)
    }

    pub fn provides_for(self, relation: &Relation, on: &Architecture) -> bool {
        match self {
            Package::Source(_, package, _) => package.provides_for(relation, on),
            Package::Released(package) => package.provides_for(relation),
        }
    }

    pub fn satisfies(self, relation: &Relation, on: &Architecture) -> bool {
        relation.satisfied_by_package(self.pkgname().as_str(), self.version())
            || self.provides_for(relation, on)
    }

    /// The same package, not only an equal one.
    pub fn is(self, other: Package<'_>) -> bool {
        self.address() == other.address()
    }

    /// What tells two packages apart for as long as a plan is made.
    pub fn address(self) -> usize {
        match self {
            Package::Source(_, package, _) => address(package),
            Package::Released(package) => address(package),
        }
    }
}

/// Packages that can be found by name, in the order in which pacman would
/// consider them.
pub(super) trait World<'a> {
    /// The packages of a name.
    fn named(&self, name: &str, found: &mut Vec<Package<'a>>);
    /// The packages that provide a name.
    fn providing(&self, name: &str, found: &mut Vec<Package<'a>>);
    /// The architecture that is looked at.
    fn on(&self) -> &'a Architecture;
}

/// What satisfies a relation.
#[derive(Debug, Default)]
pub(super) struct Resolution<'a> {
    /// The package that pacman would take.
    pub chosen: Option<Package<'a>>,
    /// Other packages that would do just as well.
    pub others: Vec<Package<'a>>,
}

/// Resolves a relation like pacman: a package of that very name whose version
/// will do, else a package that provides it.
pub(super) fn resolve<'a>(world: &impl World<'a>, relation: &Relation) -> Resolution<'a> {
    let mut found = Vec::new();
    world.named(&relation.name, &mut found);
    found.retain(|package| relation.accepts(package.version()));
    if let Some(&chosen) = found.first() {
        // A later repository's package of the name is not a choice, but two
        // sources that make the same package are.
        let rival = |package: &Package<'a>| match (chosen, package) {
            (Package::Source(a, ..), Package::Source(b, ..)) => a.pkgbase != b.pkgbase,
            _ => false,
        };
        found.retain(rival);
        return Resolution {
            chosen: Some(chosen),
            others: found,
        };
    }
    world.providing(&relation.name, &mut found);
    found.retain(|package| {
        package.pkgname().as_str() != relation.name && package.provides_for(relation, world.on())
    });
    let mut found = found.into_iter();
    Resolution {
        chosen: found.next(),
        others: found.collect(),
    }
}

/// The default branches, with some sources in place of others.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub base: &'a SourceIndex,
    pub overlay: Option<&'a SourceIndex>,
    /// The numbers of the sources that the overlay takes the place of.
    pub hides: &'a FxHashSet<u32>,
    pub on: &'a Architecture,
}

impl<'a> Sources<'a> {
    pub fn get(&self, pkgbase: &PkgBase) -> Option<&'a SourcePackage> {
        let changed = self.overlay.and_then(|overlay| overlay.get(pkgbase));
        changed
            .or_else(|| self.base.get(pkgbase))
            .map(AsRef::as_ref)
    }

    /// Whether a relation or provision of a source names its very version.
    pub fn names_own_version(&self, source: &SourcePackage) -> bool {
        match self.base.numbered(source) {
            Some(numbered) => numbered.names_own_version,
            None => source.names_own_version(),
        }
    }

    /// The sources that make a package of a name on any architecture.
    pub fn makers(&self, pkgname: &PkgName) -> Vec<&'a SourcePackage> {
        let mut found = Vec::new();
        self.each(
            pkgname.as_str(),
            |slot| &slot.packages,
            |source, _| found.push(source),
        );
        found.sort_by_key(|source| {
            let repository = self.base.repository(&source.pkgbase);
            (repository, order_of_makers(pkgname, &source.pkgbase))
        });
        found
    }

    /// The packages, and (with `None`) the pkgbase sections, that have a
    /// relation to a name.
    pub fn wanting(&self, name: &str) -> Vec<(&'a SourcePackage, Option<&'a SplitPackage>)> {
        let users = |index: &'a SourceIndex| {
            let wanted = index.slot(name).map_or(&[][..], |slot| &slot.wanted);
            let users = wanted.iter().flat_map(|wanted| &wanted.users);
            let mut users: Vec<Place> = users.copied().collect();
            // Some have several relations to a name.
            users.sort_unstable();
            users.dedup();
            users
        };
        let mut base = users(self.base);
        base.retain(|place| !self.hides.contains(&place.container));
        let base = base.into_iter().map(|place| self.base.package(place));
        let overlay = self.overlay.into_iter();
        let overlay = overlay.flat_map(|overlay| {
            let users = users(overlay).into_iter();
            users.map(|place| overlay.package(place))
        });
        let counts = |&(source, package): &(&SourcePackage, Option<&SplitPackage>)| {
            source.builds_on(self.on) && package.is_none_or(|p| p.is_made_for(self.on))
        };
        base.chain(overlay).filter(counts).collect()
    }

    /// The packages of a name, in no particular order.
    pub fn each_named(
        &self,
        name: &str,
        mut call: impl FnMut(&'a SourcePackage, &'a SplitPackage),
    ) {
        self.each(
            name,
            |slot| &slot.packages,
            |source, package| {
                if let Some(package) = package {
                    call(source, package);
                }
            },
        );
    }

    /// The packages that provide a name, in no particular order.
    pub fn each_providing(
        &self,
        name: &str,
        mut call: impl FnMut(&'a SourcePackage, &'a SplitPackage),
    ) {
        self.each(
            name,
            |slot| &slot.providers,
            |source, package| {
                if let Some(package) = package {
                    call(source, package);
                }
            },
        );
    }

    fn each(
        &self,
        name: &str,
        list: impl Fn(&Slot) -> &Vec<Place>,
        mut call: impl FnMut(&'a SourcePackage, Option<&'a SplitPackage>),
    ) {
        if let Some(slot) = self.base.slot(name) {
            for &place in list(slot) {
                if !self.hides.contains(&place.container) {
                    let (source, package) = self.base.package(place);
                    call(source, package);
                }
            }
        }
        if let Some(overlay) = self.overlay
            && let Some(slot) = overlay.slot(name)
        {
            for &place in list(slot) {
                let (source, package) = overlay.package(place);
                call(source, package);
            }
        }
    }

    fn packages(
        &self,
        name: &str,
        list: impl Fn(&Slot) -> &Vec<Place>,
        found: &mut Vec<Package<'a>>,
    ) {
        let start = found.len();
        self.each(name, list, |source, package| {
            if let Some(package) = package
                && source.builds_on(self.on)
                && package.is_made_for(self.on)
            {
                found.push(Package::Source(source, package, &source.version));
            }
        });
        let found = &mut found[start..];
        sort_by_name(found);
        found.sort_by_key(|package| self.base.repository(package.pkgbase()));
    }
}

/// Sorts packages of sources the way a repository of them would have them.
pub(super) fn sort_by_name(packages: &mut [Package<'_>]) {
    packages.sort_by_key(|package| {
        let (other, pkgbase) = order_of_makers(package.pkgname(), package.pkgbase());
        (package.pkgname(), other, pkgbase)
    });
}

/// Where two sources make the same package, the one that is called like it
/// comes first.
fn order_of_makers<'a>(pkgname: &PkgName, pkgbase: &'a PkgBase) -> (bool, &'a PkgBase) {
    (pkgname.as_str() != pkgbase.as_str(), pkgbase)
}

impl<'a> World<'a> for Sources<'a> {
    fn named(&self, name: &str, found: &mut Vec<Package<'a>>) {
        self.packages(name, |slot| &slot.packages, found);
    }

    fn providing(&self, name: &str, found: &mut Vec<Package<'a>>) {
        self.packages(name, |slot| &slot.providers, found);
    }

    fn on(&self) -> &'a Architecture {
        self.on
    }
}

/// What is released.
#[derive(Clone, Copy)]
pub(super) enum Released<'a> {
    /// Released repositories.
    Repositories(&'a ReleasedIndex, &'a Architecture),
    /// The default branches, which stand for what is released.
    Branches(Sources<'a>),
    /// Nothing is: a new distribution begins.
    Nothing(&'a Architecture),
}

impl<'a> Released<'a> {
    /// The released package of a name that pacman would take.
    pub fn package(&self, pkgname: &PkgName) -> Option<Package<'a>> {
        let mut found = Vec::new();
        self.named(pkgname.as_str(), &mut found);
        found.first().copied()
    }

    /// Whether there is one.
    pub fn has(&self, pkgname: &PkgName) -> bool {
        let name = pkgname.as_str();
        match self {
            Released::Nothing(_) => false,
            Released::Repositories(index, _) => index.packages_named(name).next().is_some(),
            Released::Branches(sources) => {
                let mut found = false;
                sources.each_named(name, |source, package| {
                    found |= source.builds_on(sources.on) && package.is_made_for(sources.on);
                });
                found
            }
        }
    }

    /// Whether there is one of a package's name, for a package of a source that
    /// is built.
    pub fn has_form_of(&self, package: Package<'_>) -> bool {
        match (self, package) {
            // Where the default branches stand for what is released, it is its own.
            (Released::Branches(sources), Package::Source(source, ..))
                if sources.base.numbered(source).is_some() =>
            {
                true
            }
            _ => self.has(package.pkgname()),
        }
    }

    /// All released packages of a pkgbase.
    pub fn packages_from(&self, pkgbase: &PkgBase) -> Vec<Package<'a>> {
        match self {
            Released::Nothing(_) => Vec::new(),
            Released::Repositories(index, _) => index
                .packages_from(pkgbase.as_str())
                .map(|(_, package)| Package::Released(package))
                .collect(),
            Released::Branches(sources) => sources.get(pkgbase).map_or_else(Vec::new, |source| {
                source
                    .pkgnames(sources.on)
                    .map(|package| Package::Source(source, package, &source.version))
                    .collect()
            }),
        }
    }
}

impl<'a> World<'a> for Released<'a> {
    fn named(&self, name: &str, found: &mut Vec<Package<'a>>) {
        match self {
            Released::Nothing(_) => {}
            Released::Repositories(index, _) => {
                found.extend(
                    index
                        .packages_named(name)
                        .map(|(_, p)| Package::Released(p)),
                );
            }
            Released::Branches(sources) => sources.named(name, found),
        }
    }

    fn providing(&self, name: &str, found: &mut Vec<Package<'a>>) {
        match self {
            Released::Nothing(_) => {}
            Released::Repositories(index, _) => {
                found.extend(index.providers_of(name).map(|(_, p)| Package::Released(p)));
            }
            Released::Branches(sources) => sources.providing(name, found),
        }
    }

    fn on(&self) -> &'a Architecture {
        match self {
            Released::Nothing(on) | Released::Repositories(_, on) => on,
            Released::Branches(sources) => sources.on,
        }
    }
}
