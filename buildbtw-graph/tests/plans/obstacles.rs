//! What cannot be built, what is left out, and what is refused.

use std::collections::BTreeMap;

use buildbtw_graph::{
    Architecture, PlanError, PlanInput, PlanOptions, PlannedBuild, SourceIndex, SourcePackage,
    UnbuildableReason, plan, prove,
};

use crate::{build, diamond, options, plan_of, released, source, waves, x86_64};

#[test]
fn new_packages_that_need_each_other_cannot_be_built() {
    let changes = [
        source("one 1-1", &["makedepends = two"]),
        source("two 1-1", &["makedepends = one"]),
        source("three 1-1", &["depends = two"]),
    ];
    let made = plan_of(
        &[],
        &released(&source("else 1-1", &[])),
        &changes,
        &options(),
    );
    let set = x86_64(&made);
    let stuck: Vec<&PlannedBuild> = set
        .builds
        .iter()
        .filter(|b| b.unbuildable.is_some())
        .collect();
    assert_eq!(stuck.len(), 1, "one of the two is enough to begin with");
    let why = stuck[0].unbuildable.as_ref().unwrap();
    assert_eq!(why.reason, UnbuildableReason::Cycle);
    assert!(why.hint.contains("--bootstrap"), "{}", why.hint);

    let bootstrap = PlanOptions {
        bootstrap: true,
        ..options()
    };
    let made = plan_of(&[], &[], &changes, &bootstrap);
    let set = x86_64(&made);
    assert!(set.builds.iter().all(|build| build.unbuildable.is_none()));
    let first = set.builds.iter().find(|build| build.wave == 1).unwrap();
    assert_eq!(first.install, [""; 0]);
    assert_eq!(first.assumed.len(), 1, "{:?}", first.assumed);
    assert_eq!(
        first.pkgrel, None,
        "nothing is released, so nothing is bumped"
    );
}

#[test]
fn a_pair_that_needs_each_other_to_run_can_begin_without_it() {
    let changes = [
        source("left 1-1", &["depends = right"]),
        source("right 1-1", &["depends = left"]),
    ];
    let bootstrap = PlanOptions {
        bootstrap: true,
        ..options()
    };
    let made = plan_of(&[], &[], &changes, &bootstrap);
    let set = x86_64(&made);
    let first = set.builds.iter().find(|build| build.wave == 1).unwrap();
    let second = set.builds.iter().find(|build| build.wave == 2).unwrap();
    assert_eq!(first.install, [""; 0]);
    assert!(first.assumed.contains(&format!("{}=1-1", second.pkgbase)));
    // The first one is installed to build the second, and needs the second.
    assert_eq!(second.install, [first.pkgbase.to_string()]);
    assert_eq!(second.assumed, [format!("{}=1-1", second.pkgbase)]);
    // Both are impossible without leaving something out.
    let made = plan_of(
        &[],
        &released(&source("else 1-1", &[])),
        &changes,
        &options(),
    );
    assert!(
        x86_64(&made)
            .builds
            .iter()
            .all(|build| build.unbuildable.is_some())
    );
}

#[test]
fn what_the_host_has_is_assumed_and_listed() {
    let sources = [
        source("lib 1-1", &["depends = glibc>=2.38", "makedepends = cmake"]),
        source("app 1-1", &["depends = lib"]),
    ];
    let host = PlanOptions {
        host_tools: true,
        ..PlanOptions::default()
    };
    let made = plan_of(&sources, &[], &sources[..1], &host);
    let set = x86_64(&made);
    assert_eq!(build(set, "lib").install, [""; 0]);
    assert_eq!(build(set, "lib").assumed, ["cmake", "glibc=2.38"]);
    assert_eq!(build(set, "app").install, ["lib"]);
    assert_eq!(build(set, "app").assumed, ["glibc=2.38"]);
    // app's own needs are there; only lib's installation lacks something.
    assert_eq!(set.risks.len(), 2);
    assert!(set.builds.iter().all(|build| build.unbuildable.is_none()));
    // Without the host's tools the same needs make the build impossible.
    let made = plan_of(&sources, &[], &sources[..1], &options());
    let why = build(x86_64(&made), "lib").unbuildable.as_ref().unwrap();
    assert_eq!(why.reason, UnbuildableReason::Unresolved);
}

#[test]
fn a_version_that_no_longer_fits_is_broken() {
    let sources = [
        source("python 3.13-1", &[]),
        source("app 1-1", &["depends = python<3.14"]),
        source("other 1-1", &["depends = python>=3"]),
    ];
    let made = plan_of(&sources, &[], &[source("python 3.14-1", &[])], &options());
    let set = x86_64(&made);
    assert_eq!(waves(set), ["app:1", "other:2", "python:1"]);
    let broken: Vec<(String, String)> = set
        .broken
        .iter()
        .map(|b| (b.pkgbase.to_string(), b.relation.clone()))
        .collect();
    assert!(
        broken.contains(&("app".to_owned(), "python<3.14".to_owned())),
        "{broken:?}"
    );
    let why = build(set, "app").unbuildable.as_ref().unwrap();
    assert_eq!(why.reason, UnbuildableReason::Broken);
}

