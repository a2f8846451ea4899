//! The vocabulary of buildbtw's HTTP API, and its typed client.
//!
//! Everything that crosses the wire between the server and its clients, workers
//! and executors is defined here, once. The types carry no behaviour beyond their
//! own validity; [`client::Client`] speaks them over HTTP.
//!
//! `/api/v1` only grows: a field may be added, never renamed or removed, and a
//! reader ignores fields it does not know.

pub mod amounts;
pub mod builds;
pub mod causes;
pub mod changing;
pub mod client;
pub mod events;
pub mod explanations;
pub mod idle;
pub mod ids;
pub mod ingredients;
pub mod jobs;
pub mod modes;
pub mod namespaces;
pub mod page;
pub mod priority;
pub mod problem;
pub mod reasons;
pub mod runs;
pub mod sources;
pub mod status;
pub mod workers;

pub use ids::{Changeset, NamespaceName, RunId, WorkerId};
pub use problem::{Problem, ProblemType};
pub use status::{
    BuildPlace, BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass, RunStatus, ServerMode,
    WorkerMode,
};

/// The version of the protocol that workers and executors speak. A server refuses
/// a worker whose version it does not know, and says which it wants.
pub const WORKER_PROTOCOL: u32 = 1;
