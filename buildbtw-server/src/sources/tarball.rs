//! The tree of a commit as a tar archive: what a worker builds from.
//!
//! The tree is packed as it is, without git's attributes: a packager's makepkg sees it the same
//! way. Submodules become empty folders. Nothing in the archive depends on who asks or when.

use std::io::{self, Write};

use buildbtw_graph::{MAX_SRCINFO_LENGTH, PkgBase};
use gix::ObjectId;
use gix::objs::tree::EntryKind;
use tar::{Builder, EntryType, Header};

use super::error::SourceError;
use super::git::GitRepository;
use super::pkgrel_edit::{EditError, edit_pkgbuild, edit_srcinfo};

/// The largest file, in bytes. Files are held in memory one at a time.
pub(super) const LARGEST_FILE: u64 = 256 << 20;

/// The largest sum of all files, in bytes.
pub(super) const LARGEST_TREE: u64 = 2 << 30;

/// The most entries.
pub(super) const MOST_ENTRIES: usize = 200_000;

/// How deep folders may lie.
pub(super) const DEEPEST: usize = 64;

/// The longest path in the archive, in bytes.
const LONGEST_PATH: usize = 4000;

/// The largest PKGBUILD that is edited, in bytes.
pub(super) const LARGEST_PKGBUILD: u64 = 4 << 20;

struct Packing<'a, W: Write> {
    git: &'a GitRepository,
    pkgbase: &'a PkgBase,
    commit: &'a str,
    archive: Builder<W>,
    mtime: u64,
    entries: usize,
    bytes: u64,
    /// Files of the top folder that get other contents.
    edited: Vec<(&'static str, Vec<u8>)>,
}

/// The tree of a commit: it and when the commit was made, to the second.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitTree<'a> {
    pub commit: &'a str,
    pub tree: ObjectId,
    pub committed_at: i64,
}

/// Writes the tree of a commit as a tar archive; with a pkgrel, that one is written into
/// PKGBUILD and `.SRCINFO`.
pub(super) fn pack<W: Write>(
    git: &GitRepository,
    pkgbase: &PkgBase,
    of: CommitTree<'_>,
    pkgrel: Option<&str>,
    into: W,
) -> Result<(), SourceError> {
    let edited = match pkgrel {
        Some(pkgrel) => vec![
            (
                "PKGBUILD",
                edit(git, pkgbase, of, "PKGBUILD", LARGEST_PKGBUILD, |text| {
                    edit_pkgbuild(text, pkgrel)
                })?,
            ),
            (
                ".SRCINFO",
                edit(
                    git,
                    pkgbase,
                    of,
                    ".SRCINFO",
                    MAX_SRCINFO_LENGTH as u64,
                    |text| edit_srcinfo(text, pkgrel),
                )?,
            ),
        ],
        None => Vec::new(),
    };
    let mut packing = Packing {
        git,
        pkgbase,
        commit: of.commit,
        archive: Builder::new(into),
        mtime: u64::try_from(of.committed_at).unwrap_or(0),
        entries: 0,
        bytes: 0,
        edited,
    };
    packing.folder(of.tree, "", 0)?;
    packing.archive.into_inner()?.flush()?;
    Ok(())
}

