//! Sources on GitLab: read, resumed, followed, asked and packed, against the fake one.

#![allow(
    clippy::unwrap_used,
    reason = "in a test everything that fails is a failure of the test"
)]

mod asked;
mod every_fault;
mod first;
mod followed;
mod hooks;
mod missed;
mod packed;
mod pipelines;
mod pipelines_and_faults;
mod runners;
#[path = "../stage/mod.rs"]
mod stage;
mod stale;
mod template;
mod told;
mod world;
