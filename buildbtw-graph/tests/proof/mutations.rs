//! Good plans with one thing wrong.

use buildbtw_graph::{BuildSet, Edge, Flaw, PlannedBuild};

/// A plan's build set with one thing changed, what was changed, and a flaw
/// that the proof must find.
pub struct Mutant {
    pub what: String,
    pub set: BuildSet,
    pub expected: fn(&Flaw) -> bool,
}

/// All the ways in which a build set is made wrong.
pub fn mutants(set: &BuildSet) -> Vec<Mutant> {
    let mut all = Vec::new();
    edges(set, &mut all);
    builds(set, &mut all);
    declarations(set, &mut all);
    numbers(set, &mut all);
    all
}

/// Writes waves, their number and a longest path anew, so that only what was
/// changed is wrong.
fn repaired(mut set: BuildSet) -> BuildSet {
    let mut waves = vec![1; set.builds.len()];
    let mut before: Vec<Option<usize>> = vec![None; set.builds.len()];
    let place = |set: &BuildSet, key| set.builds.iter().position(|build| build.key() == key);
    let edges: Vec<(usize, usize)> = set
        .edges
        .iter()
        .filter(|edge| !edge.dropped)
        .filter_map(|e| {
            let before = place(&set, e.before.clone())?;
            Some((before, place(&set, e.after.clone())?))
        })
        .collect();
    for _ in 0..set.builds.len() {
        for &(first, second) in &edges {
            if waves[second] <= waves[first] {
                waves[second] = waves[first] + 1;
                before[second] = Some(first);
            }
        }
    }
    for (build, wave) in set.builds.iter_mut().zip(&waves) {
        build.wave = *wave;
    }
    set.waves = waves.iter().copied().max().unwrap_or(0);
    let last = (0..waves.len()).max_by_key(|&build| waves[build]);
    let path = std::iter::successors(last, |&build| before[build]);
    set.critical_path = path.map(|build| set.builds[build].key()).collect();
    set.critical_path.reverse();
    set
}

fn edges(set: &BuildSet, all: &mut Vec<Mutant>) {
    for (at, edge) in set.edges.iter().enumerate() {
        let name = format!("{} before {}", edge.before.pkgbase, edge.after.pkgbase);
        let mut without = set.clone();
        without.edges.remove(at);
        let mut flipped = set.clone();
        flipped.edges[at].dropped = !edge.dropped;
        if edge.dropped {
            all.push(Mutant {
                what: format!("hides that {name} is given up"),
                set: without,
                expected: |flaw| {
                    matches!(
                        flaw,
                        Flaw::Stale { .. }
                            | Flaw::SkippedUndeclared { .. }
                            | Flaw::NocheckWithoutReason { .. }
                    )
                },
            });
            all.push(Mutant {
                what: format!("closes a cycle with {name}"),
                set: flipped,
                expected: |flaw| matches!(flaw, Flaw::Cycle { .. }),
            });
        } else {
            all.push(Mutant {
                what: format!("loses {name}"),
                set: repaired(without),
                expected: |flaw| matches!(flaw, Flaw::Stale { .. } | Flaw::EitherPass { .. }),
            });
            all.push(Mutant {
                what: format!("gives up {name} for nothing"),
                set: repaired(flipped),
                expected: |flaw| {
                    matches!(
                        flaw,
                        Flaw::DroppedWithoutCycle { .. } | Flaw::DroppedWithoutNeed { .. }
                    )
                },
            });
            let mut turned = set.clone();
            let back = Edge {
                before: edge.after.clone(),
                after: edge.before.clone(),
                ..edge.clone()
            };
            turned.edges.push(back);
            all.push(Mutant {
                what: format!("turns {name} round as well"),
                set: turned,
                expected: |flaw| matches!(flaw, Flaw::Cycle { .. }),
            });
            let mut outside = set.clone();
            outside.edges[at].before.pkgbase = "stranger".parse().unwrap();
            all.push(Mutant {
                what: format!("leads {name} out of the set"),
                set: repaired(outside),
                expected: |flaw| matches!(flaw, Flaw::EdgeOutside { .. }),
            });
        }
    }
}

