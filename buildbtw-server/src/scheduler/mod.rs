//! Decisions: which ready build a worker gets next, what becomes of a build whose run ended, and why
//! something waits. Pure functions of what is ready, what is handed out, what workers offer and the
//! time that is handed in; they read no clock and no database.

mod choice;
pub mod explain;
mod faster;
mod fits;
mod idle;
mod line;
mod outcomes;
mod pipelines;
mod share;
mod speed;
mod suspicion;
mod to_go;
mod weights;

pub use choice::{Idle, ReadyBuild, Situation, Workplace};
pub use faster::{Expected, Left, UnderWay};
pub use fits::{Misfit, Requirements, misfit};
pub use idle::{IdleFacts, why_idle};
pub use line::{Queue, handed_out_before};
pub use outcomes::{LONGEST_BACKOFF, Verdict, verdict};
pub use pipelines::{
    CLAIMED_POLL, POLL, PipelineFacts, PipelineStep, backoff, next_step as next_pipeline_step,
};
pub use share::Share;
pub use speed::{Speed, TELLING_MS, TELLING_RUNS, Told, pace};
pub use suspicion::{Elsewhere, Failure, SUSPICIOUS, Step, Trust, next_step};
pub use to_go::{Remaining, ToGo, to_go};
pub use weights::{Weight, foresee, median, weights};
