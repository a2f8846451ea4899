//! Workers: how they introduce themselves, ask for runs and stay in touch.

use buildbtw_graph::{Architecture, PkgBase};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::idle::IdleReason;
use crate::modes::WorkerModeNote;
use crate::runs::{Fence, RootMode};
use crate::{NamespaceName, RunId, WorkerId};

/// A worker introduces itself: the body of `POST /api/v1/workers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegisterWorker {
    /// The id it got when it registered first; none at the very first time.
    #[serde(default)]
    pub id: Option<WorkerId>,
    /// Its name, for people.
    pub name: String,
    /// The version of the protocol it speaks.
    pub protocol: u32,
    /// What it offers.
    pub offer: WorkerOffer,
    /// The runs it still carries out. Others that it was given are lost.
    #[serde(default)]
    pub running: Vec<HeldRun>,
}

/// What a worker offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerOffer {
    /// Architectures it builds for.
    #[schema(value_type = Vec<String>)]
    pub architectures: Vec<Architecture>,
    /// How many runs it carries out at once.
    pub slots: u32,
    /// Its memory in bytes, where it says so.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Labels that builds may ask for.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Which program builds: `sandbox`, `devtools`, `vmexec` or `fake`.
    pub builder: String,
    /// A digest of those of the builder's settings that shape packages: those of another
    /// configuration are not taken over.
    #[serde(default)]
    pub configuration: String,
    /// The root modes it can set up.
    pub root_modes: Vec<RootMode>,
}

/// A worker's welcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registered {
    /// Its id, to be kept over restarts.
    pub id: WorkerId,
    /// How often it is to send a heartbeat, in milliseconds.
    pub heartbeat_ms: u64,
    /// The largest body that the server takes, in bytes.
    pub upload_limit: u64,
    /// Runs it may carry on; it stops the others.
    pub carry_on: Vec<RunId>,
}

/// A run that a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldRun {
    /// The run.
    pub run: RunId,
    /// Its fencing number.
    pub fence: Fence,
}

/// A sign of life: the body of `POST /api/v1/workers/{id}/heartbeat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// The runs it carries out.
    pub runs: Vec<HeldRun>,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatAnswer {
    /// Runs to stop at once.
    pub stop: Vec<StopRun>,
    /// Set when the worker is to take no more runs, and its program to end when those that it has
    /// are over: why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
}

/// A run to stop at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopRun {
    /// The run.
    pub run: RunId,
    /// Why, in words for its log.
    pub reason: String,
}

/// A worker as the server knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    pub name: String,
    /// What it offers.
    pub offer: WorkerOffer,
    /// When it registered last.
    #[schema(value_type = String)]
    pub registered_at: Timestamp,
    /// When it was last heard of since the server started.
    #[schema(value_type = Option<String>)]
    pub seen_at: Option<Timestamp>,
    /// The runs it carries out.
    pub runs: Vec<RunId>,
    /// Whether it gets runs, and who said so why.
    #[serde(default)]
    pub mode: WorkerModeNote,
    /// What those runs build, oldest first.
    #[serde(default)]
    pub running: Vec<RunningBuild>,
    /// What is held against it, oldest first, if it is set aside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// How fast it is, as its runs tell: 2 where builds take half as long as is expected of them. Absent
    /// while no run has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Why it gets nothing more; absent in answers of servers that did not say so yet.
    #[serde(default)]
    pub idle: Option<IdleReason>,
}

/// A failure that is held against a worker that gets nothing for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
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
    /// The run that failed on the worker.
    pub run: RunId,
    /// When it failed.
    #[schema(value_type = String)]
    pub failed_at: Timestamp,
    /// The run with which the build passed elsewhere; none while it is tried there.
    pub passed: Option<RunId>,
}

/// A build that a worker carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningBuild {
    /// The run.
    pub run: RunId,
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
    /// When the worker got it.
    #[schema(value_type = String)]
    pub since: Timestamp,
}
