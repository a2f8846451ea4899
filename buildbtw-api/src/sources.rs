//! Source repositories, as the server sees them.

use buildbtw_graph::{PkgBase, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::modes::ServerModeNote;

/// Whether a `.SRCINFO` says the version of the PKGBUILD beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SrcinfoState {
    /// It does.
    Fresh,
    /// It says another one: it was not made anew when the PKGBUILD changed. Plans go by it all the same.
    Stale,
    /// There is none that can be planned with; `problem` says why.
    Unusable,
    /// It is not known what the PKGBUILD says: its text alone does not tell, and it is not run.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The source repository of one pkgbase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceRepository {
    /// The package base: the repository's name.
    #[schema(value_type = String)]
    pub pkgbase: PkgBase,
    /// The branch that is planned with.
    pub default_branch: Option<String>,
    /// The commit it points to.
    pub commit: Option<String>,
    /// The version there.
    #[schema(value_type = Option<String>)]
    pub version: Option<Version>,
    /// The version that the PKGBUILD there states, if its text alone tells.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub pkgbuild_version: Option<Version>,
    /// Whether the `.SRCINFO` says that version.
    #[serde(default)]
    pub srcinfo: SrcinfoState,
    /// Why it cannot be planned with.
    pub problem: Option<String>,
    /// What was passed over in reading it.
    pub warnings: Vec<String>,
}

/// Which source repositories to list: the query of `GET /api/v1/sources`.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema, utoipa::IntoParams,
)]
pub struct SourceQuery {
    /// Only those with a problem or a warning.
    #[serde(default)]
    pub problems: bool,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How far the sources on GitLab are read, and whether GitLab answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GitLabState {
    /// Where it is.
    pub url: String,
    /// The group of the packages.
    pub group: String,
    /// Whether the first reading is over.
    pub complete: bool,
    /// How many projects the first reading has read so far.
    pub read: u64,
    /// How many there are to be read, if GitLab has said so.
    pub total: Option<u64>,
    /// When GitLab was last looked at for what changed.
    pub polled_at: Option<jiff::Timestamp>,
    /// When all commits were last compared.
    pub swept_at: Option<jiff::Timestamp>,
    /// Since when GitLab does not answer.
    pub away_since: Option<jiff::Timestamp>,
    /// Why not.
    pub reason: Option<String>,
}

/// How the server is: `GET /api/v1/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` when it works, `disk nearly full` when it soon can keep nothing more, `disk full: ...` when a worker's
    /// package was refused for want of space; the worker sends it again until there is room.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// The address under which it is reached, as it was told; empty in answers of servers that did not say so yet.
    #[serde(default)]
    pub base_url: String,
    /// How many source repositories are known.
    pub sources: u64,
    /// How many of them cannot be planned with.
    pub source_problems: u64,
    /// Whether the first reading of the sources is over.
    pub sources_in_sync: bool,
    /// Workers heard of within the last lease.
    pub workers: u32,
    /// Whether it hands out runs.
    #[serde(default)]
    pub mode: ServerModeNote,
    /// The sources on GitLab, where that is where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<GitLabState>,
    /// The pipelines on GitLab, where builds may go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipelines: Option<PipelinesState>,
    /// The room on the disk of its data, where that could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskSpace>,
}

/// The room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskSpace {
    /// What is free for the server, in bytes.
    pub free: u64,
    /// All of it, in bytes.
    pub total: u64,
}

/// How the pipelines on GitLab are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelinesState {
    /// How many are open.
    pub open: u32,
    /// How many may be.
    pub limit: u32,
    /// How many of the open ones could not be asked about last.
    pub troubled: u32,
    /// Since when the first of those could not.
    #[schema(value_type = Option<String>)]
    pub troubled_since: Option<Timestamp>,
    /// Why not.
    pub reason: Option<String>,
}
