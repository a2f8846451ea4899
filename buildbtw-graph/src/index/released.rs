//! The index of the released repositories of one architecture.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::names::{List, NameTable, Place, Slot};
use crate::names::PkgName;
use crate::released::{ReleasedPackage, ReleasedRepository};

/// Released repositories in the order of pacman.conf, found by any name in
/// them. Each repository has a table of its own, so that one can be put before
/// others, or changed, without the others being read again.
#[derive(Debug, Clone, Default)]
pub struct ReleasedIndex {
    layers: Vec<Arc<Layer>>,
}

/// One repository: as it was read, less what is gone, with what was added.
#[derive(Debug, Clone)]
struct Layer {
    repository: Arc<ReleasedRepository>,
    /// Counted behind those of the repository.
    added: Vec<Arc<ReleasedPackage>>,
    gone: FxHashSet<u32>,
    names: NameTable,
}

impl Layer {
    fn new(repository: Arc<ReleasedRepository>) -> Self {
        let mut names = NameTable::default();
        // Inside a repository pacman goes by name.
        let mut sorted: Vec<usize> = (0..repository.packages.len()).collect();
        sorted.sort_by(|&a, &b| {
            let packages = &repository.packages;
            packages[a].pkgname.cmp(&packages[b].pkgname)
        });
        for item in sorted {
            let place = place_of(item as u32);
            each_entry(&repository.packages[item], |list, name| {
                names.add(list, name, place);
            });
        }
        Layer {
            repository,
            added: Vec::new(),
            gone: FxHashSet::default(),
            names,
        }
    }

    fn package(&self, item: u32) -> &ReleasedPackage {
        let item = item as usize;
        let read = &self.repository.packages;
        match read.get(item) {
            Some(package) => package,
            None => &self.added[item - read.len()],
        }
    }

    fn packages(&self) -> impl Iterator<Item = &ReleasedPackage> {
        let all = self.repository.packages.len() + self.added.len();
        (0..all as u32)
            .filter(|item| !self.gone.contains(item))
            .map(|item| self.package(item))
    }

    fn remove(&mut self, pkgname: &PkgName) {
        let places = self.names.get(pkgname.as_str());
        let places = places.map_or_else(Vec::new, |slot| slot.packages.clone());
        for place in places {
            let names = &mut self.names;
            let read = &self.repository.packages;
            let package = match read.get(place.item as usize) {
                Some(package) => package,
                None => &*self.added[place.item as usize - read.len()],
            };
            each_entry(package, |list, name| names.remove(list, name, place));
            self.gone.insert(place.item);
        }
    }

    fn add(&mut self, package: ReleasedPackage) {
        self.remove(&package.pkgname);
        let item = self.repository.packages.len() + self.added.len();
        self.added.push(Arc::new(package));
        let mut names = std::mem::take(&mut self.names);
        let package = self.package(item as u32);
        each_entry(package, |list, name| {
            names.add_in_order(list, name, place_of(item as u32), |other| {
                self.package(other.item).pkgname < package.pkgname
            });
        });
        self.names = names;
    }

    fn find<'a>(
        &'a self,
        name: &str,
        list: fn(&Slot) -> &Vec<Place>,
    ) -> impl Iterator<Item = &'a ReleasedPackage> + use<'a> {
        let places = self.names.get(name).map_or(&[][..], |slot| list(slot));
        places.iter().map(|place| self.package(place.item))
    }
}

fn place_of(item: u32) -> Place {
    Place { container: 0, item }
}

impl ReleasedIndex {
    /// Indexes repositories; the first one wins where several have a package.
    pub fn new(repositories: Vec<Arc<ReleasedRepository>>) -> Self {
        let layers = repositories.into_iter().map(Layer::new);
        ReleasedIndex {
            layers: layers.map(Arc::new).collect(),
        }
    }

    /// The same repositories behind another one. What is indexed already is
    /// shared, not done again.
    pub fn behind(&self, first: Arc<ReleasedRepository>) -> Self {
        let first = Arc::new(Layer::new(first));
        let layers = std::iter::once(first).chain(self.layers.iter().cloned());
        ReleasedIndex {
            layers: layers.collect(),
        }
    }

    /// Changes the packages of the first repository: some are gone, and some are
    /// added, in place of those of their names. Costs as much as there are
    /// changes, not as there are packages, but for what a clone still shares.
    pub fn change(&mut self, gone: &[PkgName], added: impl IntoIterator<Item = ReleasedPackage>) {
        if let Some(first) = self.layers.first_mut() {
            let layer = Arc::make_mut(first);
            gone.iter().for_each(|pkgname| layer.remove(pkgname));
            added.into_iter().for_each(|package| layer.add(package));
        }
    }

    /// The names of the repositories, in order.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        self.layers
            .iter()
            .map(|layer| layer.repository.name.as_str())
    }

    /// All packages with the number of their repository: by repository, in no
    /// particular order inside one.
    pub fn packages(&self) -> impl Iterator<Item = (usize, &ReleasedPackage)> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(|(number, layer)| layer.packages().map(move |package| (number, package)))
    }

    /// The number of packages in all repositories.
    pub fn len(&self) -> usize {
        let of_layer = |layer: &Arc<Layer>| {
            layer.repository.packages.len() + layer.added.len() - layer.gone.len()
        };
        self.layers.iter().map(of_layer).sum()
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
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> {
        self.find(name, |slot| &slot.packages)
    }

    /// The packages that provide a name, with the number of their repository,
    /// in the order in which pacman considers them.
    pub fn providers_of<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> {
        self.find(name, |slot| &slot.providers)
    }

    /// The packages built from a pkgbase, with the number of their repository.
    pub fn packages_from<'a>(
        &'a self,
        pkgbase: &str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> {
        self.find(pkgbase, |slot| &slot.bases)
    }

    /// The packages with a relation to a name, to install, build or check
    /// them, with the number of their repository.
    pub fn packages_wanting<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> {
        self.find(name, |slot| &slot.wanted_by)
    }

    fn find<'a>(
        &'a self,
        name: &str,
        list: fn(&Slot) -> &Vec<Place>,
    ) -> impl Iterator<Item = (usize, &'a ReleasedPackage)> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(move |(number, layer)| {
            layer.find(name, list).map(move |package| (number, package))
        })
    }
}

/// Calls back for each entry that a package has in the name table.
fn each_entry(package: &ReleasedPackage, mut entry: impl FnMut(List, &str)) {
    entry(List::Bases, package.pkgbase.as_str());
    entry(List::Packages, package.pkgname.as_str());
    for provision in &package.provides {
        entry(List::Providers, &provision.name);
    }
    let lists = [
        &package.depends,
        &package.makedepends,
        &package.checkdepends,
    ];
    for relation in lists.into_iter().flatten() {
        entry(List::WantedBy, &relation.name);
    }
}
