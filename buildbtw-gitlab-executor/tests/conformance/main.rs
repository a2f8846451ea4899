//! The executor keeps to GitLab Runner's contract: the real program, driven as the Runner drives it,
//! against a double of the server.

// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

#[path = "../../../buildbtw-worker/tests/double/mod.rs"]
mod double;

mod aborted;
mod claims;
mod cleanup;
mod doctor;
mod ends;
mod real;
mod stages;
mod world;
