//! Packages of released pacman repositories, as their sync dbs describe them.

use serde::{Deserialize, Serialize};

use crate::names::{Architecture, PkgBase, PkgName};
use crate::relation::{Provision, Relation};
use crate::version::Version;

/// One package of a released repository, with the relations of the built
/// package (sonames have their numbers).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedPackage {
    /// The package's name.
    pub pkgname: PkgName,
    /// The source it was built from.
    pub pkgbase: PkgBase,
    /// `[epoch:]pkgver-pkgrel`.
    pub version: Version,
    /// The architecture it was built for, or `any`.
    pub architecture: Architecture,
    /// Run-time dependencies.
    pub depends: Vec<Relation>,
    /// What was installed to build it.
    pub makedepends: Vec<Relation>,
    /// What was installed to check it.
    pub checkdepends: Vec<Relation>,
    /// Names it provides besides its own.
    pub provides: Vec<Provision>,
    /// What it cannot be installed beside.
    pub conflicts: Vec<Relation>,
    /// Packages it takes the place of.
    pub replaces: Vec<Relation>,
    /// The groups it belongs to.
    pub groups: Vec<String>,
    /// Optional run-time dependencies, without their reasons.
    pub optdepends: Vec<Relation>,
}

impl ReleasedPackage {
    /// Whether a relation is satisfied by this package, by its name or by what
    /// it provides.
    pub fn satisfies(&self, relation: &Relation) -> bool {
        relation.satisfied_by_package(self.pkgname.as_str(), &self.version)
            || self.provides_for(relation)
    }

    /// Whether a relation is satisfied by what this package provides.
    pub fn provides_for(&self, relation: &Relation) -> bool {
        self.provides
            .iter()
            .any(|provision| relation.satisfied_by_provision(provision))
    }
}

/// One released repository: a name and the packages of its sync db.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedRepository {
    /// The repository's name, as in pacman.conf.
    pub name: String,
    /// Its packages.
    pub packages: Vec<ReleasedPackage>,
}
