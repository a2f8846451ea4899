//! Whether the server hands out runs, and to which workers, and who said so why.

use buildbtw_api::events::EventKind;
use buildbtw_api::modes::{ModeNote, ServerModeNote, WorkerModeNote};
use buildbtw_api::{ServerMode, WorkerMode};
use sqlx::{FromRow, SqliteConnection};

use super::events::{NewEvent, record};
use super::keys::WorkerKey;
use super::{DbResult, now, timestamp, word};

#[derive(FromRow)]
struct Row {
    mode: String,
    reason: Option<String>,
    actor: Option<String>,
    since: Option<i64>,
}

impl Row {
    fn note(self) -> DbResult<(String, ModeNote)> {
        let note = ModeNote {
            reason: self.reason,
            actor: self.actor,
            since: self.since.map(timestamp).transpose()?,
        };
        Ok((self.mode, note))
    }
}

/// The server's mode.
pub async fn server(db: &mut SqliteConnection) -> DbResult<ServerModeNote> {
    let row: Row = sqlx::query_as("SELECT mode, reason, actor, since FROM server_mode")
        .fetch_one(db)
        .await?;
    let (mode, note) = row.note()?;
    Ok(ServerModeNote {
        mode: word("server's mode", &mode)?,
        note,
    })
}

/// Sets the server's mode and records it.
pub async fn set_server(
    db: &mut SqliteConnection,
    mode: ServerMode,
    reason: Option<&str>,
    actor: Option<&str>,
) -> DbResult<()> {
    let before = server(&mut *db).await?.mode;
    sqlx::query("UPDATE server_mode SET mode = ?, reason = ?, actor = ?, since = ?")
        .bind(mode.as_str())
        .bind(reason)
        .bind(actor)
        .bind(now())
        .execute(&mut *db)
        .await?;
    let event = NewEvent {
        before: Some(before.as_str()),
        after: Some(mode.to_string()),
        message: reason,
        actor,
        ..NewEvent::default()
    };
    record(db, EventKind::ServerMode, None, event).await?;
    Ok(())
}

/// A worker's mode.
pub async fn worker(db: &mut SqliteConnection, worker: WorkerKey) -> DbResult<WorkerModeNote> {
    let row: Row = sqlx::query_as(
        "SELECT mode, mode_reason AS reason, mode_actor AS actor, mode_since AS since FROM worker WHERE id = ?",
    )
    .bind(worker)
    .fetch_one(db)
    .await?;
    let (mode, note) = row.note()?;
    Ok(WorkerModeNote {
        mode: word("worker's mode", &mode)?,
        note,
    })
}

/// Sets a worker's mode and records it.
pub async fn set_worker(
    db: &mut SqliteConnection,
    worker: WorkerKey,
    mode: WorkerMode,
    reason: Option<&str>,
    actor: Option<&str>,
) -> DbResult<()> {
    let (name, before): (String, String) =
        sqlx::query_as("SELECT name, mode FROM worker WHERE id = ?")
            .bind(worker)
            .fetch_one(&mut *db)
            .await?;
    sqlx::query(
        "UPDATE worker SET mode = ?, mode_reason = ?, mode_actor = ?, mode_since = ? WHERE id = ?",
    )
    .bind(mode.as_str())
    .bind(reason)
    .bind(actor)
    .bind(now())
    .bind(worker)
    .execute(&mut *db)
    .await?;
    let event = NewEvent {
        worker: Some((worker, &name)),
        before: Some(&before),
        after: Some(mode.to_string()),
        message: reason,
        actor,
        ..NewEvent::default()
    };
    record(db, EventKind::WorkerMode, None, event).await?;
    Ok(())
}
