//! The stage for end-to-end tests: real programs, real git, real makepkg and pacman.
//!
//! A test makes a [`stage::Stage`] with source repositories, starts the server and workers on it, acts
//! as packager and reads what came of it. Whatever a test starts is gone when it ends, however
//! it ends.
//!
//! Tests wait for what they wait for: an event, the end of a program. A deadline only keeps a
//! broken program from hanging a test for ever.

pub mod aftermath;
pub mod corpus;
pub mod fleet;
pub mod git;
pub mod leftovers;
pub mod pacman;
pub mod programs;
pub mod stage;
