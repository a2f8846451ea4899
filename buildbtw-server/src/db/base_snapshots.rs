//! The base repositories as build sets saw them.

use std::collections::HashSet;

use sqlx::{FromRow, SqliteConnection};

use super::DbResult;
use super::keys::BuildSetKey;
use crate::bases::SnapshotRepository;

#[derive(FromRow)]
struct Row {
    name: String,
    origin: String,
    digest: String,
    packages_url: String,
    published_by: Option<BuildSetKey>,
}

/// Keeps the base repositories of a build set, in order.
pub async fn insert(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    repositories: &[SnapshotRepository],
) -> DbResult<()> {
    for (position, repository) in (0_i64..).zip(repositories) {
        sqlx::query(
            "INSERT INTO base_snapshot (build_set_id, position, name, origin, digest, packages_url, published_by) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(set)
        .bind(position)
        .bind(&repository.name)
        .bind(&repository.origin)
        .bind(&repository.digest)
        .bind(&repository.packages_url)
        .bind(repository.published_by)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// The base repositories of a build set, in order.
pub async fn of_build_set(
    db: &mut SqliteConnection,
    set: BuildSetKey,
) -> DbResult<Vec<SnapshotRepository>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT name, origin, digest, packages_url, published_by FROM base_snapshot WHERE build_set_id = ? ORDER BY position",
    )
    .bind(set)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(shown).collect())
}

/// The base repositories whose db has a digest, the newest snapshot of each name first. Equal dbs may
/// have several names.
pub async fn by_digest(
    db: &mut SqliteConnection,
    digest: &str,
) -> DbResult<Vec<SnapshotRepository>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT name, origin, digest, packages_url, published_by, max(build_set_id) AS newest FROM base_snapshot \
         WHERE digest = ? GROUP BY name ORDER BY newest DESC",
    )
    .bind(digest)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(shown).collect())
}

/// The digests of all dbs that a build set saw.
pub async fn digests(db: &mut SqliteConnection) -> DbResult<HashSet<String>> {
    let digests = sqlx::query_scalar("SELECT DISTINCT digest FROM base_snapshot")
        .fetch_all(db)
        .await?;
    Ok(digests.into_iter().collect())
}

fn shown(row: Row) -> SnapshotRepository {
    SnapshotRepository {
        name: row.name,
        origin: row.origin,
        digest: row.digest,
        packages_url: row.packages_url,
        published_by: row.published_by,
    }
}
