//! Statuses of commits that others set.

use jiff::Timestamp;

use crate::pipelines::Status;

/// A status of a commit.
#[derive(Debug, Clone)]
pub struct CommitStatus {
    /// Its id.
    pub id: u64,
    /// The project.
    pub project: u64,
    /// The commit.
    pub sha: String,
    /// The branch or tag.
    pub reference: Option<String>,
    /// Whose it is.
    pub name: String,
    /// What it says.
    pub state: Status,
    /// Where it leads.
    pub target_url: Option<String>,
    /// What it says in words.
    pub description: Option<String>,
    /// When it was set first.
    pub created_at: Timestamp,
}

/// What others may set.
pub fn settable(text: &str) -> Option<Status> {
    Some(match text {
        "pending" => Status::Pending,
        "running" => Status::Running,
        "success" => Status::Success,
        "failed" => Status::Failed,
        "canceled" => Status::Canceled,
        "skipped" => Status::Skipped,
        _ => return None,
    })
}
