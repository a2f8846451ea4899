//! How fake builds are to go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::OutcomeClass;

/// How the fake builder carries out one build. Everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FakeRule {
    /// How long the build takes, in milliseconds.
    pub duration_ms: u64,
    /// How it fails; it succeeds where this is not given.
    pub failure: Option<FakeFailure>,
    /// The number of each soname: `{"libgreet.so": 2}` makes `libgreet.so` in `provides` and
    /// `depends` become `libgreet.so=2-64`, as makepkg does from the libraries themselves. A
    /// number is looked for here, then under `*`, then in all other rules; else it is 1.
    pub sonames: BTreeMap<String, u64>,
    /// The size of each package's file, in bytes, beside a line of text.
    pub size: usize,
    /// Lines that are written to the log, besides the usual ones.
    pub log_lines: u64,
    /// So often a line with the time is written while the build goes on, in milliseconds; never where
    /// it is 0. The time is that of the clock, in milliseconds since 1970, at the end of the line.
    pub line_every_ms: u64,
    /// Packages of these names are made, too, whatever the `.SRCINFO` says.
    pub additional_packages: Vec<String>,
    /// Packages of these names are not made.
    pub missing_packages: Vec<String>,
    /// The version that the packages get, as if a pkgver() function had changed it.
    pub version: Option<String>,
    /// Whether files are left in the work folder, as by a sandbox that was killed.
    pub leftovers: bool,
}

/// How a fake build fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FakeFailure {
    /// The class of its end.
    pub class: OutcomeClass,
    /// The step in which it fails.
    #[serde(default = "build_step")]
    pub step: String,
    /// What is said about it.
    #[serde(default)]
    pub message: Option<String>,
}

fn build_step() -> String {
    "build".to_owned()
}

/// Rules of the fake builder by pkgbase; `*` stands for every other one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FakeRules(pub BTreeMap<String, FakeRule>);

impl FakeRules {
    /// The rule for a pkgbase.
    pub fn get(&self, pkgbase: &str) -> FakeRule {
        let rule = self.0.get(pkgbase).or_else(|| self.0.get("*"));
        rule.cloned().unwrap_or_default()
    }
    /// The number of a soname for a build that goes by `rule`.
    pub fn soname(&self, rule: &FakeRule, name: &str) -> u64 {
        let everybody = self.0.get("*");
        std::iter::once(rule)
            .chain(everybody)
            .chain(self.0.values())
            .find_map(|rule| rule.sonames.get(name))
            .copied()
            .unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_people_write_them() {
        let rules: FakeRules = serde_json::from_str(
            r#"{"*": {"duration_ms": 5, "sonames": {"liba.so": 2}},
                "libb": {"sonames": {"libb.so": 3}},
                "broken": {"failure": {"class": "package"}}}"#,
        )
        .unwrap();
        assert_eq!(rules.get("anything").duration_ms, 5);
        let broken = rules.get("broken");
        assert_eq!(broken.failure.as_ref().unwrap().step, "build");
        for (name, number) in [("liba.so", 2), ("libb.so", 3), ("libc.so", 1)] {
            assert_eq!(rules.soname(&broken, name), number);
        }
        assert!(serde_json::from_str::<FakeRules>(r#"{"*": {"durations": 5}}"#).is_err());
    }
}
