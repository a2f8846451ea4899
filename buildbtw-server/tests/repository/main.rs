//! Repositories as the real pacman sees them: received, published, served.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod http;
mod pacman;
mod publish;
mod receive;
mod world;
