//! Builds: what is to be made, and where each stands.

use buildbtw_graph::{Architecture, PkgBase, PkgName, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ingredients::Flaky;
use crate::runs::{RunPackage, RunSummary};
use crate::{BuildStatus, NamespaceName, RunId};

/// A build in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Build {
    /// The package base.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
    /// The architecture.
    #[schema(value_type = String)]
    pub architecture: Architecture,
    /// The pass, 1 or 2.
    pub pass: u8,
    /// Where it stands.
    pub status: BuildStatus,
    /// Why it stands there, where that is not plain.
    pub reason: Option<String>,
    /// The version that is built.
    #[schema(value_type = String)]
    pub version: Version,
    /// The commit that is built.
    pub commit: String,
    /// The packages it makes.
    #[schema(value_type = Vec<String>)]
    pub pkgnames: Vec<PkgName>,
    /// The wave it belongs to, from 1.
    pub wave: u32,
    /// Whether its check is skipped, to break a cycle.
    pub nocheck: bool,
    /// Why it belongs to the plan, in words.
    pub because: String,
    /// When it became what it is.
    #[schema(value_type = String)]
    pub changed_at: Timestamp,
    /// Its newest run.
    pub run: Option<RunSummary>,
}

/// A build with what it waits for and what waits for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildDetails {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The iteration's number.
    pub iteration: u32,
    /// The build.
    #[serde(flatten)]
    pub build: Build,
    /// Builds that must be published first.
    pub needs: Vec<Neighbour>,
    /// Builds that wait for this one.
    pub needed_by: Vec<Neighbour>,
    /// All runs, newest first.
    pub runs: Vec<RunSummary>,
    /// Its packages in the repository of the iteration, by name; also where they are those of an
    /// earlier run, as of a build that is `reused`.
    #[serde(default)]
    pub packages: Vec<RunPackage>,
    /// Whose run made these packages, where it was none of this build's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MadeBy>,
    /// The last times that this package base failed by itself, on this architecture and in whatever
    /// namespace, and then succeeded with the same input; newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaky: Vec<Flaky>,
}

/// The run that made packages which another build took over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeBy {
    /// The run; its log says how they were made.
    pub run: RunId,
    /// Its namespace.
    pub namespace: NamespaceName,
    /// Its iteration's number.
    pub iteration: u32,
    /// The architecture of its build.
    #[schema(value_type = String)]
    pub architecture: Architecture,
}

/// A build next to another in the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Neighbour {
    /// The package base.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
    /// The pass.
    pub pass: u8,
    /// Where it stands.
    pub status: BuildStatus,
    /// The relation that makes the need, as text.
    pub relation: String,
    /// Given up to break a cycle: the released package is used instead.
    pub dropped: bool,
}

/// Which builds to list: the query of `GET .../builds`.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema, utoipa::IntoParams,
)]
pub struct BuildQuery {
    /// Only builds in this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<BuildStatus>,
    /// Only builds of this architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub architecture: Option<Architecture>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
