//! Plans of small distributions that are easy to follow by eye.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod difference;
mod json;
mod obstacles;
mod order;
mod worlds;

use std::sync::Arc;

use buildbtw_graph::{
    Architecture, BuildSet, Plan, PlanInput, PlanOptions, PlannedBuild, ReleasedIndex,
    ReleasedPackage, ReleasedRepository, SourceIndex, SourcePackage, plan, read_srcinfo,
};

/// A source in short: `name-version` and its lists, one a line as in a
/// `.SRCINFO`; `[name]` begins a package, and without one there is a single
/// package of the source's name.
fn source(head: &str, lines: &[&str]) -> SourcePackage {
    let (name, version) = head.split_once(' ').unwrap();
    let (pkgver, pkgrel) = version.split_once('-').unwrap();
    let mut text = format!("pkgbase = {name}\n\tpkgver = {pkgver}\n\tpkgrel = {pkgrel}\n");
    if !lines.iter().any(|line| line.starts_with("arch = ")) {
        text.push_str("\tarch = x86_64\n");
    }
    let mut split = false;
    for line in lines {
        match line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            Some(package) => {
                split = true;
                text.push_str(&format!("\npkgname = {package}\n"));
            }
            None => text.push_str(&format!("\t{line}\n")),
        }
    }
    if !split {
        text.push_str(&format!("\npkgname = {name}\n"));
    }
    read_srcinfo(&text).unwrap().package
}

fn options() -> PlanOptions {
    PlanOptions {
        implicit: Vec::new(),
        ..PlanOptions::default()
    }
}

fn plan_of(
    sources: &[SourcePackage],
    released: &[ReleasedPackage],
    changes: &[SourcePackage],
    options: &PlanOptions,
) -> Plan {
    let sources: SourceIndex = sources.iter().cloned().collect();
    let repository = ReleasedRepository {
        name: "core".to_owned(),
        packages: released.to_vec(),
    };
    let index = Arc::new(ReleasedIndex::new(vec![Arc::new(repository)]));
    let released = options
        .architectures
        .iter()
        .map(|a| (a.clone(), Arc::clone(&index)))
        .collect();
    let input = PlanInput {
        sources: &sources,
        released: &released,
        changes,
        options,
    };
    plan(&input).unwrap()
}

fn x86_64(plan: &Plan) -> &BuildSet {
    &plan.architectures[&"x86_64".parse::<Architecture>().unwrap()]
}

fn build<'p>(set: &'p BuildSet, name: &str) -> &'p PlannedBuild {
    set.builds
        .iter()
        .find(|build| build.pkgbase.as_str() == name)
        .unwrap()
}

/// The undropped pairs as `before>after` words.
fn order(set: &BuildSet) -> Vec<String> {
    let kept = set.edges.iter().filter(|edge| !edge.dropped);
    kept.map(|edge| format!("{}>{}", edge.before.pkgbase, edge.after.pkgbase))
        .collect()
}

fn dropped(set: &BuildSet) -> Vec<String> {
    let dropped = set.edges.iter().filter(|edge| edge.dropped);
    dropped
        .map(|edge| format!("{}>{}", edge.before.pkgbase, edge.after.pkgbase))
        .collect()
}

fn waves(set: &BuildSet) -> Vec<String> {
    set.builds
        .iter()
        .map(|build| format!("{}:{}", build.pkgbase, build.wave))
        .collect()
}

/// Built and released as the source says, with sonames numbered `=1-64`.
fn released(source: &SourcePackage) -> Vec<ReleasedPackage> {
    let on: Architecture = "x86_64".parse().unwrap();
    let numbered = |text: String| match text.ends_with(".so") {
        true => format!("{text}=1-64"),
        false => text,
    };
    source
        .pkgnames(&on)
        .map(|package| ReleasedPackage {
            pkgname: package.pkgname.clone(),
            pkgbase: source.pkgbase.clone(),
            version: source.version.clone(),
            architecture: on.clone(),
            depends: package
                .depends
                .on(&on)
                .map(|relation| numbered(relation.to_string()).parse().unwrap())
                .collect(),
            makedepends: Vec::new(),
            checkdepends: Vec::new(),
            provides: package
                .provides
                .on(&on)
                .map(|provision| numbered(provision.to_string()).parse().unwrap())
                .collect(),
            conflicts: Vec::new(),
            replaces: Vec::new(),
            groups: Vec::new(),
            optdepends: Vec::new(),
        })
        .collect()
}

fn diamond() -> Vec<SourcePackage> {
    vec![
        source("a 1-1", &[]),
        source("b 1-1", &["depends = a"]),
        source("c 1-1", &["depends = a", "depends = b"]),
    ]
}
