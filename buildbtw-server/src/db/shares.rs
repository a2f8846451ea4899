//! What namespaces have of the workers, and had.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::DbResult;
use super::keys::NamespaceKey;
use crate::scheduler::Share;

/// What the namespaces that are at work have of the workers at a time, in stored form, and had.
pub async fn all(db: &mut SqliteConnection, at: i64) -> DbResult<HashMap<NamespaceKey, Share>> {
    let rows: Vec<(NamespaceKey, u32, i64, u32)> = sqlx::query_as(
        "WITH handed AS (SELECT namespace_id, count(*) AS running FROM run JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         WHERE run.status IN ('scheduled', 'running') GROUP BY namespace_id) \
         SELECT namespace.id, CASE WHEN weight_until IS NULL OR weight_until > ? THEN weight ELSE 1 END, served, \
         coalesce(running, 0) FROM namespace LEFT JOIN handed ON handed.namespace_id = namespace.id \
         WHERE namespace.status = 'active'",
    )
    .bind(at)
    .fetch_all(db)
    .await?;
    let shares = rows
        .into_iter()
        .map(|(namespace, weight, served, running)| {
            let share = Share {
                running,
                weight,
                served,
            };
            (namespace, share)
        });
    Ok(shares.collect())
}

/// Where the account stands that is furthest behind of those that wait.
pub async fn virtual_time(db: &mut SqliteConnection) -> DbResult<i64> {
    Ok(
        sqlx::query_scalar("SELECT value FROM counter WHERE name = 'virtual_time'")
            .fetch_one(db)
            .await?,
    )
}

/// Notes what a namespace was served, and the virtual time.
pub async fn charge(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    served: i64,
    virtual_time: i64,
) -> DbResult<()> {
    sqlx::query("UPDATE namespace SET served = ? WHERE id = ?")
        .bind(served)
        .bind(namespace)
        .execute(&mut *db)
        .await?;
    sqlx::query("UPDATE counter SET value = max(value, ?) WHERE name = 'virtual_time'")
        .bind(virtual_time)
        .execute(db)
        .await?;
    Ok(())
}
