//! Real git repositories, one a project, bare.

use std::path::{Path, PathBuf};

use gix::ObjectId;
use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{Commit, Kind, Tag, Tree};
use jiff::Timestamp;

/// What git would have said.
#[derive(Debug, thiserror::Error)]
#[error("git: {0}")]
pub struct GitError(String);

fn said<E: std::fmt::Display>(error: E) -> GitError {
    GitError(error.to_string())
}

/// A bare repository.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its folder.
    pub path: PathBuf,
}

/// A commit, as far as somebody asks.
#[derive(Debug, Clone)]
pub struct CommitInfo {
    /// Its id.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents.
    pub parents: Vec<ObjectId>,
    /// Who wrote it.
    pub author: (String, String),
    /// When it was written.
    pub authored_at: Timestamp,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// Its message.
    pub message: String,
}

impl CommitInfo {
    /// The first line of its message.
    pub fn title(&self) -> String {
        self.message.lines().next().unwrap_or_default().to_owned()
    }
}

/// An entry of a tree.
#[derive(Debug, Clone)]
pub struct TreeEntry {
    /// Its name.
    pub name: String,
    /// Its path from the top.
    pub path: String,
    /// Its object.
    pub id: ObjectId,
    /// What it is.
    pub kind: EntryKind,
}

/// A file of a commit.
#[derive(Debug, Clone)]
pub struct Blob {
    /// Its path from the top.
    pub path: String,
    /// Its object.
    pub id: ObjectId,
    /// What it holds.
    pub data: Vec<u8>,
}

/// What a file of a new commit is.
#[derive(Debug, Clone)]
pub enum NewFile {
    /// A file.
    Text(String),
    /// A file of any bytes.
    Bytes(Vec<u8>),
    /// A file that may be run.
    Program(String),
    /// A symbolic link.
    Link(String),
    /// A submodule at a commit.
    Submodule(ObjectId),
    /// No file any more.
    Gone,
}

impl Repository {
    /// Makes an empty one, whose `HEAD` names a branch that is not there yet.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn init(path: &Path, default_branch: &str) -> std::io::Result<Self> {
        for folder in ["objects", "refs/heads", "refs/tags"] {
            std::fs::create_dir_all(path.join(folder))?;
        }
        std::fs::write(
            path.join("config"),
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        )?;
        std::fs::write(
            path.join("HEAD"),
            format!("ref: refs/heads/{default_branch}\n"),
        )?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    fn open(&self) -> Result<gix::Repository, GitError> {
        gix::open_opts(&self.path, gix::open::Options::isolated()).map_err(said)
    }

    /// The branch that `HEAD` names, whether it is there or not.
    pub fn head(&self) -> String {
        let text = std::fs::read_to_string(self.path.join("HEAD")).unwrap_or_default();
        text.trim()
            .strip_prefix("ref: refs/heads/")
            .unwrap_or("main")
            .to_owned()
    }

    /// The commit of the default branch; `None` in an empty repository.
    pub fn head_commit(&self) -> Option<ObjectId> {
        self.reference(&format!("refs/heads/{}", self.head()))
    }

    /// What a full reference name stands for, tags peeled.
    pub fn reference(&self, name: &str) -> Option<ObjectId> {
        let git = self.open().ok()?;
        let mut reference = git.try_find_reference(name).ok().flatten()?;
        Some(reference.peel_to_id().ok()?.detach())
    }

    /// The commit that a word stands for, as GitLab looks it up: a branch, a tag, a commit's id or
    /// the beginning of one; `refs/...` literally; `HEAD`.
    pub fn resolve(&self, word: &str) -> Option<ObjectId> {
        if word == "HEAD" {
            return self.head_commit();
        }
        if word.starts_with("refs/") {
            return self.reference(word);
        }
        self.reference(&format!("refs/heads/{word}"))
            .or_else(|| self.reference(&format!("refs/tags/{word}")))
            .or_else(|| self.by_id(word))
    }

