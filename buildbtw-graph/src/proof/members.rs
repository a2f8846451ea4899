//! Who must be rebuilt, worked out once more.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::root::{Member, Root};
use super::worlds::{After, AsReleased, Base, Before, Lookup, Pkg, Worlds, satisfiers};
use crate::index::{Place, Wanted, address};
use crate::names::{PkgBase, PkgName};
use crate::plan::{PlanOptions, Scope};
use crate::relation::Relation;
use crate::released::ReleasedPackage;
use crate::source::{SourcePackage, SplitPackage};

/// The sources that must be rebuilt on one architecture.
pub(super) type Members<'w> = FxHashSet<&'w PkgBase>;

/// The rebuild set of each architecture. A source for any architecture that is
/// rebuilt for one of them is rebuilt for all.
pub(super) fn rebuild_sets<'w>(worlds: &[Worlds<'w>], options: &PlanOptions) -> Vec<Members<'w>> {
    let mut for_any: BTreeSet<&'w PkgBase> = BTreeSet::new();
    loop {
        let sets: Vec<Members<'w>> = worlds
            .iter()
            .map(|worlds| Search::new(worlds, options).run(&for_any))
            .collect();
        if worlds.len() == 1 {
            return sets;
        }
        let mut grown = for_any.clone();
        for (worlds, set) in worlds.iter().zip(&sets) {
            let for_any = |pkgbase: &&&PkgBase| {
                let source = worlds.source(pkgbase.as_str());
                source.is_some_and(SourcePackage::is_any_only)
            };
            grown.extend(set.iter().filter(for_any).copied());
        }
        if grown == for_any {
            return sets;
        }
        for_any = grown;
    }
}

/// A package that is rebuilt: its source, and its name.
type Rebuilt<'w> = (&'w SourcePackage, &'w str);

/// What relations lead to in one world; many packages have the same ones.
type Known<'w> = FxHashMap<&'w Relation, Option<Pkg<'w>>>;

struct Search<'s, 'w> {
    worlds: &'s Worlds<'w>,
    options: &'s PlanOptions,
    members: Members<'w>,
    next: Vec<Rebuilt<'w>>,
    /// By address of the source.
    seen: FxHashSet<(usize, &'w str)>,
    /// The packages of sources among them, by address.
    seen_splits: FxHashSet<usize>,
    /// The places of those of the default branches that joined by a relation.
    seen_places: FxHashSet<Place>,
    /// By number, what relations lead to after the change.
    after: Vec<Option<Option<Pkg<'w>>>>,
    released: Known<'w>,
}

fn leads_to<'w>(
    known: &mut Known<'w>,
    lookup: &impl Lookup<'w>,
    relation: &'w Relation,
    worlds: &Worlds<'w>,
) -> Option<Pkg<'w>> {
    *known
        .entry(relation)
        .or_insert_with(|| satisfiers(lookup, relation, worlds.on).first().copied())
}

impl<'s, 'w> Search<'s, 'w> {
    fn new(worlds: &'s Worlds<'w>, options: &'s PlanOptions) -> Self {
        Search {
            worlds,
            options,
            members: Members::default(),
            next: Vec::new(),
            seen: FxHashSet::default(),
            seen_splits: FxHashSet::default(),
            seen_places: FxHashSet::default(),
            after: Vec::new(),
            released: Known::default(),
        }
    }

    fn run(mut self, for_any: &BTreeSet<&'w PkgBase>) -> Members<'w> {
        let worlds = self.worlds;
        let changed = worlds.changes.iter();
        let others = for_any
            .iter()
            .filter_map(|name| worlds.source(name.as_str()));
        for source in changed.chain(others) {
            if source.builds_on(worlds.on) {
                self.take_all(source);
            }
        }
        if self.options.scope == Scope::None {
            return self.members;
        }
        let first = std::mem::take(&mut self.next);
        self.that_differ();
        first
            .into_iter()
            .for_each(|rebuilt| self.dependents(rebuilt));
        while self.options.scope == Scope::Transitive {
            let Some(rebuilt) = self.next.pop() else {
                break;
            };
            self.dependents(rebuilt);
        }
        self.members
    }

    fn take(&mut self, source: &'w SourcePackage, name: &'w str) {
        self.members.insert(&source.pkgbase);
        if self.seen.insert((address::<SourcePackage>(source), name)) {
            self.next.push((source, name));
        }
    }

    fn take_split(&mut self, source: &'w SourcePackage, split: &'w SplitPackage) {
        if self.seen_splits.insert(std::ptr::from_ref(split) as usize) {
            self.take(source, split.pkgname.as_str());
        }
    }

    fn take_all(&mut self, source: &'w SourcePackage) {
        self.members.insert(&source.pkgbase);
        for split in source.pkgnames(self.worlds.on) {
            self.take_split(source, split);
        }
    }

    /// The relations by which a package, or with `None` a pkgbase section, is
    /// a dependent.
    fn counting(
        &self,
        source: &'w SourcePackage,
        split: Option<&'w SplitPackage>,
    ) -> impl Iterator<Item = &'w Relation> + use<'w> {
        let on = self.worlds.on;
        let via = self.options.via;
        let of_package = split.map(|split| split.depends.on(on));
        let section = |list: &'w crate::source::PerArchitecture<Relation>, counts: bool| {
            (counts && split.is_none()).then(|| list.on(on))
        };
        let lists = [
            of_package,
            section(&source.depends, via.makedepends),
            section(&source.makedepends, via.makedepends),
            section(&source.checkdepends, via.checkdepends),
        ];
        lists.into_iter().flatten().flatten()
    }

