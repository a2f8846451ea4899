//! Public identifiers: names for namespaces, UUIDv7 for runs and workers.

use std::fmt;
use std::str::FromStr;

use buildbtw_graph::PkgBase;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest name a namespace may have, in bytes. It becomes the name of a
/// pacman repository and so part of file names on the users' machines.
pub const NAMESPACE_NAME_MAX: usize = 100;

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text cannot name a namespace.
    #[error(
        "`{0}` cannot name a namespace: use 1 to {NAMESPACE_NAME_MAX} of the characters a-z A-Z 0-9 @ . _ + -, \
         not starting with `-` or `.`"
    )]
    NamespaceName(String),
    /// The name means something else to pacman.
    #[error(
        "`{0}` cannot name a namespace: it means something else to pacman; choose another name"
    )]
    ReservedName(String),
    /// The text is not of the form `pkgbase/ref`.
    #[error("`{0}` is not a changeset: write `pkgbase/ref`, for example `openimageio/main`")]
    Changeset(String),
    /// The part of a changeset before the first `/` is not a package base.
    #[error("`{changeset}` is not a changeset: {reason}")]
    ChangesetPkgbase {
        /// The text as given.
        changeset: String,
        /// What is wrong with the name.
        reason: String,
    },
    /// The part of a changeset after the first `/` cannot name a git reference.
    #[error("`{0}` does not name a branch, tag or commit that git would accept")]
    Reference(String),
    /// The text is not a UUID.
    #[error("`{0}` is not an id: a UUID such as 01900000-0000-7000-8000-000000000000 is wanted")]
    Uuid(String),
}

/// JSON for a type that is text with rules: its `Display` and `FromStr`.
macro_rules! serde_as_text {
    ($name:ident, $example:literal) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .examples([$example])
                    .into()
            }
        }
        impl utoipa::ToSchema for $name {}
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

/// No repository may have these names: `local` is pacman's own database, `options` the section of
/// pacman.conf(5) that is none.
const RESERVED: [&str; 2] = ["local", "options"];

/// The name of a build namespace. It is also the name of its pacman repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(String);

impl NamespaceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name to try when this one is taken: `name-2`, `name-3` and so on.
    /// The stem is shortened where the result would be too long.
    pub fn numbered(&self, number: u32) -> Self {
        let suffix = format!("-{number}");
        let mut stem = self.0.clone();
        stem.truncate(NAMESPACE_NAME_MAX - suffix.len());
        Self(stem + &suffix)
    }
}

impl From<&PkgBase> for NamespaceName {
    /// Every pkgbase of reasonable length is a valid name; a longer one is cut, and one that no
    /// repository may have gets a number.
    fn from(pkgbase: &PkgBase) -> Self {
        let mut name = pkgbase.as_ref().to_owned();
        name.truncate(NAMESPACE_NAME_MAX);
        let reserved = RESERVED.contains(&name.as_str());
        let name = Self(name);
        if reserved { name.numbered(2) } else { name }
    }
}

impl FromStr for NamespaceName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
        let valid = !text.is_empty()
            && text.len() <= NAMESPACE_NAME_MAX
            && !text.starts_with(['-', '.'])
            && text.chars().all(allowed);
        if !valid {
            Err(IdError::NamespaceName(text.to_owned()))
        } else if RESERVED.contains(&text) {
            Err(IdError::ReservedName(text.to_owned()))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(NamespaceName, "libgreet");

/// One thing the packager changed: a package base at a branch, tag or commit.
///
/// As text it is split at the first `/`, since a pkgbase has none and branches may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Changeset {
    /// The package base.
    pub pkgbase: PkgBase,
    /// Branch, tag or commit, in this order of preference; `refs/...` is taken literally.
    pub reference: String,
}

impl FromStr for Changeset {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (pkgbase, reference) = text
            .split_once('/')
            .ok_or_else(|| IdError::Changeset(text.to_owned()))?;
        if pkgbase.is_empty() || reference.is_empty() {
            return Err(IdError::Changeset(text.to_owned()));
        }
        let pkgbase = pkgbase.parse().map_err(|error| IdError::ChangesetPkgbase {
            changeset: text.to_owned(),
            reason: format!("{error}"),
        })?;
        if !is_reference(reference) {
            return Err(IdError::Reference(reference.to_owned()));
        }
        Ok(Self {
            pkgbase,
            reference: reference.to_owned(),
        })
    }
}

/// The rules of git-check-ref-format(1) that a name given by a user can break.
fn is_reference(text: &str) -> bool {
    text.len() <= 1024
        && !text.contains("..")
        && !text.contains("//")
        && !text.contains("@{")
        && !text.starts_with(['/', '-', '.'])
        && !text.ends_with(['/', '.'])
        && !text
            .split('/')
            .any(|part| part.starts_with('.') || part.ends_with(".lock"))
        && !text
            .chars()
            .any(|c| c.is_control() || c == ' ' || "~^:?*[\\".contains(c))
}

impl fmt::Display for Changeset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pkgbase, self.reference)
    }
}

serde_as_text!(Changeset, "libgreet/main");

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id, ordered by the time of its making (UUIDv7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self).map_err(|_| IdError::Uuid(text.to_owned()))
            }
        }
    };
}

uuid_id! {
    /// Names one run.
    RunId
}
uuid_id! {
    /// Names one worker, from its first registration on.
    WorkerId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changeset_is_split_at_the_first_slash() {
        let changeset: Changeset = "qt6-base/feature/wayland".parse().unwrap();
        assert_eq!(changeset.pkgbase.as_ref(), "qt6-base");
        assert_eq!(changeset.reference, "feature/wayland");
        assert_eq!(changeset.to_string(), "qt6-base/feature/wayland");
    }

    #[test]
    fn what_is_not_a_changeset_is_refused() {
        for text in [
            "",
            "a",
            "a/",
            "/main",
            "a/..",
            "a/x y",
            "a/-x",
            "a/x.lock",
            "../a/main",
            "a/b\u{7}",
        ] {
            assert!(text.parse::<Changeset>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn namespace_names_are_repository_names() {
        for text in ["libgreet", "libgreet-2", "gtk+3.0", "0ad"] {
            assert!(
                text.parse::<NamespaceName>().is_ok(),
                "{text:?} was refused"
            );
        }
        let long = "a".repeat(101);
        for text in ["", "-a", ".a", "a/b", "a b", "local", "options", "ü", &long] {
            assert!(text.parse::<NamespaceName>().is_err(), "{text:?} was taken");
        }
        let local: PkgBase = "local".parse().unwrap();
        assert_eq!(NamespaceName::from(&local).as_str(), "local-2");
    }

    #[test]
    fn a_numbered_name_stays_a_name() {
        let long: NamespaceName = "a".repeat(NAMESPACE_NAME_MAX).parse().unwrap();
        assert_eq!(long.numbered(12).to_string().parse(), Ok(long.numbered(12)));
    }
}
