//! The index of sources: changed in place, shared without harm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use std::sync::Arc;

use buildbtw_graph::{
    Plan, PlanInput, PlanOptions, ReleasedIndex, ReleasedPackage, ReleasedRepository, SourceIndex,
    SourcePackage, plan, read_srcinfo,
};

fn source(name: &str, depends: &[&str]) -> SourcePackage {
    let depends: String = depends
        .iter()
        .map(|d| format!("\tdepends = {d}\n"))
        .collect();
    let head = format!("pkgbase = {name}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = any\n");
    read_srcinfo(&format!("{head}{depends}\npkgname = {name}\n"))
        .unwrap()
        .package
}

fn plan_for(index: &SourceIndex, changed: &str) -> Plan {
    let options = PlanOptions::default();
    let input = PlanInput {
        sources: index,
        released: &BTreeMap::new(),
        changes: &[source(changed, &[])],
        options: &options,
    };
    plan(&input).unwrap()
}

fn members(plan: &Plan) -> Vec<String> {
    let sets = plan.architectures.values();
    sets.flat_map(|set| set.builds.iter().map(|build| build.pkgbase.to_string()))
        .collect()
}

#[test]
fn a_change_shows_at_once_and_leaves_clones_alone() {
    let mut index = SourceIndex::new();
    assert!(index.is_empty());
    index.insert(source("lib", &[]));
    index.insert(source("app", &["lib"]));
    index.insert(source("tool", &[]));
    let before = index.clone();
    assert_eq!(members(&plan_for(&index, "lib")), ["app", "lib"]);

    let replaced = index.insert(source("tool", &["app"])).unwrap();
    assert_eq!(*replaced, source("tool", &[]));
    assert_eq!(members(&plan_for(&index, "lib")), ["app", "lib", "tool"]);
    assert_eq!(members(&plan_for(&before, "lib")), ["app", "lib"]);

    index.remove(&"app".parse().unwrap()).unwrap();
    assert!(index.remove(&"app".parse().unwrap()).is_none());
    assert_eq!(members(&plan_for(&index, "lib")), ["lib"]);
    assert_eq!((index.len(), before.len()), (2, 3));
    assert!(index.get(&"app".parse().unwrap()).is_none());
    let names: Vec<&str> = before
        .iter()
        .map(|source| source.pkgbase.as_str())
        .collect();
    assert_eq!(names, ["app", "lib", "tool"]);
}

#[test]
fn the_way_to_a_state_does_not_show_in_the_plan() {
    let sources: Vec<SourcePackage> = (0..40)
        .map(|number| match number {
            0 => source("p0", &[]),
            _ => source(&format!("p{number}"), &[&format!("p{}", number / 2)]),
        })
        .collect();
    let forwards: SourceIndex = sources.iter().cloned().collect();
    let mut backwards: SourceIndex = sources.iter().rev().cloned().collect();
    for number in [3, 17, 0, 39] {
        backwards.remove(&format!("p{number}").parse().unwrap());
        backwards.insert(sources[number].clone());
        backwards.insert(sources[number].clone());
    }
    let json = |index: &SourceIndex| serde_json::to_string(&plan_for(index, "p0")).unwrap();
    assert_eq!(json(&forwards), json(&backwards));
}

fn released(name: &str, version: u32, provides: &[&str]) -> ReleasedPackage {
    ReleasedPackage {
        pkgname: name.parse().unwrap(),
        pkgbase: name.parse().unwrap(),
        version: format!("{version}-1").parse().unwrap(),
        architecture: "any".parse().unwrap(),
        depends: vec!["glue".parse().unwrap()],
        makedepends: Vec::new(),
        checkdepends: Vec::new(),
        provides: provides.iter().map(|text| text.parse().unwrap()).collect(),
        conflicts: Vec::new(),
        replaces: Vec::new(),
        groups: Vec::new(),
        optdepends: Vec::new(),
    }
}

fn repository(name: &str, packages: &[ReleasedPackage]) -> Arc<ReleasedRepository> {
    Arc::new(ReleasedRepository {
        name: name.to_owned(),
        packages: packages.to_vec(),
    })
}

/// All that can be found under some names, in order.
fn findings(index: &ReleasedIndex) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["a", "b", "c", "d", "glue", "shared"] {
        let lists: [Vec<_>; 4] = [
            index.packages_named(name).collect(),
            index.providers_of(name).collect(),
            index.packages_from(name).collect(),
            index.packages_wanting(name).collect(),
        ];
        for (list, packages) in lists.iter().enumerate() {
            found.extend(packages.iter().map(|(repository, package)| {
                let (pkgname, version) = (&package.pkgname, &package.version);
                format!("{name} {list} {repository} {pkgname} {version}")
            }));
        }
    }
    let mut all: Vec<String> = index
        .packages()
        .map(|(repository, package)| format!("{repository} {}", package.pkgname))
        .collect();
    all.sort();
    found.extend(all);
    found.push(index.len().to_string());
    found
}

#[test]
fn a_repository_that_changes_is_found_as_one_that_is_indexed_anew() {
    let base = [
        released("a", 1, &["shared"]),
        released("b", 1, &[]),
        released("d", 1, &["shared"]),
    ];
    let base_index = ReleasedIndex::new(vec![repository("base", &base)]);
    let (old_c, new_c) = (released("c", 2, &["shared"]), released("c", 3, &["shared"]));
    let (b, a) = (released("b", 2, &["shared"]), released("a", 2, &[]));
    let empty = base_index.behind(repository("own", &[]));
    let mut grown = empty.clone();
    grown.change(&[], [old_c.clone(), b.clone()]);
    grown.change(&[], [a.clone()]);
    grown.change(std::slice::from_ref(&old_c.pkgname), [new_c.clone()]);
    let anew = |own: &[ReleasedPackage]| {
        ReleasedIndex::new(vec![repository("own", own), repository("base", &base)])
    };
    assert_eq!(
        findings(&grown),
        findings(&anew(&[a.clone(), b.clone(), new_c.clone()]))
    );
    let mut shrunk = grown.clone();
    shrunk.change(std::slice::from_ref(&b.pkgname), []);
    assert_eq!(findings(&shrunk), findings(&anew(&[a, new_c])));
    assert_eq!(findings(&empty), findings(&anew(&[])));
}