    /// The same of a released package, with whether it is only rebuilt with
    /// all other packages of its source.
    fn counting_released(
        &self,
        package: &'w ReleasedPackage,
    ) -> impl Iterator<Item = (bool, &'w Relation)> + use<'w> {
        let via = self.options.via;
        let list = |list: &'w Vec<Relation>, counts: bool, whole: bool| {
            let list = if counts { &list[..] } else { &[] };
            list.iter().map(move |relation| (whole, relation))
        };
        list(&package.depends, true, false)
            .chain(list(&package.makedepends, via.makedepends, true))
            .chain(list(&package.checkdepends, via.checkdepends, true))
    }

    fn join(&mut self, source: &'w SourcePackage, split: Option<&'w SplitPackage>) {
        match split {
            Some(split) => self.take_split(source, split),
            None => self.take_all(source),
        }
    }

    /// The source of a released package joins, if there is one.
    fn join_released(&mut self, package: &'w ReleasedPackage, whole: bool) {
        let on = self.worlds.on;
        let own = self.worlds.source(package.pkgbase.as_str());
        let own = own.filter(|source| source.builds_on(on));
        let source = own.or_else(|| self.other_maker(package));
        match source {
            Some(source) if whole => self.take_all(source),
            Some(source) => self.take(source, package.pkgname.as_str()),
            None => {}
        }
    }

