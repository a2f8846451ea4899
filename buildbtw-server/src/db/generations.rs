//! Generations of repositories: their state, frames and manifests.

use buildbtw_repo::{PackageFile, RepositoryState, Sha256Digest};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, BuildSetKey, PackageKey};
use super::{DbResult, json, packages, to_json};

/// A generation's row.
#[derive(Debug, Clone)]
pub struct StoredGeneration {
    /// Its number, from 1.
    pub number: u32,
    /// When it was published, in seconds since 1970.
    pub published_at: i64,
    /// The frames that make up its dbs.
    pub state: RepositoryState,
}

#[derive(FromRow)]
struct Row {
    number: u32,
    published_at: i64,
    state: String,
}

impl Row {
    fn read(self) -> DbResult<StoredGeneration> {
        Ok(StoredGeneration {
            number: self.number,
            published_at: self.published_at,
            state: json("generation", &self.state)?,
        })
    }
}

/// The number of the newest generation of a build set, 0 before the first.
pub async fn newest_number(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<u32> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM generation WHERE build_set_id = ?")
        .bind(set)
        .fetch_one(db)
        .await?)
}

/// The newest generation of a build set.
pub async fn newest(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<Option<StoredGeneration>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT number, published_at, state FROM generation WHERE build_set_id = ? ORDER BY number DESC LIMIT 1",
    )
    .bind(set)
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// A generation of a build set by its number.
pub async fn by_number(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
) -> DbResult<Option<StoredGeneration>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT number, published_at, state FROM generation WHERE build_set_id = ? AND number = ?",
    )
    .bind(set)
    .bind(number)
    .fetch_optional(db)
    .await?;
    row.map(Row::read).transpose()
}

/// Adds a generation.
pub async fn insert(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    generation: &StoredGeneration,
    db_digest: &str,
) -> DbResult<()> {
    sqlx::query("INSERT INTO generation (build_set_id, number, published_at, state, db_digest) VALUES (?, ?, ?, ?, ?)")
        .bind(set)
        .bind(generation.number)
        .bind(generation.published_at)
        .bind(to_json(&generation.state))
        .bind(db_digest)
        .execute(db)
        .await?;
    Ok(())
}

/// Keeps the bytes of a frame.
pub async fn insert_frame(db: &mut SqliteConnection, digest: &Sha256Digest, content: &[u8]) -> DbResult<()> {
    sqlx::query("INSERT INTO frame (digest, content) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING")
        .bind(digest.to_string())
        .bind(content)
        .execute(db)
        .await?;
    Ok(())
}

/// The bytes of a frame.
pub async fn frame(db: &mut SqliteConnection, digest: &Sha256Digest) -> DbResult<Vec<u8>> {
    Ok(sqlx::query_scalar("SELECT content FROM frame WHERE digest = ?")
        .bind(digest.to_string())
        .fetch_one(db)
        .await?)
}

/// A file of a manifest.
#[derive(Debug, Clone, FromRow)]
pub struct ManifestEntry {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: i64,
    /// The first generation that has it.
    pub since: u32,
}

/// The package that a file name stands for, in any generation of a build set: it never stands for
/// another.
pub async fn file(db: &mut SqliteConnection, set: BuildSetKey, file_name: &str) -> DbResult<Option<ManifestEntry>> {
    Ok(sqlx::query_as(
        "SELECT sha256, size, since FROM published_package JOIN package ON package.id = package_id \
         WHERE build_set_id = ? AND published_package.file_name = ?",
    )
    .bind(set)
    .bind(file_name)
    .fetch_optional(db)
    .await?)
}

/// Ends the manifest entry of a package that a newer one of its name replaces.
pub async fn end_replaced(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    pkgname: &str,
    file_name: &str,
    until: u32,
) -> DbResult<()> {
    sqlx::query(
        "UPDATE published_package SET until = ?1 WHERE build_set_id = ?2 AND file_name <> ?3 AND until IS NULL \
         AND package_id IN (SELECT id FROM package WHERE pkgname = ?4)",
    )
    .bind(until)
    .bind(set)
    .bind(file_name)
    .bind(pkgname)
    .execute(db)
    .await?;
    Ok(())
}

/// Adds a package to the manifests from a generation on.
pub async fn insert_file(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    file_name: &str,
    package: PackageKey,
    build: BuildKey,
    since: u32,
) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO published_package (build_set_id, file_name, package_id, build_id, since) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(set)
    .bind(file_name)
    .bind(package)
    .bind(build)
    .bind(since)
    .execute(db)
    .await?;
    Ok(())
}

/// The packages of the newest generation of a build set.
pub async fn packages(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<Vec<PackageFile>> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT metadata FROM published_package JOIN package ON package.id = package_id \
         WHERE build_set_id = ? AND until IS NULL ORDER BY published_package.file_name",
    )
    .bind(set)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| packages::unpack(row)).collect()
}

/// The build set of a namespace's iteration on an architecture, and the iteration's number. Without a
/// number, the newest iteration that published something for it; one that is complete is taken
/// rather than a newer one that is not.
pub async fn build_set(
    db: &mut SqliteConnection,
    namespace: super::keys::NamespaceKey,
    iteration: Option<u32>,
    architecture: &str,
) -> DbResult<Option<(BuildSetKey, u32)>> {
    Ok(sqlx::query_as(
        "SELECT build_set.id, number FROM build_set JOIN iteration ON iteration.id = iteration_id \
         WHERE namespace_id = ?1 AND architecture = ?2 AND (number = ?3 OR (?3 IS NULL AND EXISTS \
         (SELECT 1 FROM generation WHERE build_set_id = build_set.id))) ORDER BY EXISTS (SELECT 1 FROM build \
         WHERE build_set_id = build_set.id AND status NOT IN ('built', 'reused', 'waived')), number DESC LIMIT 1",
    )
    .bind(namespace)
    .bind(architecture)
    .bind(iteration)
    .fetch_optional(db)
    .await?)
}
