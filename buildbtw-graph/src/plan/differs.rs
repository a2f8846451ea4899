//! Relations that the change itself leads elsewhere, or to nothing.

use std::collections::BTreeSet;

use super::mixed::{Member, Mixed};
use super::options::PlanOptions;
use super::output::Broken;
use super::round::Round;
use super::set::{
    Worlds, join, join_released, makes_dependent, relations_to, released_relations_to,
};
use super::worlds::{Package, Resolution, World, resolve};
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage, SplitPackage};

/// Whoever has a relation that resolves differently after the change joins;
/// where nothing satisfies it any more, it is broken.
pub(super) fn differences<'a>(
    worlds: &Worlds<'a>,
    options: &PlanOptions,
    round: &mut Round<'a>,
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
                        let of = &change.pkgbase;
                        let user = (owner, package, worlds.number_of(owner));
                        join(worlds, round, user, relation, of);
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
