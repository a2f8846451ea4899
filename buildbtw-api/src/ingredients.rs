//! Why something was built although it had been built before: which ingredients of its input changed.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::explanations::Explanation;
use crate::{NamespaceName, RunId};

/// Why a build stands where it stands, and why it was built at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// Why it stands where it stands.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// Why it was built although that package base had been built before; absent where it was not
    /// built, or never before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<Rebuilt>,
}

/// What a build differs in from the last successful run before it of the same package base,
/// architecture and pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rebuilt {
    /// That run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Its namespace.
    #[schema(value_type = String)]
    pub namespace: NamespaceName,
    /// Its iteration.
    pub iteration: u32,
    /// When it ended.
    #[schema(value_type = String)]
    pub ended_at: Timestamp,
    /// What differs, at least one thing.
    pub because: Vec<ChangedIngredient>,
}

/// An ingredient of a build's input that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "ingredient", rename_all = "snake_case")]
pub enum ChangedIngredient {
    /// The tree of the sources.
    Tree {
        /// The id of the one before.
        from: String,
        /// The id of the one that is built.
        to: String,
    },
    /// The version.
    Version {
        /// The one before.
        from: String,
        /// The one that is built.
        to: String,
    },
    /// The pkgrel that is written into the sources.
    Pkgrel {
        /// The one before, if one was written.
        from: Option<String>,
        /// The one that is written, if one is.
        to: Option<String>,
    },
    /// Whether the check is run.
    Check {
        /// Whether it is run now.
        run: bool,
    },
    /// The worker's builder.
    Builder {
        /// The one before.
        from: String,
        /// The one that builds.
        to: String,
    },
    /// The settings of the worker's builder.
    Configuration {
        /// Their digest before.
        from: String,
        /// Their digest now.
        to: String,
    },
    /// What lies beneath the root.
    RootMode {
        /// The mode before.
        from: String,
        /// The mode now.
        to: String,
    },
    /// What pacman is asked to install.
    Install {
        /// Relations that came.
        added: Vec<String>,
        /// Relations that went.
        removed: Vec<String>,
    },
    /// What counts as met without being installed.
    Assumed {
        /// What came.
        added: Vec<String>,
        /// What went.
        removed: Vec<String>,
    },
    /// A package of the namespace in the installation.
    Package {
        /// Its name.
        pkgname: String,
        /// The digest of its content before; absent where it was not installed from a namespace.
        from: Option<String>,
        /// The digest of its content now.
        to: Option<String>,
    },
    /// The base repositories.
    Bases {
        /// The names of those that changed, as far as they are known.
        names: Vec<String>,
        /// The digests of their dbs before.
        from: Vec<String>,
        /// The digests of their dbs now.
        to: Vec<String>,
    },
    /// Nothing differs, but nothing was to be taken over.
    ReuseOff,
    /// Nothing differs, but the packages of the earlier run serve nobody: it was to be so, or
    /// something else was installed than was expected.
    NotServing,
    /// An ingredient that this version does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for ChangedIngredient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &str| digest.get(..8).unwrap_or(digest).to_owned();
        let changes = |added: &[String], removed: &[String]| {
            let part = |word: &str, list: &[String]| match list.is_empty() {
                true => None,
                false => Some(format!("{word} {}", list.join(", "))),
            };
            let parts = [part("now also", added), part("no longer", removed)];
            parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
        };
        match self {
            Self::Tree { from, to } => write!(
                f,
                "its sources changed (tree {} before, now {})",
                short(from),
                short(to)
            ),
            Self::Version { from, to } => write!(f, "its version is {to} instead of {from}"),
            Self::Pkgrel { from, to } => {
                let word = |pkgrel: &Option<String>| match pkgrel {
                    Some(pkgrel) => pkgrel.clone(),
                    None => "that of the sources".to_owned(),
                };
                write!(f, "its pkgrel is {} instead of {}", word(to), word(from))
            }
            Self::Check { run: true } => f.write_str("its check is run again"),
            Self::Check { run: false } => f.write_str("its check is skipped now"),
            Self::Builder { from, to } => write!(f, "the builder is {to} instead of {from}"),
            Self::Configuration { .. } => f.write_str("the settings of the builder changed"),
            Self::RootMode { from, to } => {
                write!(f, "the mode of its root is {to} instead of {from}")
            }
            Self::Install { added, removed } => write!(
                f,
                "what is installed for it changed: {}",
                changes(added, removed)
            ),
            Self::Assumed { added, removed } => {
                write!(f, "what counts as met changed: {}", changes(added, removed))
            }
            Self::Package { pkgname, from, to } => match (from, to) {
                (None, _) => write!(
                    f,
                    "{pkgname} in its installation is the namespace's own now"
                ),
                (_, None) => write!(
                    f,
                    "{pkgname} in its installation is no longer the namespace's own"
                ),
                _ => write!(f, "{pkgname}, which is installed for it, has other content"),
            },
            Self::Bases { names, .. } if names.is_empty() => {
                f.write_str("the base repositories changed")
            }
            Self::Bases { names, .. } => {
                write!(f, "the base repositories changed: {}", names.join(", "))
            }
            Self::ReuseOff => f.write_str("nothing changed, but nothing was to be taken over"),
            Self::NotServing => f.write_str(
                "nothing changed, but the packages of that run serve nobody: something else was \
                 installed than was expected, or it was to be so",
            ),
            Self::Unknown => f.write_str("something changed that this version does not know"),
        }
    }
}

/// A build that failed by itself, and then succeeded with the same input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flaky {
    /// The run that failed.
    #[schema(value_type = String)]
    pub failed: RunId,
    /// The run that succeeded.
    #[schema(value_type = String)]
    pub passed: RunId,
    /// When that showed.
    #[schema(value_type = String)]
    pub noticed_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_as_sentences() {
        let bases = |names: &[&str]| ChangedIngredient::Bases {
            names: names.iter().map(ToString::to_string).collect(),
            from: Vec::new(),
            to: Vec::new(),
        };
        let package = |from: Option<&str>, to: Option<&str>| ChangedIngredient::Package {
            pkgname: "libgreet".to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let install = ChangedIngredient::Install {
            added: vec!["cmake".to_owned()],
            removed: vec!["meson".to_owned()],
        };
        for (changed, text) in [
            (bases(&["core"]), "the base repositories changed: core"),
            (
                package(Some("1"), Some("2")),
                "libgreet, which is installed for it, has other content",
            ),
            (
                install,
                "what is installed for it changed: now also cmake; no longer meson",
            ),
            (
                ChangedIngredient::Check { run: false },
                "its check is skipped now",
            ),
        ] {
            assert_eq!(changed.to_string(), text);
        }
    }

    #[test]
    fn an_explanation_stays_readable_for_older_clients() {
        let explained = Explained {
            explanation: Explanation::Publishing,
            rebuilt: None,
        };
        let text = serde_json::to_string(&explained).unwrap();
        assert_eq!(text, r#"{"reason":"publishing"}"#);
        assert_eq!(serde_json::from_str::<Explained>(&text).unwrap(), explained);
    }
}
