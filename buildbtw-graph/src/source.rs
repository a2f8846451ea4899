//! What planning needs to know of one package source: the content of its
//! `.SRCINFO`, with the overrides of split packages resolved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{Architecture, PkgBase, PkgName};
use crate::relation::{Provision, Relation};
use crate::version::{Version, VersionError};

/// Which list of a package source a relation stands in, from the strongest to
/// the weakest reason to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelationKind {
    /// `depends`: installed to build and to run.
    Depends,
    /// `makedepends`: installed to build.
    Makedepends,
    /// `checkdepends`: installed for check(), unless it is skipped.
    Checkdepends,
    /// Installed into every build root (base-devel), named by no package.
    Implicit,
}

impl RelationKind {
    /// The word of PKGBUILD(5), or `implicit`.
    pub fn as_str(self) -> &'static str {
        match self {
            RelationKind::Depends => "depends",
            RelationKind::Makedepends => "makedepends",
            RelationKind::Checkdepends => "checkdepends",
            RelationKind::Implicit => "implicit",
        }
    }
}

/// A list that has entries for every architecture and entries for some, like
/// `depends` and `depends_x86_64`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerArchitecture<T> {
    /// The entries that hold on every architecture.
    pub every: Vec<T>,
    /// The additional entries of single architectures.
    #[serde(default = "BTreeMap::new", skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<Architecture, Vec<T>>,
}

impl<T> Default for PerArchitecture<T> {
    fn default() -> Self {
        PerArchitecture {
            every: Vec::new(),
            only: BTreeMap::new(),
        }
    }
}

impl<T> PerArchitecture<T> {
    /// The entries that hold on one architecture, in the order of makepkg.
    pub fn on<'a>(
        &'a self,
        architecture: &Architecture,
    ) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let (every, only) = self.slices(architecture);
        every.iter().chain(only)
    }

    pub(crate) fn slices(&self, architecture: &Architecture) -> (&[T], &[T]) {
        let only = self.only.get(architecture);
        (&self.every, only.map_or(&[][..], Vec::as_slice))
    }

    /// The entries of all architectures.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.every.iter().chain(self.only.values().flatten())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.every
            .iter_mut()
            .chain(self.only.values_mut().flatten())
    }
}

/// One package that a source makes. What the source says for all its packages
/// is already merged in, and what package_foo() replaces or clears is replaced
/// or cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPackage {
    /// The package's name.
    pub pkgname: PkgName,
    /// The architectures it is made for, `any` among them or alone.
    pub architectures: Vec<Architecture>,
    /// Run-time dependencies.
    pub depends: PerArchitecture<Relation>,
    /// Names it provides besides its own.
    pub provides: PerArchitecture<Provision>,
    /// What it cannot be installed beside.
    pub conflicts: PerArchitecture<Relation>,
    /// Packages it takes the place of.
    pub replaces: PerArchitecture<Relation>,
    /// Optional run-time dependencies, without their reasons. Never ordering.
    pub optdepends: PerArchitecture<Relation>,
    /// The groups it belongs to.
    pub groups: Vec<String>,
}

/// One package source, as its `.SRCINFO` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePackage {
    /// The source's name.
    pub pkgbase: PkgBase,
    /// `[epoch:]pkgver-pkgrel` of all its packages.
    pub version: Version,
    /// The architectures it is built for, `any` among them or alone.
    pub architectures: Vec<Architecture>,
    /// `depends` of the pkgbase section: what makepkg installs to build.
    pub depends: PerArchitecture<Relation>,
    /// `makedepends`.
    pub makedepends: PerArchitecture<Relation>,
    /// `checkdepends`.
    pub checkdepends: PerArchitecture<Relation>,
    /// The packages it makes, in the order of the `.SRCINFO`.
    pub packages: Vec<SplitPackage>,
}

fn made_for(architectures: &[Architecture], architecture: &Architecture) -> bool {
    architectures
        .iter()
        .any(|a| a.is_any() || a == architecture)
}

impl SplitPackage {
    /// Whether the package is made when its source is built for an architecture.
    pub fn is_made_for(&self, architecture: &Architecture) -> bool {
        made_for(&self.architectures, architecture)
    }

    /// Whether a relation is satisfied by this package at a version, by its
    /// name or by what it provides.
    pub fn satisfies(&self, relation: &Relation, version: &Version, on: &Architecture) -> bool {
        relation.satisfied_by_package(self.pkgname.as_str(), version)
            || self.provides_for(relation, on)
    }

