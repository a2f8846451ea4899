//! Pipelines, jobs, statuses of commits and settings of projects, through REST.

use std::fs::File;

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::GitLab;
use super::error::GitLabError;
use super::projects::ProjectId;
use super::request::Call;

/// What a pipeline or job is doing. What GitLab may say one day is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineStatus {
    /// It waits for earlier stages.
    Created,
    /// It waits for a resource.
    WaitingForResource,
    /// It gets ready.
    Preparing,
    /// It waits for somebody's call.
    WaitingForCallback,
    /// It waits for a runner.
    Pending,
    /// A runner works on it.
    Running,
    /// It went well.
    Success,
    /// It did not.
    Failed,
    /// It was ended.
    Canceled,
    /// It is being ended.
    Canceling,
    /// It was left out.
    Skipped,
    /// It waits for a person.
    Manual,
    /// It waits for a time.
    Scheduled,
    /// Something that this version has not heard of.
    Other(String),
}

impl PipelineStatus {
    /// From GitLab's word, in either case of letters.
    pub fn read(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "created" => Self::Created,
            "waiting_for_resource" => Self::WaitingForResource,
            "preparing" => Self::Preparing,
            "waiting_for_callback" => Self::WaitingForCallback,
            "pending" => Self::Pending,
            "running" => Self::Running,
            "success" => Self::Success,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "canceling" => Self::Canceling,
            "skipped" => Self::Skipped,
            "manual" => Self::Manual,
            "scheduled" => Self::Scheduled,
            _ => Self::Other(text.to_owned()),
        }
    }

    /// GitLab's word for it.
    pub fn word(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Preparing => "preparing",
            Self::WaitingForCallback => "waiting_for_callback",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Canceling => "canceling",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Other(word) => word,
        }
    }

    /// Whether nothing more happens, unless somebody tries again.
    pub fn is_over(&self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::Canceled | Self::Skipped
        )
    }
}

impl<'de> Deserialize<'de> for PipelineStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::read(&String::deserialize(deserializer)?))
    }
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pipeline {
    /// Its id.
    pub id: u64,
    /// The commit it runs for.
    pub sha: String,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// What it is doing.
    pub status: PipelineStatus,
    /// Its name, by which it is found again.
    #[serde(default)]
    pub name: Option<String>,
    /// Where people see it.
    pub web_url: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub status: PipelineStatus,
    /// Why it failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Where people see it.
    pub web_url: String,
}

/// What a pipeline is to be made of.
#[derive(Debug, Clone, Default)]
pub struct NewPipeline {
    /// The branch or tag whose configuration counts.
    pub reference: String,
    /// The inputs.
    pub inputs: Map<String, Value>,
}

/// What a commit's status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// It waits.
    Pending,
    /// It is being built.
    Running,
    /// It was built.
    Success,
    /// It was not.
    Failed,
    /// It was left.
    Canceled,
}

/// A status of a commit.
#[derive(Debug, Clone)]
pub struct CommitStatus {
    /// What it says.
    pub state: CommitState,
    /// Whose it is.
    pub name: String,
    /// Where it leads.
    pub target_url: String,
    /// What it says in words.
    pub description: String,
}

/// The longest link and the longest description that GitLab takes, in characters.
const LONGEST: usize = 255;

fn below(project: ProjectId, rest: &str) -> String {
    format!("/api/v4/projects/{project}{rest}")
}

#[derive(Deserialize)]
struct ProjectSettings {
    ci_config_path: Option<String>,
}

impl GitLab {
    /// Makes a pipeline. It is tried once only: whoever gets no answer looks for it by its name first
    /// ([`Self::pipelines_named`]).
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses; then there may be a pipeline all the same.
    pub async fn create_pipeline(
        &self,
        project: ProjectId,
        new: &NewPipeline,
    ) -> Result<Pipeline, GitLabError> {
        let body = json!({"ref": new.reference, "inputs": new.inputs});
        let path = below(project, "/pipeline");
        self.json(&Call::post("make a pipeline", path, body)).await
    }

