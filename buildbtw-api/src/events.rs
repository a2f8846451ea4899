//! What happened: one server-wide sequence, sent as server-sent events.

use buildbtw_graph::{Architecture, PkgBase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BuildStatus, NamespaceName, RunId};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A namespace was created.
    NamespaceCreated,
    /// A namespace took another status.
    NamespaceStatus,
    /// An iteration was made.
    IterationCreated,
    /// An iteration took another status.
    IterationStatus,
    /// A build took another status.
    BuildStatus,
    /// A run was handed out.
    RunClaimed,
    /// A worker began a run.
    RunStarted,
    /// A run is over.
    RunEnded,
    /// A generation of a repository was published.
    GenerationPublished,
    /// The newest state of a namespace's changesets cannot be planned, or can again.
    OriginsProblem,
    /// A worker took another mode.
    WorkerMode,
    /// A run that ended turned out to have failed by its worker's fault: it has another class.
    RunReclassed,
    /// A namespace got another weight.
    NamespacePriority,
    /// The server took another mode. It concerns every namespace, so that it is sent also to those
    /// who follow only one.
    ServerMode,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the server-wide sequence.
    pub seq: i64,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// In which namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// In which iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<u32>,
    /// On which architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub architecture: Option<Architecture>,
    /// To which package base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub pkgbase: Option<PkgBase>,
    /// In which pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<u8>,
    /// In which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// With `build_status`: the status before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BuildStatus>,
    /// The status or mode after, or the number of a generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// To which worker, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who wanted it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// Which events to send: the query of `GET /api/v1/events`.
#[derive(
    Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema, utoipa::IntoParams,
)]
pub struct EventQuery {
    /// Only of this namespace, and changes of the server's mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub namespace: Option<NamespaceName>,
    /// Only those behind this number; without it, only what happens from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}
