//! The trees of commits, kept as git objects: an archive of GitLab's is taken apart, checked, and stored
//! by its commit. Equal files are stored once, whatever commits they belong to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use buildbtw_graph::PkgBase;
use flate2::read::GzDecoder;
use gix::ObjectId;
use gix::objs::Tree;
use gix::objs::tree::{Entry, EntryKind};
use tar::{Archive, EntryType};

use crate::gitlab::CommitFiles;
use crate::sources::error::SourceError;
use crate::sources::git::GitRepository;
use crate::sources::tarball::{DEEPEST, LARGEST_FILE, LARGEST_TREE, MOST_ENTRIES};

/// A tree that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub tree: ObjectId,
    /// When its commit was made, in seconds since 1970.
    pub committed_at: i64,
}

/// Makes the store, if it is not there.
///
/// # Errors
///
/// When it cannot be written.
pub fn make(folder: &Path) -> io::Result<()> {
    for name in ["objects", "refs", "commits"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    let settings = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
    for (name, text) in [("config", settings), ("HEAD", "ref: refs/heads/none\n")] {
        if !folder.join(name).exists() {
            std::fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

/// Where it is noted which tree a commit has. Only a commit's id can be one.
fn note(folder: &Path, commit: &str) -> Option<PathBuf> {
    let id = ObjectId::from_hex(commit.as_bytes()).ok()?.to_string();
    Some(folder.join("commits").join(&id[..2]).join(&id[2..]))
}

/// The tree of a commit, if it is kept.
pub fn find(folder: &Path, commit: &str) -> Option<Kept> {
    let text = std::fs::read_to_string(note(folder, commit)?).ok()?;
    let (tree, committed_at) = text.trim().split_once(' ')?;
    Some(Kept {
        tree: ObjectId::from_hex(tree.as_bytes()).ok()?,
        committed_at: committed_at.parse().ok()?,
    })
}

/// Keeps the tree of a commit no more.
///
/// # Errors
///
/// When the system refuses.
pub fn forget(folder: &Path, commit: &str) -> io::Result<()> {
    match note(folder, commit).map(std::fs::remove_file) {
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes an archive apart and keeps what is in it.
///
/// # Errors
///
/// When it is none, or not that of the commit, or cannot be kept.
pub fn keep(
    folder: &Path,
    pkgbase: &PkgBase,
    files: &CommitFiles,
    archive: File,
) -> Result<Kept, SourceError> {
    let git = GitRepository::open(pkgbase, folder)?;
    let refuse = |detail: String| SourceError::Unpackable {
        pkgbase: pkgbase.clone(),
        commit: files.commit.clone(),
        detail,
    };
    let top = take_apart(&git, archive).map_err(|error| match error {
        Apart::Git(error) => error,
        Apart::Archive(detail) => refuse(format!("GitLab's archive of it: {detail}")),
    })?;
    let top = with_submodules(top, &files.submodules);
    let tree = write(&git, &top)?;
    let found = tree.to_string();
    if let Some(expected) = files.tree.as_ref().filter(|id| **id != found) {
        return Err(refuse(format!(
            "GitLab's archive of it is another tree ({found}) than the commit's ({expected}); `export-ignore` or \
             `export-subst` in .gitattributes, and submodules in folders, do that"
        )));
    }
    let kept = Kept {
        tree,
        committed_at: files.authored_at,
    };
    if let Some(path) = note(folder, &files.commit) {
        // What is noted is whole: the name comes last.
        let part = path.with_extension("new");
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = File::create(&part)?;
        writeln!(file, "{tree} {}", kept.committed_at)?;
        file.sync_all()?;
        std::fs::rename(part, path)?;
    }
    Ok(kept)
}

/// What is in a folder of an archive.
#[derive(Debug, Default)]
struct Folder(BTreeMap<String, Item>);

#[derive(Debug)]
enum Item {
    File(EntryKind, ObjectId),
    Folder(Folder),
}

enum Apart {
    Git(SourceError),
    Archive(String),
}

impl From<io::Error> for Apart {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.to_string())
    }
}

fn take_apart(git: &GitRepository, mut archive: File) -> Result<Folder, Apart> {
    archive.rewind()?;
    let mut unpacked = GzDecoder::new(io::BufReader::new(archive)).take(2 * LARGEST_TREE);
    let mut top = Folder::default();
    let (mut entries, mut bytes) = (0, 0_u64);
    {
        let mut archive = Archive::new(&mut unpacked);
        for entry in archive.entries()? {
            let mut entry = entry?;
            entries += 1;
            if entries > MOST_ENTRIES {
                return Err(Apart::Archive(format!("more than {MOST_ENTRIES} entries")));
            }
            let path = entry.path()?.into_owned();
            let kind = entry.header().entry_type();
            let Some(parts) = parts(&path)? else {
                // The folder around it all, and what git notes at the beginning.
                continue;
            };
            let item = match kind {
                EntryType::Directory => Item::Folder(Folder::default()),
                EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                    Item::File(EntryKind::Link, blob(git, &target)?)
                }
                EntryType::Regular | EntryType::Continuous => {
                    let size = entry.size();
                    bytes = bytes.saturating_add(size);
                    if size > LARGEST_FILE || bytes > LARGEST_TREE {
                        return Err(Apart::Archive(format!(
                            "a file has more than {LARGEST_FILE} bytes, or all have more than {LARGEST_TREE}"
                        )));
                    }
                    let program = entry.header().mode()? & 0o100 != 0;
                    let mut data = Vec::new();
                    entry.read_to_end(&mut data)?;
                    if data.len() as u64 != size {
                        return Err(Apart::Archive("it breaks off".to_owned()));
                    }
                    let kind = if program {
                        EntryKind::BlobExecutable
                    } else {
                        EntryKind::Blob
                    };
                    Item::File(kind, blob(git, &data)?)
                }
                EntryType::XGlobalHeader => continue,
                other => {
                    return Err(Apart::Archive(format!(
                        "{} is neither file, folder nor link ({other:?})",
                        path.display()
                    )));
                }
            };
            put(&mut top, &parts, item)
                .map_err(|()| Apart::Archive(format!("{} is there in two ways", path.display())))?;
        }
    }
    // Its sum is at its end, so it is read to there.
    io::copy(&mut unpacked, &mut io::sink())?;
    Ok(top)
}

fn blob(git: &GitRepository, data: &[u8]) -> Result<ObjectId, Apart> {
    let written = git.inner.write_blob(data);
    Ok(written
        .map_err(|error| Apart::Git(git.failed()(error)))?
        .detach())
}

/// The names below the folder that is around it all; `None` for that folder itself.
fn parts(path: &Path) -> Result<Option<Vec<String>>, Apart> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => match name.to_str() {
                Some(name) => parts.push(name.to_owned()),
                None => {
                    return Err(Apart::Archive(format!(
                        "the name {} is not UTF-8",
                        path.display()
                    )));
                }
            },
            std::path::Component::CurDir => {}
            _ => {
                return Err(Apart::Archive(format!(
                    "{} leads out of it",
                    path.display()
                )));
            }
        }
    }
    if parts.len() > DEEPEST {
        return Err(Apart::Archive(format!(
            "a folder lies deeper than {DEEPEST}"
        )));
    }
    Ok((parts.len() > 1).then(|| parts.split_off(1)))
}

