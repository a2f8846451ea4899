//! The index of all package sources.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::address::address;
use super::names::{List, NameTable, Place, Slot};
use super::numbered::Numbered;
use crate::names::PkgBase;
use crate::relation::Relation;
use crate::source::{SourcePackage, SplitPackage};

/// The package sources of all default branches, found by any name in them.
///
/// A clone costs next to nothing and shares everything; one changed source is
/// taken in or out in well under a millisecond, whether clones exist or not.
#[derive(Debug, Clone, Default)]
pub struct SourceIndex {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone, Default)]
struct Inner {
    sources: Vec<Option<Arc<SourcePackage>>>,
    /// By address, the numbers of the sources: whoever has one need not look at its name.
    addresses: FxHashMap<usize, u32>,
    /// By source, the numbers of its relations.
    numbered: Vec<Option<Arc<Numbered>>>,
    relations: Relations,
    repositories: FxHashMap<PkgBase, u32>,
    free: Vec<u32>,
    names: NameTable,
}

/// Which numbers of relations are taken.
#[derive(Debug, Clone, Default)]
struct Relations {
    bound: u32,
    free: Vec<u32>,
}

impl Relations {
    fn next(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.bound += 1;
            self.bound - 1
        })
    }
}

impl SourceIndex {
    /// An index without sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether this is the very index of before: nothing was taken in or out
    /// since one was cloned from the other. Two that were made apart are not the
    /// same, whatever they hold.
    pub fn is(&self, other: &SourceIndex) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Takes a source in, in place of the one of the same pkgbase, which is
    /// returned.
    pub fn insert(&mut self, source: impl Into<Arc<SourcePackage>>) -> Option<Arc<SourcePackage>> {
        let source = source.into();
        let replaced = self.remove(&source.pkgbase);
        let inner = Arc::make_mut(&mut self.inner);
        let number = match inner.free.pop() {
            Some(number) => number,
            None => {
                inner.sources.push(None);
                inner.numbered.push(None);
                (inner.sources.len() - 1) as u32
            }
        };
        let (names, relations) = (&mut inner.names, &mut inner.relations);
        each_entry(&source, number, |list, name, place| {
            names.add(list, name, place)
        });
        let numbered = Numbered::new(&source, |relation, section| {
            let place = user(number, section);
            names.add_user(relation, place, || relations.next())
        });
        inner.numbered[number as usize] = Some(Arc::new(numbered));
        inner
            .addresses
            .insert(address::<SourcePackage>(&source), number);
        inner.sources[number as usize] = Some(source);
        replaced
    }

    /// Takes a source out.
    pub fn remove(&mut self, pkgbase: &PkgBase) -> Option<Arc<SourcePackage>> {
        let number = self.number(pkgbase)?;
        let inner = Arc::make_mut(&mut self.inner);
        let source = inner.sources[number as usize].take()?;
        inner.addresses.remove(&address::<SourcePackage>(&source));
        let names = &mut inner.names;
        each_entry(&source, number, |list, name, place| {
            names.remove(list, name, place)
        });
        inner.numbered[number as usize] = None;
        each_relation(&source, number, |relation, place| {
            inner
                .relations
                .free
                .extend(names.remove_user(relation, place));
        });
        inner.free.push(number);
        Some(source)
    }

    /// The source of a pkgbase.
    pub fn get(&self, pkgbase: &PkgBase) -> Option<&Arc<SourcePackage>> {
        let number = self.number(pkgbase)?;
        self.inner.sources[number as usize].as_ref()
    }

