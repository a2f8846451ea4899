//! The rebuild set: what changed, and who depends on it.
//!
//! Reasoning goes by pkgname. Of a changed source all packages count as
//! rebuilt, of a dependent only those that depend; a source is a member as
//! soon as one of its packages is.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::differs::differences;
use super::options::{PlanOptions, Scope, Via};
use super::output::{Because, Broken, PlanWarning, World as Origin};
use super::round::{Reason, Rebuilt, Round, Seen};
use super::worlds::{Package, Released, Sources, World, resolve};
use crate::index::{Place, Wanted, address};
use crate::names::PkgBase;
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage, SplitPackage};
use crate::version::Version;

/// What the rebuild set is worked out from.
pub(super) struct Worlds<'a> {
    /// The default branches with the changes on top.
    pub sources: Sources<'a>,
    /// The default branches alone.
    pub before: Sources<'a>,
    /// What is released.
    pub released: Released<'a>,
    /// The changed sources.
    pub changes: &'a [SourcePackage],
}

impl<'a> Worlds<'a> {
    /// The versions in which packages of a source are released, some several times.
    pub fn released_versions(&self, source: &'a SourcePackage) -> Vec<&'a Version> {
        let is_branch = |of: &Sources<'a>| of.base.numbered(source).is_some();
        if matches!(&self.released, Released::Branches(of) if is_branch(of)) {
            return source
                .pkgnames(self.sources.on)
                .take(1)
                .map(|_| &source.version)
                .collect();
        }
        let packages = self.released.packages_from(&source.pkgbase).into_iter();
        packages.map(Package::version).collect()
    }

    /// A source's number among the default branches; a changed one has none.
    pub fn number_of(&self, source: &SourcePackage) -> Option<u32> {
        let pkgbase = &source.pkgbase;
        let mut overlay = self.sources.overlay.into_iter();
        match overlay.any(|changed| changed.number(pkgbase).is_some()) {
            true => None,
            false => self.sources.base.number(pkgbase),
        }
    }
}

/// The members of one architecture's build set, and what was noticed on the way.
#[derive(Default)]
pub(super) struct RebuildSet<'a> {
    /// The members with the reason why they are in the set, by pkgbase.
    pub members: Vec<(&'a SourcePackage, Because)>,
    /// Relations of released packages that the change leaves unsatisfied.
    pub broken: Vec<Broken>,
    /// What was strange.
    pub warnings: Vec<PlanWarning>,
}

impl<'a> RebuildSet<'a> {
    /// A member with its reason.
    pub fn member(&self, pkgbase: &PkgBase) -> Option<&(&'a SourcePackage, Because)> {
        let at = |(source, _): &(&SourcePackage, Because)| source.pkgbase.cmp(pkgbase);
        let at = self.members.binary_search_by(at).ok()?;
        self.members.get(at)
    }
}

/// From so many entries on, a list is looked through on all cores.
const MANY: usize = 512;

/// Works out who is rebuilt. `also` are sources that are rebuilt for another
/// architecture's sake.
pub(super) fn rebuild_set<'a>(
    worlds: &Worlds<'a>,
    options: &PlanOptions,
    also: &BTreeMap<PkgBase, Because>,
) -> RebuildSet<'a> {
    let on = worlds.sources.on;
    let mut set = RebuildSet::default();
    let mut frontier = Vec::new();
    let changed = worlds
        .changes
        .iter()
        .map(|source| (&source.pkgbase, Because::changed()));
    let also = also
        .iter()
        .map(|(pkgbase, because)| (pkgbase, because.clone()));
    let mut members: FxHashMap<usize, (&SourcePackage, Because)> = FxHashMap::default();
    for (pkgbase, because) in changed.chain(also) {
        let Some(source) = worlds.sources.get(pkgbase) else {
            continue;
        };
        if source.builds_on(on) {
            members.entry(address(source)).or_insert((source, because));
            frontier.extend(all_packages(worlds, source));
        }
    }
    let mut round = Round::default();
    differences(worlds, options, &mut round, &mut set.broken);
    let mut known = FxHashSet::default();
    frontier.retain(|rebuilt| known.insert(rebuilt.key()));
    let mut seen = Seen::new(worlds.sources.base.places());
    if options.scope != Scope::None {
        loop {
            for rebuilt in &frontier {
                if let Some((item, package)) = rebuilt.package().filter(|(_, p)| p.is_made_for(on))
                {
                    seen.add(rebuilt.number, item, package);
                }
            }
            let search = Search {
                worlds,
                via: options.via,
                seen: &seen,
            };
            round.unite(search.dependents_of_all(&frontier));
            for (at, (source, reason)) in round.members.drain() {
                members
                    .entry(at)
                    .or_insert_with(|| (source, Because::Dependent(reason.written_out())));
            }
            round.joined.clear();
            frontier = std::mem::take(&mut round.rebuilt);
            frontier.retain(|rebuilt| known.insert(rebuilt.key()));
            if frontier.is_empty() || options.scope == Scope::Direct {
                break;
            }
        }
    }
    set.warnings = round.warnings.into_iter().collect();
    set.members = members.into_values().collect();
    set.members
        .par_sort_unstable_by(|(a, _), (b, _)| a.pkgbase.cmp(&b.pkgbase));
    let mut broken = std::mem::take(&mut set.broken);
    broken.retain(|broken| set.member(&broken.pkgbase).is_none());
    set.broken = broken;
    set
}

