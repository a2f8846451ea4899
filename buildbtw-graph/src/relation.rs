//! Relations between packages (`depends` and its kin) and provisions
//! (`provides`), with pacman's rules for what satisfies what.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::version::{Version, VersionError};

/// Longest name in a relation or provision that is accepted, in bytes.
pub const MAX_RELATION_NAME_LENGTH: usize = 500;

/// A text that cannot be a relation or a provision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// No name before the comparison.
    #[error("relation {text:?} has no name; write it like foo or foo>=1.0")]
    NoName {
        /// The refused text.
        text: String,
    },
    /// The name is too long, begins with `-` or holds a refused character.
    #[error(
        "relation {text:?} has a name that no package can have \
         (no blanks, control characters or '/', no '-' at the start, at most \
         {MAX_RELATION_NAME_LENGTH} bytes)"
    )]
    BadName {
        /// The refused text, cut to a readable length.
        text: String,
    },
    /// What follows the comparison is no version.
    #[error("relation {text:?} has a bad version: {source}")]
    BadVersion {
        /// The refused text.
        text: String,
        /// What is wrong with the version.
        source: VersionError,
    },
    /// A provision with another comparison than `=`.
    #[error("provision {text:?} compares; a package provides one version, with '='")]
    NotAProvision {
        /// The refused text.
        text: String,
    },
}

/// How a constraint compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterEqual,
    /// `>`
    Greater,
}

impl Comparison {
    /// The sign as it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessEqual => "<=",
            Comparison::Equal => "=",
            Comparison::GreaterEqual => ">=",
            Comparison::Greater => ">",
        }
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessEqual => order.is_le(),
            Comparison::Equal => order.is_eq(),
            Comparison::GreaterEqual => order.is_ge(),
            Comparison::Greater => order.is_gt(),
        }
    }
}

/// The versions a relation accepts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    /// How the found version is compared with [`Constraint::version`].
    pub op: Comparison,
    /// The version it is compared with; a missing pkgrel accepts every pkgrel.
    pub version: Version,
}

impl Constraint {
    /// Whether a version meets the constraint.
    pub fn accepts(&self, version: &Version) -> bool {
        self.op.accepts(version.compare(&self.version))
    }
}

/// One entry of `depends` and its kin: a name, with or without a constraint.
///
/// The name is that of a package, of a soname (`libfoo.so`) or of anything
/// else that some package provides. The text form is that of PKGBUILD(5);
/// whoever reads `optdepends` cuts off the `: why` first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Relation {
    /// The name that is wanted.
    pub name: String,
    /// The versions that will do; `None` accepts all.
    pub constraint: Option<Constraint>,
}

impl Relation {
    /// Whether a package of this name and version satisfies the relation by
    /// its name (not by what it provides).
    pub fn satisfied_by_package(&self, name: &str, version: &Version) -> bool {
        self.name == name && self.accepts(version)
    }

    /// Whether a provision satisfies the relation. A provision without version
    /// never satisfies a relation with one.
    pub fn satisfied_by_provision(&self, provision: &Provision) -> bool {
        self.name == provision.name
            && match (&self.constraint, &provision.version) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(constraint), Some(version)) => constraint.accepts(version),
            }
    }

    /// The text form, for whoever writes a hundred thousand of them.
    pub(crate) fn text(&self) -> String {
        let Some(Constraint { op, version }) = &self.constraint else {
            return self.name.clone();
        };
        [&*self.name, op.sign(), version.as_str()].concat()
    }

    /// Whether a text is this relation's text form.
    pub(crate) fn is_written(&self, text: &str) -> bool {
        let constraint = text.strip_prefix(self.name.as_str());
        match (&self.constraint, constraint) {
            (_, None) => false,
            (None, Some(rest)) => rest.is_empty(),
            (Some(constraint), Some(rest)) => {
                let version = rest.strip_prefix(constraint.op.sign());
                version == Some(constraint.version.as_str())
            }
        }
    }

    /// Whether a version meets the constraint, if there is one.
    pub fn accepts(&self, version: &Version) -> bool {
        self.constraint.as_ref().is_none_or(|c| c.accepts(version))
    }
}

impl FromStr for Relation {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        let (name, rest) = match text.find(['<', '>', '=']) {
            None => (text, None),
            Some(at) => (&text[..at], Some(&text[at..])),
        };
        check_name(name, text)?;
        let constraint = match rest {
            None => None,
            Some(rest) => Some(parse_constraint(rest, text)?),
        };
        Ok(Relation {
            name: name.to_owned(),
            constraint,
        })
    }
}

