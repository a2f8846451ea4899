//! The builds that may be handed out, and how long builds take.

use std::collections::HashMap;

use buildbtw_graph::Architecture;
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, NamespaceKey, WorkerKey};
use super::{DbResult, json, to_json};

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
    /// Its package base.
    pub pkgbase: String,
    /// Its architecture.
    pub architecture: String,
    /// The longest path from its begin to the end of its build set, in milliseconds.
    pub remaining_ms: i64,
    /// How many builds wait for it, directly or not.
    pub unlocks: u32,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: i64,
    /// When it became ready.
    pub changed_at: i64,
    /// Its place among the ready ones of its build set, from 1 on.
    pub place: u32,
}

/// The builds that may be handed out at a time, in stored form: of each build set the `each` that are
/// due first.
pub async fn ready(db: &mut SqliteConnection, at: i64, each: u32) -> DbResult<Vec<ReadyRow>> {
    Ok(sqlx::query_as(
        "SELECT * FROM ( \
         SELECT build.id, namespace_id, pkgbase, architecture, remaining_ms, unlocks, expected_ms, build.changed_at, \
         row_number() OVER (PARTITION BY build_set_id ORDER BY remaining_ms DESC, unlocks DESC, build.id) AS place \
         FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id \
         WHERE build.status = 'pending' AND refers_to IS NULL AND iteration.status = 'current' \
         AND namespace.status = 'active' AND (not_before IS NULL OR not_before <= ?)) WHERE place <= ?",
    )
    .bind(at)
    .bind(each)
    .fetch_all(db)
    .await?)
}

/// The workers on which the machinery failed a ready build since its last other ending, for each such
/// build.
pub async fn failed_on(db: &mut SqliteConnection) -> DbResult<HashMap<BuildKey, Vec<WorkerKey>>> {
    let rows: Vec<(BuildKey, WorkerKey)> = sqlx::query_as(
        "SELECT DISTINCT build.id, run.worker_id FROM build JOIN run ON run.build_id = build.id \
         WHERE build.status = 'pending' AND not_before IS NOT NULL AND class = 'infrastructure' \
         AND run.worker_id IS NOT NULL AND attempt > (SELECT coalesce(max(attempt), 0) FROM run AS other \
         WHERE other.build_id = build.id AND class <> 'infrastructure') ORDER BY build.id, run.worker_id",
    )
    .fetch_all(db)
    .await?;
    let mut failed: HashMap<BuildKey, Vec<WorkerKey>> = HashMap::new();
    for (build, worker) in rows {
        failed.entry(build).or_default().push(worker);
    }
    Ok(failed)
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
