//! The rebuild set: what changed, and who depends on it.
//!
//! Reasoning goes by pkgname. Of a changed source all packages count as
//! rebuilt, of a dependent only those that depend; a source is a member as
//! soon as one of its packages is.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::mixed::{Member, Mixed};
use super::options::{PlanOptions, Scope, Via};
use super::output::{Because, Broken, Dependent, PlanWarning, World as Origin};
use super::worlds::{Package, Released, Resolution, Sources, World, resolve};
use crate::names::{PkgBase, PkgName};
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage, SplitPackage};

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
    /// A package as the sources have it.
    fn package(
        &self,
        pkgbase: &PkgBase,
        pkgname: &PkgName,
    ) -> Option<(&'a SourcePackage, &'a SplitPackage)> {
        let source = self.sources.get(pkgbase)?;
        let mut packages = source.packages.iter();
        let package = packages.find(|package| package.pkgname == *pkgname)?;
        package
            .is_made_for(self.sources.on)
            .then_some((source, package))
    }
}

fn address(package: &SplitPackage) -> usize {
    std::ptr::from_ref(package).addr()
}

/// The members of one architecture's build set, and what was noticed on the way.
#[derive(Default)]
pub(super) struct RebuildSet {
    /// The members with the reason why they are in the set.
    pub members: BTreeMap<PkgBase, Because>,
    /// Relations of released packages that the change leaves unsatisfied.
    pub broken: Vec<Broken>,
    /// What was strange.
    pub warnings: Vec<PlanWarning>,
}

/// A package that is rebuilt.
type Rebuilt = (PkgBase, PkgName);

/// What one round of looking for dependents found.
#[derive(Default)]
struct Round {
    /// New members, each with the best reason.
    members: BTreeMap<PkgBase, Dependent>,
    /// Packages that are rebuilt with them.
    rebuilt: BTreeSet<Rebuilt>,
    /// The packages (by address) whose dependents were or will be looked for:
    /// they need no second reason.
    seen: FxHashSet<usize>,
    /// The packages (by address) that were put among the rebuilt ones.
    joined: FxHashSet<usize>,
    warnings: BTreeSet<PlanWarning>,
}

impl Round {
    /// Whether a reason could be better than the known one: most are not.
    fn may_be_better(&self, owner: &PkgBase, of: &PkgBase, world: Origin) -> bool {
        let known = self.members.get(owner);
        known.is_none_or(|known| (world, of) <= (known.world, &known.of))
    }

    fn note(&mut self, owner: &PkgBase, reason: Dependent) {
        let better = |known: &Dependent| (reason.world, &reason) < (known.world, known);
        if self.members.get(owner).is_none_or(better) {
            self.members.insert(owner.clone(), reason);
        }
    }
}

/// Works out who is rebuilt. `also` are sources that are rebuilt for another
/// architecture's sake.
pub(super) fn rebuild_set(
    worlds: &Worlds<'_>,
    options: &PlanOptions,
    also: &BTreeMap<PkgBase, Because>,
) -> RebuildSet {
    let on = worlds.sources.on;
    let mut set = RebuildSet::default();
    let mut frontier = BTreeSet::new();
    let changed = worlds
        .changes
        .iter()
        .map(|source| (&source.pkgbase, Because::changed()));
    let also = also
        .iter()
        .map(|(pkgbase, because)| (pkgbase, because.clone()));
    for (pkgbase, because) in changed.chain(also) {
        let Some(source) = worlds.sources.get(pkgbase) else {
            continue;
        };
        if source.builds_on(on) {
            set.members.entry(pkgbase.clone()).or_insert(because);
            frontier.extend(all_packages(worlds, source));
        }
    }
    let mut round = Round::default();
    differences(worlds, options, &mut round, &mut set.broken);
    let mut seen = frontier.clone();
    if options.scope != Scope::None {
        loop {
            for (pkgbase, pkgname) in &frontier {
                let package = worlds.package(pkgbase, pkgname);
                round
                    .seen
                    .extend(package.map(|(_, package)| address(package)));
            }
            for (pkgbase, pkgname) in &frontier {
                dependents_in_sources(worlds, options.via, (pkgbase, pkgname), &mut round);
                dependents_in_released(worlds, options.via, (pkgbase, pkgname), &mut round);
            }
            for (pkgbase, reason) in std::mem::take(&mut round.members) {
                set.members
                    .entry(pkgbase)
                    .or_insert(Because::Dependent(reason));
            }
            frontier = std::mem::take(&mut round.rebuilt);
            frontier.retain(|rebuilt| seen.insert(rebuilt.clone()));
            if frontier.is_empty() || options.scope == Scope::Direct {
                break;
            }
        }
    }
    set.warnings = round.warnings.into_iter().collect();
    let members = &set.members;
    set.broken
        .retain(|broken| !members.contains_key(&broken.pkgbase));
    set
}

