//! The plan: from two worlds and some changes to build sets.

mod bits;
mod build_set;
mod chains;
mod components;
mod conflicts;
mod cycles;
mod difference;
mod differs;
mod findings;
mod graph;
mod mixed;
mod needs;
mod obstacles;
mod options;
mod order;
mod output;
mod passes;
mod pkgrel;
mod reports;
mod round;
mod set;
mod why;
mod worlds;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use cycles::{Harm, Pair, Tangle};
pub use difference::{ChangedBuild, ChangedOrder, Commits, Difference, SetDifference, difference};
pub use findings::{FindingKind, Findings, findings};
pub use options::{PkgrelMode, PlanOptions, Scope, Via};
pub use output::{
    Ambiguous, Because, Broken, BuildKey, BuildSet, Changed, Dependent, Edge, Estimate, Plan,
    PlanWarning, PlannedBuild, Risk, Unbuildable, UnbuildableReason, Unresolved, World,
};

pub use why::{Link, Why, WhyNot, why};

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use self::build_set::{Chosen, Ground, make_build_set, tangles_of};
use self::pkgrel::Pkgrel;
use self::set::{RebuildSet, Worlds, rebuild_set};
use self::worlds::{Released, Sources};
use crate::index::{ReleasedIndex, SourceIndex};
use crate::names::{Architecture, PkgBase};
use crate::relation::Relation;
use crate::source::SourcePackage;
use crate::version::Version;

/// Everything a plan is made from.
pub struct PlanInput<'a> {
    /// The default branches of all package sources.
    pub sources: &'a SourceIndex,
    /// The released repositories of each architecture. Where one is missing or
    /// empty, the default branches stand for what is released.
    pub released: &'a BTreeMap<Architecture, Arc<ReleasedIndex>>,
    /// The changed package sources, in place of those of the default branches.
    pub changes: &'a [SourcePackage],
    /// What the plan is asked to do.
    pub options: &'a PlanOptions,
}

/// An input that cannot be planned at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No architecture was given.
    #[error("the plan names no architecture; give at least one, the primary one first")]
    NoArchitecture,
    /// `any`, or one architecture twice.
    #[error("architecture {0} cannot be planned for: give real architectures, each once")]
    BadArchitecture(Architecture),
    /// Neither 1 nor 2 passes.
    #[error("{0} passes were asked for; a plan has 1 or 2")]
    BadPasses(u8),
    /// Two changes of one source.
    #[error("{0} is changed twice; name each package once")]
    ChangedTwice(PkgBase),
    /// Too many builds, relations or packages for one plan.
    #[error("the plan is too large: {what} exceed {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: usize,
    },
}

/// Most builds of one architecture in one plan: the needs of so many fit into
/// memory with room to spare (a distribution has some 15,000 sources).
const MAX_BUILDS: usize = 30_000;

/// Works out what must be rebuilt for some changes, and in which order.
///
/// # Errors
///
/// When the input contradicts itself or is too large; everything else that is
/// wrong is part of the plan.
pub fn plan(input: &PlanInput<'_>) -> Result<Plan, PlanError> {
    plan_beside(input, |_, make| make())
}

/// What is decided about a member of a build set before its order is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decision<'d> {
    pub pkgbase: &'d PkgBase,
    /// The version of the last pass.
    pub version: &'d Version,
    /// The pkgrel to write, of the last pass.
    pub pkgrel: Option<&'d str>,
    /// Another architecture's build serves here too.
    pub elsewhere: bool,
}

/// A build set with the warnings about it.
pub(crate) type MadeSet = (BuildSet, Vec<PlanWarning>);