fn builds(set: &BuildSet, all: &mut Vec<Mutant>) {
    for (at, build) in set.builds.iter().enumerate() {
        let key = build.key();
        let mut without = set.clone();
        without.builds.remove(at);
        without
            .edges
            .retain(|edge| edge.before != key && edge.after != key);
        all.push(Mutant {
            what: format!("drops pass {} of {}", build.pass, build.pkgbase),
            set: repaired(without),
            expected: if build.pass == 1 {
                // Its second pass stands alone then.
                |flaw| matches!(flaw, Flaw::MissingBuild { .. })
            } else {
                |flaw| matches!(flaw, Flaw::MissingPass { .. })
            },
        });
        let mut add = |what: &str, more: PlannedBuild, expected: fn(&Flaw) -> bool| {
            let mut with = set.clone();
            with.builds.push(more);
            all.push(Mutant {
                what: format!("adds {what} of {}", build.pkgbase),
                set: repaired(with),
                expected,
            });
        };
        let stranger = PlannedBuild {
            pkgbase: "stranger".parse().unwrap(),
            pass: 1,
            ..build.clone()
        };
        add("a copy", stranger, |flaw| {
            matches!(flaw, Flaw::ExtraBuild { .. })
        });
        add("the same", build.clone(), |flaw| {
            matches!(flaw, Flaw::ExtraPass { .. })
        });
        let third = PlannedBuild {
            pass: 3,
            ..build.clone()
        };
        add("a third pass", third, |flaw| {
            matches!(flaw, Flaw::ExtraPass { .. })
        });
        let twice = set
            .builds
            .iter()
            .any(|b| b.pkgbase == build.pkgbase && b.pass == 2);
        if !twice {
            let second = PlannedBuild {
                pass: 2,
                ..build.clone()
            };
            add("a second pass", second, |flaw| {
                matches!(flaw, Flaw::ExtraPass { .. } | Flaw::Stale { .. })
            });
        }
    }
}

fn declarations(set: &BuildSet, all: &mut Vec<Mutant>) {
    for (at, build) in set.builds.iter().enumerate() {
        let mut change =
            |what: &str, expected: fn(&Flaw) -> bool, change: fn(&mut PlannedBuild)| {
                let mut changed = set.clone();
                change(&mut changed.builds[at]);
                all.push(Mutant {
                    what: format!("{what} of pass {} of {}", build.pass, build.pkgbase),
                    set: changed,
                    expected,
                });
            };
        // A second pass fails with the first one, whatever it says itself.
        if build.unbuildable.is_some() && build.pass == 1 {
            change(
                "hides the obstacle",
                |flaw| matches!(flaw, Flaw::Missing { .. } | Flaw::Conflict { .. }),
                |build| build.unbuildable = None,
            );
        }
        if !build.assumed.is_empty() && build.unbuildable.is_none() {
            change(
                "hides what is assumed",
                |flaw| matches!(flaw, Flaw::Missing { .. } | Flaw::WrongInstall { .. }),
                |build| build.assumed.clear(),
            );
        }
        if build.nocheck {
            change(
                "runs the check",
                // The check's needs are given up, but the check runs.
                |flaw| matches!(flaw, Flaw::DroppedWithoutNeed { .. }),
                |build| build.nocheck = false,
            );
        } else {
            change(
                "skips the check",
                |flaw| matches!(flaw, Flaw::NocheckWithoutReason { .. }),
                |build| build.nocheck = true,
            );
        }
        // What is assumed under a name may be left out.
        if !build.install.is_empty() && build.assumed.is_empty() {
            change(
                "forgets a relation",
                |flaw| matches!(flaw, Flaw::WrongInstall { .. }),
                |build| {
                    build.install.pop();
                },
            );
        }
        change(
            "installs something else",
            |flaw| matches!(flaw, Flaw::WrongInstall { .. }),
            |build| build.install.push("stranger".to_owned()),
        );
        change(
            "forgets a package",
            |flaw| matches!(flaw, Flaw::WrongBuild { .. }),
            |build| {
                build.pkgnames.pop();
            },
        );
        change(
            "has another version",
            |flaw| matches!(flaw, Flaw::WrongBuild { .. }),
            |build| build.version = "7:7-7".parse().unwrap(),
        );
    }
}

fn numbers(set: &BuildSet, all: &mut Vec<Mutant>) {
    for (at, build) in set.builds.iter().enumerate() {
        let mut later = set.clone();
        later.builds[at].wave += 1;
        all.push(Mutant {
            what: format!("puts {} into a later wave", build.pkgbase),
            set: later,
            expected: |flaw| matches!(flaw, Flaw::WrongWave { .. }),
        });
    }
    let mut more = set.clone();
    more.waves += 1;
    let mut shorter = set.clone();
    if shorter.critical_path.pop().is_some() {
        for (what, set) in [("a wave", more), ("a critical path", shorter)] {
            all.push(Mutant {
                what: format!("has {what} of another length"),
                set,
                expected: |flaw| matches!(flaw, Flaw::WrongLength { .. }),
            });
        }
    }
}