#[test]
fn own_packages_are_installed_as_released() {
    let sources = [
        source("compiler 1-1", &["depends = runtime"]),
        source("runtime 1-1", &["makedepends = compiler", "depends = libc"]),
        source("libc 1-1", &["makedepends = compiler"]),
    ];
    let made = plan_of(&sources, &[], &sources[2..], &options());
    let set = x86_64(&made);
    let own: Vec<(&str, &str)> = set
        .risks
        .iter()
        .map(|risk| (risk.pkgbase.as_str(), risk.installs.as_str()))
        .collect();
    assert_eq!(
        own,
        [
            ("compiler", "compiler"),
            ("libc", "libc"),
            ("runtime", "runtime")
        ][1..]
    );
}

#[test]
fn packages_that_conflict_are_not_installed_together() {
    let reason = |one: &[&str], other: &[&str], needs: &[&str]| {
        let sources = [
            source("lib 1-1", &[]),
            source("one 1-1", one),
            source("other 1-1", other),
            source("by 1-1", &["depends = sound"]),
            source("app 1-1", &[&["depends = lib"], needs].concat()),
        ];
        let made = plan_of(&sources, &[], &sources[..1], &options());
        build(x86_64(&made), "app").unbuildable.clone()
    };
    let both = ["makedepends = one", "makedepends = other"];
    let why = reason(&["conflicts = other"], &[], &both).unwrap();
    assert_eq!(why.reason, UnbuildableReason::Conflict);
    assert!(
        why.hint.contains("one") && why.hint.contains("other"),
        "{}",
        why.hint
    );
    let meets = |one: &[&str], other: &[&str], needs: &[&str]| reason(one, other, needs).is_some();
    assert!(meets(&[], &["conflicts = one<2"], &both));
    assert!(!meets(&["conflicts = other"], &[], &both[..1]), "only one");
    assert!(!meets(&["conflicts = other<1"], &[], &both), "a version");
    assert!(!meets(&["conflicts_i686 = other"], &[], &both));
    assert!(meets(&["conflicts_x86_64 = other"], &[], &both));
    // Who provides the other stands in for it, and nobody refuses itself.
    assert!(!meets(
        &["provides = other", "conflicts = other"],
        &[],
        &both
    ));
    assert!(!meets(&["provides = x", "conflicts = x"], &[], &both));
    let sound = ["provides = sound", "conflicts = sound"];
    assert!(meets(&sound, &sound, &both));
    // By itself pacman would take the first, but the second is there already.
    let other_first = ["makedepends = other", "makedepends = by"];
    assert!(!meets(&sound, &sound, &other_first));
    let other_last = ["makedepends = by", "makedepends = other"];
    assert!(!meets(&sound, &sound, &other_last), "targets come first");
}

#[test]
fn bad_input_is_refused_with_a_reason() {
    let sources = diamond();
    let index: SourceIndex = sources.iter().cloned().collect();
    let refused = |changes: &[SourcePackage], options: PlanOptions| {
        let input = PlanInput {
            sources: &index,
            released: &BTreeMap::new(),
            changes,
            options: &options,
        };
        plan(&input).unwrap_err()
    };
    let twice = [sources[0].clone(), sources[0].clone()];
    assert!(matches!(
        refused(&twice, options()),
        PlanError::ChangedTwice(_)
    ));
    let none = PlanOptions {
        architectures: Vec::new(),
        ..options()
    };
    assert_eq!(refused(&[], none), PlanError::NoArchitecture);
    let any = PlanOptions {
        architectures: vec![Architecture::any()],
        ..options()
    };
    assert!(matches!(refused(&[], any), PlanError::BadArchitecture(_)));
    let passes = PlanOptions {
        passes: 3,
        ..options()
    };
    assert_eq!(refused(&[], passes), PlanError::BadPasses(3));
}

#[test]
fn of_many_packages_of_one_name_no_two_are_installed_together() {
    let mut sources = vec![source("lib 1-1", &[])];
    for number in 1..=5 {
        let head = format!("maker{number} {number}-1");
        sources.push(source(&head, &["depends = lib", "[tool]"]));
        let needs = format!("depends = tool={number}");
        sources.push(source(&format!("user{number} 1-1"), &[&needs]));
    }
    for (one, other) in [(1, 2), (1, 5), (2, 3), (3, 4), (4, 5)] {
        let needs = [one, other].map(|number| format!("makedepends = user{number}"));
        let needs = needs.each_ref().map(String::as_str);
        let mut with_app = sources.clone();
        with_app.push(source(
            "app 1-1",
            &[&["depends = lib"], needs.as_slice()].concat(),
        ));
        let indexed: SourceIndex = with_app.iter().cloned().collect();
        let options = options();
        let input = PlanInput {
            sources: &indexed,
            released: &BTreeMap::new(),
            changes: &sources[..1],
            options: &options,
        };
        let mut made = plan(&input).unwrap();
        let why = build(x86_64(&made), "app").unbuildable.clone();
        assert_eq!(
            why.map(|why| why.reason),
            Some(UnbuildableReason::Conflict),
            "{one} and {other}"
        );
        assert_eq!(prove(&input, &made), Ok(()));
        // The proof finds it by itself.
        let set = made.architectures.values_mut().next().unwrap();
        let app = set
            .builds
            .iter_mut()
            .find(|it| it.pkgbase.as_str() == "app");
        app.unwrap().unbuildable = None;
        let flaws = prove(&input, &made).unwrap_err();
        assert!(
            flaws
                .iter()
                .any(|flaw| matches!(flaw, buildbtw_graph::Flaw::Conflict { .. })),
            "{one} and {other}: {flaws:?}"
        );
    }
}
