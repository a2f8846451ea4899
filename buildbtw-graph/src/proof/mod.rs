//! The proof of a plan.
//!
//! A checker that shares nothing with the planner but the packages it looks at
//! and the plan it is given. It replays each build set: it works out for itself
//! who must be rebuilt and what makepkg would have installed before each build,
//! and compares that with what the plan says comes before it. A plan is proved
//! when nothing is left to say against it.

mod build;
mod conflicts;
mod flaw;
mod lacks;
mod members;
mod order;
mod packages;
mod parts;
mod replay;
mod root;
mod row;
mod worlds;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub use flaw::Flaw;
use rayon::prelude::*;

use self::build::{Place, check_build};
use self::conflicts::Conflicts;
use self::members::rebuild_sets;
use self::order::{Builds, order};
use self::packages::Packages;
use self::replay::Replay;
use self::root::{Member, Root};
use self::worlds::Worlds;
use crate::names::{Architecture, PkgBase};
use crate::plan::{BuildSet, Plan, PlanInput};

/// Most flaws that are listed of one build set: a plan that is wrong at all is
/// of no use, and nobody reads thousands.
const MOST_FLAWS: usize = 1000;

/// Proves a plan: that the right builds are in it, each once, in an order in
/// which every build finds what makepkg would install, but for what the plan
/// itself says.
///
/// # Errors
///
/// All that is wrong with the plan, up to a thousand things a build set.
pub fn prove(input: &PlanInput<'_>, plan: &Plan) -> Result<(), Vec<Flaw>> {
    let wanted: BTreeSet<&Architecture> = input.options.architectures.iter().collect();
    let planned: BTreeSet<&Architecture> = plan.architectures.keys().collect();
    let different = wanted.symmetric_difference(&planned);
    let mut flaws: Vec<Flaw> = different
        .map(|&on| Flaw::Architecture(on.clone()))
        .collect();
    if !flaws.is_empty() {
        return Err(flaws);
    }
    let worlds: Vec<Worlds<'_>> = input
        .options
        .architectures
        .iter()
        .map(|on| Worlds::new(input, on))
        .collect();
    // The replay does not ask who must be rebuilt, so both go on at once; where
    // the wrong builds are planned, what it finds is of no interest.
    let (sets, found) = rayon::join(
        || rebuild_sets(&worlds, input.options),
        || -> Vec<Option<Found<'_>>> {
            let set = |worlds: &Worlds<'_>| plan.architectures.get(worlds.on);
            let prove = |worlds| Some(prove_set(input, plan, worlds, set(worlds)?));
            worlds.iter().map(prove).collect()
        },
    );
    for (members, found) in sets.iter().zip(found) {
        if let Some(found) = found {
            let mut found = found.with_members(members);
            found.truncate(MOST_FLAWS);
            flaws.append(&mut found);
        }
    }
    if flaws.is_empty() { Ok(()) } else { Err(flaws) }
}

/// What was found about a build set, but for who belongs into it.
struct Found<'p> {
    /// The sources that are planned.
    planned: BTreeSet<&'p PkgBase>,
    in_builds: Vec<Flaw>,
    in_order: Vec<Flaw>,
    /// Of a set without such flaws.
    in_replay: Vec<Flaw>,
}

impl Found<'_> {
    /// All flaws, when these sources must be rebuilt.
    fn with_members(self, members: &BTreeSet<&PkgBase>) -> Vec<Flaw> {
        let mut flaws = self.in_builds;
        let missing = members.difference(&self.planned);
        flaws.extend(missing.map(|&pkgbase| Flaw::MissingBuild {
            pkgbase: pkgbase.clone(),
        }));
        let extra = self.planned.difference(members);
        flaws.extend(extra.map(|&pkgbase| Flaw::ExtraBuild {
            pkgbase: pkgbase.clone(),
        }));
        flaws.extend(self.in_order);
        if flaws.is_empty() {
            flaws = self.in_replay;
        }
        flaws
    }
}

fn prove_set<'p>(
    input: &PlanInput<'_>,
    plan: &'p Plan,
    worlds: &Worlds<'_>,
    set: &'p BuildSet,
) -> Found<'p> {
    let mut in_builds = Vec::new();
    let builds = Builds::new(set, &mut in_builds);
    let mut found = Found {
        planned: (0..builds.members()).map(|at| builds.pkgbase(at)).collect(),
        in_builds,
        in_order: Vec::new(),
        in_replay: Vec::new(),
    };
    if found.in_builds.is_empty() {
        found.in_replay = replay(input, plan, worlds, &builds, &mut found.in_order);
    } else {
        order(&builds, &mut found.in_order);
    }
    found
}

fn replay<'w>(
    input: &PlanInput<'w>,
    plan: &Plan,
    worlds: &Worlds<'w>,
    builds: &Builds<'_>,
    in_order: &mut Vec<Flaw>,
) -> Vec<Flaw> {
    let (options, set) = (input.options, builds.set);
    let mut flaws = Vec::new();
    let place = Place {
        worlds,
        primary: &options.architectures[0],
        refers: worlds.on != &options.architectures[0],
    };
    let checked: Vec<(Option<Form<'w>>, Vec<Flaw>)> = (0..builds.at.len())
        .into_par_iter()
        .map(|number| {
            let mut flaws = Vec::new();
            let form = check_build(&place, builds, number, &mut flaws);
            (form.filter(|_| number < builds.members()), flaws)
        })
        .collect();
    let mut forms = Vec::with_capacity(builds.members());
    for (form, mut found) in checked {
        forms.extend(form);
        flaws.append(&mut found);
    }
    if forms.len() < builds.members() {
        order(builds, in_order);
        return flaws;
    }
    // What others install is what the last pass makes.
    let as_built: Vec<Member<'_>> = forms
        .into_iter()
        .enumerate()
        .map(|(number, source)| {
            let last = builds.second[number].map_or(number, |second| second as usize);
            let version = &set.builds[builds.at[last]].version;
            Member { source, version }
        })
        .collect();
    let elsewhere: Vec<bool> = (0..builds.members())
        .map(|number| set.builds[builds.at[number]].refers_to.is_some())
        .collect();
    let implicit = if options.host_tools {
        &[][..]
    } else {
        &options.implicit
    };
    let root = Root::new(worlds, &as_built);
    let (packages, order) = rayon::join(
        || Packages::gather(worlds, &root, &as_built, implicit, &elsewhere),
        || order(builds, in_order),
    );
    let Some(order) = order.filter(|_| in_order.is_empty()) else {
        return flaws;
    };
    let replay = Replay {
        options,
        warnings: &plan.warnings,
        worlds,
        builds,
        order: &order,
        twice: builds.twice(),
        packages: &packages,
        conflicts: &Conflicts::new(&packages, &root),
    };
    replay.run(&mut flaws);
    flaws
}

/// A source as it is built.
type Form<'w> = Cow<'w, crate::source::SourcePackage>;
