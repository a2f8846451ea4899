//! Changing a running namespace.

use super::{Client, ClientError};
use crate::NamespaceName;
use crate::changing::{AddRequest, RebuildRequest, RemoveRequest, Updated};
use crate::namespaces::Namespace;

impl Client {
    /// Adds origin changesets.
    pub async fn add(
        &self,
        name: &NamespaceName,
        request: &AddRequest,
    ) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "add"], request)
            .await
    }

    /// Takes origin changesets out.
    pub async fn remove(
        &self,
        name: &NamespaceName,
        request: &RemoveRequest,
    ) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "remove"], request)
            .await
    }

    /// Takes newer commits of dependents and newer base repositories, if there are any.
    pub async fn update(&self, name: &NamespaceName) -> Result<Updated, ClientError> {
        self.post(&["namespaces", name.as_str(), "update"], &())
            .await
    }

    /// Makes a new iteration of what there is.
    pub async fn rebuild(
        &self,
        name: &NamespaceName,
        request: &RebuildRequest,
    ) -> Result<Namespace, ClientError> {
        self.post(&["namespaces", name.as_str(), "rebuild"], request)
            .await
    }
}
