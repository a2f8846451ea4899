//! What an iteration holds: its plan, its builds, and why they stand where they stand.

use buildbtw_graph::{Architecture, PkgBase, Plan};

use super::{Client, ClientError};
use crate::NamespaceName;
use crate::builds::{Build, BuildDetails, BuildQuery};
use crate::ingredients::Explained;
use crate::namespaces::{DifferenceQuery, IterationDifference};
use crate::page::Page;

impl Client {
    /// The plan of an iteration.
    pub async fn iteration_plan(
        &self,
        name: &NamespaceName,
        iteration: u32,
    ) -> Result<Plan, ClientError> {
        self.get(
            &[
                "namespaces",
                name.as_str(),
                "iterations",
                &iteration.to_string(),
                "plan",
            ],
            &(),
        )
        .await
    }

    /// What changed from an earlier iteration (the one before, unless given) to another.
    pub async fn difference(
        &self,
        name: &NamespaceName,
        iteration: u32,
        query: &DifferenceQuery,
    ) -> Result<IterationDifference, ClientError> {
        self.get(
            &[
                "namespaces",
                name.as_str(),
                "iterations",
                &iteration.to_string(),
                "difference",
            ],
            query,
        )
        .await
    }

    /// One page of the builds of an iteration, by wave and name.
    pub async fn builds(
        &self,
        name: &NamespaceName,
        iteration: u32,
        query: &BuildQuery,
    ) -> Result<Page<Build>, ClientError> {
        self.get(
            &[
                "namespaces",
                name.as_str(),
                "iterations",
                &iteration.to_string(),
                "builds",
            ],
            query,
        )
        .await
    }

    /// One build with its neighbours and runs.
    pub async fn build(
        &self,
        name: &NamespaceName,
        iteration: u32,
        architecture: &Architecture,
        pkgbase: &PkgBase,
        pass: u8,
    ) -> Result<BuildDetails, ClientError> {
        let iteration = iteration.to_string();
        let segments = [
            "namespaces",
            name.as_str(),
            "iterations",
            &iteration,
            "builds",
            architecture.as_ref(),
            pkgbase.as_ref(),
            &pass.to_string(),
        ];
        self.get(&segments, &()).await
    }

    /// Why a build is not running now, and why it was built once more.
    pub async fn explanation(
        &self,
        name: &NamespaceName,
        iteration: u32,
        build: &Build,
    ) -> Result<Explained, ClientError> {
        self.get(
            &[
                "namespaces",
                name.as_str(),
                "iterations",
                &iteration.to_string(),
                "builds",
                build.architecture.as_str(),
                build.pkgbase.as_str(),
                &build.pass.to_string(),
                "explanation",
            ],
            &(),
        )
        .await
    }
}
