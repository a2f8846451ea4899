//! Versions and relations against what vercmp and pacman answered.
//!
//! `tests/data` holds a sample of their answers; `BUILDBTW_ORACLES` names a
//! folder with more of them in files of the same names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use buildbtw_graph::{Provision, Relation, Version, vercmp};
use proptest::prelude::*;

/// The lines of a file of answers, of the sample and of the larger one.
fn answers(name: &str) -> Vec<String> {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let more = std::env::var_os("BUILDBTW_ORACLES").map(|folder| PathBuf::from(folder).join(name));
    if more.is_none() {
        println!("BUILDBTW_ORACLES names no folder: only the sample of {name} is checked");
    }
    let mut lines = Vec::new();
    for path in [Some(sample), more].into_iter().flatten() {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let content = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.extend(content.map(str::to_owned));
    }
    assert!(lines.len() >= 300, "{name} has too few lines");
    lines
}

#[test]
fn versions_compare_as_vercmp_does() {
    for line in answers("vercmp.txt") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [a, b, answer] = words[..] else {
            panic!("{line}");
        };
        let expected = match answer {
            "-1" => Ordering::Less,
            "0" => Ordering::Equal,
            _ => Ordering::Greater,
        };
        assert_eq!(vercmp(a, b), expected, "{line}");
        assert_eq!(vercmp(b, a), expected.reverse(), "{line}, turned round");
    }
}

#[test]
fn relations_are_satisfied_as_pacman_says() {
    for line in answers("dependencies.tsv") {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, provides, dependency, answer] = fields[..] else {
            panic!("{line}");
        };
        let version: Version = version.parse().unwrap();
        let provides = provides
            .split_whitespace()
            .map(|text| text.parse::<Provision>().unwrap());
        let relation: Relation = dependency.parse().unwrap();
        let satisfied = relation.satisfied_by_package(name, &version)
            || provides
                .into_iter()
                .any(|provision| relation.satisfied_by_provision(&provision));
        assert_eq!(satisfied, answer == "1", "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_comparison_panic(a in any::<String>(), b in any::<String>()) {
        prop_assert_eq!(vercmp(&a, &b), vercmp(&b, &a).reverse());
        prop_assert_eq!(vercmp(&a, &a), Ordering::Equal);
    }

    #[test]
    fn versions_are_put_in_one_order(
        a in "([0-9]:)?[0-9a-c.~+_]{1,6}(-[0-9.]{1,3})?",
        b in "([0-9]:)?[0-9a-c.~+_]{1,6}",
    ) {
        prop_assert_eq!(vercmp(&a, &b), vercmp(&b, &a).reverse());
        if let (Ok(a), Ok(b)) = (a.parse::<Version>(), b.parse::<Version>()) {
            prop_assert_eq!(a.compare(&b), vercmp(a.as_str(), b.as_str()));
        }
    }

    #[test]
    fn what_is_read_is_written_the_same(text in "[a-z@._+]{1,8}(<|<=|=|>=|>)[0-9:.a-z]{1,6}") {
        prop_assert_eq!(text.parse::<Relation>().unwrap().to_string(), text);
    }
}
