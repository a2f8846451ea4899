//! Plans of random small distributions against a brute force that shares no
//! code with the planner.

mod model;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use buildbtw_graph::{
    Because, BuildSet, Edge, Plan, PlanInput, PlanOptions, PlannedBuild, RelationKind,
    ReleasedIndex, ReleasedPackage, ReleasedRepository, Scope, SourceIndex, SourcePackage,
    UnbuildableReason, Via, plan, read_srcinfo,
};
use model::{Base, Dep, Distribution, Rel, draw};
use oracle::{Installs, Kind, Package, Reach, Worlds, candidates, installs};
use proptest::prelude::*;

fn source(base: &Base) -> SourcePackage {
    let reading = read_srcinfo(&base.srcinfo()).unwrap();
    assert_eq!(reading.warnings, []);
    reading.package
}

fn released(package: &Rel) -> ReleasedPackage {
    let provides = package
        .provides
        .iter()
        .map(|provision| match provision.version {
            None => provision.name.clone(),
            Some(version) if provision.name.ends_with(".so") => {
                format!("{}={version}-64", provision.name)
            }
            Some(version) => format!("{}={version}", provision.name),
        });
    let depends = package.depends.iter().map(|dep| match dep.constraint {
        Some((_, version)) if dep.name.ends_with(".so") => format!("{}={version}-64", dep.name),
        _ => dep.text(),
    });
    ReleasedPackage {
        pkgname: package.name.parse().unwrap(),
        pkgbase: package.base.parse().unwrap(),
        version: format!("{}-{}", package.version, package.pkgrel)
            .parse()
            .unwrap(),
        architecture: "x86_64".parse().unwrap(),
        depends: depends.map(|text| text.parse().unwrap()).collect(),
        makedepends: Vec::new(),
        checkdepends: Vec::new(),
        provides: provides.map(|text| text.parse().unwrap()).collect(),
        conflicts: Vec::new(),
        replaces: Vec::new(),
        groups: Vec::new(),
        optdepends: Vec::new(),
    }
}

fn make_plan(distribution: &Distribution, options: &PlanOptions) -> Plan {
    let sources: SourceIndex = distribution.bases.iter().map(source).collect();
    let repositories = distribution
        .repositories
        .iter()
        .enumerate()
        .map(|(number, packages)| {
            Arc::new(ReleasedRepository {
                name: format!("repository{number}"),
                packages: packages.iter().map(released).collect(),
            })
        });
    let index = Arc::new(ReleasedIndex::new(repositories.collect()));
    let changes: Vec<SourcePackage> = distribution.changes.iter().map(source).collect();
    let input = PlanInput {
        sources: &sources,
        released: &BTreeMap::from([("x86_64".parse().unwrap(), index)]),
        changes: &changes,
        options,
    };
    let made = plan(&input).unwrap();
    assert_eq!(made, plan(&input).unwrap(), "two plans of one input differ");
    made
}

fn options(distribution: &Distribution, dice: u64) -> (PlanOptions, Reach) {
    let (scope, reach) = match dice % 5 {
        0 => (Scope::None, Reach::None),
        1 => (Scope::Direct, Reach::Direct),
        _ => (Scope::Transitive, Reach::Transitive),
    };
    let options = PlanOptions {
        scope,
        via: Via {
            makedepends: dice / 5 % 4 == 0,
            checkdepends: dice / 20 % 4 == 0,
        },
        implicit: distribution
            .implicit
            .iter()
            .map(|dep| dep.text().parse().unwrap())
            .collect(),
        bootstrap: dice / 80 % 3 == 0,
        passes: 1 + (dice / 240 % 2) as u8,
        ..PlanOptions::default()
    };
    (options, reach)
}

/// Everything the checks look at.
struct Case {
    distribution: Distribution,
    options: PlanOptions,
    worlds: Worlds,
    members: BTreeSet<String>,
    mixed: Vec<Package>,
    installs: BTreeMap<String, Installs>,
    set: BuildSet,
}

