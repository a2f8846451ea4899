//! Repositories as the real pacman sees them: received, published, served.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod http;
mod pacman;
mod publish;
mod receive;
mod world;
