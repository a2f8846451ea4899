//! Who gets runs: modes of the server and of workers, and shares of namespaces.

use super::{Client, ClientError};
use crate::modes::{
    ServerModeChanged, ServerModeNote, ServerModeRequest, WorkerModeNote, WorkerModeRequest,
};
use crate::namespaces::Namespace;
use crate::priority::PriorityRequest;
use crate::{NamespaceName, WorkerId};

impl Client {
    /// Sets a namespace's share of the workers for a time.
    pub async fn set_priority(
        &self,
        name: &NamespaceName,
        request: &PriorityRequest,
    ) -> Result<Namespace, ClientError> {
        self.put(&["namespaces", name.as_str(), "priority"], request)
            .await
    }

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
