//! Runs: what a worker is handed, what it reports, and what is kept of it.

use buildbtw_graph::{Architecture, PkgBase, PkgName, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{NamespaceName, OutcomeClass, RunId, RunStatus};

/// A fencing number. It grows with every lease that the server gives, and a report
/// under an older number than the run's is refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Fence(pub i64);

/// The header in which uploads carry the fencing number.
pub const FENCE_HEADER: &str = "x-buildbtw-fence";

/// The header in which a package upload carries its SHA-256 in hexadecimal.
pub const DIGEST_HEADER: &str = "x-buildbtw-sha256";

/// What is underneath the installed packages during a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootMode {
    /// Only installed packages.
    Packages,
    /// The worker's own tools, read-only.
    Host,
}

/// Which steps of a build may use the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Only the step that fetches the sources.
    #[default]
    Sources,
    /// That and prepare().
    Prepare,
    /// Every step.
    All,
}

/// A run, handed to a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// The run.
    pub run: RunId,
    /// The number under which it is to be reported.
    pub fence: Fence,
    /// How long the lease lasts without a heartbeat, in seconds.
    pub lease_seconds: u32,
    /// The namespace.
    pub namespace: NamespaceName,
    /// The iteration's number.
    pub iteration: u32,
    /// What to carry out.
    pub build: BuildOrder,
}

/// What is built, in which root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildOrder {
    /// The package base.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
    /// The architecture.
    #[schema(value_type = String)]
    pub architecture: Architecture,
    /// The pass, 1 or 2.
    pub pass: u8,
    /// The version that will come out unless a pkgver() function changes it.
    #[schema(value_type = String)]
    pub version: Version,
    /// The packages it is to make.
    #[schema(value_type = Vec<String>)]
    pub pkgnames: Vec<PkgName>,
    /// The path of the source tarball on the server.
    pub source: String,
    /// SOURCE_DATE_EPOCH: the commit's time in seconds since 1970.
    pub source_date_epoch: u64,
    /// PACKAGER for makepkg.conf(5).
    pub packager: String,
    /// Whether check() runs.
    pub check: bool,
    /// What is underneath the installed packages.
    pub root_mode: RootMode,
    /// Which steps may use the network.
    pub network: NetworkMode,
    /// The repositories in order. A `server` that starts with `/` is on this server.
    pub repositories: Vec<BuildRepository>,
    /// What pacman is asked to install.
    pub install: Vec<String>,
    /// Relations that count as met without a package.
    pub assumed: Vec<String>,
    /// What the installation must look like afterwards, by pkgname.
    pub expected: Vec<ExpectedPackage>,
}

/// A repository of a build's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BuildRepository {
    /// Its name in pacman.conf(5).
    pub name: String,
    /// Its `Server`.
    pub server: String,
}

/// A package that must be installed for a build, and just so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedPackage {
    /// The package's name.
    #[schema(value_type = String)]
    pub pkgname: PkgName,
    /// Its full version.
    #[schema(value_type = String)]
    pub version: Version,
    /// The repository it comes from.
    pub repository: String,
    /// Its SHA-256 in hexadecimal, where the server knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A package that was installed for a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct InstalledPackage {
    /// The package's name.
    pub pkgname: String,
    /// Its full version.
    pub version: String,
}

/// A step of a run, such as `build` or `check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Its name: `sources`, `dependencies`, `prepare`, `build`, `check`, `package` and so on.
    pub name: String,
    /// When it began, in milliseconds from the run's start.
    pub started_ms: u64,
    /// When it ended, likewise; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
}

/// All steps of a run so far: the body of `PUT /api/v1/runs/{id}/steps`. The first report of
/// a run says that it has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepsReport {
    /// The fencing number.
    pub fence: Fence,
    /// All steps, in order; the report replaces the one before.
    pub steps: Vec<Step>,
}

/// How a run ended: the body of `POST /api/v1/runs/{id}/finish`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FinishReport {
    /// The fencing number.
    pub fence: Fence,
    /// Whose business it is.
    pub class: OutcomeClass,
    /// What happened, in words.
    pub message: String,
    /// The exit code of makepkg, where it ran.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The step in which it failed.
    #[serde(default)]
    pub failed_step: Option<String>,
    /// All steps.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What was installed.
    #[serde(default)]
    pub installed: Vec<InstalledPackage>,
    /// File names of the packages that were uploaded and make up the result.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// The length of a run's log: the answer to a part that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLength {
    /// Bytes that the server has.
    pub length: u64,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The how-manieth try it is, from 1.
    pub attempt: u32,
    /// Where it stands.
    pub status: RunStatus,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether it only tries its worker out: nothing of it is published, and it is no part of its
    /// build's progress.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// The name of the worker.
    pub worker: Option<String>,
    /// When it was handed out.
    #[schema(value_type = String)]
    pub claimed_at: Timestamp,
    /// When the worker began.
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Timestamp>,
    /// Its pipeline, if it was handed to GitLab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<RunPipeline>,
}

/// The pipeline that carries a run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPipeline {
    /// Its number on GitLab; none while it is not made.
    pub id: Option<u64>,
    /// Where people see it.
    pub url: Option<String>,
    /// What it is doing, in GitLab's word.
    pub status: Option<String>,
    /// Since when, as far as was heard.
    #[schema(value_type = Option<String>)]
    pub since: Option<Timestamp>,
    /// The commit it was made for. It chose the CI configuration; what is built is the run's own source.
    pub commit: Option<String>,
    /// The page of the job that claimed the run.
    pub job_url: Option<String>,
    /// Why GitLab could not be asked last, while that is so.
    pub problem: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Whose business it is.
    pub class: OutcomeClass,
    /// What happened, in words.
    pub message: String,
    /// The exit code of makepkg, where it ran.
    pub exit_code: Option<i32>,
    /// The step in which it failed.
    pub failed_step: Option<String>,
}

/// A run with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetails {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// The namespace.
    pub namespace: NamespaceName,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    #[schema(value_type = String)]
    pub architecture: Architecture,
    /// The package base.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
    /// The pass.
    pub pass: u8,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What was installed.
    pub installed: Vec<InstalledPackage>,
    /// The packages that were uploaded.
    pub packages: Vec<RunPackage>,
    /// Bytes of its log.
    pub log_length: u64,
}

/// A package that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPackage {
    /// Its file name.
    pub file_name: String,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}
