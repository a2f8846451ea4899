//! The index of the released repositories of one architecture.

use std::sync::Arc;

use super::names::{List, NameTable, Place, Slot};
use crate::released::{ReleasedPackage, ReleasedRepository};

/// Released repositories in the order of pacman.conf, found by any name in
/// them. Never changed once it is made.
#[derive(Debug, Clone, Default)]
pub struct ReleasedIndex {
    repositories: Vec<Arc<ReleasedRepository>>,
    names: NameTable,
}

impl ReleasedIndex {
    /// Indexes repositories; the first one wins where several have a package.
    pub fn new(repositories: Vec<Arc<ReleasedRepository>>) -> Self {
        let mut names = NameTable::default();
        for (container, repository) in repositories.iter().enumerate() {
            // Inside a repository pacman goes by name.
            let mut sorted: Vec<usize> = (0..repository.packages.len()).collect();
            sorted.sort_by(|&a, &b| {
                repository.packages[a]
                    .pkgname
                    .cmp(&repository.packages[b].pkgname)
            });
            for item in sorted {
                let place = Place {
                    container: container as u32,
                    item: item as u32,
                };
                add_package(&mut names, &repository.packages[item], place);
            }
        }
        ReleasedIndex {
            repositories,
            names,
        }
    }

    /// The repositories, in order.
    pub fn repositories(&self) -> &[Arc<ReleasedRepository>] {
        &self.repositories
    }

    /// The number of packages in all repositories.
    pub fn len(&self) -> usize {
        self.repositories
            .iter()
            .map(|repository| repository.packages.len())
            .sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packages of a name with the number of their repository, in the
    /// order in which pacman considers them.
    pub fn packages_named<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> + use<'a> {
        let places = self.slot(name).map_or(&[][..], |slot| &slot.packages);
        places
            .iter()
            .map(|&place| (place.container as usize, self.package(place)))
    }

    /// The packages that provide a name, with the number of their repository,
    /// in the order in which pacman considers them.
    pub fn providers_of<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> + use<'a> {
        let places = self.slot(name).map_or(&[][..], |slot| &slot.providers);
        places
            .iter()
            .map(|&place| (place.container as usize, self.package(place)))
    }

    /// The packages built from a pkgbase, with the number of their repository.
    pub fn packages_from<'a>(
        &'a self,
        pkgbase: &str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> + use<'a> {
        let places = self.slot(pkgbase).map_or(&[][..], |slot| &slot.bases);
        places
            .iter()
            .map(|&place| (place.container as usize, self.package(place)))
    }

    pub(crate) fn slot(&self, name: &str) -> Option<&Slot> {
        self.names.get(name)
    }

    pub(crate) fn package(&self, place: Place) -> &ReleasedPackage {
        &self.repositories[place.container as usize].packages[place.item as usize]
    }
}

fn add_package(names: &mut NameTable, package: &ReleasedPackage, place: Place) {
    names.add(List::Bases, package.pkgbase.as_str(), place);
    names.add(List::Packages, package.pkgname.as_str(), place);
    for provision in &package.provides {
        names.add(List::Providers, &provision.name, place);
    }
    let lists = [
        &package.depends,
        &package.makedepends,
        &package.checkdepends,
    ];
    for relation in lists.into_iter().flatten() {
        names.add(List::WantedBy, &relation.name, place);
    }
}
