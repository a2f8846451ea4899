//! Whether runs are handed out, and to whom: modes of the server and of workers, and who said so why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ServerMode, WorkerMode};

/// Who set a mode, why and when. Empty for the mode that everything begins in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModeNote {
    /// Why.
    pub reason: Option<String>,
    /// Who.
    pub actor: Option<String>,
    /// Since when.
    #[schema(value_type = Option<String>)]
    pub since: Option<Timestamp>,
}

/// The server's mode: the answer of `GET /api/v1/mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerModeNote {
    /// Whether it hands out runs.
    pub mode: ServerMode,
    /// Who said so, and why.
    #[serde(flatten)]
    pub note: ModeNote,
}

/// A worker's mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerModeNote {
    /// Whether it gets runs.
    pub mode: WorkerMode,
    /// Who said so, and why.
    #[serde(flatten)]
    pub note: ModeNote,
}

impl ServerModeNote {
    /// What people are told when it hands out no runs.
    pub fn remark(&self) -> Option<String> {
        let what = match self.mode {
            ServerMode::Run => return None,
            ServerMode::Drain => "hands out no runs (drain); those that are out go on",
            ServerMode::Stopped => "hands out no runs (stopped), and took back those that were out",
        };
        Some(match &self.note.reason {
            Some(reason) => format!("The server {what}: {reason}"),
            None => format!("The server {what}."),
        })
    }
}

impl Default for ServerModeNote {
    fn default() -> Self {
        Self {
            mode: ServerMode::Run,
            note: ModeNote::default(),
        }
    }
}

impl Default for WorkerModeNote {
    fn default() -> Self {
        Self {
            mode: WorkerMode::Active,
            note: ModeNote::default(),
        }
    }
}

/// Sets a worker's mode: the body of `PUT /api/v1/workers/{id}/mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerModeRequest {
    /// `active`, `draining` or `paused`.
    pub mode: WorkerMode,
    /// Why, for those who look at it later. Needed unless it is to be active.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Sets the server's mode: the body of `PUT /api/v1/mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerModeRequest {
    /// Whether it is to hand out runs.
    pub mode: ServerMode,
    /// Why, for those who look at it later. Needed unless it is to hand out runs.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The server's mode after a change: the answer of `PUT /api/v1/mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerModeChanged {
    /// The mode.
    #[serde(flatten)]
    pub mode: ServerModeNote,
    /// How many runs were taken back, to be built again later.
    pub taken_back: u32,
}
