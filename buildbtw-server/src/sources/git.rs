//! Reading git repositories: references, commits, trees and files, always from objects.
//!
//! Nothing of a repository's configuration is followed but its format, and no program is run.

use std::collections::HashSet;
use std::path::Path;

use buildbtw_graph::PkgBase;
use gix::ObjectId;

use super::error::SourceError;

/// A commit of a source repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCommit {
    /// Its id.
    pub commit: String,
    /// What its tree is known by: equal ones build equally. It is git's id of it; where that is not
    /// known, `commit:` and the commit's id.
    pub tree: String,
    /// When it was committed, in seconds since 1970.
    pub committed_at: i64,
}

impl SourceCommit {
    /// Whether it is known to build the same: it is the same commit, or has the same tree.
    pub fn builds_as(&self, commit: &str, tree: &str) -> bool {
        self.commit == commit || self.tree == tree
    }
}

/// The shortest part of a commit's id that is looked up, in digits.
const SHORTEST_ID: usize = 7;

/// How many names a hint lists.
const HINT_NAMES: usize = 10;

/// An open repository.
pub(super) struct GitRepository {
    pub(super) inner: gix::Repository,
    pkgbase: PkgBase,
}

/// The branch that is planned with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DefaultBranch {
    /// Its short name; `None` if HEAD names a commit instead of a branch.
    pub name: Option<String>,
    /// Its commit.
    pub commit: ObjectId,
}

impl GitRepository {
    /// Opens the repository in a folder with `HEAD`, `objects` and `refs`.
    pub fn open(pkgbase: &PkgBase, git_dir: &Path) -> Result<Self, SourceError> {
        // Neither the system's nor the user's configuration counts: what is read must not depend
        // on who runs the server. Less trust than the owner would have is enough for reading.
        let options = gix::open::Options::isolated()
            .open_path_as_is(true)
            .with(gix::sec::Trust::Reduced);
        match options.open(git_dir) {
            Ok(inner) => Ok(Self {
                inner: inner.to_thread_local(),
                pkgbase: pkgbase.clone(),
            }),
            Err(error) => Err(SourceError::Git {
                pkgbase: pkgbase.clone(),
                detail: chain(&error),
            }),
        }
    }

    /// An error of git's, as one of ours.
    pub fn failed<E: std::fmt::Display>(&self) -> impl Fn(E) -> SourceError {
        |error| SourceError::Git {
            pkgbase: self.pkgbase.clone(),
            detail: error.to_string(),
        }
    }