fn all_packages<'a>(worlds: &Worlds<'a>, source: &'a SourcePackage) -> Vec<Rebuilt<'a>> {
    let number = worlds.number_of(source);
    let rebuilt = |package: &'a SplitPackage| Rebuilt {
        source,
        pkgname: &package.pkgname,
        number,
    };
    source.pkgnames(worlds.sources.on).map(rebuilt).collect()
}

/// Whether a relation of this kind makes a dependent. The pkgbase section's
/// `depends` are inherited by the packages that do not replace them; by itself
/// the section only says what is installed to build.
pub(super) fn makes_dependent(kind: RelationKind, of_package: bool, via: Via) -> bool {
    match kind {
        RelationKind::Depends if of_package => true,
        RelationKind::Depends | RelationKind::Makedepends => via.makedepends,
        RelationKind::Checkdepends => via.checkdepends,
        RelationKind::Implicit => false,
    }
}

/// The relations to a name that a package, or a pkgbase section, has.
pub(super) fn relations_to<'a>(
    source: &'a SourcePackage,
    package: Option<&'a SplitPackage>,
    name: &str,
    worlds: &Worlds<'_>,
    via: Via,
) -> Vec<(RelationKind, &'a Relation)> {
    let on = worlds.sources.on;
    match package {
        Some(package) => package
            .depends
            .on(on)
            .filter(|relation| relation.name == name)
            .map(|relation| (RelationKind::Depends, relation))
            .collect(),
        None => source
            .build_relations(on)
            .filter(|(kind, relation)| relation.name == name && makes_dependent(*kind, false, via))
            .collect(),
    }
}

/// Looks for the dependents of one round's packages.
struct Search<'s, 'a> {
    worlds: &'s Worlds<'a>,
    via: Via,
    seen: &'s Seen,
}