    fn by_id(&self, text: &str) -> Option<ObjectId> {
        if text.len() < 7 || !text.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let git = self.open().ok()?;
        let prefix = gix::hash::Prefix::from_hex(text).ok()?;
        let id = git.objects.lookup_prefix(prefix, None).ok()??.ok()?;
        let object = git.find_object(id).ok()?;
        (object.kind == Kind::Commit).then_some(id)
    }

    /// What is known of a commit.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn commit(&self, id: ObjectId) -> Result<CommitInfo, GitError> {
        let git = self.open()?;
        let commit = git.find_commit(id).map_err(said)?;
        let author = commit.author().map_err(said)?;
        let seconds = |time: gix::date::Time| {
            Timestamp::from_second(time.seconds).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Ok(CommitInfo {
            id,
            tree: commit.tree_id().map_err(said)?.detach(),
            parents: commit.parent_ids().map(gix::Id::detach).collect(),
            author: (author.name.to_string(), author.email.to_string()),
            authored_at: seconds(author.time().map_err(said)?),
            committed_at: seconds(commit.time().map_err(said)?),
            message: commit.message_raw().map_err(said)?.to_string(),
        })
    }

    /// A file of a commit; `None` if there is none.
    pub fn file(&self, commit: ObjectId, path: &str) -> Option<Blob> {
        let git = self.open().ok()?;
        let tree = git.find_commit(commit).ok()?.tree().ok()?;
        let entry = tree.lookup_entry_by_path(path).ok()??;
        if !entry.mode().is_blob() {
            return None;
        }
        let id = entry.oid().to_owned();
        Some(Blob {
            path: path.to_owned(),
            id,
            data: git.find_blob(id).ok()?.take_data(),
        })
    }