fn all_packages(worlds: &Worlds<'_>, source: &SourcePackage) -> Vec<Rebuilt> {
    source
        .pkgnames(worlds.sources.on)
        .map(|package| (source.pkgbase.clone(), package.pkgname.clone()))
        .collect()
}

/// Whether a relation of this kind makes a dependent. The pkgbase section's
/// `depends` are inherited by the packages that do not replace them; by itself
/// the section only says what is installed to build.
fn makes_dependent(kind: RelationKind, of_package: bool, via: Via) -> bool {
    match kind {
        RelationKind::Depends if of_package => true,
        RelationKind::Depends | RelationKind::Makedepends => via.makedepends,
        RelationKind::Checkdepends => via.checkdepends,
        RelationKind::Implicit => false,
    }
}

/// The relations to a name that a package, or a pkgbase section, has.
fn relations_to<'a>(
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

/// Who depends on a rebuilt package, by the `.SRCINFO`s.
fn dependents_in_sources(
    worlds: &Worlds<'_>,
    via: Via,
    (pkgbase, pkgname): (&PkgBase, &PkgName),
    round: &mut Round,
) {
    let sources = &worlds.sources;
    let Some((source, package)) = worlds.package(pkgbase, pkgname) else {
        return;
    };
    let rebuilt = Package::Source(source, package, &source.version);
    let names: BTreeSet<&str> = rebuilt.names(sources.on).collect();
    for name in names {
        // Many have the same relation.
        let mut known: FxHashMap<&Relation, bool> = FxHashMap::default();
        for (owner, package) in sources.wanting(name) {
            if package.is_some_and(|package| round.seen.contains(&address(package))) {
                continue;
            }
            for (_, relation) in relations_to(owner, package, name, worlds, via) {
                let leads_here = *known.entry(relation).or_insert_with(|| {
                    let chosen = resolve(sources, relation).chosen;
                    chosen.is_some_and(|chosen| chosen.is(rebuilt))
                });
                if leads_here {
                    join(
                        worlds,
                        round,
                        owner,
                        package,
                        relation,
                        pkgbase,
                        Origin::Sources,
                    );
                }
            }
        }
    }
}

/// Who depends on a rebuilt package, by the released repositories.
fn dependents_in_released(
    worlds: &Worlds<'_>,
    via: Via,
    (pkgbase, pkgname): (&PkgBase, &PkgName),
    round: &mut Round,
) {
    // Several repositories may have the package, and a version may lead to a
    // later one.
    let mut rebuilt = Vec::new();
    worlds.released.named(pkgname.as_str(), &mut rebuilt);
    let names: BTreeSet<&str> = rebuilt
        .into_iter()
        .flat_map(|package| package.names(worlds.released.on()))
        .collect();
    for name in names {
        for (owner, kind, relation) in released_relations_to(worlds, name) {
            if makes_dependent(kind, true, via) {
                let chosen = resolve(&worlds.released, relation).chosen;
                if chosen.is_some_and(|chosen| chosen.pkgname() == pkgname) {
                    join_released(worlds, round, owner, kind, relation, pkgbase);
                }
            }
        }
    }
}

/// The relations to a name in the released repositories. Where the default
/// branches stand for them, the sources have been asked already.
fn released_relations_to<'a>(
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

/// A source's package (or pkgbase section) joins.
fn join(
    worlds: &Worlds<'_>,
    round: &mut Round,
    owner: &SourcePackage,
    package: Option<&SplitPackage>,
    relation: &Relation,
    of: &PkgBase,
    world: Origin,
) {
    let of_build = || owner.pkgnames(worlds.sources.on).next();
    let Some(named) = package.or_else(of_build) else {
        return;
    };
    if round.may_be_better(&owner.pkgbase, of, world) {
        let reason = Dependent {
            of: of.clone(),
            pkgname: named.pkgname.clone(),
            relation: relation.to_string(),
            world,
        };
        round.note(&owner.pkgbase, reason);
    }
    match package {
        Some(package) => {
            if round.joined.insert(address(package)) {
                let rebuilt = (owner.pkgbase.clone(), package.pkgname.clone());
                round.rebuilt.insert(rebuilt);
            }
        }
        // Built anew against something else, all its packages may change.
        None => round.rebuilt.extend(all_packages(worlds, owner)),
    }
}

