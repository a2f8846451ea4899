//! What a plan must hold to, each against the brute force.

use std::collections::{BTreeMap, BTreeSet};

use buildbtw_graph::{Because, PlannedBuild, RelationKind, UnbuildableReason};

use crate::Case;
use crate::model::Dep;
use crate::oracle::{Kind, Package, candidates};
use crate::passes::check_second_passes;

/// All of it.
pub fn check(case: &Case) {
    check_set(case);
    check_order(case);
    check_dropped(case);
    check_harm(case);
    check_chains(case);
    check_obstacles(case);
}

/// Adds what follows from pairs, until nothing more does.
pub fn closure<K: Ord + Clone>(mut pairs: BTreeMap<K, BTreeSet<K>>) -> BTreeMap<K, BTreeSet<K>> {
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
        // A second pass also waits for those that install the first one.
        let (mut installer, mut installed) = (edge.after.pkgbase.as_str(), &edge.before);
        if edge.after.pass == 2
            && !case.installs[installer]
                .members
                .contains_key(installed.pkgbase.as_str())
        {
            (installer, installed) = (edge.before.pkgbase.as_str(), &edge.after);
        }
        let base = &case.worlds.sources[installer];
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
        let before = installed.pkgbase.as_str();
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
        let for_check = installs.check_packages.iter().filter(|_| !build.nocheck);
        let installed = installs.packages.iter().chain(for_check);
        let missing: BTreeSet<(String, String)> = installed.filter(new_only).cloned().collect();
        let mut gone = missing.clone();
        gone.extend(too_old(case, build, &given_up, build.nocheck));
        let for_check = installs.check_own.iter().filter(|_| !build.nocheck);
        let mut own = installs.own.iter().chain(for_check);
        let own_missing = own.any(|name| !case.is_released(name));
        if case.options.bootstrap {
            assert!(
                matches!(reason, None | Some(UnbuildableReason::Conflict)),
                "{}",
                build.pkgbase
            );
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
            check_install_list(case, build, &gone);
        } else {
            assert_eq!(build.assumed, [""; 0]);
            let stuck = !missing.is_empty() || own_missing;
            if stuck {
                assert!(reason.is_some(), "{} needs {missing:?}", build.pkgbase);
            }
            if reason == Some(UnbuildableReason::Cycle) && !stuck {
                let old = too_old(case, build, &given_up, build.nocheck);
                assert!(!old.is_empty(), "{build:?}");
            }
        }
    }
}

/// Packages of members that come later, whose released form is too old for one
/// of the build's relations. What only the check needs does not matter where that is skipped.
fn too_old(
    case: &Case,
    build: &PlannedBuild,
    given_up: &BTreeSet<&str>,
    nocheck: bool,
) -> BTreeSet<(String, String)> {
    let base = &case.worlds.sources[build.pkgbase.as_str()];
    let check = base.check.iter().filter(|_| !nocheck);
    let lists = base.depends.iter().chain(&base.make).chain(check);
    let mut found = BTreeSet::new();
    for dep in lists.chain(&case.distribution.implicit) {
        let Some(chosen) = candidates(&case.mixed, dep).into_iter().next() else {
            continue;
        };
        let released = case
            .worlds
            .released
            .iter()
            .filter(|p| p.name == chosen.name)
            .min_by_key(|p| p.repository);
        let fits = |p: &Package| !candidates(std::slice::from_ref(p), dep).is_empty();
        if chosen.source
            && given_up.contains(chosen.base.as_str())
            && released.is_some_and(|p| !fits(p))
        {
            found.insert((chosen.base.clone(), chosen.name.clone()));
        }
    }
    found
}

/// What is handed to pacman are all needs but the ones that are left out.
fn check_install_list(case: &Case, build: &PlannedBuild, gone: &BTreeSet<(String, String)>) {
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
            !own_missing && !gone.contains(&(chosen.base.clone(), chosen.name.clone()))
        })
    };
    let wanted = lists.chain(&case.distribution.implicit).filter(there);
    let wanted: BTreeSet<String> = wanted.map(Dep::text).collect();
    let listed: BTreeSet<String> = build.install.iter().cloned().collect();
    assert_eq!(listed.len(), build.install.len());
    assert_eq!(listed, wanted, "{build:?}");
}

/// A pair is only given up for a cycle of pairs that hurt at least as much: a
/// `depends` pair never for the sake of a `makedepends` pair, and one whose
/// released package would not do only for others of that sort.
fn check_harm(case: &Case) {
    let class = |build: &str, need: &str| -> u32 {
        let installs = &case.installs[build];
        let only = BTreeSet::from([need]);
        let unreleased = installs
            .packages
            .iter()
            .any(|(base, name)| base == need && !case.is_released(name));
        let hard = unreleased || !too_old(case, case.first_pass(build), &only, false).is_empty();
        match installs.members[need] {
            Kind::Checkdepends => 5,
            Kind::Depends => {
                if hard {
                    0
                } else {
                    3
                }
            }
            Kind::Makedepends => {
                if hard {
                    1
                } else {
                    4
                }
            }
            Kind::Implicit => {
                if hard {
                    2
                } else {
                    6
                }
            }
        }
    };
    let waited_for = case.waited_for();
    let up_to = |limit: u32| {
        let mut pairs = waited_for.clone();
        for (build, needs) in &mut pairs {
            needs.retain(|need| class(build, need) <= limit);
        }
        closure(pairs)
    };
    let orders: Vec<_> = (0..7).map(up_to).collect();
    for edge in case.dropped() {
        let (build, later) = (edge.after.pkgbase.as_str(), edge.before.pkgbase.as_str());
        let class = class(build, later);
        // Whether a check is skipped is decided before implicit pairs go in,
        // but all pairs that it closes a cycle with are listed.
        let order = &orders[if class == 5 { 6 } else { class as usize }];
        assert!(
            order[later].contains(build),
            "{later} before {build} does too much harm"
        );
    }
    for build in case.first_passes().filter(|build| build.nocheck) {
        let name = build.pkgbase.as_str();
        let blocked = |need: &String| orders[5][need].contains(name);
        assert!(
            case.installs[name].only_check.iter().any(blocked),
            "{name} skips its check"
        );
    }
}
