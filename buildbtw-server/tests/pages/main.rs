//! The pages: as they come over HTTP, and in a real browser (Chromium, driven by WebDriver).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod browser;
mod figures;
mod forms;
mod live;
mod logs;
mod nowhere;
mod plain;
mod proxy;
#[path = "../stage/mod.rs"]
mod stage;
mod world;