/// A released package joins: its source is rebuilt.
fn join_released(
    worlds: &Worlds<'_>,
    round: &mut Round,
    owner: Package<'_>,
    kind: RelationKind,
    relation: &Relation,
    of: &PkgBase,
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
    let reason = Dependent {
        of: of.clone(),
        pkgname: owner.pkgname().clone(),
        relation: relation.to_string(),
        world: Origin::Released,
    };
    round.note(&source.pkgbase, reason);
    if kind == RelationKind::Depends {
        round
            .rebuilt
            .insert((source.pkgbase.clone(), owner.pkgname().clone()));
    } else {
        round.rebuilt.extend(all_packages(worlds, source));
    }
}

/// Whoever has a relation that resolves differently after the change joins;
/// where nothing satisfies it any more, it is broken.
fn differences(
    worlds: &Worlds<'_>,
    options: &PlanOptions,
    round: &mut Round,
    broken: &mut Vec<Broken>,
) {
    let on = worlds.sources.on;
    let changed = worlds.changes.iter().map(|source| Member {
        source,
        version: &source.version,
    });
    let mixed = Mixed::new(worlds.sources, worlds.released, changed);
    for change in worlds.changes {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut old = worlds.released.packages_from(&change.pkgbase);
        for source in [Some(change), worlds.before.get(&change.pkgbase)]
            .into_iter()
            .flatten()
        {
            let packages = source.pkgnames(on);
            old.extend(packages.map(|p| Package::Source(source, p, &source.version)));
        }
        for package in old {
            names.extend(package.names(on));
        }
        for name in names {
            for (owner, package) in worlds.sources.wanting(name) {
                if mixed.number(&owner.pkgbase).is_some() {
                    continue;
                }
                for (_, relation) in relations_to(owner, package, name, worlds, options.via) {
                    let before = resolve(&worlds.before, relation);
                    let after = resolve(&worlds.sources, relation);
                    if differ(&before, &after) {
                        join(
                            worlds,
                            round,
                            owner,
                            package,
                            relation,
                            &change.pkgbase,
                            Origin::Sources,
                        );
                        note_broken(worlds, owner, package, relation, &before, &after, broken);
                    }
                }
            }
            for (owner, kind, relation) in released_relations_to(worlds, name) {
                if mixed.number(owner.pkgbase()).is_some()
                    || !makes_dependent(kind, true, options.via)
                {
                    continue;
                }
                let before = resolve(&worlds.released, relation);
                let after = resolve(&mixed, relation);
                if differ(&before, &after) {
                    join_released(worlds, round, owner, kind, relation, &change.pkgbase);
                    if let (Some(was), None) = (before.chosen, after.chosen) {
                        broken.push(Broken {
                            pkgbase: owner.pkgbase().clone(),
                            pkgname: Some(owner.pkgname().clone()),
                            kind,
                            relation: relation.to_string(),
                            reason: no_longer(was, &worlds.sources),
                        });
                    }
                }
            }
        }
    }
    broken.sort();
    broken.dedup();
}

fn note_broken(
    worlds: &Worlds<'_>,
    owner: &SourcePackage,
    package: Option<&SplitPackage>,
    relation: &Relation,
    before: &Resolution<'_>,
    after: &Resolution<'_>,
    broken: &mut Vec<Broken>,
) {
    if let (Some(was), None) = (before.chosen, after.chosen) {
        let mut listed = owner.build_relations(worlds.sources.on);
        let mut of_build = || {
            listed
                .find(|(_, listed)| *listed == relation)
                .map(|(kind, _)| kind)
        };
        let kind = match package {
            Some(_) => RelationKind::Depends,
            None => of_build().unwrap_or(RelationKind::Makedepends),
        };
        broken.push(Broken {
            pkgbase: owner.pkgbase.clone(),
            pkgname: package.map(|package| package.pkgname.clone()),
            kind,
            relation: relation.to_string(),
            reason: no_longer(was, &worlds.sources),
        });
    }
}

fn differ(before: &Resolution<'_>, after: &Resolution<'_>) -> bool {
    match (before.chosen, after.chosen) {
        (None, None) => false,
        (Some(before), Some(after)) => before.pkgname() != after.pkgname(),
        _ => true,
    }
}

/// What satisfied a relation before, and what is there now.
pub(super) fn no_longer<'a>(was: Package<'_>, now: &impl World<'a>) -> String {
    let mut found = Vec::new();
    now.named(was.pkgname().as_str(), &mut found);
    let (name, version) = (was.pkgname(), was.version());
    match found.first() {
        Some(now) if now.version() == version => {
            format!("{name} {version} satisfied it, and no longer provides it")
        }
        Some(now) => format!(
            "{name} {version} satisfied it; {name} {} does not",
            now.version()
        ),
        None => format!("{name} {version} satisfied it; no source makes {name} any more"),
    }
}
