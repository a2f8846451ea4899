//! What pacman would install, on small made-up repositories.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use buildbtw_graph::{
    InstallRequest, Provision, Relation, ReleasedIndex, ReleasedPackage, ReleasedRepository,
    resolve_installation,
};

/// `name version depends... | provides...`
fn package(line: &str) -> ReleasedPackage {
    let (left, right) = line.split_once('|').unwrap_or((line, ""));
    let mut words = left.split_whitespace();
    let name = words.next().unwrap();
    ReleasedPackage {
        pkgname: name.parse().unwrap(),
        pkgbase: name.parse().unwrap(),
        version: words.next().unwrap().parse().unwrap(),
        architecture: "x86_64".parse().unwrap(),
        depends: words.map(|word| word.parse().unwrap()).collect(),
        makedepends: Vec::new(),
        checkdepends: Vec::new(),
        provides: right
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect(),
        conflicts: Vec::new(),
        replaces: Vec::new(),
        groups: Vec::new(),
        optdepends: Vec::new(),
    }
}

fn stack(repositories: &[&[&str]]) -> ReleasedIndex {
    let repositories = repositories.iter().enumerate().map(|(number, lines)| {
        Arc::new(ReleasedRepository {
            name: format!("repository{number}"),
            packages: lines.iter().map(|line| package(line)).collect(),
        })
    });
    ReleasedIndex::new(repositories.collect())
}

