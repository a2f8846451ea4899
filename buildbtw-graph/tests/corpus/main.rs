//! Plans over a real distribution, checked from the `.SRCINFO` texts alone.
//!
//! `BUILDBTW_CORPUS` names a folder `<pkgbase>/.SRCINFO`. Without it there is
//! nothing to check, and the tests say so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod proved;
mod reader;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use buildbtw_graph::{
    BuildSet, PlanInput, PlanOptions, SourceIndex, SourcePackage, plan, read_srcinfo,
};
use reader::Tree;

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("BUILDBTW_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        println!("BUILDBTW_CORPUS names no folder: nothing of the corpus is checked");
    }
    folder
}

/// The corpus as the checks read it, and as the planner does.
fn corpus() -> Option<&'static (Tree, SourceIndex)> {
    static CORPUS: OnceLock<Option<(Tree, SourceIndex)>> = OnceLock::new();
    let read = || {
        let folder = folder()?;
        let mut index = SourceIndex::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            if let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join(".SRCINFO")) {
                index.insert(read_srcinfo(&text).unwrap().package);
            }
        }
        Some((Tree::read(&folder), index))
    };
    CORPUS.get_or_init(read).as_ref()
}

fn plan_for(index: &SourceIndex, names: &[&str]) -> BuildSet {
    let changes: Vec<SourcePackage> = names
        .iter()
        .map(|name| SourcePackage::clone(index.get(&name.parse().unwrap()).unwrap()))
        .collect();
    let options = PlanOptions::default();
    let input = PlanInput {
        sources: index,
        released: &BTreeMap::new(),
        changes: &changes,
        options: &options,
    };
    plan(&input)
        .unwrap()
        .architectures
        .remove(&options.architectures[0])
        .unwrap()
}

/// Who is rebuilt: packages that depend at run time, one after the other.
fn rebuild_set<'t>(tree: &'t Tree, changed: &[&str]) -> BTreeSet<&'t str> {
    let mut dependents: HashMap<&(String, usize), Vec<(&'t str, usize)>> = HashMap::new();
    for source in tree.sources.values() {
        for (at, package) in source.packages.iter().enumerate() {
            for relation in &package.depends {
                if let Some(&first) = tree.resolve(relation).first() {
                    dependents
                        .entry(first)
                        .or_default()
                        .push((&source.name, at));
                }
            }
        }
    }
    let sources = tree
        .sources
        .values()
        .filter(|source| changed.contains(&&*source.name));
    let mut open: Vec<(&str, usize)> = sources
        .flat_map(|s| (0..s.packages.len()).map(|at| (&*s.name, at)))
        .collect();
    let mut seen: HashSet<(&str, usize)> = open.iter().copied().collect();
    while let Some((base, at)) = open.pop() {
        let found = dependents.get(&(base.to_owned(), at)).into_iter().flatten();
        open.extend(found.copied().filter(|&dependent| seen.insert(dependent)));
    }
    seen.into_iter().map(|(base, _)| base).collect()
}

/// The members in the installation of a build, own packages left aside.
fn installed<'t>(
    tree: &'t Tree,
    members: &BTreeSet<&str>,
    build: &str,
    check: bool,
) -> BTreeSet<&'t str> {
    let source = &tree.sources[build];
    let mut roots = [source.list("depends"), source.list("makedepends")].concat();
    roots.push("base-devel".to_owned());
    if check {
        roots.extend(source.list("checkdepends"));
    }
    let mut seen = HashSet::new();
    let mut found = BTreeSet::new();
    let mut open: Vec<&(String, usize)> = Vec::new();
    // The first one is taken; of others only members could come instead.
    let follow = |relation: &str, open: &mut Vec<&'t (String, usize)>| {
        for (number, place) in tree.resolve(relation).into_iter().enumerate() {
            if number == 0 || members.contains(&*place.0) {
                open.push(place);
            }
        }
    };
    roots
        .iter()
        .for_each(|relation| follow(relation, &mut open));
    while let Some(place) = open.pop() {
        if place.0 == build || !seen.insert(place) {
            continue;
        }
        if members.contains(&*place.0) {
            found.insert(&*place.0);
        }
        tree.package(place)
            .depends
            .iter()
            .for_each(|relation| follow(relation, &mut open));
    }
    found
}

