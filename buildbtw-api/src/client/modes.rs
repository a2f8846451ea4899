//! Who gets runs: modes of the server and of workers.

use super::{Client, ClientError};
use crate::WorkerId;
use crate::modes::{
    ServerModeChanged, ServerModeNote, ServerModeRequest, WorkerModeNote, WorkerModeRequest,
};

impl Client {
    /// Whether the server hands out runs.
    pub async fn mode(&self) -> Result<ServerModeNote, ClientError> {
        self.get(&["mode"], &()).await
    }

    /// Sets whether the server hands out runs.
    pub async fn set_mode(
        &self,
        request: &ServerModeRequest,
    ) -> Result<ServerModeChanged, ClientError> {
        self.put(&["mode"], request).await
    }

    /// Sets a worker's mode.
    pub async fn set_worker_mode(
        &self,
        worker: WorkerId,
        request: &WorkerModeRequest,
    ) -> Result<WorkerModeNote, ClientError> {
        self.put(&["workers", &worker.to_string(), "mode"], request)
            .await
    }
}
