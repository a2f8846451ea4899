//! What a build says about itself, against its source.

use std::borrow::Cow;

use rayon::prelude::*;

use super::flaw::Flaw;
use super::order::Builds;
use super::root::Member;
use super::worlds::Worlds;
use crate::names::{Architecture, PkgName};
use crate::plan::Decision;

/// Where a build set stands among the others.
pub(super) struct Place<'s, 'w> {
    pub worlds: &'s Worlds<'w>,
    pub primary: &'s Architecture,
    /// Whether what is built for any architecture is built elsewhere.
    pub refers: bool,
}

/// Checks what one build says about itself.
pub(super) fn check_build(
    place: &Place<'_, '_>,
    builds: &Builds<'_>,
    number: usize,
    flaws: &mut Vec<Flaw>,
) {
    let build = &builds.set.builds[builds.at[number]];
    let mut wrong = |what: &'static str| {
        let build = build.key();
        flaws.push(Flaw::WrongBuild { build, what });
    };
    // A source that nobody knows is no member, and is told as that.
    let Some(source) = place.worlds.source(build.pkgbase.as_str()) else {
        return;
    };
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
}

/// The members in the form in which they are built, in the last of their passes:
/// what others install. `None` if there is one that nobody knows.
pub(super) fn as_built<'w>(
    worlds: &Worlds<'w>,
    decisions: &[Decision<'_>],
) -> Option<Vec<Member<'w>>> {
    let one = |decision: &Decision<'_>| {
        let source = worlds.source(decision.pkgbase.as_str())?;
        let pkgrel = decision.pkgrel;
        // Relations that name the very version follow it.
        let followed = pkgrel.filter(|_| worlds.names_own_version(source));
        let followed = followed.and_then(|pkgrel| source.with_pkgrel(pkgrel).ok());
        Some(Member {
            source: followed.map_or(Cow::Borrowed(source), Cow::Owned),
            version: decision.version.clone(),
        })
    };
    decisions.par_iter().map(one).collect()
}
