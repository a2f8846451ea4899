//! Changing a running namespace: its origin changesets, and what it is pinned to.

use std::fmt;
use std::str::FromStr;

use buildbtw_graph::PkgBase;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Changeset;
use crate::ids::IdError;
use crate::namespaces::Namespace;

/// Which origin changesets to add: asked of `POST /api/v1/namespaces/{name}/add`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRequest {
    /// The changesets, at least one.
    pub changesets: Vec<Changeset>,
}

/// Which origin changesets to take out: asked of `POST /api/v1/namespaces/{name}/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    /// The changesets, at least one; a package base alone means its changeset, whatever the branch.
    #[schema(value_type = Vec<String>)]
    pub changesets: Vec<ChosenChangeset>,
}

/// How to build it all once more: asked of `POST /api/v1/namespaces/{name}/rebuild`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RebuildRequest {
    /// Packages of an equal earlier input are taken over, if the namespace's options want it.
    pub reuse: bool,
}

impl Default for RebuildRequest {
    fn default() -> Self {
        Self { reuse: true }
    }
}

/// What `update` came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Updated {
    /// The namespace as it is now.
    #[serde(flatten)]
    pub namespace: Namespace,
    /// Whether something was newer, and a new iteration was made.
    pub updated: bool,
}

/// A dependent of which there is a newer commit than the one that is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewerCommit {
    /// The package base.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
    /// The commit that is built.
    pub from: String,
    /// The newest one of its default branch.
    pub to: String,
}

/// A changeset of a namespace as somebody names it: `pkgbase/branch`, or only `pkgbase`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChosenChangeset {
    /// The package base.
    pub pkgbase: PkgBase,
    /// The reference, where it was said.
    pub reference: Option<String>,
}

impl ChosenChangeset {
    /// Whether a changeset is the one that is meant.
    pub fn means(&self, changeset: &Changeset) -> bool {
        let reference = self.reference.as_ref();
        self.pkgbase == changeset.pkgbase
            && reference.is_none_or(|reference| *reference == changeset.reference)
    }
}

impl FromStr for ChosenChangeset {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.contains('/') {
            let Changeset { pkgbase, reference } = text.parse()?;
            return Ok(Self {
                pkgbase,
                reference: Some(reference),
            });
        }
        let pkgbase = text.parse().map_err(|error| IdError::ChangesetPkgbase {
            changeset: text.to_owned(),
            reason: format!("{error}"),
        })?;
        Ok(Self {
            pkgbase,
            reference: None,
        })
    }
}

impl fmt::Display for ChosenChangeset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(reference) => write!(f, "{}/{reference}", self.pkgbase),
            None => self.pkgbase.fmt(f),
        }
    }
}

crate::ids::serde_as_text!(ChosenChangeset, "openimageio");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changeset_is_chosen_with_its_branch_or_without() {
        let changeset: Changeset = "a/feature/x".parse().unwrap();
        for (text, meant) in [
            ("a", true),
            ("a/feature/x", true),
            ("a/main", false),
            ("b", false),
        ] {
            let chosen: ChosenChangeset = text.parse().unwrap();
            assert_eq!(chosen.means(&changeset), meant, "{text}");
            assert_eq!(chosen.to_string(), text);
        }
        for text in ["", "a/", "/main", "a b"] {
            assert!(
                text.parse::<ChosenChangeset>().is_err(),
                "{text:?} was taken"
            );
        }
    }
}
