//! The server: sources, planner, scheduler, dispatch, artifacts, API and pages.

pub mod config;
pub mod db;
pub mod problems;
