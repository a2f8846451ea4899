//! One commit through GraphQL: its date, its files, its tree's id.

use super::GitLab;
use super::error::GitLabError;
use super::files::{Entry, Mode, tree_id};
use super::projects::{Cost, Files, ProjectId, Text, cost, seconds};
use super::queries::{CommitFiles as Query, commit_files};

/// What is needed of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFiles {
    /// Its id.
    pub commit: String,
    /// When it was written, in seconds since 1970.
    pub authored_at: i64,
    /// Its `.SRCINFO`.
    pub srcinfo: Text,
    /// Its PKGBUILD.
    pub pkgbuild: Text,
    /// The id of its tree; none if the top folder has more than a hundred entries of a kind.
    pub tree: Option<String>,
    /// What the query cost.
    pub cost: Option<Cost>,
    /// Submodules of the top folder, which no archive holds.
    pub submodules: Vec<(String, String)>,
}

impl GitLab {
    /// What is needed of a commit; `None` if it is not there.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the project is not there any more.
    pub async fn commit_files(
        &self,
        project: ProjectId,
        commit: &str,
    ) -> Result<Option<CommitFiles>, GitLabError> {
        const WHAT: &str = "read a commit";
        let variables = commit_files::Variables {
            project: project.global(),
            commit: commit.to_owned(),
        };
        let answered = self.query::<Query>(WHAT, variables).await?;
        let cost = cost!(answered.data);
        let garbled = |reason: &str| GitLabError::Garbled {
            what: WHAT,
            reason: reason.to_owned(),
        };
        if !answered.broken_nodes.is_empty() {
            return Err(garbled("GitLab could not read the repository"));
        }
        let nodes = answered.data.projects.and_then(|projects| projects.nodes);
        let node = nodes.and_then(|nodes| nodes.into_iter().flatten().next());
        let node = node.ok_or(GitLabError::NotFound { what: WHAT })?;
        let Some(repository) = node.repository else {
            return Ok(None);
        };
        let Some(found) = repository.commit else {
            return Ok(None);
        };
        if found.sha != commit {
            return Err(garbled("it is about another commit"));
        }
        let blobs = repository.blobs.and_then(|blobs| blobs.nodes);
        let blobs = blobs.into_iter().flatten().flatten();
        let files = Files::read(blobs.map(|blob| (blob.path, blob.raw_text_blob)));
        let mut tree = None;
        let mut submodules = Vec::new();
        if let Some(listed) = repository.tree {
            (tree, submodules) = read_tree(listed);
        }
        Ok(Some(CommitFiles {
            authored_at: seconds(found.authored_date.as_deref()),
            commit: found.sha,
            srcinfo: files.srcinfo,
            pkgbuild: files.pkgbuild,
            tree,
            cost,
            submodules,
        }))
    }
}

type Submodules = Vec<(String, String)>;

/// A tree's id from its entries, if they are all there, and its submodules.
fn read_tree(
    listed: commit_files::CommitFilesProjectsNodesRepositoryTree,
) -> (Option<String>, Submodules) {
    let more = listed.blobs.page_info.has_next_page
        || listed.trees.page_info.has_next_page
        || listed.submodules.page_info.has_next_page;
    let mut entries = Vec::new();
    let mut whole = !more;
    for blob in listed.blobs.nodes.unwrap_or_default() {
        let entry = blob.and_then(|blob| {
            let mode = Mode::read(&blob.mode?)?;
            Some((blob.name, mode, blob.sha))
        });
        entries.push(entry);
    }
    for tree in listed.trees.nodes.unwrap_or_default() {
        entries.push(tree.map(|tree| (tree.name, Mode::Folder, tree.sha)));
    }
    let mut submodules = Vec::new();
    for submodule in listed.submodules.nodes.unwrap_or_default() {
        if let Some(submodule) = &submodule {
            submodules.push((submodule.name.clone(), submodule.sha.clone()));
        }
        entries.push(submodule.map(|submodule| (submodule.name, Mode::Submodule, submodule.sha)));
    }
    let mut read = Vec::new();
    for entry in entries {
        match entry.and_then(|(name, mode, id)| Entry::new(name, mode, &id)) {
            Some(entry) => read.push(entry),
            None => whole = false,
        }
    }
    (whole.then(|| tree_id(read)), submodules)
}
