//! The builds that may be handed out, and how long builds take.

use std::collections::HashMap;

use buildbtw_graph::Architecture;
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, NamespaceKey};
use super::{DbResult, json, to_json};

/// How many builds of a namespace are looked at for one claim: those with the longest way to go.
const EACH: u32 = 64;

/// How many durations of a package base are kept.
const KEPT: usize = 9;

/// A build that may be handed out, with what the choice depends on.
#[derive(Debug, Clone, FromRow)]
pub struct ReadyRow {
    /// Its row.
    #[sqlx(rename = "id")]
    pub key: BuildKey,
    /// Its namespace.
    #[sqlx(rename = "namespace_id")]
    pub namespace: NamespaceKey,
    /// Its architecture.
    pub architecture: String,
    /// The longest path from its begin to the end of its build set, in milliseconds.
    pub remaining_ms: i64,
    /// How many builds wait for it, directly or not.
    pub unlocks: u32,
    /// When it became ready.
    pub changed_at: i64,
}

/// The builds that may be handed out at a time, in stored form: of each namespace those that are due
/// first.
pub async fn ready(db: &mut SqliteConnection, at: i64) -> DbResult<Vec<ReadyRow>> {
    Ok(sqlx::query_as(
        "SELECT id, namespace_id, architecture, remaining_ms, unlocks, changed_at FROM ( \
         SELECT build.id, namespace_id, architecture, remaining_ms, unlocks, build.changed_at, \
         row_number() OVER (PARTITION BY build_set_id ORDER BY remaining_ms DESC, unlocks DESC, build.id) AS place \
         FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id \
         WHERE build.status = 'pending' AND refers_to IS NULL AND iteration.status = 'current' \
         AND namespace.status = 'active' AND (not_before IS NULL OR not_before <= ?)) WHERE place <= ?",
    )
    .bind(at)
    .bind(EACH)
    .fetch_all(db)
    .await?)
}

/// How many builds of each namespace are handed out.
pub async fn running(db: &mut SqliteConnection) -> DbResult<HashMap<NamespaceKey, u32>> {
    let rows: Vec<(NamespaceKey, u32)> = sqlx::query_as(
        "SELECT namespace_id, count(*) FROM run JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         WHERE run.status IN ('scheduled', 'running') GROUP BY namespace_id",
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().collect())
}

/// The earliest time, in stored form, before which a delayed build is kept back.
pub async fn next_delay(db: &mut SqliteConnection) -> DbResult<Option<i64>> {
    Ok(
        sqlx::query_scalar("SELECT min(not_before) FROM build WHERE status = 'pending'")
            .fetch_one(db)
            .await?,
    )
}

/// Notes how long a successful run of a build took, in milliseconds.
pub async fn learn(db: &mut SqliteConnection, build: BuildKey, milliseconds: i64) -> DbResult<()> {
    let (pkgbase, architecture): (String, String) = sqlx::query_as(
        "SELECT pkgbase, architecture FROM build JOIN build_set ON build_set.id = build_set_id WHERE build.id = ?",
    )
    .bind(build)
    .fetch_one(&mut *db)
    .await?;
    let known: Option<String> =
        sqlx::query_scalar("SELECT recent FROM duration WHERE pkgbase = ? AND architecture = ?")
            .bind(&pkgbase)
            .bind(&architecture)
            .fetch_optional(&mut *db)
            .await?;
    let mut recent: Vec<i64> = known.map_or(Ok(Vec::new()), |text| json("durations", &text))?;
    recent.push(milliseconds.max(0));
    let excess = recent.len().saturating_sub(KEPT);
    recent.drain(..excess);
    sqlx::query("INSERT OR REPLACE INTO duration (pkgbase, architecture, recent) VALUES (?, ?, ?)")
        .bind(&pkgbase)
        .bind(&architecture)
        .bind(to_json(&recent))
        .execute(db)
        .await?;
    Ok(())
}

/// What is known of durations on an architecture: those of the last runs, in milliseconds, by package
/// base.
pub async fn durations(
    db: &mut SqliteConnection,
    architecture: &Architecture,
) -> DbResult<HashMap<String, Vec<i64>>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT pkgbase, recent FROM duration WHERE architecture = ?")
            .bind(architecture.as_str())
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(pkgbase, recent)| Ok((pkgbase, json("durations", &recent)?)))
        .collect()
}
