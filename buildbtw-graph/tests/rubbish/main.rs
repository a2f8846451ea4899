//! Whatever a `.SRCINFO` contains: it is read or refused, planned or not, but
//! nothing panics and nothing else suffers.
//!
//! `BUILDBTW_CASES` asks for more cases than usual; `just fuzz` runs them for
//! as long as one likes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutated;

use std::collections::BTreeMap;

use buildbtw_graph::{
    PlanInput, PlanOptions, Scope, SourceIndex, SourcePackage, plan, prove, read_srcinfo,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

const HEADS: [&str; 20] = [
    "pkgbase",
    "pkgname",
    "pkgver",
    "pkgrel",
    "epoch",
    "arch",
    "depends",
    "depends_x86_64",
    "makedepends",
    "checkdepends_any",
    "provides",
    "conflicts",
    "replaces",
    "groups",
    "optdepends",
    "url",
    "source",
    "backup",
    "validpgpkeys",
    "sha256sums",
];

const VALUES: [&str; 18] = [
    "a",
    "b",
    "",
    "1",
    "99999999999999999999",
    "0",
    "x86_64",
    "any",
    "a>=1",
    "b<99999999999999999999",
    "a=1:2-3",
    "libx.so=1-64",
    "lib:libx.so.1",
    "b: a reason",
    "../a",
    "a/b",
    "/etc/x",
    "\u{1}",
];

const LISTS: [&str; 6] = [
    "depends",
    "depends_x86_64",
    "provides",
    "conflicts",
    "replaces",
    "optdepends",
];

const RELATIONS: [&str; 8] = [
    "a",
    "b",
    "c",
    "a>=1",
    "b<99999999999999999999",
    "a=1:2-3",
    "libx.so=1-64",
    "libx.so",
];

/// Mostly well-formed lines in any order, now and then anything at all.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => (0..LISTS.len(), 0..RELATIONS.len()).prop_map(|(list, relation)| {
            format!("\t{} = {}\n", LISTS[list], RELATIONS[relation])
        }),
        2 => (0..HEADS.len(), 0..VALUES.len()).prop_map(|(head, value)| {
            format!("{} = {}\n", HEADS[head], VALUES[value])
        }),
        1 => any::<String>().prop_map(|text| format!("{text}\n")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let base = prop_oneof![
        9 => (0..3usize).prop_map(|n| {
            format!("pkgbase = {}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n", ["a", "b", "c"][n])
        }),
        1 => Just(String::new()),
    ];
    let name = prop_oneof![9 => (0..3usize).prop_map(|n| format!("\npkgname = {}\n", ["a", "b", "c"][n])), 1 => Just(String::new())];
    let lines = || prop::collection::vec(line(), 0..12).prop_map(|lines| lines.concat());
    (base, lines(), name, lines())
        .prop_map(|(base, first, name, second)| base + &first + &name + &second)
}

fn plan_all(sources: &[SourcePackage]) {
    let index: SourceIndex = sources.iter().cloned().collect();
    let changes: Vec<SourcePackage> = index.iter().map(|s| SourcePackage::clone(s)).collect();
    for (scope, bootstrap) in [(Scope::None, true), (Scope::Transitive, false)] {
        let options = PlanOptions {
            scope,
            bootstrap,
            passes: 2,
            ..PlanOptions::default()
        };
        let input = PlanInput {
            sources: &index,
            released: &BTreeMap::new(),
            changes: &changes,
            options: &options,
        };
        let made = plan(&input).unwrap();
        assert_eq!(prove(&input, &made), Ok(()));
        let names = made.architectures[&options.architectures[0]].builds.iter();
        assert!(names.filter(|build| build.pass == 1).count() <= changes.len());
    }
}

/// How many cases are tried; `BUILDBTW_CASES` asks for more.
fn cases() -> u32 {
    let asked = std::env::var("BUILDBTW_CASES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = read_srcinfo(&text);
    }

    #[test]
    fn likely_texts_are_read_and_planned(texts in prop::collection::vec(text(), 1..4)) {
        let mut sources = Vec::new();
        for text in &texts {
            match read_srcinfo(text) {
                Ok(reading) => sources.push(reading.package),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
        plan_all(&sources);
    }

    #[test]
    fn what_was_read_comes_back_from_json(text in text()) {
        if let Ok(reading) = read_srcinfo(&text) {
            let json = serde_json::to_string(&reading.package).unwrap();
            prop_assert_eq!(serde_json::from_str::<SourcePackage>(&json).unwrap(), reading.package);
        }
    }
}

#[test]
fn the_likely_texts_are_often_good() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = (0..300)
        .filter(|_| {
            let text = text().new_tree(&mut runner).unwrap().current();
            read_srcinfo(&text).is_ok()
        })
        .count();
    assert!(good >= 60, "only {good} of 300 texts can be read");
}
