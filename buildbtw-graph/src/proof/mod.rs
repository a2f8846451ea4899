//! The proof of a plan.
//!
//! A checker that shares nothing with the planner but the packages it looks at
//! and the plan it is given. It replays each build set: it works out for itself
//! who must be rebuilt and what makepkg would have installed before each build,
//! and compares that with what the plan says comes before it. A plan is proved
//! when nothing is left to say against it.
//!
//! Much of that can be worked out before the order is known, so the proof may
//! begin while the plan is being made ([`proved_plan`]).

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

use std::collections::BTreeSet;
use std::sync::OnceLock;

pub use flaw::Flaw;
use rayon::prelude::*;

use self::build::{Place, as_built, check_build};
use self::conflicts::{Conflicts, Quarrels, Refused};
use self::members::{Members, rebuild_sets};
use self::order::{Builds, Order, order};
use self::packages::{Both, Packages};
use self::replay::Replay;
use self::root::{Member, Root};
use self::worlds::Worlds;
use crate::names::{Architecture, PkgBase};
use crate::plan::{
    BuildSet, Decision, Plan, PlanError, PlanInput, PlanOptions, PlanWarning, plan_beside,
};
use crate::relation::Relation;

/// Most flaws that are listed of one build set: a plan that is wrong at all is
/// of no use, and nobody reads thousands.
const MOST_FLAWS: usize = 1000;

/// Why there is no proved plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProvedPlan {
    /// The input cannot be planned.
    #[error(transparent)]
    NoPlan(#[from] PlanError),
    /// The plan did not stand its proof: a mistake of this crate.
    #[error("the plan did not stand its proof: {}", .0.first().map_or_else(String::new, ToString::to_string))]
    Unproved(Vec<Flaw>),
}

/// Makes a plan and proves it, both at once as far as that is possible.
///
/// # Errors
///
/// When there is no plan, or when it is wrong: up to a thousand things a build
/// set.
pub fn proved_plan(input: &PlanInput<'_>) -> Result<Plan, NoProvedPlan> {
    plan_and_prove(input, |_| ())
}

/// The same, with something done to each build set before it is proved.
fn plan_and_prove(
    input: &PlanInput<'_>,
    mut alter: impl FnMut(&mut BuildSet) + Send,
) -> Result<Plan, NoProvedPlan> {
    let options = input.options;
    let worlds = worlds(input);
    let mut found = Vec::new();
    let make_plan = || {
        let mut worlds = worlds.iter();
        plan_beside(input, |decisions, make| {
            let Some(worlds) = worlds.next() else {
                return make();
            };
            let case = Case::new(options, worlds);
            // Worked out beside the plan, and needed after it.
            let (members, root) = (OnceLock::new(), OnceLock::new());
            let ((mut set, warnings), known) = rayon::join(make, || {
                let members: &Vec<Member<'_>> =
                    members.get_or_init(|| as_built(case.worlds, decisions).unwrap_or_default());
                let root = root.get_or_init(|| Root::new(case.worlds, members));
                case.gather(root, members, decisions)
            });
            alter(&mut set);
            found.push(case.prove(&set, &warnings, Some(&known)));
            (set, warnings)
        })
    };
    // Who must be rebuilt needs nothing that the plan decides.
    let (plan, sets) = rayon::join(make_plan, || rebuild_sets(&worlds, options));
    let plan = plan?;
    let planned = |worlds: &Worlds<'_>| plan.architectures.get(worlds.on);
    let found = worlds.iter().filter_map(planned).zip(found).zip(&sets);
    let flaws = found.flat_map(|((set, found), members)| found.with_members(set, members));
    let flaws: Vec<Flaw> = flaws.collect();
    match flaws {
        flaws if flaws.is_empty() => Ok(plan),
        flaws => Err(NoProvedPlan::Unproved(flaws)),
    }
}

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
    let flaws: Vec<Flaw> = different
        .map(|&on| Flaw::Architecture(on.clone()))
        .collect();
    if !flaws.is_empty() {
        return Err(flaws);
    }
    let worlds = worlds(input);
    // The replay does not ask who must be rebuilt, so both go on at once; where
    // the wrong builds are planned, what it finds is of no interest.
    let (sets, found) = rayon::join(
        || rebuild_sets(&worlds, input.options),
        || -> Vec<(&BuildSet, Found)> {
            let prove = |worlds: &Worlds<'_>| {
                let set = plan.architectures.get(worlds.on)?;
                let case = Case::new(input.options, worlds);
                Some((set, case.prove(set, &plan.warnings, None)))
            };
            worlds.iter().filter_map(prove).collect()
        },
    );
    let flaws = sets.iter().zip(found);
    let flaws: Vec<Flaw> = flaws
        .flat_map(|(members, (set, found))| found.with_members(set, members))
        .collect();
    match flaws {
        flaws if flaws.is_empty() => Ok(()),
        flaws => Err(flaws),
    }
}