    /// Whether a relation is satisfied by what this package provides.
    ///
    /// A `.SRCINFO` names sonames without a number (`libfoo.so`); makepkg adds
    /// it when the package is built. Until then such a provision counts for
    /// every number.
    pub fn provides_for(&self, relation: &Relation, on: &Architecture) -> bool {
        self.provides.on(on).any(|provision| {
            relation.satisfied_by_provision(provision)
                || (provision.version.is_none()
                    && provision.name == relation.name
                    && is_soname(&provision.name))
        })
    }
}

/// Whether a name is a shared object's, for which makepkg fills in the number.
fn is_soname(name: &str) -> bool {
    name.ends_with(".so")
}

impl SourcePackage {
    /// The packages made when the source is built for an architecture.
    pub fn pkgnames<'a>(
        &'a self,
        architecture: &'a Architecture,
    ) -> impl Iterator<Item = &'a SplitPackage> {
        self.packages
            .iter()
            .filter(move |package| package.is_made_for(architecture))
    }

    /// Whether a build for the architecture makes at least one package.
    pub fn builds_on(&self, architecture: &Architecture) -> bool {
        made_for(&self.architectures, architecture) && self.pkgnames(architecture).next().is_some()
    }

    /// Whether all its packages are for any architecture, so that one build
    /// serves all.
    pub fn is_any_only(&self) -> bool {
        self.architectures.iter().all(Architecture::is_any)
            && self
                .packages
                .iter()
                .all(|package| package.architectures.iter().all(Architecture::is_any))
    }

    /// What makepkg installs to build the source for an architecture: the
    /// pkgbase section's `depends`, `makedepends` and `checkdepends`. What
    /// package_foo() adds to its own `depends` is not among it.
    pub fn build_relations<'a>(
        &'a self,
        architecture: &Architecture,
    ) -> impl Iterator<Item = (RelationKind, &'a Relation)> + use<'a> {
        let depends = self.depends.on(architecture);
        let makedepends = self.makedepends.on(architecture);
        let checkdepends = self.checkdepends.on(architecture);
        depends
            .map(|relation| (RelationKind::Depends, relation))
            .chain(makedepends.map(|relation| (RelationKind::Makedepends, relation)))
            .chain(checkdepends.map(|relation| (RelationKind::Checkdepends, relation)))
    }

    /// Whether a relation or provision names exactly this source's version.
    pub(crate) fn names_own_version(&self) -> bool {
        let base = [&self.depends, &self.makedepends, &self.checkdepends];
        let own = self
            .packages
            .iter()
            .flat_map(|p| [&p.depends, &p.conflicts, &p.replaces]);
        let mut relations = base.into_iter().chain(own).flat_map(|list| list.all());
        let mut provided = self
            .packages
            .iter()
            .flat_map(|package| package.provides.all());
        relations.any(|r| {
            r.constraint
                .as_ref()
                .is_some_and(|c| c.version == self.version)
        }) || provided.any(|provision| provision.version.as_ref() == Some(&self.version))
    }

    /// The same source with another pkgrel. Relations and provisions that name
    /// a package of this source in exactly its present version follow, as
    /// `foo=$pkgver-$pkgrel` in the PKGBUILD would.
    ///
    /// # Errors
    ///
    /// When the pkgrel holds characters that no version may have.
    pub fn with_pkgrel(&self, pkgrel: &str) -> Result<SourcePackage, VersionError> {
        let old = self.version.clone();
        let new = old.with_pkgrel(pkgrel)?;
        let own: Vec<String> = self
            .packages
            .iter()
            .flat_map(|package| {
                std::iter::once(package.pkgname.as_str().to_owned())
                    .chain(package.provides.all().map(|p| p.name.clone()))
            })
            .collect();
        let follow = |relation: &mut Relation| {
            if let Some(constraint) = &mut relation.constraint
                && constraint.version == old
                && own.contains(&relation.name)
            {
                constraint.version = new.clone();
            }
        };
        let mut changed = self.clone();
        let build_lists = [
            &mut changed.depends,
            &mut changed.makedepends,
            &mut changed.checkdepends,
        ];
        build_lists
            .into_iter()
            .flat_map(|list| list.all_mut())
            .for_each(follow);
        for package in &mut changed.packages {
            let lists = [
                &mut package.depends,
                &mut package.conflicts,
                &mut package.replaces,
                &mut package.optdepends,
            ];
            lists
                .into_iter()
                .flat_map(|list| list.all_mut())
                .for_each(follow);
            for provision in package.provides.all_mut() {
                if provision.version.as_ref() == Some(&old) {
                    provision.version = Some(new.clone());
                }
            }
        }
        changed.version = new;
        Ok(changed)
    }
}
