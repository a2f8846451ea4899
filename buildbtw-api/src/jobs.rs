//! Jobs of GitLab: how one claims the run that its pipeline was made for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::WorkerId;
use crate::runs::Assignment;
use crate::workers::WorkerOffer;

/// A job claims its run: the body of `POST /api/v1/runs/{run}/claim`. The same job may ask again,
/// and gets the same answer; another one is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobClaim {
    /// The version of the protocol that the executor speaks.
    pub protocol: u32,
    /// The job's number on GitLab.
    pub job: u64,
    /// The number of the pipeline that it belongs to.
    #[serde(default)]
    pub pipeline: Option<u64>,
    /// The commit of the pipeline (`CI_COMMIT_SHA`). It chose the CI configuration; what is built is
    /// the run's own source.
    #[serde(default)]
    pub commit: Option<String>,
    /// The job's page on GitLab.
    #[serde(default)]
    pub job_url: Option<String>,
    /// The name of the runner's host, for people.
    pub name: String,
    /// What the host offers.
    pub offer: WorkerOffer,
}

/// A run that a job has claimed. From here on its executor is a worker like any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClaimedRun {
    /// The worker that the executor is from now on: it sends heartbeats under this id.
    pub worker: WorkerId,
    /// How often it is to send a heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// The largest body that the server takes, in bytes.
    pub upload_limit: u64,
    /// What to build.
    pub assignment: Assignment,
}
