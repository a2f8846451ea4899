//! What a server leaves behind, however often it was killed.

use std::path::Path;

use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// Checks the data folder of a server that has ended: the database is sound, no input had two runs at
/// once, none is left open, and all packages of all manifests are there.
///
/// # Panics
///
/// When something is wrong, or when there are fewer packages than that.
pub async fn check(data: &Path, at_least: usize) {
    let options = SqliteConnectOptions::new().filename(data.join("buildbtw.db"));
    let pool = SqlitePool::connect_with(options)
        .await
        .expect("the database can be opened");
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&pool)
        .await
        .expect("it can be checked");
    assert_eq!(integrity, "ok");
    let foreign = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&pool)
        .await
        .expect("it can be checked");
    assert!(
        foreign.is_empty(),
        "{} rows refer to nothing",
        foreign.len()
    );
    let overlapping: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM run AS a JOIN run AS b ON a.input_id = b.input_id AND a.id < b.id \
         WHERE b.claimed_at < a.ended_at OR a.ended_at IS NULL",
    )
    .fetch_one(&pool)
    .await
    .expect("it can be counted");
    assert_eq!(overlapping, 0, "an input had two runs at once");
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM run WHERE status <> 'ended'")
        .fetch_one(&pool)
        .await
        .expect("it can be counted");
    assert_eq!(open, 0, "runs are left open");
    let manifest: Vec<(String, String)> = sqlx::query_as(
        "SELECT DISTINCT published_package.file_name, sha256 FROM published_package JOIN package ON package.id = package_id",
    )
    .fetch_all(&pool)
    .await
    .expect("the manifests can be read");
    assert!(manifest.len() >= at_least, "{} packages", manifest.len());
    for (file_name, sha256) in manifest {
        let path = data.join("packages").join(&sha256[..2]).join(&sha256);
        let bytes = std::fs::read(&path)
            .unwrap_or_else(|error| panic!("{file_name}, {}: {error}", path.display()));
        assert_eq!(
            hex::encode(Sha256::digest(&bytes)),
            sha256,
            "{file_name} has other bytes"
        );
    }
}
