//! A plan as it stands in the JSON of `bbtw plan --json`, read key by key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::srcinfo::ARCHITECTURE;

/// A build of a build set.
#[derive(Debug, Clone)]
pub struct Build {
    /// Its wave, from 1.
    pub wave: u64,
    /// Whether it skips its check.
    pub nocheck: bool,
    /// The packages it makes.
    pub pkgnames: Vec<String>,
    /// The relations that are handed to pacman.
    pub install: Vec<String>,
    /// Whether it is known to be impossible.
    pub unbuildable: bool,
}

/// A pair of builds.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The build that comes first.
    pub before: String,
    /// The build that waits.
    pub after: String,
    /// The list that starts the chain.
    pub kind: String,
    /// The relation that starts the chain.
    pub relation: String,
    /// The packages on the way.
    pub through: Vec<String>,
    /// Whether the need is given up.
    pub dropped: bool,
}

/// The build set of [`ARCHITECTURE`].
#[derive(Debug, Clone)]
pub struct BuildSet {
    /// The builds by pkgbase.
    pub builds: BTreeMap<String, Build>,
    /// The pairs.
    pub edges: Vec<Edge>,
    /// The pkgbases and relations that nothing satisfies.
    pub unresolved: Vec<(String, String)>,
    /// A longest chain of builds.
    pub critical_path: Vec<String>,
    /// The number of waves.
    pub waves: u64,
}

impl BuildSet {
    /// Reads the build set of a plan with one pass.
    ///
    /// # Panics
    ///
    /// When a key is missing or of another kind, or a build is there twice.
    pub fn read(plan: &Value) -> Self {
        let set = &plan["architectures"][ARCHITECTURE];
        let mut builds = BTreeMap::new();
        for build in list(&set["builds"]) {
            let read = Build {
                wave: number(&build["wave"]),
                nocheck: truth(&build["nocheck"]),
                pkgnames: texts(&build["pkgnames"]),
                install: texts(&build["install"]),
                unbuildable: !build["unbuildable"].is_null(),
            };
            let twice = builds.insert(key(build), read);
            assert!(twice.is_none(), "{build} is planned twice");
        }
        let edges = list(&set["edges"]).iter().map(|edge| Edge {
            before: key(&edge["before"]),
            after: key(&edge["after"]),
            kind: text(&edge["kind"]),
            relation: text(&edge["relation"]),
            through: texts(&edge["through"]),
            dropped: truth(&edge["dropped"]),
        });
        let unresolved = list(&set["unresolved"]).iter();
        Self {
            builds,
            edges: edges.collect(),
            unresolved: unresolved
                .map(|one| (text(&one["pkgbase"]), text(&one["relation"])))
                .collect(),
            critical_path: list(&set["critical_path"]).iter().map(key).collect(),
            waves: number(&set["waves"]),
        }
    }
}

/// The pkgbase of a build, which must be of the first pass.
fn key(value: &Value) -> String {
    assert_eq!(value["pass"], 1, "{value} is of another pass");
    text(&value["pkgbase"])
}

fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn truth(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| panic!("{value} is neither true nor false"))
}