/// The same, while something else is done with what is decided about the
/// members of each architecture, the primary one first, by pkgbase: whoever does
/// that calls the rest of the planning of that architecture and hands back what
/// it made.
pub(crate) fn plan_beside(
    input: &PlanInput<'_>,
    mut beside: impl FnMut(&[Decision<'_>], &mut (dyn FnMut() -> MadeSet + Send)) -> MadeSet,
) -> Result<Plan, PlanError> {
    let mut architectures = BTreeMap::new();
    let warnings = on_each_architecture(input, |ground, chosen, broken, warnings| {
        let decisions: Vec<Decision<'_>> = chosen.iter().map(Chosen::decision).collect();
        let mut make = || {
            let mut warnings = Vec::new();
            let mut set = make_build_set(ground, chosen, &mut warnings);
            set.broken.extend_from_slice(&broken);
            set.broken.sort();
            (set, warnings)
        };
        let (set, more) = beside(&decisions, &mut make);
        warnings.extend(more);
        architectures.insert(ground.sources.on.clone(), set);
    })?;
    Ok(Plan {
        architectures,
        warnings,
    })
}

/// The cycles that [`plan`] breaks: all strongly connected parts with more than
/// one build, of all architectures.
///
/// # Errors
///
/// When [`plan`] would fail.
pub fn tangles(input: &PlanInput<'_>) -> Result<Vec<Tangle>, PlanError> {
    let mut tangles = Vec::new();
    on_each_architecture(input, |ground, chosen, _, _| {
        tangles.extend(tangles_of(ground, chosen));
    })?;
    Ok(tangles)
}

/// Chooses the builds of each architecture, the primary one first, and hands
/// them on, with what the change breaks.
fn on_each_architecture(
    input: &PlanInput<'_>,
    mut make: impl FnMut(&Ground<'_>, &[Chosen<'_>], Vec<Broken>, &mut Vec<PlanWarning>),
) -> Result<Vec<PlanWarning>, PlanError> {
    check(input)?;
    let options = input.options;
    let overlay = Overlay::new(input);
    let worlds: Vec<Worlds<'_>> = options
        .architectures
        .iter()
        .map(|on| worlds(input, &overlay, on))
        .collect();
    let mut warnings = Vec::new();
    let mut sets = rebuild_sets(&worlds, options);
    for set in &mut sets {
        if set.members.len() > MAX_BUILDS {
            return Err(PlanError::TooLarge {
                what: "the builds of one architecture",
                limit: MAX_BUILDS,
            });
        }
        warnings.append(&mut set.warnings);
    }
    for change in input.changes {
        if !options.architectures.iter().any(|on| change.builds_on(on)) {
            warnings.push(PlanWarning {
                pkgbase: Some(change.pkgbase.clone()),
                message: "it is changed, but builds on none of the architectures of the plan"
                    .to_owned(),
            });
        }
    }
    let implicit: &[Relation] = if options.host_tools {
        &[]
    } else {
        &options.implicit
    };
    let mut primary: BTreeMap<PkgBase, (Version, Option<String>)> = BTreeMap::new();
    let architectures = worlds.len();
    for (number, (worlds, set)) in worlds.iter().zip(sets).enumerate() {
        let members = set.members.into_par_iter();
        let decided = members.map(|(source, because)| {
            let known = primary.get(&source.pkgbase);
            let known = known.filter(|_| number > 0 && source.is_any_only());
            choose(worlds, options, source, because, known)
        });
        let decided: Vec<_> = decided.collect();
        let (chosen, doubts): (Vec<_>, Vec<_>) = decided.into_iter().unzip();
        warnings.extend(doubts.into_iter().flatten());
        let ground = Ground {
            sources: worlds.sources,
            released: worlds.released,
            options,
            implicit,
        };
        make(&ground, &chosen, set.broken, &mut warnings);
        if number == 0 && architectures > 1 {
            let decided = |c: &Chosen<'_>| {
                (
                    c.source.pkgbase.clone(),
                    (c.version.clone(), c.pkgrel.clone()),
                )
            };
            primary = chosen.iter().map(decided).collect();
        }
    }
    warnings.sort();
    warnings.dedup();
    Ok(warnings)
}

fn check(input: &PlanInput<'_>) -> Result<(), PlanError> {
    let options = input.options;
    if options.architectures.is_empty() {
        return Err(PlanError::NoArchitecture);
    }
    let mut seen = BTreeSet::new();
    for architecture in &options.architectures {
        if architecture.is_any() || !seen.insert(architecture) {
            return Err(PlanError::BadArchitecture(architecture.clone()));
        }
    }
    if !(1..=2).contains(&options.passes) {
        return Err(PlanError::BadPasses(options.passes));
    }
    let mut seen = BTreeSet::new();
    for change in input.changes {
        if !seen.insert(&change.pkgbase) {
            return Err(PlanError::ChangedTwice(change.pkgbase.clone()));
        }
    }
    Ok(())
}

