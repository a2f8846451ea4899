//! The id of a tree, from what is in it: GitLab tells the entries and not the id.

use std::io::Write;

use gix::ObjectId;
use gix::objs::{Kind, Tree, WriteTo};

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A file.
    File,
    /// A file that may be run.
    Program,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A submodule.
    Submodule,
}

impl Mode {
    /// From git's digits.
    pub fn read(text: &str) -> Option<Self> {
        Some(match text {
            // Very old trees have files that their group may write to.
            "100644" | "100664" => Self::File,
            "100755" => Self::Program,
            "120000" => Self::Link,
            "40000" | "040000" => Self::Folder,
            "160000" => Self::Submodule,
            _ => return None,
        })
    }

    fn kind(self) -> gix::objs::tree::EntryKind {
        use gix::objs::tree::EntryKind;
        match self {
            Self::File => EntryKind::Blob,
            Self::Program => EntryKind::BlobExecutable,
            Self::Link => EntryKind::Link,
            Self::Folder => EntryKind::Tree,
            Self::Submodule => EntryKind::Commit,
        }
    }
}

/// An entry of a tree.
#[derive(Debug, Clone)]
pub struct Entry(gix::objs::tree::Entry);

impl Entry {
    /// `None` if the id is none.
    pub fn new(name: String, mode: Mode, id: &str) -> Option<Self> {
        Some(Self(gix::objs::tree::Entry {
            mode: mode.kind().into(),
            filename: name.into(),
            oid: ObjectId::from_hex(id.as_bytes()).ok()?,
        }))
    }
}

/// The id of the tree that has these entries.
pub fn tree_id(entries: Vec<Entry>) -> String {
    let mut entries: Vec<_> = entries.into_iter().map(|entry| entry.0).collect();
    entries.sort();
    let mut bytes = Vec::new();
    // Memory takes everything, and entries are valid by their type.
    let _ = Tree { entries }.write_to(&mut bytes as &mut dyn Write);
    gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Tree, &bytes)
        .map_or_else(|_| String::new(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_tree_has_the_id_everybody_knows() {
        assert_eq!(
            tree_id(Vec::new()),
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        );
    }
}