fn parse_constraint(rest: &str, text: &str) -> Result<Constraint, RelationError> {
    let op = match rest.as_bytes() {
        [b'<', b'=', ..] => Comparison::LessEqual,
        [b'>', b'=', ..] => Comparison::GreaterEqual,
        [b'<', ..] => Comparison::Less,
        [b'>', ..] => Comparison::Greater,
        _ => Comparison::Equal,
    };
    let version = rest[op.sign().len()..]
        .parse()
        .map_err(|source| RelationError::BadVersion {
            text: text.to_owned(),
            source,
        })?;
    Ok(Constraint { op, version })
}

fn check_name(name: &str, text: &str) -> Result<(), RelationError> {
    if name.is_empty() {
        return Err(RelationError::NoName {
            text: text.to_owned(),
        });
    }
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if name.len() > MAX_RELATION_NAME_LENGTH || name.starts_with('-') || name.contains(refused) {
        return Err(RelationError::BadName {
            text: text.chars().take(100).collect(),
        });
    }
    Ok(())
}

impl TryFrom<String> for Relation {
    type Error = RelationError;

    fn try_from(text: String) -> Result<Self, RelationError> {
        text.parse()
    }
}

impl From<Relation> for String {
    fn from(relation: Relation) -> String {
        relation.to_string()
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(constraint) = &self.constraint {
            write!(f, "{}{}", constraint.op.sign(), constraint.version)?;
        }
        Ok(())
    }
}

/// One entry of `provides`: a name, with or without a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Provision {
    /// The name that is provided.
    pub name: String,
    /// The version that is provided.
    pub version: Option<Version>,
}

impl FromStr for Provision {
    type Err = RelationError;

    fn from_str(text: &str) -> Result<Self, RelationError> {
        let relation: Relation = text.parse()?;
        let version = match relation.constraint {
            None => None,
            Some(Constraint {
                op: Comparison::Equal,
                version,
            }) => Some(version),
            Some(_) => {
                return Err(RelationError::NotAProvision {
                    text: text.to_owned(),
                });
            }
        };
        Ok(Provision {
            name: relation.name,
            version,
        })
    }
}

impl TryFrom<String> for Provision {
    type Error = RelationError;

    fn try_from(text: String) -> Result<Self, RelationError> {
        text.parse()
    }
}

impl From<Provision> for String {
    fn from(provision: Provision) -> String {
        provision.to_string()
    }
}

impl fmt::Display for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(version) = &self.version {
            write!(f, "={version}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(text: &str) -> Relation {
        text.parse().unwrap()
    }

    #[test]
    fn reads_and_writes_every_form() {
        for text in [
            "foo",
            "foo=1.0",
            "foo>=1:2.0-3",
            "foo<2",
            "foo<=2",
            "foo>2",
            "libz.so=1-64",
            "lib:libz.so.1",
        ] {
            let relation = relation(text);
            assert_eq!(relation.to_string(), text);
            assert_eq!(relation.text(), text);
            assert!(relation.is_written(text));
            assert!(!relation.is_written(&text[1..]) && !relation.is_written("foo>=1:2.0-4"));
        }
    }

    #[test]
    fn refuses_rubbish() {
        for text in [
            "", ">=1", "foo>=", "foo=", "a b", "a/b", "-foo", "foo==1", "foo\n",
        ] {
            assert!(text.parse::<Relation>().is_err(), "{text:?} was accepted");
        }
        assert!("foo>=1".parse::<Provision>().is_err());
    }

    #[test]
    fn a_missing_pkgrel_accepts_all() {
        let version: Version = "1.0-5".parse().unwrap();
        assert!(relation("foo=1.0").satisfied_by_package("foo", &version));
        assert!(!relation("foo=1.0-4").satisfied_by_package("foo", &version));
        assert!(!relation("bar=1.0").satisfied_by_package("foo", &version));
    }

    #[test]
    fn provisions_need_a_version_to_meet_one() {
        let bare: Provision = "libz.so".parse().unwrap();
        let numbered: Provision = "libz.so=1-64".parse().unwrap();
        assert!(relation("libz.so").satisfied_by_provision(&bare));
        assert!(!relation("libz.so=1-64").satisfied_by_provision(&bare));
        assert!(relation("libz.so=1-64").satisfied_by_provision(&numbered));
        assert!(relation("libz.so=1").satisfied_by_provision(&numbered));
        assert!(!relation("libz.so=1-32").satisfied_by_provision(&numbered));
    }
}