/// The changed sources, and the numbers of those that they take the place of.
struct Overlay {
    index: SourceIndex,
    hides: FxHashSet<u32>,
    hides_nothing: FxHashSet<u32>,
}

impl Overlay {
    fn new(input: &PlanInput<'_>) -> Self {
        let number = |change: &SourcePackage| input.sources.number(&change.pkgbase);
        Overlay {
            index: input.changes.iter().cloned().collect(),
            hides: input.changes.iter().filter_map(number).collect(),
            hides_nothing: FxHashSet::default(),
        }
    }
}

fn worlds<'a>(input: &PlanInput<'a>, overlay: &'a Overlay, on: &'a Architecture) -> Worlds<'a> {
    let before = Sources {
        base: input.sources,
        overlay: None,
        hides: &overlay.hides_nothing,
        on,
    };
    let released = match input.released.get(on).filter(|index| !index.is_empty()) {
        Some(index) => Released::Repositories(index, on),
        None if input.options.bootstrap => Released::Nothing(on),
        None => Released::Branches(before),
    };
    Worlds {
        sources: Sources {
            overlay: Some(&overlay.index),
            hides: &overlay.hides,
            ..before
        },
        before,
        released,
        changes: input.changes,
    }
}

/// The rebuild set of each architecture. A source whose packages are for any
/// architecture is built once, for the primary one, and rebuilt there as soon
/// as one architecture wants it; its packages are new on all of them.
fn rebuild_sets<'a>(worlds: &[Worlds<'a>], options: &PlanOptions) -> Vec<RebuildSet<'a>> {
    let mut shared: BTreeMap<PkgBase, Because> = BTreeMap::new();
    loop {
        let sets: Vec<RebuildSet<'a>> = worlds
            .iter()
            .map(|worlds| rebuild_set(worlds, options, &shared))
            .collect();
        if worlds.len() == 1 {
            return sets;
        }
        let known = shared.len();
        for set in &sets {
            let members = set.members.iter();
            for (source, because) in members.filter(|(source, _)| source.is_any_only()) {
                let known = shared.entry(source.pkgbase.clone());
                known.or_insert_with(|| because.clone());
            }
        }
        if shared.len() == known {
            return sets;
        }
    }
}

/// Decides about the version of a member; says what is doubtful about it.
fn choose<'a>(
    worlds: &Worlds<'a>,
    options: &PlanOptions,
    source: &'a SourcePackage,
    because: Because,
    known: Option<&(Version, Option<String>)>,
) -> (Chosen<'a>, Option<PlanWarning>) {
    let mut doubt = None;
    let mut released = worlds.released_versions(source);
    // Mostly they all have one version.
    released.dedup();
    released.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    released.dedup();
    let pkgrel = match (
        known,
        pkgrel::decide(&source.version, &released, options.pkgrel),
    ) {
        (Some((_, pkgrel)), _) => pkgrel.clone(),
        (None, Pkgrel::Keep) => None,
        (None, Pkgrel::Become(pkgrel)) => Some(pkgrel),
        (None, Pkgrel::Doubtful(message)) => {
            doubt = Some(PlanWarning {
                pkgbase: Some(source.pkgbase.clone()),
                message,
            });
            None
        }
    };
    let new = pkgrel
        .as_deref()
        .and_then(|pkgrel| source.version.with_pkgrel(pkgrel).ok());
    let version = new.unwrap_or_else(|| source.version.clone());
    let followed = match &pkgrel {
        Some(pkgrel) if worlds.sources.names_own_version(source) => source.with_pkgrel(pkgrel).ok(),
        _ => None,
    };
    let first_pkgrel = (options.passes > 1).then(|| {
        let last = version.pkgrel().unwrap_or("1");
        pkgrel::first_pass(last, &released, &source.version)
    });
    let chosen = Chosen {
        first_pkgrel,
        source: followed.map_or(Cow::Borrowed(source), Cow::Owned),
        because,
        version,
        pkgrel,
        refers_to: known.map(|_| options.architectures[0].clone()),
    };
    (chosen, doubt)
}