fn worlds<'w>(input: &PlanInput<'w>) -> Vec<Worlds<'w>> {
    let architectures = input.options.architectures.iter();
    architectures.map(|on| Worlds::new(input, on)).collect()
}

/// What was found about a build set, but for who belongs into it.
#[derive(Default)]
struct Found {
    in_builds: Vec<Flaw>,
    in_order: Vec<Flaw>,
    /// Of a set without such flaws.
    in_replay: Vec<Flaw>,
}

impl Found {
    /// The flaws of the build set, when these sources must be rebuilt.
    fn with_members(self, set: &BuildSet, members: &Members<'_>) -> Vec<Flaw> {
        let mut flaws = self.in_builds;
        let first = set.builds.iter().filter(|build| build.pass == 1);
        let planned: Members<'_> = first.map(|build| &build.pkgbase).collect();
        let extra: BTreeSet<&PkgBase> = planned.difference(members).copied().collect();
        // As many, and none too many: none is missing.
        if planned.len() != members.len() || !extra.is_empty() {
            let missing: BTreeSet<&PkgBase> = members.difference(&planned).copied().collect();
            flaws.extend(missing.into_iter().map(|pkgbase| Flaw::MissingBuild {
                pkgbase: pkgbase.clone(),
            }));
        }
        flaws.extend(extra.into_iter().map(|pkgbase| Flaw::ExtraBuild {
            pkgbase: pkgbase.clone(),
        }));
        flaws.extend(self.in_order);
        if flaws.is_empty() {
            flaws = self.in_replay;
        }
        flaws.truncate(MOST_FLAWS);
        flaws
    }
}

/// What was worked out before there was a plan.
struct Known<'k, 'w> {
    decisions: &'k [Decision<'k>],
    root: &'k Root<'k, 'w>,
    packages: Packages<'w>,
    quarrels: Quarrels,
    /// By member, what its build installs.
    installs: Vec<Both>,
    /// By member, what pacman refuses when the build gives nothing up.
    refused: Vec<Option<Refused<'w>>>,
}

/// The build set of one architecture, to be proved.
struct Case<'c, 'w> {
    options: &'w PlanOptions,
    worlds: &'c Worlds<'w>,
    /// Installed into every build root.
    implicit: &'w [Relation],
}

impl<'c, 'w> Case<'c, 'w> {
    fn new(options: &'w PlanOptions, worlds: &'c Worlds<'w>) -> Self {
        let implicit = if options.host_tools {
            &[]
        } else {
            &options.implicit[..]
        };
        Case {
            options,
            worlds,
            implicit,
        }
    }

