//! Packages by digest, and which run made them.

use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;

use super::keys::{PackageKey, RunKey};
use super::{DbError, DbResult, now};

/// How hard metadata is compressed: lists of files compress well and fast.
const LEVEL: i32 = 3;

/// The largest metadata that is read back, in bytes.
const METADATA_MAX: usize = 256 << 20;

fn pack(package: &PackageFile) -> Vec<u8> {
    let text = super::to_json(package);
    zstd::bulk::compress(text.as_bytes(), LEVEL).expect("memory is all that compression needs")
}

/// Metadata as it was stored.
pub(super) fn unpack(bytes: &[u8]) -> DbResult<PackageFile> {
    let unreadable = |reason: String| DbError::Unreadable { what: "package", reason };
    let text = zstd::bulk::decompress(bytes, METADATA_MAX).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
}

/// Notes a package whose bytes are kept; one that is known keeps its row.
pub async fn insert(db: &mut SqliteConnection, package: &PackageFile) -> DbResult<PackageKey> {
    let digest = package.sha256.to_string();
    let known: Option<PackageKey> =
        sqlx::query_scalar("SELECT id FROM package WHERE sha256 = ?").bind(&digest).fetch_optional(&mut *db).await?;
    if let Some(known) = known {
        return Ok(known);
    }
    Ok(sqlx::query_scalar(
        "INSERT INTO package (sha256, content_digest, size, file_name, pkgname, version, architecture, metadata, received_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(digest)
    .bind(package.content_digest.to_string())
    .bind(i64::try_from(package.size).unwrap_or(i64::MAX))
    .bind(&package.file_name)
    .bind(&package.info.pkgname)
    .bind(&package.info.version)
    .bind(&package.info.arch)
    .bind(pack(package))
    .bind(now())
    .fetch_one(db)
    .await?)
}

/// The row of a package by its digest.
pub async fn by_digest(db: &mut SqliteConnection, sha256: &str) -> DbResult<Option<PackageKey>> {
    Ok(sqlx::query_scalar("SELECT id FROM package WHERE sha256 = ?").bind(sha256).fetch_optional(db).await?)
}

/// The packages that make up a run's result, by file name.
pub async fn kept_of_run(db: &mut SqliteConnection, run: RunKey) -> DbResult<Vec<PackageFile>> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT metadata FROM run_package JOIN package ON package.id = package_id \
         WHERE run_id = ? AND kept ORDER BY run_package.file_name",
    )
    .bind(run)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| unpack(row)).collect()
}
