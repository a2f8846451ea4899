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
