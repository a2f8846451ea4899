//! What namespaces have of the workers, and had.

use std::collections::HashMap;

use buildbtw_api::events::EventKind;
use sqlx::SqliteConnection;

use super::events::{NewEvent, record};
use super::keys::NamespaceKey;
use super::{Answers, DbResult, Statements};
use crate::scheduler::Share;

/// Asks what the namespaces that are at work have of the workers at a time, in stored form, and had.
pub(super) fn ask(to: &mut Statements, at: i64) {
    to.add(
        "WITH handed AS (SELECT namespace_id, count(*) AS running FROM run JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         WHERE run.status IN ('scheduled', 'running') AND canary = 0 GROUP BY namespace_id) \
         SELECT namespace.id, CASE WHEN weight_until IS NULL OR weight_until > ? THEN weight ELSE 1 END, served, \
         coalesce(running, 0) FROM namespace LEFT JOIN handed ON handed.namespace_id = namespace.id \
         WHERE namespace.status = 'active'",
    )
    .bind(at);
}

/// What [`ask`] asked for.
pub(super) fn told(answers: &mut Answers) -> DbResult<HashMap<NamespaceKey, Share>> {
    let rows: Vec<(NamespaceKey, u32, i64, u32)> = answers.all()?;
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

/// Sets a namespace's weight, until a time in stored form, and records it.
pub async fn set_weight(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    weight: u32,
    reason: Option<&str>,
    until: Option<i64>,
) -> DbResult<()> {
    let before: u32 = sqlx::query_scalar("SELECT weight FROM namespace WHERE id = ?")
        .bind(namespace)
        .fetch_one(&mut *db)
        .await?;
    sqlx::query(
        "UPDATE namespace SET weight = ?, weight_reason = ?, weight_until = ? WHERE id = ?",
    )
    .bind(weight)
    .bind(reason)
    .bind(until)
    .bind(namespace)
    .execute(&mut *db)
    .await?;
    let event = NewEvent {
        before: Some(&before.to_string()),
        after: Some(weight.to_string()),
        message: reason,
        ..NewEvent::default()
    };
    record(db, EventKind::NamespacePriority, Some(namespace), event).await?;
    Ok(())
}

/// Notes what a namespace was served, and the virtual time.
pub fn add_charge(to: &mut Statements, namespace: NamespaceKey, served: i64, virtual_time: i64) {
    to.add("UPDATE namespace SET served = ? WHERE id = ?")
        .bind(served)
        .bind(namespace);
    to.add("UPDATE counter SET value = max(value, ?) WHERE name = 'virtual_time'")
        .bind(virtual_time);
}
