//! What GitLab was told of the commits of origin changesets.

use sqlx::{FromRow, SqliteConnection};

use super::keys::NamespaceKey;
use super::{DbResult, now};

/// The builds of an origin changeset's commit.
#[derive(Debug, Clone, FromRow)]
pub struct OriginBuilds {
    /// The namespace.
    pub namespace: NamespaceKey,
    /// Its name.
    pub namespace_name: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The package base.
    pub pkgbase: String,
    /// The commit.
    pub commit_id: String,
    /// An architecture that it is built for.
    pub architecture: String,
    /// The statuses of its builds, with blanks between them.
    pub statuses: String,
    /// What GitLab was told last.
    pub said: Option<String>,
}

/// The origin changesets of all current iterations.
pub async fn of_origins(db: &mut SqliteConnection) -> DbResult<Vec<OriginBuilds>> {
    Ok(sqlx::query_as(
        "SELECT namespace.id AS namespace, namespace.name AS namespace_name, iteration.number AS iteration, origin.pkgbase, \
         origin.commit_id, min(architecture) AS architecture, group_concat(build.status, ' ') AS statuses, told.state AS said \
         FROM iteration JOIN namespace ON namespace.id = iteration.namespace_id AND namespace.status <> 'archived' \
         JOIN iteration_changeset AS origin ON origin.iteration_id = iteration.id \
         JOIN build_set ON build_set.iteration_id = iteration.id \
         JOIN build ON build.build_set_id = build_set.id AND build.pkgbase = origin.pkgbase \
         LEFT JOIN commit_status AS told ON told.namespace_id = namespace.id AND told.pkgbase = origin.pkgbase \
         AND told.commit_id = origin.commit_id \
         WHERE iteration.status = 'current' GROUP BY namespace.id, origin.pkgbase, origin.commit_id",
    )
    .fetch_all(db)
    .await?)
}

/// Commits of which GitLab was told that something is to come, and whose place newer ones took.
pub async fn left_behind(db: &mut SqliteConnection) -> DbResult<Vec<OriginBuilds>> {
    Ok(sqlx::query_as(
        "SELECT namespace.id AS namespace, namespace.name AS namespace_name, iteration.number AS iteration, told.pkgbase, \
         told.commit_id, min(architecture) AS architecture, '' AS statuses, told.state AS said \
         FROM commit_status AS told JOIN namespace ON namespace.id = told.namespace_id \
         JOIN iteration ON iteration.namespace_id = namespace.id AND iteration.status = 'current' \
         JOIN build_set ON build_set.iteration_id = iteration.id \
         WHERE told.state IN ('pending', 'running') AND NOT EXISTS (SELECT 1 FROM iteration_changeset AS origin \
         WHERE origin.iteration_id = iteration.id AND origin.pkgbase = told.pkgbase AND origin.commit_id = told.commit_id) \
         GROUP BY namespace.id, told.pkgbase, told.commit_id",
    )
    .fetch_all(db)
    .await?)
}

/// GitLab was told this.
pub async fn said(db: &mut SqliteConnection, origin: &OriginBuilds, state: &str) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO commit_status (namespace_id, pkgbase, commit_id, state, said_at) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO UPDATE SET state = excluded.state, said_at = excluded.said_at",
    )
    .bind(origin.namespace)
    .bind(&origin.pkgbase)
    .bind(&origin.commit_id)
    .bind(state)
    .bind(now())
    .execute(db)
    .await?;
    Ok(())
}