    /// The number of sources.
    pub fn len(&self) -> usize {
        self.inner.sources.len() - self.inner.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sources, sorted by pkgbase.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SourcePackage>> {
        let mut sources: Vec<_> = self.inner.sources.iter().flatten().collect();
        sources.sort_unstable_by(|a, b| a.pkgbase.cmp(&b.pkgbase));
        sources.into_iter()
    }

    /// Says which repository each source is released to, counted in the order
    /// of pacman.conf: where several sources satisfy a relation, the one of the
    /// first repository does. Sources that are not named count as of the first.
    pub fn set_repositories(&mut self, numbers: impl IntoIterator<Item = (PkgBase, u32)>) {
        Arc::make_mut(&mut self.inner).repositories = numbers.into_iter().collect();
    }

    /// The number of the repository that a source is released to.
    pub(crate) fn repository(&self, pkgbase: &PkgBase) -> u32 {
        let known = self.inner.repositories.get(pkgbase);
        known.copied().unwrap_or_default()
    }

    pub(crate) fn number(&self, pkgbase: &PkgBase) -> Option<u32> {
        let slot = self.slot(pkgbase.as_str())?;
        slot.bases.first().map(|place| place.container)
    }

    /// A bound that the numbers of all sources are below of.
    pub(crate) fn places(&self) -> usize {
        self.inner.sources.len()
    }

    /// A bound that the numbers of all relations are below of.
    pub(crate) fn relations(&self) -> usize {
        self.inner.relations.bound as usize
    }

    /// The number of a relation that some source has.
    pub(super) fn number_of(&self, relation: &Relation) -> Option<u32> {
        let mut wanted = self.slot(&relation.name)?.wanted.iter();
        let known = wanted.find(|wanted| *wanted.relation == *relation);
        known.map(|known| known.number)
    }

    /// What is known about a source, if it is this very one that was taken in.
    pub(crate) fn numbered(&self, source: &SourcePackage) -> Option<&Numbered> {
        let number = *self
            .inner
            .addresses
            .get(&address::<SourcePackage>(source))?;
        self.inner.numbered[number as usize].as_deref()
    }

    pub(crate) fn slot(&self, name: &str) -> Option<&Slot> {
        self.inner.names.get(name)
    }

    pub(crate) fn source(&self, place: Place) -> &Arc<SourcePackage> {
        self.inner.sources[place.container as usize]
            .as_ref()
            .expect("the name table only holds places of sources that are there")
    }

    pub(crate) fn package(&self, place: Place) -> (&SourcePackage, Option<&SplitPackage>) {
        let source = self.source(place);
        let package = (place.item != Place::BUILD).then(|| &source.packages[place.item as usize]);
        (source, package)
    }
}

impl<S: Into<Arc<SourcePackage>>> FromIterator<S> for SourceIndex {
    fn from_iter<I: IntoIterator<Item = S>>(sources: I) -> Self {
        let mut index = SourceIndex::new();
        for source in sources {
            index.insert(source);
        }
        index
    }
}

/// Calls back for each entry that a source has in the name table.
fn each_entry(source: &SourcePackage, number: u32, mut entry: impl FnMut(List, &str, Place)) {
    let build = Place {
        container: number,
        item: Place::BUILD,
    };
    entry(List::Bases, source.pkgbase.as_str(), build);
    for (item, package) in source.packages.iter().enumerate() {
        let place = Place {
            container: number,
            item: item as u32,
        };
        entry(List::Packages, package.pkgname.as_str(), place);
        for provision in package.provides.all() {
            entry(List::Providers, &provision.name, place);
        }
    }
}

/// Where the users of relations stand: a package, or the pkgbase section.
fn user(number: u32, section: Option<u32>) -> Place {
    Place {
        container: number,
        item: section.unwrap_or(Place::BUILD),
    }
}

/// Calls back for each relation of a source that counts.
fn each_relation(source: &SourcePackage, number: u32, mut call: impl FnMut(&Relation, Place)) {
    let lists = [&source.depends, &source.makedepends, &source.checkdepends];
    for relation in lists.into_iter().flat_map(|list| list.all()) {
        call(relation, user(number, None));
    }
    for (item, package) in source.packages.iter().enumerate() {
        for relation in package.depends.all() {
            call(relation, user(number, Some(item as u32)));
        }
    }
}