fn put(folder: &mut Folder, parts: &[String], item: Item) -> Result<(), ()> {
    match parts {
        [] => Ok(()),
        [name] => match (folder.0.get(name), &item) {
            (Some(Item::Folder(_)), Item::Folder(_)) => Ok(()),
            (Some(_), _) => Err(()),
            (None, _) => {
                folder.0.insert(name.clone(), item);
                Ok(())
            }
        },
        [name, rest @ ..] => {
            let inner = folder
                .0
                .entry(name.clone())
                .or_insert_with(|| Item::Folder(Folder::default()));
            match inner {
                Item::Folder(inner) => put(inner, rest, item),
                Item::File(..) => Err(()),
            }
        }
    }
}

/// Submodules are empty folders in an archive.
fn with_submodules(mut top: Folder, submodules: &[(String, String)]) -> Folder {
    for (name, id) in submodules {
        let empty = matches!(top.0.get(name), Some(Item::Folder(folder)) if folder.0.is_empty());
        if let Some(id) = ObjectId::from_hex(id.as_bytes()).ok().filter(|_| empty) {
            top.0
                .insert(name.clone(), Item::File(EntryKind::Commit, id));
        }
    }
    top
}

fn write(git: &GitRepository, folder: &Folder) -> Result<ObjectId, SourceError> {
    let mut entries = Vec::with_capacity(folder.0.len());
    for (name, item) in &folder.0 {
        let (kind, oid) = match item {
            Item::File(kind, id) => (*kind, *id),
            Item::Folder(inner) => (EntryKind::Tree, write(git, inner)?),
        };
        entries.push(Entry {
            mode: kind.into(),
            filename: name.as_str().into(),
            oid,
        });
    }
    entries.sort();
    let written = git.inner.write_object(Tree { entries });
    Ok(written.map_err(git.failed())?.detach())
}
