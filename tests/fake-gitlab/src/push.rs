//! Pushing: commits, branches and tags, with the dates and the hooks that follow.

use gix::ObjectId;

use crate::repository::{GitError, NewFile};
use crate::state::Project;
use crate::{FakeError, FakeGitLab, hooks};

/// A reference that a push moves: from, to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The full name.
    pub reference: String,
    /// Before; `None` if it was not there.
    pub before: Option<ObjectId>,
    /// After; `None` if it is not there any more.
    pub after: Option<ObjectId>,
}

/// More references than this in one push, and no hook tells of it.
const HOOK_LIMIT: usize = 3;

impl FakeGitLab {
    /// Commits files on a branch, which is made if need be, and pushes it. The commit comes back.
    ///
    /// # Errors
    ///
    /// When there is no such project, or git refuses.
    pub fn push(
        &self,
        project: u64,
        branch: &str,
        message: &str,
        files: &[(&str, NewFile)],
    ) -> Result<String, FakeError> {
        let commit = self.commit(project, branch, message, files)?;
        let reference = format!("refs/heads/{branch}");
        self.update(project, &[(&reference, Some(commit))])?;
        Ok(commit.to_string())
    }

    /// Makes a commit on top of a branch that no branch names yet.
    ///
    /// # Errors
    ///
    /// When there is no such project, or git refuses.
    pub fn commit(
        &self,
        project: u64,
        branch: &str,
        message: &str,
        files: &[(&str, NewFile)],
    ) -> Result<ObjectId, FakeError> {
        let git = self.project_now(project)?.repository;
        let parent = git.reference(&format!("refs/heads/{branch}"));
        let files: Vec<(String, NewFile)> = files
            .iter()
            .map(|(path, file)| ((*path).to_owned(), file.clone()))
            .collect();
        Ok(git.write_commit(parent, &files, message, self.clock().now())?)
    }

    /// Tags a commit with an annotated tag, and pushes it.
    ///
    /// # Errors
    ///
    /// When there is no such project, or git refuses.
    pub fn tag(&self, project: u64, name: &str, commit: &str) -> Result<(), FakeError> {
        let git = self.project_now(project)?.repository;
        let commit = git
            .resolve(commit)
            .ok_or_else(|| FakeError::Unknown(format!("commit {commit}")))?;
        let tag = git.write_tag(name, commit, self.clock().now())?;
        self.update(project, &[(&format!("refs/tags/{name}"), Some(tag))])
    }

    /// Pushes references to objects that are there, or away.
    ///
    /// # Errors
    ///
    /// When there is no such project, or git refuses.
    pub fn update(
        &self,
        project: u64,
        references: &[(&str, Option<ObjectId>)],
    ) -> Result<(), FakeError> {
        let git = self.project_now(project)?.repository;
        let mut moves = Vec::new();
        for (name, after) in references {
            let before = std::fs::read_to_string(git.path.join(name)).ok();
            let before = before
                .map(|text| ObjectId::from_hex(text.trim().as_bytes()))
                .transpose()
                .map_err(|error| FakeError::Unknown(error.to_string()))?;
            git.set_reference(name, *after)?;
            moves.push(Move {
                reference: (*name).to_owned(),
                before,
                after: *after,
            });
        }
        self.pushed(project, &moves)
    }

    /// Lets everybody know of a push that reached the repository by itself, for example with git.
    ///
    /// # Errors
    ///
    /// When there is no such project.
    pub fn pushed(&self, project: u64, moves: &[Move]) -> Result<(), FakeError> {
        let now = self.clock().now();
        let mut state = self.state();
        let found: &mut Project = state
            .projects
            .get_mut(&project)
            .ok_or_else(|| FakeError::Unknown(format!("project {project}")))?;
        found.touch(now);
        let count = |prefix: &str| {
            moves
                .iter()
                .filter(|one| one.reference.starts_with(prefix))
                .count()
        };
        let quiet = count("refs/heads/") > HOOK_LIMIT || count("refs/tags/") > HOOK_LIMIT;
        if !quiet {
            for one in moves {
                hooks::push_event(self.shared(), &state, project, one);
            }
        }
        hooks::repository_update(self.shared(), &state, project, moves, quiet);
        Ok(())
    }

    /// Where git pushes to and fetches from.
    ///
    /// # Errors
    ///
    /// When there is no such project.
    pub fn git_folder(&self, project: u64) -> Result<std::path::PathBuf, FakeError> {
        Ok(self.project_now(project)?.repository.path)
    }
}

impl From<GitError> for String {
    fn from(error: GitError) -> Self {
        error.to_string()
    }
}