fn relations(words: &str) -> Vec<Relation> {
    words
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

/// The installation as `repository/name=version` words, or the errors.
fn install(stack: &ReleasedIndex, targets: &str, assumed: &str) -> Result<String, String> {
    let assumed: Vec<Provision> = assumed
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    let request = InstallRequest {
        stack,
        targets: &relations(targets),
        assumed: &assumed,
        hidden: &|_, _| false,
    };
    match resolve_installation(&request) {
        Ok(found) => Ok(found
            .iter()
            .map(|(repository, p)| format!("{repository}/{}={}", p.pkgname, p.version))
            .collect::<Vec<_>>()
            .join(" ")),
        Err(errors) => Err(errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

#[test]
fn a_name_beats_a_provider_of_an_earlier_repository() {
    let stack = stack(&[&["other 9-1 | icu=76"], &["icu 76-1"]]);
    assert_eq!(install(&stack, "icu", "").unwrap(), "1/icu=76-1");
}

#[test]
fn a_version_skips_to_the_repository_that_has_it() {
    let stack = stack(&[&["foo 2-1"], &["foo 1-1"]]);
    assert_eq!(install(&stack, "foo", "").unwrap(), "0/foo=2-1");
    assert_eq!(install(&stack, "foo<2", "").unwrap(), "1/foo=1-1");
}

#[test]
fn the_first_provider_by_name_unless_one_is_there_already() {
    let stack = stack(&[&[
        "user 1-1 virt zprov",
        "other 1-1 zprov virt",
        "zprov 1-1 | virt",
        "aprov 1-1 | virt",
    ]]);
    assert_eq!(
        install(&stack, "user", "").unwrap(),
        "0/user=1-1 0/aprov=1-1 0/zprov=1-1"
    );
    assert_eq!(
        install(&stack, "other", "").unwrap(),
        "0/other=1-1 0/zprov=1-1"
    );
    assert_eq!(
        install(&stack, "user zprov", "").unwrap(),
        "0/user=1-1 0/zprov=1-1"
    );
}

#[test]
fn cycles_end_and_sonames_have_numbers() {
    let stack = stack(&[&["a 1-1 b libb.so=2-64", "b 1-1 a | libb.so=2-64"]]);
    assert_eq!(install(&stack, "a", "").unwrap(), "0/a=1-1 0/b=1-1");
    assert_eq!(
        install(&stack, "libb.so=1-64", "").unwrap_err(),
        "nothing satisfies libb.so=1-64, which the build needs"
    );
}

#[test]
fn a_package_of_another_version_is_never_installed_beside() {
    let stack = stack(&[&["a 1-1 lib=1", "lib 2-1"], &["lib 1-1"]]);
    assert_eq!(
        install(&stack, "lib a", "").unwrap_err(),
        "nothing satisfies lib=1, which a needs"
    );
    assert_eq!(install(&stack, "a", "").unwrap(), "0/a=1-1 1/lib=1-1");
}

#[test]
fn what_is_assumed_needs_nothing() {
    let stack = stack(&[&["a 1-1 glibc>=2.40", "b 1-1"]]);
    assert_eq!(
        install(&stack, "a b", "glibc=2.40").unwrap(),
        "0/a=1-1 0/b=1-1"
    );
    assert!(install(&stack, "a b", "glibc=2.39").is_err());
    // pacman takes no target for installed because it is assumed.
    assert!(install(&stack, "b cmake", "cmake").is_err());
}

#[test]
fn hidden_packages_are_not_there() {
    let stack = stack(&[&["lib 2-1"], &["lib 1-1"]]);
    let request = InstallRequest {
        stack: &stack,
        targets: &relations("lib"),
        assumed: &[],
        hidden: &|package, repository| repository == 0 && package.pkgname.as_str() == "lib",
    };
    let found = resolve_installation(&request).unwrap();
    assert_eq!(found[0].1.version.as_str(), "1-1");
}

#[test]
fn a_group_stands_for_its_packages() {
    let mut tool = package("tool 1-1 lib");
    tool.groups.push("base-devel".to_owned());
    let repository = ReleasedRepository {
        name: "core".to_owned(),
        packages: vec![tool, package("lib 1-1")],
    };
    let stack = ReleasedIndex::new(vec![Arc::new(repository)]);
    assert_eq!(
        install(&stack, "base-devel", "").unwrap(),
        "0/tool=1-1 0/lib=1-1"
    );
}

#[test]
fn a_long_chain_does_not_exhaust_the_stack() {
    let lines: Vec<String> = (0..50_000)
        .map(|n| format!("p{n} 1-1 p{}", n + 1))
        .collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.push("p50000 1-1");
    let stack = stack(&[&lines]);
    assert_eq!(
        install(&stack, "p0", "").unwrap().split(' ').count(),
        50_001
    );
}

#[test]
fn one_name_is_not_installed_twice() {
    let stack = stack(&[&["lib 2-1 | new"], &["lib 1-1 | old"]]);
    assert_eq!(install(&stack, "lib new", "").unwrap(), "0/lib=2-1");
    assert_eq!(
        install(&stack, "new old", "").unwrap_err(),
        "old leads to lib 1-1, but another target leads to lib 2-1, and pacman installs one \
         package of a name"
    );
}

#[test]
fn who_conflicts_stands_in_or_stands_in_the_way() {
    let with_conflicts = |lines: [(&str, &str); 3]| {
        let packages = lines.map(|(line, conflicts)| ReleasedPackage {
            conflicts: relations(conflicts),
            ..package(line)
        });
        let repository = ReleasedRepository {
            name: "core".to_owned(),
            packages: packages.to_vec(),
        };
        ReleasedIndex::new(vec![Arc::new(repository)])
    };
    let stack = with_conflicts([("a 1-1", "b"), ("b 1-1", ""), ("b-git 2-1 | b", "b")]);
    assert_eq!(
        install(&stack, "a b", "").unwrap_err(),
        "a and b would both be installed, and they conflict"
    );
    assert_eq!(install(&stack, "b b-git", "").unwrap(), "0/b-git=2-1");
    let stack = with_conflicts([("a 1-1 b=1", ""), ("b 1-1", ""), ("b-git 2-1 | b", "b")]);
    assert_eq!(
        install(&stack, "a b-git", "").unwrap_err(),
        "nothing satisfies b=1, which a needs"
    );
}
