//! Sources on GitLab: read, resumed, followed, asked and packed, against the fake one.

#![allow(
    clippy::unwrap_used,
    reason = "in a test everything that fails is a failure of the test"
)]

mod asked;
mod first;
mod followed;
mod hooks;
mod missed;
mod packed;
mod world;
