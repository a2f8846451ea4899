//! Why a source is rebuilt, or why it is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{PlanOptions, Scope, Via};
use super::output::{Because, World as Origin};
use super::set::{RebuildSet, Worlds};
use super::worlds::{Package, World, resolve};
use super::{Overlay, PlanError, PlanInput, check, rebuild_sets, worlds};
use crate::names::{Architecture, PkgBase, PkgName};
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage};

/// The answer to "why is it rebuilt?", for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is rebuilt: the shortest chain from a change to it, the change's
    /// dependent first; empty for a changed source itself.
    Rebuilt(Vec<Link>),
    /// It is not rebuilt.
    NotRebuilt(WhyNot),
}

/// One link of a chain: a package has a relation to something that is rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The source that is rebuilt for this relation.
    pub pkgbase: PkgBase,
    /// Its package that has the relation; for a relation of the pkgbase section
    /// the first package it makes.
    pub pkgname: PkgName,
    /// The relation's text.
    pub relation: String,
    /// The rebuilt source that the relation leads to.
    pub of: PkgBase,
    /// Where the relation stands.
    pub world: Origin,
}

/// Why a source is not rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WhyNot {
    /// There is no such source. Sources that make a package of that name:
    Unknown {
        /// Sources that make a package of that name.
        made_by: Vec<PkgBase>,
    },
    /// It makes nothing for this architecture.
    OtherArchitecture,
    /// It would be rebuilt if the scope were `transitive`.
    Scope {
        /// The chain that leads to it.
        chain: Vec<Link>,
    },
    /// It would be rebuilt if relations that only count for building made
    /// dependents too.
    BuildTime {
        /// The chain that leads to it.
        chain: Vec<Link>,
    },
    /// It would be rebuilt with both: the scope `transitive`, and relations that
    /// only count for building.
    ScopeAndBuildTime {
        /// The chain that leads to it.
        chain: Vec<Link>,
    },
    /// It names something that a rebuilt package provides, and another package
    /// satisfies that.
    OtherProvider {
        /// The relation.
        relation: String,
        /// The package that satisfies it.
        chosen: PkgName,
        /// The rebuilt source that would have satisfied it too.
        instead_of: PkgBase,
    },
    /// It names a package that is rebuilt, in a version that the rebuilt one
    /// does not have.
    OtherVersion {
        /// The relation.
        relation: String,
        /// The rebuilt source whose package has another version.
        of: PkgBase,
        /// The package that satisfies it, if one does.
        chosen: Option<PkgName>,
    },
    /// It only has an optional dependency on a package that is rebuilt.
    Optional {
        /// The optional dependency.
        relation: String,
        /// The rebuilt source that it leads to.
        of: PkgBase,
    },
    /// Nothing that it needs, directly or through others, is rebuilt.
    Unrelated,
}

/// Says of one source why it is rebuilt or not, on each architecture.
///
/// # Errors
///
/// Those of [`super::plan`].
pub fn why(
    input: &PlanInput<'_>,
    pkgbase: &PkgBase,
) -> Result<BTreeMap<Architecture, Why>, PlanError> {
    check(input)?;
    let overlay = Overlay::new(input);
    let worlds: Vec<Worlds<'_>> = input
        .options
        .architectures
        .iter()
        .map(|on| worlds(input, &overlay, on))
        .collect();
    let sets = rebuild_sets(&worlds, input.options);
    let answer = |number: usize| {
        let of = &worlds[number];
        let why = match chain_to(&sets[number], pkgbase) {
            Some(chain) => Why::Rebuilt(chain),
            None => Why::NotRebuilt(why_not(
                &worlds,
                number,
                input.options,
                &sets[number],
                pkgbase,
            )),
        };
        (of.sources.on.clone(), why)
    };
    Ok((0..worlds.len()).map(answer).collect())
}

/// The links from a change to a member. Members join in rounds and keep the
/// reason of the round in which they joined, so this chain is a shortest one.
fn chain_to(set: &RebuildSet<'_>, pkgbase: &PkgBase) -> Option<Vec<Link>> {
    let mut chain = Vec::new();
    let mut at = set.member(pkgbase)?;
    while let (source, Because::Dependent(because)) = at {
        chain.push(Link {
            pkgbase: source.pkgbase.clone(),
            pkgname: because.pkgname.clone(),
            relation: because.relation.clone(),
            of: because.of.clone(),
            world: because.world,
        });
        // No chain is longer than the set, whatever a set might hold.
        match set.member(&because.of) {
            Some(next) if chain.len() <= set.members.len() => at = next,
            _ => break,
        }
    }
    chain.reverse();
    Some(chain)
}