impl Case {
    fn new(seed: u64, size: usize, dice: u64) -> Self {
        let distribution = draw(seed, size);
        let (options, reach) = options(&distribution, dice);
        let worlds = Worlds::new(&distribution, options.bootstrap);
        let members = worlds.rebuild_set(reach, options.via.makedepends, options.via.checkdepends);
        let mixed = worlds.mixed(&members);
        let installs = members
            .iter()
            .map(|build| {
                let installs = installs(&worlds, &members, &mixed, &distribution.implicit, build);
                (build.clone(), installs)
            })
            .collect();
        let mut made = make_plan(&distribution, &options);
        let set = made
            .architectures
            .remove(&options.architectures[0])
            .unwrap();
        Case {
            distribution,
            options,
            worlds,
            members,
            mixed,
            installs,
            set,
        }
    }

    fn first_passes(&self) -> impl Iterator<Item = &PlannedBuild> {
        self.set.builds.iter().filter(|build| build.pass == 1)
    }

    fn first_pass(&self, name: &str) -> &PlannedBuild {
        self.first_passes()
            .find(|build| build.pkgbase.as_str() == name)
            .unwrap()
    }

    fn dropped(&self) -> impl Iterator<Item = &Edge> {
        self.set.edges.iter().filter(|edge| edge.dropped)
    }

    fn is_released(&self, name: &str) -> bool {
        self.worlds
            .released
            .iter()
            .any(|package| package.name == name)
    }

    /// What each build waits for: all its needs less what was given up.
    fn demanded(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut demanded = BTreeMap::new();
        for (build, installs) in &self.installs {
            let nocheck = self.first_pass(build).nocheck;
            let mut needs: BTreeSet<String> = installs.members.keys().cloned().collect();
            needs.retain(|need| !(nocheck && installs.only_check.contains(need)));
            for edge in self
                .dropped()
                .filter(|edge| edge.after.pkgbase.as_str() == build)
            {
                needs.remove(edge.before.pkgbase.as_str());
            }
            demanded.insert(build.clone(), needs);
        }
        closure(demanded)
    }
}

/// Adds what follows from pairs, until nothing more does.
fn closure<K: Ord + Clone>(mut pairs: BTreeMap<K, BTreeSet<K>>) -> BTreeMap<K, BTreeSet<K>> {
    loop {
        let mut grew = false;
        for key in pairs.keys().cloned().collect::<Vec<_>>() {
            let more: BTreeSet<K> = pairs[&key]
                .iter()
                .filter_map(|k| pairs.get(k))
                .flatten()
                .cloned()
                .collect();
            let row = pairs.get_mut(&key).unwrap();
            let before = row.len();
            row.extend(more);
            grew |= row.len() > before;
        }
        if !grew {
            return pairs;
        }
    }
}

fn check_set(case: &Case) {
    let planned: BTreeSet<String> = case
        .first_passes()
        .map(|build| build.pkgbase.to_string())
        .collect();
    assert_eq!(planned, case.members, "the rebuild set");
    for build in &case.set.builds {
        let changed = case
            .distribution
            .changes
            .iter()
            .any(|c| c.name == build.pkgbase.as_str());
        assert_eq!(build.because == Because::changed(), changed);
        if let Because::Dependent(reason) = &build.because {
            assert!(case.members.contains(reason.of.as_str()), "{reason:?}");
        }
    }
}

fn check_order(case: &Case) {
    let kept: BTreeMap<(String, u8), BTreeSet<(String, u8)>> = case
        .set
        .builds
        .iter()
        .map(|build| {
            let before = case
                .set
                .edges
                .iter()
                .filter(|e| !e.dropped && e.after == build.key());
            let before = before.map(|e| (e.before.pkgbase.to_string(), e.before.pass));
            ((build.pkgbase.to_string(), build.pass), before.collect())
        })
        .collect();
    let stored: usize = kept.values().map(BTreeSet::len).sum();
    let order = closure(kept);
    for (build, before) in &order {
        assert!(!before.contains(build), "{build:?} waits for itself");
    }
    let waits = |build: &PlannedBuild| &order[&(build.pkgbase.to_string(), build.pass)];
    let mut longest = 0;
    for build in &case.set.builds {
        let wave_before = waits(build).iter().map(|(name, pass)| {
            let key = |b: &&PlannedBuild| b.pkgbase.as_str() == name && b.pass == *pass;
            case.set.builds.iter().find(key).unwrap().wave
        });
        assert_eq!(
            build.wave,
            wave_before.max().unwrap_or(0) + 1,
            "the wave of {}",
            build.pkgbase
        );
        longest = longest.max(build.wave);
    }
    assert_eq!(case.set.waves, longest);
    let path = &case.set.critical_path;
    assert_eq!(path.len() as u32, longest);
    for pair in path.windows(2) {
        let after = case
            .set
            .builds
            .iter()
            .find(|build| build.key() == pair[1])
            .unwrap();
        assert!(waits(after).contains(&(pair[0].pkgbase.to_string(), pair[0].pass)));
    }
    if case.options.passes == 1 {
        let demanded = case.demanded();
        let bare: BTreeMap<String, BTreeSet<String>> = order
            .into_iter()
            .map(|((name, _), row)| (name, row.into_iter().map(|(name, _)| name).collect()))
            .collect();
        assert_eq!(bare, demanded, "the order's closure");
        let fewest = reduced_size(&demanded);
        assert_eq!(stored, fewest, "pairs that others imply are stored");
    } else {
        check_second_passes(case, &order);
    }
}

