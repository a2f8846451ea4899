//! What workers and executors ask and report.

use bytes::Bytes;
use reqwest::{Body, Method, StatusCode};

use super::{Client, ClientError};
use crate::jobs::{ClaimedRun, JobClaim};
use crate::runs::{
    Assignment, DIGEST_HEADER, FENCE_HEADER, Fence, FinishReport, LogLength, StepsReport,
};
use crate::workers::{Heartbeat, HeartbeatAnswer, RegisterWorker, Registered};
use crate::{ProblemType, RunId, WorkerId};

/// Why a part of a log was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server's log is shorter than where the part begins: send again from there.
    #[error("the server has only {length} bytes of the log")]
    Gap {
        /// Bytes that the server has.
        length: u64,
    },
    /// The run is not this worker's any more: stop it.
    #[error("the run was taken away")]
    Lost,
    /// Anything else.
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn sort(error: ClientError) -> UploadError {
    match error.problem() {
        Some(problem) if problem.kind == ProblemType::LogGap => UploadError::Gap {
            length: problem.length.unwrap_or(0),
        },
        Some(problem) if problem.kind == ProblemType::StaleFence => UploadError::Lost,
        _ => UploadError::Client(error),
    }
}

impl Client {
    /// Introduces a worker.
    pub async fn register_worker(
        &self,
        request: &RegisterWorker,
    ) -> Result<Registered, ClientError> {
        self.post(&["workers"], request).await
    }

    /// Asks for a run and waits for one as long as the server lets us; `None` means ask again.
    pub async fn claim(&self, worker: WorkerId) -> Result<Option<Assignment>, ClientError> {
        let response = self
            .send(self.api(Method::POST, &["workers", &worker.to_string(), "claim"]))
            .await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let (url, status) = (response.url().clone(), response.status());
        response
            .json()
            .await
            .map(Some)
            .map_err(|error| ClientError::NotOurs {
                url,
                status,
                reason: super::innermost(&error),
            })
    }

    /// Claims the run that a job of GitLab was made for. Asking again for the same job does no harm.
    pub async fn claim_job(&self, run: RunId, claim: &JobClaim) -> Result<ClaimedRun, ClientError> {
        self.post(&["runs", &run.to_string(), "claim"], claim).await
    }

    /// Says which runs are still carried out.
    pub async fn heartbeat(
        &self,
        worker: WorkerId,
        beat: &Heartbeat,
    ) -> Result<HeartbeatAnswer, ClientError> {
        self.post(&["workers", &worker.to_string(), "heartbeat"], beat)
            .await
    }

    /// Says that the worker's program ends.
    pub async fn leave(&self, worker: WorkerId) -> Result<(), ClientError> {
        let request = self.api(Method::POST, &["workers", &worker.to_string(), "leave"]);
        self.send(request).await.map(drop)
    }

    /// Sends a part of a run's log that begins at a byte.
    pub async fn append_log(
        &self,
        run: RunId,
        fence: Fence,
        offset: u64,
        part: Bytes,
    ) -> Result<LogLength, UploadError> {
        let request = self
            .api(Method::PUT, &["runs", &run.to_string(), "log"])
            .query(&[("offset", offset)])
            .header(FENCE_HEADER, fence.0)
            .body(part);
        self.json(request).await.map_err(sort)
    }

    /// Sends all steps so far. The first time, it says that the run has begun.
    pub async fn report_steps(&self, run: RunId, report: &StepsReport) -> Result<(), UploadError> {
        let request = self
            .api(Method::PUT, &["runs", &run.to_string(), "steps"])
            .json(report);
        self.send(request).await.map(drop).map_err(sort)
    }

    /// Sends a package. Sending the same one again does no harm. Nothing here ends a connection
    /// that stands still: the sender of the body has to.
    pub async fn upload_package(
        &self,
        run: RunId,
        fence: Fence,
        file_name: &str,
        sha256: &str,
        size: u64,
        body: impl Into<Body>,
    ) -> Result<(), UploadError> {
        let request = self
            .api_through(
                &self.uploads,
                Method::PUT,
                &["runs", &run.to_string(), "packages", file_name],
            )
            .header(FENCE_HEADER, fence.0)
            .header(DIGEST_HEADER, sha256)
            .header(reqwest::header::CONTENT_LENGTH, size)
            .body(body);
        self.send(request).await.map(drop).map_err(sort)
    }

    /// Says how a run ended. Saying the same again does no harm.
    pub async fn finish_run(&self, run: RunId, report: &FinishReport) -> Result<(), UploadError> {
        let request = self
            .api(Method::POST, &["runs", &run.to_string(), "finish"])
            .json(report);
        self.send(request).await.map(drop).map_err(sort)
    }
}
