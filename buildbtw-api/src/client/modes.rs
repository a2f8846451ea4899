//! Who gets runs: modes of workers.

use super::{Client, ClientError};
use crate::WorkerId;
use crate::modes::{WorkerModeNote, WorkerModeRequest};

impl Client {
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