    /// The pipelines of a project with a name, the newest first.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn pipelines_named(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Vec<Pipeline>, GitLabError> {
        let mut call = Call::get("look for a pipeline", below(project, "/pipelines"));
        call.query = vec![
            ("name", name.to_owned()),
            ("order_by", "id".to_owned()),
            ("sort", "desc".to_owned()),
            ("per_page", "100".to_owned()),
        ];
        self.json(&call).await
    }

    /// A pipeline.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the pipeline was deleted.
    pub async fn pipeline(&self, project: ProjectId, id: u64) -> Result<Pipeline, GitLabError> {
        let path = below(project, &format!("/pipelines/{id}"));
        self.json(&Call::get("look at a pipeline", path)).await
    }

    /// The jobs of a pipeline.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the pipeline was deleted.
    pub async fn jobs(&self, project: ProjectId, pipeline: u64) -> Result<Vec<Job>, GitLabError> {
        let path = below(project, &format!("/pipelines/{pipeline}/jobs"));
        let mut call = Call::get("look at a pipeline's jobs", path);
        call.query = vec![("per_page", "100".to_owned())];
        self.json(&call).await
    }

    /// Ends a pipeline. One that is over stays as it is.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the pipeline was deleted.
    pub async fn cancel_pipeline(
        &self,
        project: ProjectId,
        id: u64,
    ) -> Result<Pipeline, GitLabError> {
        let path = below(project, &format!("/pipelines/{id}/cancel"));
        let call = Call {
            // Ending twice ends once.
            idempotent: true,
            ..Call::post("end a pipeline", path, json!({}))
        };
        self.json(&call).await
    }

    /// Tries a pipeline's failed jobs again.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the pipeline was deleted.
    pub async fn retry_pipeline(
        &self,
        project: ProjectId,
        id: u64,
    ) -> Result<Pipeline, GitLabError> {
        let path = below(project, &format!("/pipelines/{id}/retry"));
        let call = Call {
            // Where nothing has failed any more, it does nothing.
            idempotent: true,
            ..Call::post("try a pipeline again", path, json!({}))
        };
        self.json(&call).await
    }

    /// Sets a status of a commit. GitLab takes a state that is there already for a mistake; it is none here.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn set_commit_status(
        &self,
        project: ProjectId,
        commit: &str,
        status: &CommitStatus,
    ) -> Result<(), GitLabError> {
        let state = match status.state {
            CommitState::Pending => "pending",
            CommitState::Running => "running",
            CommitState::Success => "success",
            CommitState::Failed => "failed",
            CommitState::Canceled => "canceled",
        };
        let description: String = status.description.chars().take(LONGEST).collect();
        let mut body = json!({"state": state, "name": status.name, "description": description});
        // Half a link leads nowhere.
        if status.target_url.chars().count() <= LONGEST {
            body["target_url"] = json!(status.target_url);
        }
        let call = Call {
            idempotent: true,
            ..Call::post(
                "set a commit's status",
                below(project, &format!("/statuses/{commit}")),
                body,
            )
        };
        match self.done(&call).await {
            Err(GitLabError::Refused { said, .. }) if said.contains("Cannot transition status") => {
                Ok(())
            }
            result => result,
        }
    }

    /// Where a project has its CI configuration, if that is not the usual place.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn ci_config_path(&self, project: ProjectId) -> Result<Option<String>, GitLabError> {
        let call = Call::get("read a project's settings", below(project, ""));
        let settings: ProjectSettings = self.json(&call).await?;
        Ok(settings.ci_config_path.filter(|path| !path.is_empty()))
    }

    /// Says where a project has its CI configuration.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn set_ci_config_path(
        &self,
        project: ProjectId,
        path: &str,
    ) -> Result<(), GitLabError> {
        let call = Call {
            method: Method::PUT,
            idempotent: true,
            ..Call::post(
                "change a project's settings",
                below(project, ""),
                json!({"ci_config_path": path}),
            )
        };
        self.done(&call).await
    }

    /// Writes the tree of a commit into a file, as a compressed tar archive.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses, or the archive is larger than that.
    pub async fn archive(
        &self,
        project: ProjectId,
        commit: &str,
        file: &mut File,
        limit: u64,
    ) -> Result<(), GitLabError> {
        let path = below(project, "/repository/archive.tar.gz");
        let mut call = Call::get("fetch the tree of a commit", path);
        call.query = vec![("sha", commit.to_owned())];
        self.download(&call, file, limit).await
    }
}