/// How many pairs an order needs at least.
fn reduced_size(closed: &BTreeMap<String, BTreeSet<String>>) -> usize {
    let implied = |row: &BTreeSet<String>, z: &String| row.iter().any(|y| closed[y].contains(z));
    closed
        .values()
        .map(|row| row.iter().filter(|z| !implied(row, z)).count())
        .sum()
}

fn check_second_passes(case: &Case, order: &BTreeMap<(String, u8), BTreeSet<(String, u8)>>) {
    for build in case.first_passes() {
        let name = build.pkgbase.to_string();
        let affected = build.nocheck
            || case
                .dropped()
                .any(|edge| edge.after.pkgbase == build.pkgbase);
        let second = case
            .set
            .builds
            .iter()
            .find(|b| b.pass == 2 && b.pkgbase == build.pkgbase);
        assert_eq!(second.is_some(), affected, "{name} is built twice");
        let Some(second) = second else { continue };
        assert!(!second.nocheck);
        let waits = &order[&(name.clone(), 2)];
        assert!(
            waits.contains(&(name.clone(), 1)),
            "{name} is built a second time first"
        );
        for need in case.installs[&name].members.keys() {
            let either = waits.contains(&(need.clone(), 1)) || waits.contains(&(need.clone(), 2));
            assert!(either, "the second {name} does not wait for {need}");
        }
        let (first, last) = (build.version.as_str(), second.version.as_str());
        assert_eq!(
            buildbtw_graph::vercmp(first, last),
            std::cmp::Ordering::Less
        );
    }
}

fn check_dropped(case: &Case) {
    let demanded = case.demanded();
    for edge in case.dropped() {
        let (build, later) = (edge.after.pkgbase.as_str(), edge.before.pkgbase.as_str());
        let kind = match case.installs[build].members.get(later) {
            Some(Kind::Depends) => RelationKind::Depends,
            Some(Kind::Makedepends) => RelationKind::Makedepends,
            Some(Kind::Checkdepends) => RelationKind::Checkdepends,
            Some(Kind::Implicit) => RelationKind::Implicit,
            None => panic!("{build} does not install {later}"),
        };
        assert_eq!(edge.kind, kind, "{later} before {build}");
        assert!(
            demanded[later].contains(build),
            "{later} could come before {build}"
        );
        if kind == RelationKind::Checkdepends {
            assert!(
                case.first_pass(build).nocheck,
                "{build} drops a check need and runs check()"
            );
        }
    }
    for build in case.first_passes().filter(|build| build.nocheck) {
        let name = build.pkgbase.as_str();
        let blocked = |need: &String| demanded[need].contains(name);
        let only_check = &case.installs[name].only_check;
        assert!(only_check.iter().any(blocked), "{name} could run its check");
        let listed: BTreeSet<String> = case
            .dropped()
            .filter(|e| e.after.pkgbase.as_str() == name && e.kind == RelationKind::Checkdepends)
            .map(|e| e.before.pkgbase.to_string())
            .collect();
        let expected: BTreeSet<String> = only_check
            .iter()
            .filter(|need| blocked(need))
            .cloned()
            .collect();
        assert_eq!(listed, expected, "the check needs that {name} gives up");
    }
}