impl<'a> Search<'_, 'a> {
    fn dependents_of_all(&self, frontier: &[Rebuilt<'a>]) -> Round<'a> {
        if frontier.len() > MANY {
            let (one, other) = frontier.split_at(frontier.len() / 2);
            let (mut one, other) = rayon::join(
                || self.dependents_of_all(one),
                || self.dependents_of_all(other),
            );
            one.unite(other);
            return one;
        }
        let mut round = Round::default();
        for rebuilt in frontier {
            self.dependents_in_sources(rebuilt, &mut round);
            self.dependents_in_released(rebuilt, &mut round);
        }
        round
    }

    /// Who depends on a rebuilt package, by the `.SRCINFO`s.
    fn dependents_in_sources(&self, rebuilt: &Rebuilt<'a>, round: &mut Round<'a>) {
        let sources = &self.worlds.sources;
        let Some((_, package)) = rebuilt
            .package()
            .filter(|(_, package)| package.is_made_for(sources.on))
        else {
            return;
        };
        let (source, pkgbase) = (rebuilt.source, &rebuilt.source.pkgbase);
        let rebuilt = Package::Source(source, package, &source.version);
        let leads_to = |relation: &Relation| {
            let chosen = resolve(sources, relation).chosen;
            chosen.is_some_and(|chosen| chosen.is(rebuilt))
        };
        let mut names: Vec<&'a str> = rebuilt.names(sources.on).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if let Some(slot) = sources.base.slot(name) {
                // Late in the search nearly everybody joined long ago: that is asked first.
                let open = |it: &&Wanted| it.users.iter().any(|&place| self.may_join(place));
                let open = slot.wanted.iter().filter(open);
                for wanted in open.filter(|it| leads_to(&it.relation)) {
                    self.users_of(&wanted.relation, pkgbase, &wanted.users, round);
                }
            }
            let Some((overlay, slot)) = sources.overlay.and_then(|it| Some((it, it.slot(name)?)))
            else {
                continue;
            };
            for wanted in slot.wanted.iter().filter(|it| leads_to(&it.relation)) {
                for &place in &wanted.users {
                    let (owner, package) = overlay.package(place);
                    if !package.is_some_and(|package| self.seen.has_changed(package)) {
                        self.user(&wanted.relation, pkgbase, (owner, package, None), round);
                    }
                }
            }
        }
    }

    /// Those of the default branches that have a relation; they may be thousands.
    fn users_of(
        &self,
        relation: &'a Relation,
        of: &'a PkgBase,
        places: &[Place],
        round: &mut Round<'a>,
    ) {
        if places.len() > MANY {
            let (one, other) = places.split_at(places.len() / 2);
            let mut second = Round::default();
            rayon::join(
                || self.users_of(relation, of, one, round),
                || self.users_of(relation, of, other, &mut second),
            );
            round.unite(second);
            return;
        }
        let sources = &self.worlds.sources;
        for &place in places.iter().filter(|&&place| self.may_join(place)) {
            let (owner, package) = sources.base.package(place);
            let user = (owner, package, Some(place.container));
            self.user(relation, of, user, round);
        }
    }

    /// Whether somebody of the default branches would join by a relation.
    fn may_join(&self, place: Place) -> bool {
        let sections = self.via.makedepends || self.via.checkdepends;
        (place.item != Place::BUILD || sections)
            && !self.seen.has(place)
            && !self.worlds.sources.hides.contains(&place.container)
    }

    /// Lets a user of a relation that leads to a rebuilt package join, if it has
    /// the relation here.
    fn user(&self, relation: &'a Relation, of: &'a PkgBase, user: User<'a>, round: &mut Round<'a>) {
        let (owner, package, _) = user;
        let on = self.worlds.sources.on;
        let has_it = match package {
            Some(package) => {
                package.is_made_for(on)
                    && (package.depends.only.is_empty()
                        || package.depends.on(on).any(|it| it == relation))
            }
            None => owner
                .build_relations(on)
                .any(|(kind, it)| it == relation && makes_dependent(kind, false, self.via)),
        };
        if has_it && owner.builds_on(on) {
            join(self.worlds, round, user, relation, of);
        }
    }

    /// Who depends on a rebuilt package, by the released repositories.
    fn dependents_in_released(&self, rebuilt: &Rebuilt<'a>, round: &mut Round<'a>) {
        let worlds = self.worlds;
        if !matches!(worlds.released, Released::Repositories(..)) {
            return;
        }
        // Several repositories may have the package, and a version may lead to
        // a later one.
        let mut found = Vec::new();
        worlds.released.named(rebuilt.pkgname.as_str(), &mut found);
        let names: BTreeSet<&str> = found
            .into_iter()
            .flat_map(|package| package.names(worlds.released.on()))
            .collect();
        for name in names {
            for (owner, kind, relation) in released_relations_to(worlds, name) {
                if makes_dependent(kind, true, self.via) {
                    let chosen = resolve(&worlds.released, relation).chosen;
                    if chosen.is_some_and(|chosen| chosen.pkgname() == rebuilt.pkgname) {
                        let of = &rebuilt.source.pkgbase;
                        join_released(worlds, round, owner, kind, relation, of);
                    }
                }
            }
        }
    }
}