    /// Who makes a released package's name for any architecture, but builds
    /// for this one.
    fn other_maker(&self, package: &'w ReleasedPackage) -> Option<&'w SourcePackage> {
        let worlds = self.worlds;
        let name = package.pkgname.as_str();
        let slot = worlds.sources.slot(name);
        let places = slot.map_or(&[][..], |slot| &slot.packages);
        let branches = places.iter().map(|&place| worlds.sources.package(place).0);
        let branches = branches.filter(|source| !worlds.is_changed(&source.pkgbase));
        let makes = |source: &&SourcePackage| {
            source
                .packages
                .iter()
                .any(|split| split.pkgname.as_str() == name)
        };
        let all = branches.chain(worlds.changes.iter().filter(makes));
        all.filter(|source| source.builds_on(worlds.on))
            .min_by_key(|source| {
                let repository = worlds.sources.repository(&source.pkgbase);
                (repository, source.pkgbase.as_str() != name, &source.pkgbase)
            })
    }

    /// What a relation of default branches leads to after the change.
    fn found_after(&mut self, wanted: &'w Wanted) -> Option<Pkg<'w>> {
        let worlds = self.worlds;
        let find = || {
            let found = satisfiers(&After(worlds), &wanted.relation, worlds.on);
            found.first().copied()
        };
        let number = wanted.number as usize;
        if self.after.len() <= number {
            self.after.resize(number + 1, None);
        }
        *self.after[number].get_or_insert_with(find)
    }

    /// Takes all unchanged sources that have a relation.
    fn join_all(&mut self, wanted: &'w Wanted, sections: bool) {
        let relation = &*wanted.relation;
        for &place in &wanted.users {
            if (place.item == Place::BUILD && !sections) || self.seen_places.contains(&place) {
                continue;
            }
            let Some((source, split)) = self.worlds.unchanged(place) else {
                continue;
            };
            // Who is rebuilt already needs no second reason.
            let known = |split: &SplitPackage| {
                let address = std::ptr::from_ref(split) as usize;
                self.seen_splits.contains(&address)
            };
            if split.is_some_and(known) || !self.worlds.is_here((source, split)) {
                continue;
            }
            let always = split.is_some_and(|split| split.depends.only.is_empty());
            if always || self.counting(source, split).any(|it| it == relation) {
                self.join(source, split);
                self.seen_places.insert(place);
            }
        }
    }

    /// Whether a relation has a user who did not join yet.
    fn is_open(&self, wanted: &Wanted, sections: bool) -> bool {
        let mut users = wanted.users.iter();
        users.any(|place| {
            (place.item != Place::BUILD || sections) && !self.seen_places.contains(place)
        })
    }

    fn dependents(&mut self, (rebuilt, pkgname): Rebuilt<'w>) {
        let worlds = self.worlds;
        let sections = self.options.via.makedepends || self.options.via.checkdepends;
        let mut splits = rebuilt.packages.iter();
        let split = splits.find(|split| split.pkgname.as_str() == pkgname);
        if let Some(split) = split.filter(|split| split.is_made_for(worlds.on)) {
            let pkg = Pkg::Made {
                source: rebuilt,
                split,
                version: &rebuilt.version,
            };
            for name in pkg.names(worlds.on) {
                for wanted in worlds.relations_to(name) {
                    // Where all joined before, what it leads to is of no interest.
                    if !self.is_open(wanted, sections) {
                        continue;
                    }
                    let found = self.found_after(wanted);
                    if found.is_some_and(|found| found.key() == pkg.key()) {
                        self.join_all(wanted, sections);
                    }
                }
                for (source, user) in worlds.changed_wanting(name) {
                    let joins = self.counting(source, user).any(|relation| {
                        let found = satisfiers(&After(worlds), relation, worlds.on);
                        relation.name == name
                            && found.first().is_some_and(|found| found.key() == pkg.key())
                    });
                    if joins {
                        self.join(source, user);
                    }
                }
            }
        }
        let Base::Repositories(index) = worlds.base else {
            return;
        };
        let mut names: Vec<&str> = index
            .packages_named(pkgname)
            .flat_map(|(_, package)| Pkg::Stored(package).names(worlds.on))
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            for (user, whole, relation) in self.released_wanting(name) {
                let lookup = AsReleased(worlds);
                let found = leads_to(&mut self.released, &lookup, relation, worlds);
                if found.is_some_and(|found| found.name().as_str() == pkgname) {
                    self.join_released(user, whole);
                }
            }
        }
    }

    fn released_wanting(&self, name: &str) -> Vec<(&'w ReleasedPackage, bool, &'w Relation)> {
        let Base::Repositories(index) = self.worlds.base else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (_, package) in index.packages_wanting(name) {
            let all = self.counting_released(package);
            let wanted = all.filter(|(_, relation)| relation.name == name);
            found.extend(wanted.map(|(whole, relation)| (package, whole, relation)));
        }
        found
    }

    /// Takes whoever has a relation that leads to another package since the
    /// change, or to one at last, or to none any more.
    fn that_differ(&mut self) {
        let worlds = self.worlds;
        let on = worlds.on;
        // Only names that a changed source had or has can lead elsewhere.
        let mut names: BTreeSet<&'w str> = BTreeSet::new();
        for change in worlds.changes {
            let before = worlds.default_branch(change.pkgbase.as_str());
            for source in before.into_iter().chain([change]) {
                for split in source.pkgnames(on) {
                    let version = &source.version;
                    names.extend(
                        Pkg::Made {
                            source,
                            split,
                            version,
                        }
                        .names(on),
                    );
                }
            }
            if let Base::Repositories(index) = worlds.base {
                for (_, package) in index.packages_from(change.pkgbase.as_str()) {
                    names.extend(Pkg::Stored(package).names(on));
                }
            }
        }
        let as_changed: Vec<Member<'_>> = worlds
            .changes
            .iter()
            .map(|source| Member {
                source: std::borrow::Cow::Borrowed(source),
                version: source.version.clone(),
            })
            .collect();
        let root = Root::new(worlds, &as_changed);
        let mut in_root: FxHashMap<&Relation, Option<&PkgName>> = FxHashMap::default();
        for &name in &names {
            for wanted in worlds.relations_to(name) {
                let was = satisfiers(&Before(worlds), &wanted.relation, on);
                let is = self.found_after(wanted);
                if was.first().map(|pkg| pkg.name()) != is.as_ref().map(|pkg| pkg.name()) {
                    self.join_all(wanted, true);
                }
            }
            for (user, whole, relation) in self.released_wanting(name) {
                if worlds.is_changed(&user.pkgbase) {
                    continue;
                }
                let was = leads_to(&mut self.released, &AsReleased(worlds), relation, worlds);
                let is = in_root.entry(relation).or_insert_with(|| {
                    let found = satisfiers(&root, relation, on);
                    found.first().map(|pkg| pkg.name())
                });
                if was.map(Pkg::name) != *is {
                    self.join_released(user, whole);
                }
            }
        }
    }
}
