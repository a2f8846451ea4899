//! Source repositories, made by the real git: found, read, followed, resolved and packed.

#![allow(
    clippy::unwrap_used,
    reason = "in a test everything that fails is a failure of the test"
)]

mod followed;
mod found;
mod packed;
mod resolved;
mod stale;
mod world;
