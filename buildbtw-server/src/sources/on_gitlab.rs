//! The sources where they are on GitLab: what can be asked and told only there.

use std::sync::Arc;

use buildbtw_api::sources::GitLabState;

use super::Shared;
use super::gitlab::GitLabSources;
use crate::gitlab::hooks::{Credentials, News};
use crate::gitlab::{GitLab, GitLabError, ProjectId};

/// What can be asked of the sources only where they are on GitLab.
pub struct OnGitLab<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) gitlab: &'a Arc<GitLabSources>,
}

impl OnGitLab<'_> {
    /// The client.
    pub fn client(&self) -> &GitLab {
        self.gitlab.client()
    }

    /// How far the index is, and whether GitLab answers.
    pub fn state(&self) -> GitLabState {
        self.gitlab.state()
    }

    /// A project may have changed. It is looked at soon.
    pub fn notice(&self, project: ProjectId) {
        self.gitlab.notice(project);
    }

    /// Takes a hook: what it says, if it comes from GitLab.
    pub fn hook(&self, shown: &Credentials<'_>, body: &[u8]) -> Option<News> {
        self.gitlab.hook(shown, body)
    }

    /// Looks now for what changed of late.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn poll(&self) -> Result<(), GitLabError> {
        self.gitlab.poll(self.shared).await
    }

    /// Compares now all commits with GitLab's.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn sweep(&self) -> Result<(), GitLabError> {
        self.gitlab.sweep(self.shared).await
    }
}