/// The relations to a name in the released repositories. Where the default
/// branches stand for them, the sources have been asked already.
pub(super) fn released_relations_to<'a>(
    worlds: &Worlds<'a>,
    name: &str,
) -> Vec<(Package<'a>, RelationKind, &'a Relation)> {
    let Released::Repositories(index, _) = worlds.released else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (_, package) in index.packages_wanting(name) {
        let lists = [
            (RelationKind::Depends, &package.depends),
            (RelationKind::Makedepends, &package.makedepends),
            (RelationKind::Checkdepends, &package.checkdepends),
        ];
        for (kind, list) in lists {
            let wanted = list.iter().filter(|relation| relation.name == name);
            found.extend(wanted.map(|relation| (Package::Released(package), kind, relation)));
        }
    }
    found
}

/// Who has a relation: a source, its package or (with `None`) its pkgbase
/// section, and the source's number among the default branches.
pub(super) type User<'a> = (&'a SourcePackage, Option<&'a SplitPackage>, Option<u32>);

/// A source's package (or pkgbase section) joins.
pub(super) fn join<'a>(
    worlds: &Worlds<'a>,
    round: &mut Round<'a>,
    (owner, package, number): User<'a>,
    relation: &'a Relation,
    of: &'a PkgBase,
) {
    let of_build = || {
        owner
            .packages
            .iter()
            .find(|p| p.is_made_for(worlds.sources.on))
    };
    let Some(named) = package.or_else(of_build) else {
        return;
    };
    let reason = Reason {
        of,
        pkgname: &named.pkgname,
        relation,
        world: Origin::Sources,
    };
    round.note(owner, reason);
    match package {
        Some(package) => {
            if round.joined.insert(address(package)) {
                round.rebuilt.push(Rebuilt {
                    source: owner,
                    pkgname: &package.pkgname,
                    number,
                });
            }
        }
        // Built anew against something else, all its packages may change.
        None => round.rebuilt.extend(all_packages(worlds, owner)),
    }
}

/// A released package joins: its source is rebuilt.
pub(super) fn join_released<'a>(
    worlds: &Worlds<'a>,
    round: &mut Round<'a>,
    owner: Package<'a>,
    kind: RelationKind,
    relation: &'a Relation,
    of: &'a PkgBase,
) {
    let on = worlds.sources.on;
    let by_base = worlds
        .sources
        .get(owner.pkgbase())
        .filter(|source| source.builds_on(on));
    let makers = || {
        let makers = worlds.sources.makers(owner.pkgname());
        makers.into_iter().find(|source| source.builds_on(on))
    };
    let Some(source) = by_base.or_else(makers) else {
        round.warnings.insert(PlanWarning {
            pkgbase: Some(owner.pkgbase().clone()),
            message: format!(
                "released package {} depends on {relation}, which is rebuilt, but no source \
                 makes it for {on}; it is not rebuilt",
                owner.pkgname()
            ),
        });
        return;
    };
    let reason = Reason {
        of,
        pkgname: owner.pkgname(),
        relation,
        world: Origin::Released,
    };
    round.note(source, reason);
    if kind == RelationKind::Depends {
        round.rebuilt.push(Rebuilt {
            source,
            pkgname: owner.pkgname(),
            number: worlds.number_of(source),
        });
    } else {
        round.rebuilt.extend(all_packages(worlds, source));
    }
}
