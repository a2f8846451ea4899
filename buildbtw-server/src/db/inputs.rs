//! What builds are made from.

use sqlx::{FromRow, SqliteConnection};

use super::keys::BuildKey;
use super::{DbResult, json};

/// What a run of a build needs to know, beside its state.
#[derive(Debug, Clone, FromRow)]
pub struct BuildInput {
    /// The row of `input`.
    pub input_id: i64,
    /// The namespace's name.
    pub namespace: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// The version that is built.
    pub version: String,
    /// The pkgrel to write into the sources.
    pub pkgrel: Option<String>,
    /// The commit.
    pub commit_id: String,
    /// Its time in seconds since 1970.
    pub committed_at: i64,
    /// Whether the check is skipped.
    pub nocheck: bool,
    /// Whose the namespace is.
    pub owner: Option<String>,
    pkgnames: String,
    install: String,
    assumed: String,
}

impl BuildInput {
    /// The packages it makes.
    pub fn pkgnames(&self) -> DbResult<Vec<buildbtw_graph::PkgName>> {
        json("build's pkgnames", &self.pkgnames)
    }

    /// What pacman is asked to install.
    pub fn install(&self) -> DbResult<Vec<String>> {
        json("build's installation", &self.install)
    }

    /// What counts as met.
    pub fn assumed(&self) -> DbResult<Vec<String>> {
        json("build's assumptions", &self.assumed)
    }
}

/// The input of a build.
pub async fn input(db: &mut SqliteConnection, build: BuildKey) -> DbResult<BuildInput> {
    Ok(sqlx::query_as(
        "SELECT build.*, namespace.name AS namespace, namespace.owner AS owner, iteration.number AS iteration, architecture \
         FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id WHERE build.id = ?",
    )
    .bind(build)
    .fetch_one(db)
    .await?)
}