/// Each edge's chain is really there.
fn check_chains(case: &Case) {
    let find = |name: &str| -> Vec<&Package> {
        case.mixed
            .iter()
            .filter(|package| package.name == name)
            .collect()
    };
    let would_do = |dep: &Dep, to: &str| candidates(&case.mixed, dep).iter().any(|p| p.name == to);
    for edge in &case.set.edges {
        let base = &case.worlds.sources[edge.after.pkgbase.as_str()];
        let lists = base.depends.iter().chain(&base.make).chain(&base.check);
        let root = lists
            .chain(&case.distribution.implicit)
            .find(|d| d.text() == edge.relation);
        let root = root.unwrap_or_else(|| panic!("{edge:?} begins nowhere"));
        let mut through = edge.through.iter().map(|name| name.as_str());
        let mut at = through.next().unwrap();
        assert!(would_do(root, at), "{edge:?}");
        for next in through {
            let leads = |p: &&Package| p.depends.iter().any(|dep| would_do(dep, next));
            assert!(
                find(at).iter().any(leads),
                "{edge:?}: {at} does not lead to {next}"
            );
            at = next;
        }
        let before = edge.before.pkgbase.as_str();
        assert!(
            find(at).iter().any(|p| p.base == before && p.source),
            "{edge:?}"
        );
    }
}

/// Nothing is lost of what cannot be satisfied, and no build is called
/// impossible for nothing.
fn check_obstacles(case: &Case) {
    let mut expected = BTreeSet::new();
    for name in &case.members {
        let base = &case.worlds.sources[name];
        let unsatisfied = |dep: &&Dep| candidates(&case.mixed, dep).is_empty();
        let lists = base.depends.iter().chain(&base.make).chain(&base.check);
        expected.extend(
            lists
                .filter(unsatisfied)
                .map(|dep| (name.clone(), dep.text())),
        );
        for package in case.mixed.iter().filter(|p| p.base == *name && p.source) {
            let outside = |dep: &&Dep| {
                let alone = std::slice::from_ref(package);
                let own_name = candidates(alone, dep).is_empty();
                let own_provision = package.provides.iter().any(|provision| {
                    provision.name == dep.name
                        && !candidates(
                            &[Package {
                                name: String::new(),
                                ..package.clone()
                            }],
                            dep,
                        )
                        .is_empty()
                });
                own_name && !own_provision
            };
            let missing = package.depends.iter().filter(unsatisfied).filter(outside);
            expected.extend(missing.map(|dep| (name.clone(), dep.text())));
        }
    }
    let unresolved = case
        .set
        .unresolved
        .iter()
        .map(|u| (u.pkgbase.to_string(), u.relation.clone()));
    let broken = case
        .set
        .broken
        .iter()
        .map(|b| (b.pkgbase.to_string(), b.relation.clone()));
    let listed: BTreeSet<(String, String)> = unresolved
        .chain(broken)
        .filter(|(pkgbase, _)| case.members.contains(pkgbase))
        .collect();
    assert_eq!(listed, expected, "unsatisfied relations of members");
    for build in case.first_passes() {
        let installs = &case.installs[build.pkgbase.as_str()];
        let reason = build
            .unbuildable
            .as_ref()
            .map(|unbuildable| unbuildable.reason);
        let given_up: BTreeSet<&str> = case
            .dropped()
            .filter(|e| e.after.pkgbase == build.pkgbase && e.kind != RelationKind::Checkdepends)
            .map(|e| e.before.pkgbase.as_str())
            .collect();
        let new_only = |(base, name): &&(String, String)| {
            given_up.contains(base.as_str()) && !case.is_released(name)
        };
        let missing: BTreeSet<&(String, String)> =
            installs.packages.iter().filter(new_only).collect();
        let own_missing = installs.own.iter().any(|name| !case.is_released(name));
        if case.options.bootstrap {
            assert_eq!(reason, None, "{}", build.pkgbase);
            for (_, name) in &missing {
                let assumed = build
                    .assumed
                    .iter()
                    .any(|a| a.split('=').next() == Some(name.as_str()));
                assert!(
                    assumed,
                    "{} goes without {name}: {:?}",
                    build.pkgbase, build.assumed
                );
            }
            check_install_list(case, build, &missing);
        } else {
            assert_eq!(build.assumed, [""; 0]);
            let stuck = !missing.is_empty() || own_missing;
            if stuck {
                assert!(reason.is_some(), "{} needs {missing:?}", build.pkgbase);
            }
            if reason == Some(UnbuildableReason::Cycle) && !stuck {
                // The released package is there, but too old for a relation.
                let hard = case.worlds.sources[build.pkgbase.as_str()].clone();
                let lists = hard.depends.iter().chain(&hard.make).chain(&hard.check);
                let fits = |dep: &Dep| {
                    let new = candidates(&case.mixed, dep).first().map(|p| p.name.clone());
                    case.worlds.released.iter().any(|p| {
                        Some(&p.name) == new.as_ref()
                            && !candidates(std::slice::from_ref(p), dep).is_empty()
                    })
                };
                let implicit = &case.distribution.implicit;
                assert!(lists.chain(implicit).any(|dep| !fits(dep)), "{build:?}");
            }
        }
    }
}

