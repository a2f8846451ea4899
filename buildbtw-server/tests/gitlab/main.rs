//! The client of GitLab against the fake one: queries, faults, patience, and what is never shown.

#![allow(
    clippy::unwrap_used,
    reason = "in a test everything that fails is a failure of the test"
)]

mod answers;
mod faults;
mod patience;
mod queries;
mod secrecy;
mod world;