fn why_not(
    worlds: &[Worlds<'_>],
    number: usize,
    options: &PlanOptions,
    set: &RebuildSet<'_>,
    pkgbase: &PkgBase,
) -> WhyNot {
    let of = &worlds[number];
    let Some(source) = of.sources.get(pkgbase) else {
        let name: Option<PkgName> = pkgbase.as_str().parse().ok();
        let makers = name
            .map(|name| of.sources.makers(&name))
            .unwrap_or_default();
        return WhyNot::Unknown {
            made_by: makers.iter().map(|maker| maker.pkgbase.clone()).collect(),
        };
    };
    if !source.builds_on(of.sources.on) {
        return WhyNot::OtherArchitecture;
    }
    let wider = |scope: Scope, via: Via| {
        let options = PlanOptions {
            scope,
            via,
            ..options.clone()
        };
        rebuild_sets(worlds, &options).swap_remove(number)
    };
    if options.scope != Scope::Transitive
        && let Some(chain) = chain_to(&wider(Scope::Transitive, options.via), pkgbase)
    {
        return WhyNot::Scope { chain };
    }
    let all = Via {
        makedepends: true,
        checkdepends: true,
    };
    if options.via != all
        && let Some(chain) = chain_to(&wider(options.scope, all), pkgbase)
    {
        return WhyNot::BuildTime { chain };
    }
    if options.scope != Scope::Transitive
        && options.via != all
        && let Some(chain) = chain_to(&wider(Scope::Transitive, all), pkgbase)
    {
        return WhyNot::ScopeAndBuildTime { chain };
    }
    near_miss(of, set, source).unwrap_or(WhyNot::Unrelated)
}

/// A relation that almost makes a source a dependent.
fn near_miss(of: &Worlds<'_>, set: &RebuildSet<'_>, source: &SourcePackage) -> Option<WhyNot> {
    let on = of.sources.on;
    let of_packages = source
        .pkgnames(on)
        .flat_map(|package| package.depends.on(on));
    let of_build = source
        .build_relations(on)
        .filter(|(kind, _)| *kind != RelationKind::Implicit)
        .map(|(_, relation)| relation);
    let mut relations: Vec<&Relation> = of_packages.chain(of_build).collect();
    relations.sort_by_cached_key(|relation| relation.to_string());
    relations.dedup();
    for relation in relations {
        let Some((member, package)) = member_with(of, set, &relation.name) else {
            continue;
        };
        let chosen = resolve(&of.sources, relation).chosen;
        if !package.satisfies(relation, on) {
            return Some(WhyNot::OtherVersion {
                relation: relation.to_string(),
                of: member,
                chosen: chosen.map(|chosen| chosen.pkgname().clone()),
            });
        }
        if let Some(chosen) = chosen.filter(|chosen| *chosen.pkgbase() != member) {
            return Some(WhyNot::OtherProvider {
                relation: relation.to_string(),
                chosen: chosen.pkgname().clone(),
                instead_of: member,
            });
        }
    }
    let mut optional = source
        .pkgnames(on)
        .flat_map(|package| package.optdepends.on(on));
    optional.find_map(|relation| {
        let chosen = resolve(&of.sources, relation).chosen?;
        set.member(chosen.pkgbase())
            .is_some()
            .then(|| WhyNot::Optional {
                relation: relation.to_string(),
                of: chosen.pkgbase().clone(),
            })
    })
}

/// A member's package that has or provides a name.
fn member_with<'a>(
    of: &Worlds<'a>,
    set: &RebuildSet<'_>,
    name: &str,
) -> Option<(PkgBase, Package<'a>)> {
    let mut found = Vec::new();
    of.sources.named(name, &mut found);
    of.sources.providing(name, &mut found);
    found
        .into_iter()
        .find(|package| set.member(package.pkgbase()).is_some())
        .map(|package| (package.pkgbase().clone(), package))
}
