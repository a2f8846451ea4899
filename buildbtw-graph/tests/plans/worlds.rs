//! Sources and released packages, one architecture and several.

use buildbtw_graph::{Architecture, PlanOptions};

use crate::{build, options, order, plan_of, released, source, waves, x86_64};

#[test]
fn whoever_depends_by_soname_is_rebuilt_in_either_world() {
    let lib = source("lib 1-1", &["provides = libx.so"]);
    let by_source = source("by-source 1-1", &["depends = libx.so"]);
    let mut by_release = source("by-release 1-1", &[]);
    let built = source("by-release 1-1", &["depends = libx.so"]);
    let repository: Vec<_> = [&lib, &by_source, &built]
        .into_iter()
        .flat_map(released)
        .collect();
    let sources = [lib.clone(), by_source, by_release.clone()];
    let made = plan_of(
        &sources,
        &repository,
        std::slice::from_ref(&lib),
        &options(),
    );
    assert_eq!(
        waves(x86_64(&made)),
        ["by-release:1", "by-source:2", "lib:1"]
    );
    // A released package whose source is gone cannot be rebuilt, and is named.
    by_release = source("unrelated 1-1", &[]);
    let made = plan_of(
        &[sources[0].clone(), by_release],
        &repository,
        &[lib],
        &options(),
    );
    let warned: Vec<String> = made
        .warnings
        .iter()
        .filter_map(|w| w.pkgbase.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(warned, ["by-release", "by-source"]);
}

#[test]
fn packages_for_any_architecture_are_built_once() {
    let arches = ["arch = x86_64", "arch = aarch64"];
    let both = |head: &str, lines: &[&str]| source(head, &[&arches[..], lines].concat());
    let sources = [
        both("lib 1-1", &[]),
        source("data 1-1", &["arch = any", "depends = lib"]),
        both("app 1-1", &["depends = data"]),
        source("only-arm 1-1", &["arch = aarch64", "depends = lib"]),
        source("docs 1-1", &["arch = any", "depends = only-arm"]),
    ];
    let options = PlanOptions {
        architectures: vec!["x86_64".parse().unwrap(), "aarch64".parse().unwrap()],
        ..options()
    };
    let made = plan_of(&sources, &[], &sources[..1], &options);
    // docs is rebuilt for the sake of aarch64, on x86_64.
    assert_eq!(waves(x86_64(&made)), ["app:3", "data:2", "docs:1", "lib:1"]);
    let arm = &made.architectures[&"aarch64".parse::<Architecture>().unwrap()];
    let refers: Vec<&str> = arm
        .builds
        .iter()
        .filter(|build| {
            build
                .refers_to
                .as_ref()
                .is_some_and(|on| on.as_str() == "x86_64")
        })
        .map(|build| build.pkgbase.as_str())
        .collect();
    assert_eq!(refers, ["data", "docs"]);
    assert_eq!(order(arm), ["data>app", "lib>app", "lib>only-arm"]);
    assert_eq!(
        build(arm, "data").version,
        build(x86_64(&made), "data").version
    );
}
