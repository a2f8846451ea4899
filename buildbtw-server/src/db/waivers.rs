//! Waivers: people's words that a source is left out of a namespace, each for one commit of it.

use sqlx::{FromRow, SqliteConnection};

use super::keys::{IterationKey, NamespaceKey};
use super::{DbResult, now, to_json};

/// A person's word that a source is left out while it stays at a commit.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Waiver {
    /// The package base.
    pub pkgbase: String,
    /// The commit for which it holds.
    #[sqlx(rename = "commit_id")]
    pub commit: String,
    /// Why.
    pub reason: String,
    /// The number of the iteration in which it was given.
    pub iteration: u32,
    /// When it was given, in microseconds since 1970.
    pub given_at: i64,
}

/// Keeps the word for builds of an iteration that are left out, for the iterations to come. A newer
/// word about the same source takes the place of the older one.
pub async fn keep(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    pkgbases: &[&str],
    reason: &str,
) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO waiver (namespace_id, pkgbase, commit_id, reason, iteration, given_at) \
         SELECT namespace_id, pkgbase, min(commit_id), ?1, number, ?2 FROM build JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id WHERE iteration_id = ?3 AND build.status = 'waived' \
         AND pkgbase IN (SELECT value FROM json_each(?4)) GROUP BY pkgbase \
         ON CONFLICT (namespace_id, pkgbase) DO UPDATE SET commit_id = excluded.commit_id, reason = excluded.reason, \
         iteration = excluded.iteration, given_at = excluded.given_at",
    )
    .bind(reason)
    .bind(now())
    .bind(iteration)
    .bind(to_json(&pkgbases))
    .execute(db)
    .await?;
    Ok(())
}

/// The words of a namespace that hold in one of its iterations: the source is at the same commit there.
pub async fn holding(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    iteration: IterationKey,
) -> DbResult<Vec<Waiver>> {
    Ok(sqlx::query_as(
        "SELECT * FROM waiver WHERE namespace_id = ? AND EXISTS (SELECT 1 FROM build_set JOIN build \
         ON build_set_id = build_set.id WHERE iteration_id = ? AND build.pkgbase = waiver.pkgbase \
         AND build.commit_id = waiver.commit_id) ORDER BY pkgbase",
    )
    .bind(namespace)
    .bind(iteration)
    .fetch_all(db)
    .await?)
}

/// The word about a source, whether it holds at the moment or not.
pub async fn about(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    pkgbase: &str,
) -> DbResult<Option<Waiver>> {
    Ok(
        sqlx::query_as("SELECT * FROM waiver WHERE namespace_id = ? AND pkgbase = ?")
            .bind(namespace)
            .bind(pkgbase)
            .fetch_optional(db)
            .await?,
    )
}

/// Takes words back; of which sources there were some.
pub async fn take_back(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    pkgbases: &[&str],
) -> DbResult<Vec<String>> {
    let mut taken: Vec<String> = sqlx::query_scalar(
        "DELETE FROM waiver WHERE namespace_id = ? AND pkgbase IN (SELECT value FROM json_each(?)) RETURNING pkgbase",
    )
    .bind(namespace)
    .bind(to_json(&pkgbases))
    .fetch_all(db)
    .await?;
    taken.sort();
    Ok(taken)
}
