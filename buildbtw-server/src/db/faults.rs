//! Faults of the disk as SQLite sees them, made on purpose: for the simulated world.

use sqlx::SqliteConnection;

use super::DbResult;

/// The most pages that SQLite lets a database have.
const MOST_PAGES: u32 = 4_294_967_294;

/// Keeps a connection from letting the database grow, as a full disk does, or lets it again. What finds
/// room in pages that are there can still be written.
pub async fn fill_disk(db: &mut SqliteConnection, full: bool) -> DbResult<()> {
    // It never becomes smaller than the database is.
    let pages = if full { 1 } else { MOST_PAGES };
    let limit = format!("PRAGMA max_page_count = {pages}");
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(db).await?;
    Ok(())
}
