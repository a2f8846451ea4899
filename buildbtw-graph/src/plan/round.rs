//! One round of looking for dependents, by addresses and numbers.
//!
//! Nearly all of a distribution may join in one round, and most of it for many
//! reasons at once: so nothing is written out that is not kept, and what was
//! looked at already is passed over before its source is read.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::output::{Dependent, PlanWarning, World as Origin};
use crate::index::{Place, address};
use crate::names::{PkgBase, PkgName};
use crate::relation::Relation;
use crate::source::{SourcePackage, SplitPackage};

/// A package that is rebuilt; there may only be a released one of that name.
#[derive(Clone, Copy)]
pub(super) struct Rebuilt<'a> {
    pub source: &'a SourcePackage,
    pub pkgname: &'a PkgName,
    /// The source's number among the default branches; a changed one has none.
    pub number: Option<u32>,
}

impl<'a> Rebuilt<'a> {
    /// What no other rebuilt package has.
    pub fn key(&self) -> (usize, &'a str) {
        (address(self.source), self.pkgname.as_str())
    }

    /// The package as its source has it, with its number there.
    pub fn package(&self) -> Option<(usize, &'a SplitPackage)> {
        let mut packages = self.source.packages.iter().enumerate();
        packages.find(|(_, package)| package.pkgname == *self.pkgname)
    }
}

/// Why a source is rebuilt, before it is written out.
#[derive(Clone, Copy)]
pub(super) struct Reason<'a> {
    pub of: &'a PkgBase,
    pub pkgname: &'a PkgName,
    pub relation: &'a Relation,
    pub world: Origin,
}

impl Reason<'_> {
    fn is_better_than(&self, known: &Reason<'_>) -> bool {
        let text = |relation: &Relation| relation.text();
        let order = (self.world.cmp(&known.world))
            .then_with(|| compare(self.of, known.of, PkgBase::cmp))
            .then_with(|| compare(self.pkgname, known.pkgname, PkgName::cmp))
            .then_with(|| compare(self.relation, known.relation, |a, b| text(a).cmp(&text(b))));
        order == Ordering::Less
    }

    pub fn written_out(&self) -> Dependent {
        Dependent {
            of: self.of.clone(),
            pkgname: self.pkgname.clone(),
            relation: self.relation.to_string(),
            world: self.world,
        }
    }
}

/// Compares what is the same thing more often than not, and then need not be read.
fn compare<T>(one: &T, other: &T, by: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match std::ptr::eq(one, other) {
        true => Ordering::Equal,
        false => by(one, other),
    }
}

/// What one round of looking for dependents found.
#[derive(Default)]
pub(super) struct Round<'a> {
    /// By address, the sources that join, each with the best reason.
    pub members: FxHashMap<usize, (&'a SourcePackage, Reason<'a>)>,
    /// Packages that are rebuilt with them, some of them several times.
    pub rebuilt: Vec<Rebuilt<'a>>,
    /// The packages (by address) that were put among the rebuilt ones.
    pub joined: FxHashSet<usize>,
    pub warnings: BTreeSet<PlanWarning>,
}

impl<'a> Round<'a> {
    pub fn note(&mut self, owner: &'a SourcePackage, reason: Reason<'a>) {
        let known = self.members.entry(address(owner));
        let (_, known) = known.or_insert((owner, reason));
        if reason.is_better_than(known) {
            *known = reason;
        }
    }

    /// Takes in what was found elsewhere in the same round.
    pub fn unite(&mut self, other: Round<'a>) {
        for (owner, reason) in other.members.into_values() {
            self.note(owner, reason);
        }
        self.rebuilt.extend(other.rebuilt);
        self.joined.extend(other.joined);
        self.warnings.extend(other.warnings);
    }
}

/// The packages whose dependents were or will be looked for: they need no
/// second reason.
pub(super) struct Seen {
    /// By number of the source, its first packages as bits.
    first: Vec<u64>,
    /// The packages behind those.
    more: FxHashSet<Place>,
    /// The packages of changed sources, by address.
    changed: FxHashSet<usize>,
}

impl Seen {
    pub fn new(sources: usize) -> Self {
        Seen {
            first: vec![0; sources],
            more: FxHashSet::default(),
            changed: FxHashSet::default(),
        }
    }

    pub fn add(&mut self, number: Option<u32>, item: usize, package: &SplitPackage) {
        let Some(container) = number else {
            self.changed.insert(address(package));
            return;
        };
        match self.first.get_mut(container as usize) {
            Some(first) if item < 64 => *first |= 1 << item,
            _ => {
                let item = item as u32;
                self.more.insert(Place { container, item });
            }
        }
    }

    /// Whether a package of the default branches is among them.
    pub fn has(&self, place: Place) -> bool {
        match self.first.get(place.container as usize) {
            Some(first) if place.item < 64 => first >> place.item & 1 == 1,
            _ => !self.more.is_empty() && self.more.contains(&place),
        }
    }

    /// Whether a package of a changed source is.
    pub fn has_changed(&self, package: &SplitPackage) -> bool {
        self.changed.contains(&address(package))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_apart_by_source_and_number() {
        let text = "pkgbase = a\npkgver = 1\npkgrel = 1\narch = any\npkgname = a\n";
        let source = crate::read_srcinfo(text).unwrap().package;
        let package = &source.packages[0];
        let mut seen = Seen::new(2);
        seen.add(Some(1), 63, package);
        seen.add(Some(1), 64, package);
        let place = |container, item| Place { container, item };
        assert!(seen.has(place(1, 63)) && seen.has(place(1, 64)));
        assert!(!seen.has(place(0, 63)) && !seen.has(place(1, 65)) && !seen.has(place(1, 0)));
        assert!(!seen.has(place(1, Place::BUILD)) && !seen.has_changed(package));
        seen.add(None, 0, package);
        assert!(seen.has_changed(package));
    }
}