    /// The entries of a folder of a commit, the top one if the path is empty; `None` if there is none.
    pub fn tree(&self, commit: ObjectId, path: &str) -> Option<Vec<TreeEntry>> {
        let git = self.open().ok()?;
        let mut tree = git.find_commit(commit).ok()?.tree().ok()?;
        if !path.is_empty() {
            let entry = tree.lookup_entry_by_path(path).ok()??;
            tree = git.find_tree(entry.oid().to_owned()).ok()?;
        }
        let entries = tree.iter().filter_map(Result::ok).map(|entry| {
            let name = entry.filename().to_string();
            TreeEntry {
                path: if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                },
                name,
                id: entry.oid().to_owned(),
                kind: entry.mode().kind(),
            }
        });
        Some(entries.collect())
    }

    /// The names of branches or tags, in order: `refs/heads/` or `refs/tags/`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let Ok(git) = self.open() else {
            return Vec::new();
        };
        let Ok(platform) = git.references() else {
            return Vec::new();
        };
        let Ok(references) = platform.prefixed(prefix) else {
            return Vec::new();
        };
        let mut names: Vec<String> = references
            .flatten()
            .map(|reference| reference.name().as_bstr().to_string())
            .filter_map(|name| name.strip_prefix(prefix).map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// Makes a commit on top of another with some of its files replaced. Nothing names it yet.
    ///
    /// # Errors
    ///
    /// When an object cannot be written.
    pub fn write_commit(
        &self,
        parent: Option<ObjectId>,
        files: &[(String, NewFile)],
        message: &str,
        at: Timestamp,
    ) -> Result<ObjectId, GitError> {
        let git = self.open()?;
        let top = match parent {
            Some(parent) => Some(
                git.find_commit(parent)
                    .map_err(said)?
                    .tree_id()
                    .map_err(said)?
                    .detach(),
            ),
            None => None,
        };
        let files: Vec<(&str, &NewFile)> = files
            .iter()
            .map(|(path, file)| (path.as_str(), file))
            .collect();
        let tree = match write_tree(&git, top, &files)? {
            Some(tree) => tree,
            None => git
                .write_object(Tree {
                    entries: Vec::new(),
                })
                .map_err(said)?
                .detach(),
        };
        let signature = gix::actor::Signature {
            name: "Packager".into(),
            email: "packager@example.org".into(),
            time: gix::date::Time {
                seconds: at.as_second(),
                offset: 0,
            },
        };
        let commit = Commit {
            tree,
            parents: parent.into_iter().collect(),
            author: signature.clone(),
            committer: signature,
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        Ok(git.write_object(commit).map_err(said)?.detach())
    }

    /// Makes an annotated tag object. Nothing names it yet.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_tag(
        &self,
        name: &str,
        commit: ObjectId,
        at: Timestamp,
    ) -> Result<ObjectId, GitError> {
        let git = self.open()?;
        let tag = Tag {
            target: commit,
            target_kind: Kind::Commit,
            name: name.into(),
            tagger: Some(gix::actor::Signature {
                name: "Packager".into(),
                email: "packager@example.org".into(),
                time: gix::date::Time {
                    seconds: at.as_second(),
                    offset: 0,
                },
            }),
            message: format!("Package release {name}\n").into(),
            signature: None,
        };
        Ok(git.write_object(tag).map_err(said)?.detach())
    }

    /// Lets a full reference name stand for an object, or for nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn set_reference(&self, name: &str, to: Option<ObjectId>) -> std::io::Result<()> {
        let path = self.path.join(name);
        match to {
            Some(id) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                std::fs::write(path, format!("{id}\n"))
            }
            None => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// The tree of a commit as git packs it, below a folder of the name that GitLab chooses.
    ///
    /// # Errors
    ///
    /// When git is missing or refuses.
    pub async fn archive(&self, prefix: &str, commit: ObjectId) -> Result<Vec<u8>, GitError> {
        let output = tokio::process::Command::new("git")
            .args(["archive", "--format=tar.gz"])
            .arg(format!("--prefix={prefix}/"))
            .arg(commit.to_string())
            .current_dir(&self.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .await
            .map_err(said)?;
        if !output.status.success() {
            return Err(GitError(String::from_utf8_lossy(&output.stderr).into()));
        }
        Ok(output.stdout)
    }
}

/// Writes a tree with some files replaced; `None` if nothing is left in it.
fn write_tree(
    git: &gix::Repository,
    base: Option<ObjectId>,
    files: &[(&str, &NewFile)],
) -> Result<Option<ObjectId>, GitError> {
    let mut entries: Vec<Entry> = match base {
        Some(base) => {
            let tree = git.find_tree(base).map_err(said)?;
            let decoded = tree.decode().map_err(said)?;
            decoded
                .entries
                .iter()
                .map(|entry| (*entry).into())
                .collect()
        }
        None => Vec::new(),
    };
    let mut folders: Vec<(&str, Vec<(&str, &NewFile)>)> = Vec::new();
    for (path, file) in files {
        if let Some((folder, rest)) = path.split_once('/') {
            match folders.iter_mut().find(|(name, _)| *name == folder) {
                Some((_, inside)) => inside.push((rest, file)),
                None => folders.push((folder, vec![(rest, file)])),
            }
            continue;
        }
        entries.retain(|entry| entry.filename != *path);
        let blob = |bytes: &[u8]| Ok::<_, GitError>(git.write_blob(bytes).map_err(said)?.detach());
        let (kind, oid) = match file {
            NewFile::Text(text) => (EntryKind::Blob, blob(text.as_bytes())?),
            NewFile::Bytes(bytes) => (EntryKind::Blob, blob(bytes)?),
            NewFile::Program(text) => (EntryKind::BlobExecutable, blob(text.as_bytes())?),
            NewFile::Link(target) => (EntryKind::Link, blob(target.as_bytes())?),
            NewFile::Submodule(id) => (EntryKind::Commit, *id),
            NewFile::Gone => continue,
        };
        entries.push(Entry {
            mode: kind.into(),
            filename: (*path).into(),
            oid,
        });
    }
    for (folder, inside) in folders {
        let below = entries
            .iter()
            .find(|entry| entry.filename == folder && entry.mode.is_tree())
            .map(|entry| entry.oid);
        entries.retain(|entry| entry.filename != folder);
        if let Some(oid) = write_tree(git, below, &inside)? {
            entries.push(Entry {
                mode: EntryKind::Tree.into(),
                filename: folder.into(),
                oid,
            });
        }
    }
    if entries.is_empty() {
        return Ok(None);
    }
    entries.sort();
    Ok(Some(
        git.write_object(Tree { entries }).map_err(said)?.detach(),
    ))
}
