//! What a build says about itself, against its source.

use std::borrow::Cow;

use super::Form;
use super::flaw::Flaw;
use super::order::Builds;
use super::worlds::Worlds;
use crate::names::{Architecture, PkgName};

/// Where a build set stands among the others.
pub(super) struct Place<'s, 'w> {
    pub worlds: &'s Worlds<'w>,
    pub primary: &'s Architecture,
    /// Whether what is built for any architecture is built elsewhere.
    pub refers: bool,
}

/// Checks one build, and says in which form its source is built, for the last
/// of its passes.
pub(super) fn check_build<'w>(
    place: &Place<'_, 'w>,
    builds: &Builds<'_>,
    number: usize,
    flaws: &mut Vec<Flaw>,
) -> Option<Form<'w>> {
    let build = &builds.set.builds[builds.at[number]];
    let mut wrong = |what: &'static str| {
        let build = build.key();
        flaws.push(Flaw::WrongBuild { build, what });
    };
    let source = place.worlds.source(build.pkgbase.as_str())?;
    let changed = match &build.pkgrel {
        Some(pkgrel) => source.version.with_pkgrel(pkgrel).ok(),
        None => Some(source.version.clone()),
    };
    if changed.as_ref() != Some(&build.version) {
        wrong("version");
    }
    let mut names: Vec<&PkgName> = source
        .pkgnames(place.worlds.on)
        .map(|s| &s.pkgname)
        .collect();
    names.sort();
    if !names.into_iter().eq(&build.pkgnames) {
        wrong("list of packages");
    }
    let elsewhere = (place.refers && source.is_any_only()).then_some(place.primary);
    if build.refers_to.as_ref() != elsewhere {
        wrong("architecture that it refers to");
    }
    let member = builds.member[number] as usize;
    let last = builds.second[member].map_or(member, |second| second as usize);
    let pkgrel = builds.set.builds[builds.at[last]].pkgrel.as_deref();
    // Relations that name the very version follow it.
    Some(match pkgrel.filter(|_| source.names_own_version()) {
        Some(pkgrel) => match source.with_pkgrel(pkgrel) {
            Ok(form) => Cow::Owned(form),
            Err(_) => Cow::Borrowed(source),
        },
        None => Cow::Borrowed(source),
    })
}
