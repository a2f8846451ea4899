//! The fake GitLab, resource by resource, asked over HTTP.

#![allow(clippy::unwrap_used)]

mod faults;
mod graphql;
mod hooks;
mod pipelines;
mod projects;
mod python;
mod repositories;
mod runner;
mod statuses;
mod world;