fn edit(
    git: &GitRepository,
    pkgbase: &PkgBase,
    of: CommitTree<'_>,
    name: &'static str,
    limit: u64,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Vec<u8>, SourceError> {
    let refuse = |detail: String| SourceError::NotEditable {
        pkgbase: pkgbase.clone(),
        commit: of.commit.to_owned(),
        detail,
    };
    let bytes = match git.file_in(of.tree, name, limit)? {
        Some(Ok(bytes)) => bytes,
        Some(Err(detail)) => return Err(refuse(detail)),
        None => return Err(refuse(format!("there is no {name}"))),
    };
    let text =
        String::from_utf8(bytes).map_err(|_| refuse(EditError::NotText(name).to_string()))?;
    match change(&text) {
        Ok(edited) => Ok(edited.into_bytes()),
        Err(error) => Err(refuse(error.to_string())),
    }
}

impl<W: Write> Packing<'_, W> {
    fn refuse<T>(&self, detail: String) -> Result<T, SourceError> {
        Err(SourceError::Unpackable {
            pkgbase: self.pkgbase.clone(),
            commit: self.commit.to_owned(),
            detail,
        })
    }

    fn folder(&mut self, tree: ObjectId, prefix: &str, depth: usize) -> Result<(), SourceError> {
        if depth > DEEPEST {
            return self.refuse(format!("{prefix} lies deeper than {DEEPEST} folders"));
        }
        let git = self.git;
        let tree = git.inner.find_tree(tree).map_err(git.failed())?;
        for entry in tree.iter() {
            let entry = entry.map_err(git.failed())?;
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return self.refuse(format!("it has more than {MOST_ENTRIES} entries"));
            }
            // Paths are kept as text: the tools of packaging take no others.
            let Ok(name) = std::str::from_utf8(entry.filename()) else {
                return self.refuse(format!(
                    "the name {:?} in {prefix:?} is not UTF-8",
                    entry.filename()
                ));
            };
            // No git writes such names, but a made-up tree may hold them.
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                return self.refuse(format!("it holds an entry called {name:?}"));
            }
            let path = format!("{prefix}{name}");
            if path.len() > LONGEST_PATH {
                return self.refuse(format!("a path is longer than {LONGEST_PATH} bytes"));
            }
            let id = entry.oid().to_owned();
            match entry.mode().kind() {
                EntryKind::Tree => {
                    self.append(EntryType::Directory, &format!("{path}/"), 0o755, &[])?;
                    self.folder(id, &format!("{path}/"), depth + 1)?;
                }
                EntryKind::Blob => self.file(id, &path, 0o644)?,
                EntryKind::BlobExecutable => self.file(id, &path, 0o755)?,
                EntryKind::Link => self.link(id, &path)?,
                EntryKind::Commit => {
                    self.append(EntryType::Directory, &format!("{path}/"), 0o755, &[])?
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, id: ObjectId, path: &str) -> Result<Vec<u8>, SourceError> {
        let size = self.git.size(id)?;
        if size > LARGEST_FILE {
            return self.refuse(format!(
                "{path} has {size} bytes; {LARGEST_FILE} are the limit"
            ));
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > LARGEST_TREE {
            return self.refuse(format!("its files have more than {LARGEST_TREE} bytes"));
        }
        let mut blob = self.git.inner.find_blob(id).map_err(self.git.failed())?;
        Ok(blob.take_data())
    }

    fn file(&mut self, id: ObjectId, path: &str, mode: u32) -> Result<(), SourceError> {
        let content = match self.edited.iter().position(|(name, _)| *name == path) {
            Some(edited) => self.edited.swap_remove(edited).1,
            None => self.read(id, path)?,
        };
        self.append(EntryType::Regular, path, mode, &content)
    }

    fn link(&mut self, id: ObjectId, path: &str) -> Result<(), SourceError> {
        let target = self.read(id, path)?;
        let Ok(target) = String::from_utf8(target) else {
            return self.refuse(format!("the link {path} does not name a path"));
        };
        if target.is_empty() || target.len() > LONGEST_PATH || target.contains('\0') {
            return self.refuse(format!("the link {path} does not name a path"));
        }
        let mut header = self.header(EntryType::Symlink, 0o777, 0);
        Ok(self.archive.append_link(&mut header, path, &target)?)
    }

    fn append(
        &mut self,
        kind: EntryType,
        path: &str,
        mode: u32,
        content: &[u8],
    ) -> Result<(), SourceError> {
        let mut header = self.header(kind, mode, content.len() as u64);
        Ok(self
            .archive
            .append_data(&mut header, path, io::Cursor::new(content))?)
    }

    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_size(size);
        header
    }
}
