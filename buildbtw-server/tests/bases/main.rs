//! Base repositories on real sockets: fetched, pinned, and served as they were seen.

#![allow(
    clippy::unwrap_used,
    reason = "in a test everything that fails is a failure of the test"
)]

mod mirror;
mod served;
mod snapshots;
#[path = "../stage/mod.rs"]
mod stage;
