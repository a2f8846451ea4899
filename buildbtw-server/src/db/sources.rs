//! The stored index of source repositories: what a restart does not read again.

use buildbtw_graph::PkgBase;
use sqlx::{FromRow, SqliteConnection};

use super::{DbResult, now};

/// The most rows that go in with one transaction, so that nobody waits long for the writer.
pub const CHUNK: usize = 500;

/// A source repository as it was read last.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredSource {
    /// Its name.
    pub pkgbase: String,
    /// Where it is: for `directory` the folder with its `HEAD`.
    pub location: String,
    /// Its references when it was read; `None` if it is to be read again.
    pub fingerprint: Option<String>,
    /// The branch that is planned with.
    pub default_branch: Option<String>,
    /// The commit it names.
    pub commit_id: Option<String>,
    /// That commit's tree.
    pub tree_id: Option<String>,
    /// When it was committed, in seconds since 1970.
    pub committed_at: Option<i64>,
    /// The text of its `.SRCINFO`.
    pub srcinfo: Option<String>,
    /// The version that its PKGBUILD states, if its text alone tells.
    pub stated_version: Option<String>,
    /// Why it cannot be planned with.
    pub problem: Option<String>,
}

/// All source repositories of a provider.
pub async fn all(db: &mut SqliteConnection, provider: &str) -> DbResult<Vec<StoredSource>> {
    Ok(sqlx::query_as(
        "SELECT pkgbase, location, fingerprint, default_branch, commit_id, tree_id, committed_at, srcinfo, \
         stated_version, problem \
         FROM source_repository WHERE provider = ? ORDER BY pkgbase",
    )
    .bind(provider)
    .fetch_all(db)
    .await?)
}

/// Stores a source repository in the place of the one of the same name.
pub async fn put(db: &mut SqliteConnection, provider: &str, source: &StoredSource) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO source_repository (pkgbase, provider, location, fingerprint, default_branch, commit_id, tree_id, \
         committed_at, srcinfo, stated_version, problem, read_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (pkgbase) DO UPDATE SET provider = excluded.provider, location = excluded.location, \
         fingerprint = excluded.fingerprint, default_branch = excluded.default_branch, commit_id = excluded.commit_id, \
         tree_id = excluded.tree_id, committed_at = excluded.committed_at, srcinfo = excluded.srcinfo, \
         stated_version = excluded.stated_version, problem = excluded.problem, read_at = excluded.read_at",
    )
    .bind(&source.pkgbase)
    .bind(provider)
    .bind(&source.location)
    .bind(&source.fingerprint)
    .bind(&source.default_branch)
    .bind(&source.commit_id)
    .bind(&source.tree_id)
    .bind(source.committed_at)
    .bind(&source.srcinfo)
    .bind(&source.stated_version)
    .bind(&source.problem)
    .bind(now())
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a source repository that is gone.
pub async fn remove(db: &mut SqliteConnection, provider: &str, pkgbase: &PkgBase) -> DbResult<()> {
    sqlx::query("DELETE FROM source_repository WHERE pkgbase = ? AND provider = ?")
        .bind(pkgbase.as_str())
        .bind(provider)
        .execute(db)
        .await?;
    Ok(())
}
