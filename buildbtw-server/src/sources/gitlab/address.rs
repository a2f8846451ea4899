//! Where a source repository is on GitLab.

use std::fmt;

use crate::gitlab::ProjectId;

/// A project: its id, which stays, and its path, which may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its id.
    pub id: ProjectId,
    /// Its path from the top.
    pub full_path: String,
}

impl Address {
    /// From its stored form.
    pub fn read(text: &str) -> Option<Self> {
        let (id, path) = text.split_once(' ')?;
        Some(Self {
            id: ProjectId(id.parse().ok()?),
            full_path: path.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.full_path)
    }
}