    /// The default branch: the configured one, else `main`, else what HEAD names.
    pub fn default_branch(&self, configured: Option<&str>) -> Result<DefaultBranch, SourceError> {
        for name in configured.into_iter().chain(["main"]) {
            if let Some(commit) = self.commit_of_reference(&format!("refs/heads/{name}"))? {
                return Ok(DefaultBranch {
                    name: Some(name.to_owned()),
                    commit,
                });
            }
        }
        let head = self.inner.head().map_err(self.failed())?;
        let name = head.referent_name().map(|name| name.shorten().to_string());
        match self.commit_of_reference("HEAD")? {
            Some(commit) => Ok(DefaultBranch { name, commit }),
            None => Err(SourceError::NoCommit {
                pkgbase: self.pkgbase.clone(),
                detail: {
                    let tried = configured.into_iter().chain(["main"]);
                    let mut names: Vec<String> = Vec::new();
                    for name in tried.chain(name.as_deref()).map(|name| format!("`{name}`")) {
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                    format!("there is no {}", names.join(", no "))
                },
            }),
        }
    }

    /// The commit a full reference name stands for, tags peeled; `None` if there is no such
    /// reference.
    fn commit_of_reference(&self, name: &str) -> Result<Option<ObjectId>, SourceError> {
        let found = match self.inner.try_find_reference(name) {
            Ok(found) => found,
            // A name that no reference may have.
            Err(_) if name != "HEAD" && gix::refs::FullName::try_from(name).is_err() => None,
            Err(error) => return Err(self.failed()(error)),
        };
        let Some(mut reference) = found else {
            return Ok(None);
        };
        // An unborn HEAD names a branch that is not there.
        if let gix::refs::TargetRef::Symbolic(target) = reference.target()
            && self
                .inner
                .try_find_reference(target)
                .map_err(self.failed())?
                .is_none()
        {
            return Ok(None);
        }
        let id = reference.peel_to_id().map_err(self.failed())?.detach();
        self.as_commit(id)
    }

    /// The commit that an object is or stands for; `None` if it is something else.
    fn as_commit(&self, id: ObjectId) -> Result<Option<ObjectId>, SourceError> {
        let object = self.inner.find_object(id).map_err(self.failed())?;
        Ok(object
            .peel_to_kind(gix::object::Kind::Commit)
            .ok()
            .map(|commit| commit.id))
    }

    /// The commit that a user's word stands for: a branch, else a tag, else a commit (its whole
    /// id or an unambiguous beginning); `refs/...` is taken literally.
    pub fn resolve(&self, reference: &str) -> Result<ObjectId, SourceError> {
        let names = if reference.starts_with("refs/") {
            vec![reference.to_owned()]
        } else {
            vec![
                format!("refs/heads/{reference}"),
                format!("refs/tags/{reference}"),
            ]
        };
        for name in &names {
            if let Some(commit) = self.commit_of_reference(name)? {
                return Ok(commit);
            }
        }
        self.commit_by_id(reference)
    }

    fn commit_by_id(&self, text: &str) -> Result<ObjectId, SourceError> {
        let is_id = text.len() >= SHORTEST_ID && text.chars().all(|c| c.is_ascii_hexdigit());
        let Some(prefix) = is_id
            .then(|| gix::hash::Prefix::from_hex(text).ok())
            .flatten()
        else {
            return Err(self.unknown(text, String::new()));
        };
        let mut candidates = HashSet::new();
        self.inner
            .objects
            .lookup_prefix(prefix, Some(&mut candidates))
            .map_err(self.failed())?;
        let mut commits: Vec<ObjectId> = Vec::new();
        for candidate in candidates {
            commits.extend(self.as_commit(candidate)?);
        }
        commits.sort();
        commits.dedup();
        match commits[..] {
            [commit] => Ok(commit),
            [] => Err(self.unknown(text, String::new())),
            _ => Err(self.unknown(text, format!(": {} commits begin like that", commits.len()))),
        }
    }

    fn unknown(&self, reference: &str, detail: String) -> SourceError {
        let hint = branches_hint(&self.branches().unwrap_or_default());
        SourceError::UnknownReference {
            pkgbase: self.pkgbase.clone(),
            reference: reference.to_owned(),
            detail,
            hint,
        }
    }

    fn branches(&self) -> Result<Vec<String>, SourceError> {
        let platform = self.inner.references().map_err(self.failed())?;
        let mut names = Vec::new();
        for branch in platform.local_branches().map_err(self.failed())?.flatten() {
            names.push(branch.name().shorten().to_string());
        }
        Ok(names)
    }

    /// A commit's id from its stored text, which must name a commit that is there.
    pub fn stored_commit(&self, commit: &str) -> Result<ObjectId, SourceError> {
        let id = ObjectId::from_hex(commit.as_bytes())
            .map_err(|_| self.unknown(commit, String::new()))?;
        match self.inner.try_find_object(id).map_err(self.failed())? {
            Some(object) if object.kind == gix::object::Kind::Commit => Ok(id),
            _ => {
                let detail =
                    ": it was there once, so the repository was replaced or cleaned up".to_owned();
                Err(self.unknown(commit, detail))
            }
        }
    }

    /// What is kept of a commit.
    pub fn describe(&self, commit: ObjectId) -> Result<SourceCommit, SourceError> {
        let commit = self.inner.find_commit(commit).map_err(self.failed())?;
        let tree = commit.tree_id().map_err(self.failed())?;
        Ok(SourceCommit {
            commit: commit.id.to_string(),
            tree: tree.to_string(),
            committed_at: commit.time().map_err(self.failed())?.seconds,
        })
    }

    /// A file of a commit's top folder; `None` if there is no such entry. What is wrong with an
    /// entry that is no file, or too large a one, comes back as text.
    pub fn file(
        &self,
        commit: ObjectId,
        name: &str,
        limit: u64,
    ) -> Result<Option<Result<Vec<u8>, String>>, SourceError> {
        let commit = self.inner.find_commit(commit).map_err(self.failed())?;
        let tree = commit.tree_id().map_err(self.failed())?.detach();
        self.file_in(tree, name, limit)
    }

    /// The same of a tree.
    pub fn file_in(
        &self,
        tree: ObjectId,
        name: &str,
        limit: u64,
    ) -> Result<Option<Result<Vec<u8>, String>>, SourceError> {
        let tree = self.inner.find_tree(tree).map_err(self.failed())?;
        let Some(entry) = tree.find_entry(name) else {
            return Ok(None);
        };
        if !entry.mode().is_blob() {
            return Ok(Some(Err(format!("{name} is not a file"))));
        }
        let id = entry.oid().to_owned();
        let size = self.size(id)?;
        if size > limit {
            return Ok(Some(Err(format!(
                "{name} has {size} bytes; {limit} are the limit"
            ))));
        }
        let mut blob = self.inner.find_blob(id).map_err(self.failed())?;
        Ok(Some(Ok(blob.take_data())))
    }

    /// The size of an object in bytes, without reading it.
    pub fn size(&self, id: ObjectId) -> Result<u64, SourceError> {
        Ok(self.inner.find_header(id).map_err(self.failed())?.size())
    }
}

/// Which branches there are instead of one that is not there.
pub(super) fn branches_hint(branches: &[String]) -> String {
    match branches.len() {
        0 => "it has no branches".to_owned(),
        count if count > HINT_NAMES => {
            format!(
                "among its {count} branches are: {}",
                branches[..HINT_NAMES].join(", ")
            )
        }
        _ => format!("its branches are: {}", branches.join(", ")),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
