//! How far the projects of a GitLab are read.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::{DbResult, now};

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sync {
    /// Whether all projects were read once.
    pub complete: bool,
    /// Where the first reading goes on.
    pub cursor: Option<String>,
    /// How many projects it has read.
    pub read: u64,
    /// The newest activity of any project, by GitLab's clock, when changes were looked for last.
    pub newest_activity: Option<Timestamp>,
    /// When all commits were compared last.
    pub swept_at: Option<Timestamp>,
}

type Row = (bool, Option<String>, i64, Option<i64>, Option<i64>);

fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.and_then(|micros| Timestamp::from_microsecond(micros).ok())
}

/// How far a source is read, if anything is known of it.
pub async fn get(db: &mut SqliteConnection, source: &str) -> DbResult<Option<Sync>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT complete, cursor, projects_read, newest_activity, swept_at FROM source_sync WHERE source = ?",
    )
    .bind(source)
    .fetch_optional(db)
    .await?;
    Ok(
        row.map(|(complete, cursor, read, newest_activity, swept_at)| Sync {
            complete,
            cursor,
            read: u64::try_from(read).unwrap_or(0),
            newest_activity: time(newest_activity),
            swept_at: time(swept_at),
        }),
    )
}

/// Stores how far a source is read.
pub async fn put(db: &mut SqliteConnection, source: &str, sync: &Sync) -> DbResult<()> {
    sqlx::query(
        "INSERT INTO source_sync (source, complete, cursor, projects_read, newest_activity, swept_at, changed_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET complete = excluded.complete, \
         cursor = excluded.cursor, projects_read = excluded.projects_read, newest_activity = excluded.newest_activity, \
         swept_at = excluded.swept_at, changed_at = excluded.changed_at",
    )
    .bind(source)
    .bind(sync.complete)
    .bind(&sync.cursor)
    .bind(i64::try_from(sync.read).unwrap_or(i64::MAX))
    .bind(sync.newest_activity.map(Timestamp::as_microsecond))
    .bind(sync.swept_at.map(Timestamp::as_microsecond))
    .bind(now())
    .execute(db)
    .await?;
    Ok(())
}