/// Checks that a plan's set and order are those of the texts: every build
/// comes after all members in its installation, but for what is listed as
/// dropped, and waits for nothing else.
fn check(tree: &Tree, index: &SourceIndex, changed: &[&str]) -> BuildSet {
    let set = plan_for(index, changed);
    let members = rebuild_set(tree, changed);
    let planned: BTreeSet<&str> = set
        .builds
        .iter()
        .map(|build| build.pkgbase.as_str())
        .collect();
    assert_eq!(planned, members);

    let number: HashMap<&str, usize> = planned.iter().zip(0..).map(|(&n, at)| (n, at)).collect();
    let mut waits: Vec<Vec<usize>> = vec![Vec::new(); number.len()];
    let mut dropped: HashSet<(usize, usize)> = HashSet::new();
    for edge in &set.edges {
        let before = number[edge.before.pkgbase.as_str()];
        let after = number[edge.after.pkgbase.as_str()];
        if edge.dropped {
            dropped.insert((before, after));
        } else {
            waits[after].push(before);
        }
    }
    let mut by_wave: Vec<&buildbtw_graph::PlannedBuild> = set.builds.iter().collect();
    by_wave.sort_by_key(|build| build.wave);
    let mut before: Vec<Vec<bool>> = vec![vec![false; number.len()]; number.len()];
    let mut demanded: Vec<Vec<bool>> = before.clone();
    for build in by_wave {
        let name = build.pkgbase.as_str();
        let at = number[name];
        let mut row = vec![false; number.len()];
        for &direct in &waits[at] {
            row[direct] = true;
            let more = before[direct].iter().zip(&mut row);
            more.for_each(|(&also, row)| *row |= also);
        }
        assert!(!row[at], "{name} waits for itself");
        let mut should = vec![false; number.len()];
        for need in installed(tree, &members, name, !build.nocheck) {
            let need = number[need];
            if !dropped.contains(&(need, at)) {
                assert!(
                    row[need],
                    "{name} does not wait for {:?}",
                    planned.iter().nth(need)
                );
                should[need] = true;
                let more = demanded[need].iter().zip(&mut should);
                more.for_each(|(&also, row)| *row |= also);
            }
        }
        assert_eq!(row, should, "{name} waits for more than it installs");
        before[at] = row;
        demanded[at] = should;
    }
    for &(later, build) in &dropped {
        assert!(before[later][build], "a dropped pair could be put back");
    }
    set
}

/// The pairs that a scheduler has to keep.
fn stored(set: &BuildSet) -> usize {
    set.edges.iter().filter(|edge| !edge.dropped).count()
}

#[test]
fn every_source_is_read() {
    let Some((tree, index)) = corpus() else {
        return;
    };
    assert_eq!(index.len(), tree.sources.len());
    for source in index.iter() {
        let own = &tree.sources[source.pkgbase.as_str()];
        let on = "x86_64".parse().unwrap();
        let names: Vec<&str> = source
            .pkgnames(&on)
            .map(|package| package.pkgname.as_str())
            .collect();
        let expected: Vec<&str> = own.packages.iter().map(|package| &*package.name).collect();
        assert_eq!(names, expected, "{}", source.pkgbase);
        for (package, own) in source.pkgnames(&on).zip(&own.packages) {
            let depends: Vec<String> = package.depends.on(&on).map(ToString::to_string).collect();
            assert_eq!(depends, own.depends, "{}", package.pkgname);
            let provides: Vec<String> = package.provides.on(&on).map(ToString::to_string).collect();
            assert_eq!(provides, own.provides, "{}", package.pkgname);
        }
    }
}

#[test]
fn a_plan_for_a_leaf_and_for_a_library() {
    let Some((tree, index)) = corpus() else {
        return;
    };
    let set = check(tree, index, &["openimageio"]);
    assert!(set.builds.len() > 1);
    check(tree, index, &["boost"]);
    check(tree, index, &["qt6-base", "gtk3"]);
}

#[test]
fn a_plan_for_curl() {
    let Some((tree, index)) = corpus() else {
        return;
    };
    let set = check(tree, index, &["curl"]);
    assert!(set.builds.len() > 1000);
    assert!(stored(&set) < 4 * set.builds.len());
}

#[test]
fn a_plan_for_glibc() {
    let Some((tree, index)) = corpus() else {
        return;
    };
    let set = check(tree, index, &["glibc"]);
    assert!(set.builds.len() > 7000);
    assert!(stored(&set) < 4 * set.builds.len());
}