    /// What the members' builds install, as these decisions make them.
    fn gather<'k, 'p>(
        &self,
        root: &'k Root<'k, 'p>,
        members: &'p [Member<'p>],
        decisions: &'k [Decision<'k>],
    ) -> Known<'k, 'p>
    where
        'w: 'p,
    {
        let elsewhere: Vec<bool> = decisions.iter().map(|it| it.elsewhere).collect();
        let packages = Packages::gather(self.worlds, root, members, self.implicit, &elsewhere);
        let quarrels = Quarrels::new(&packages);
        let conflicts = Conflicts {
            packages: &packages,
            root,
            quarrels: &quarrels,
        };
        let refused = conflicts.of_whole_builds();
        Known {
            decisions,
            root,
            installs: packages.installations(),
            packages,
            quarrels,
            refused,
        }
    }

    fn prove(
        &self,
        set: &BuildSet,
        warnings: &[PlanWarning],
        known: Option<&Known<'_, '_>>,
    ) -> Found {
        let mut found = Found::default();
        let builds = Builds::new(set, &mut found.in_builds);
        let decisions = builds.decisions();
        // What follows from something else than what is planned proves nothing.
        if let Some(known) = known.filter(|known| known.decisions == decisions) {
            let (in_replay, order) = rayon::join(
                || self.check_builds(&builds),
                || order(&builds, &mut found.in_order),
            );
            found.in_replay = in_replay;
            if let Some(order) = order {
                self.replay(&builds, warnings, known, &order, &mut found);
            }
            return found;
        }
        let members = as_built(self.worlds, &decisions).filter(|_| found.in_builds.is_empty());
        let Some(members) = members else {
            order(&builds, &mut found.in_order);
            return found;
        };
        found.in_replay = self.check_builds(&builds);
        let root = Root::new(self.worlds, &members);
        let (known, order) = rayon::join(
            || self.gather(&root, &members, &decisions),
            || order(&builds, &mut found.in_order),
        );
        if let Some(order) = order {
            self.replay(&builds, warnings, &known, &order, &mut found);
        }
        found
    }

    fn check_builds(&self, builds: &Builds<'_>) -> Vec<Flaw> {
        let primary = &self.options.architectures[0];
        let place = Place {
            worlds: self.worlds,
            primary,
            refers: self.worlds.on != primary,
        };
        let one = |number| {
            let mut flaws = Vec::new();
            check_build(&place, builds, number, &mut flaws);
            flaws
        };
        (0..builds.at.len())
            .into_par_iter()
            .flat_map_iter(one)
            .collect()
    }

    fn replay(
        &self,
        builds: &Builds<'_>,
        warnings: &[PlanWarning],
        known: &Known<'_, '_>,
        order: &Order,
        found: &mut Found,
    ) {
        if !(found.in_builds.is_empty() && found.in_order.is_empty()) {
            return;
        }
        let replay = Replay {
            options: self.options,
            warnings,
            worlds: self.worlds,
            builds,
            order,
            twice: builds.twice(),
            packages: &known.packages,
            installs: &known.installs,
            refused: &known.refused,
            conflicts: &Conflicts {
                packages: &known.packages,
                root: known.root,
                quarrels: &known.quarrels,
            },
        };
        replay.run(&mut found.in_replay);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn source(name: &str, depends: &str) -> crate::SourcePackage {
        let text = format!(
            "pkgbase = {name}\npkgver = 1\npkgrel = 1\narch = x86_64\n{depends}pkgname = {name}\n"
        );
        crate::read_srcinfo(&text).unwrap().package
    }

    fn planned(alter: impl FnMut(&mut BuildSet) + Send) -> Result<Plan, NoProvedPlan> {
        let changed = source("lib", "");
        let sources = [
            changed.clone(),
            source("app", "depends = lib\n"),
            source("top", "depends = app\n"),
        ];
        let options = PlanOptions {
            implicit: Vec::new(),
            ..PlanOptions::default()
        };
        let input = PlanInput {
            sources: &sources.into_iter().collect(),
            released: &BTreeMap::new(),
            changes: &[changed],
            options: &options,
        };
        plan_and_prove(&input, alter)
    }

    #[test]
    fn a_proof_that_begins_early_sees_what_is_wrong_late() {
        let plan = planned(|_| ()).unwrap();
        let set = plan.architectures.values().next().unwrap();
        assert_eq!((set.builds.len(), set.edges.len()), (3, 2));
        type Alter = fn(&mut BuildSet);
        let wrong: [(&str, Alter); 5] = [
            ("an edge is lost", |set| drop(set.edges.pop())),
            ("a build is lost", |set| drop(set.builds.pop())),
            ("a build comes twice", |set| {
                set.builds.push(set.builds[0].clone());
            }),
            ("another version is made", |set| {
                set.builds[0].version = "7-1".parse().unwrap();
            }),
            ("a need is not installed", |set| {
                set.builds[0].install.clear();
            }),
        ];
        for (what, alter) in wrong {
            let answer = planned(alter);
            assert!(
                matches!(&answer, Err(NoProvedPlan::Unproved(flaws)) if !flaws.is_empty()),
                "{what}: {answer:?}"
            );
        }
    }
}
