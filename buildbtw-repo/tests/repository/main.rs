//! The crate against the tools whose work it does (bsdtar, repo-add, pacman)
//! and against input that is out to harm.

// clippy.toml allows this in tests, but does not see what they call.
#![allow(clippy::unwrap_used)]

mod databases;
mod hostile;
mod packages;
mod round_trips;
mod tools;