/// What is handed to pacman are all needs but the ones that are left out.
fn check_install_list(case: &Case, build: &PlannedBuild, missing: &BTreeSet<&(String, String)>) {
    let base = &case.worlds.sources[build.pkgbase.as_str()];
    let check = if build.nocheck {
        &[][..]
    } else {
        &base.check[..]
    };
    let lists = base.depends.iter().chain(&base.make).chain(check);
    let there = |dep: &&Dep| {
        let chosen = candidates(&case.mixed, dep).into_iter().next();
        chosen.is_some_and(|chosen| {
            let own = chosen.source && chosen.base == build.pkgbase.as_str();
            let own_missing = own && !case.is_released(&chosen.name);
            !own_missing && !missing.contains(&(chosen.base.clone(), chosen.name.clone()))
        })
    };
    let wanted = lists.chain(&case.distribution.implicit).filter(there);
    let wanted: BTreeSet<String> = wanted.map(Dep::text).collect();
    let listed: BTreeSet<String> = build.install.iter().cloned().collect();
    assert_eq!(listed.len(), build.install.len());
    assert_eq!(listed, wanted, "{build:?}");
}

fn check(seed: u64, size: usize, dice: u64) {
    let case = Case::new(seed, size, dice);
    check_set(&case);
    check_order(&case);
    check_dropped(&case);
    check_chains(&case);
    check_obstacles(&case);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn plans_agree_with_brute_force(seed in any::<u64>(), size in 1usize..14, dice in 0u64..480) {
        check(seed, size, dice);
    }
}

/// How many distributions are tried; `BUILDBTW_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("BUILDBTW_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1500)
}

/// The model draws what the checks are about; otherwise they would prove
/// little.
#[test]
fn the_distributions_have_what_is_checked() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..1500 {
        let case = Case::new(seed, 12, seed);
        let found = [
            ("cycles", case.dropped().next().is_some()),
            (
                "depends pairs",
                case.dropped().any(|e| e.kind == RelationKind::Depends),
            ),
            (
                "makedepends pairs",
                case.dropped().any(|e| e.kind == RelationKind::Makedepends),
            ),
            (
                "implicit pairs",
                case.dropped().any(|e| e.kind == RelationKind::Implicit),
            ),
            ("skipped checks", case.set.builds.iter().any(|b| b.nocheck)),
            ("second passes", case.set.builds.iter().any(|b| b.pass == 2)),
            (
                "unbuildable",
                case.set.builds.iter().any(|b| b.unbuildable.is_some()),
            ),
            (
                "assumed",
                case.set.builds.iter().any(|b| !b.assumed.is_empty()),
            ),
            ("broken", !case.set.broken.is_empty()),
            ("ambiguous", !case.set.ambiguous.is_empty()),
            (
                "own packages",
                case.installs.values().any(|i| !i.own.is_empty()),
            ),
            (
                "through others",
                case.set.edges.iter().any(|e| e.through.len() > 2),
            ),
        ];
        for (what, _) in found.iter().filter(|(_, found)| *found) {
            *seen.entry(what).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 12, "{seen:?}");
    assert!(seen.values().all(|&count| count >= 10), "{seen:?}");
}
