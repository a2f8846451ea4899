//! Relations that only a built package shows to be broken.

use buildbtw_graph::{Broken, RelationKind};
use sqlx::SqliteConnection;

use super::keys::{BuildKey, BuildSetKey};
use super::{DbResult, word};

/// Stores what the packages of a build break, in place of what they broke before. They are made anew,
/// so what was known of their own relations is over.
pub async fn replace(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    found_by: BuildKey,
    pkgbase: &str,
    broken: &[Broken],
) -> DbResult<()> {
    sqlx::query(
        "DELETE FROM broken_by_package WHERE build_set_id = ? AND (found_by = ? OR pkgbase = ?)",
    )
    .bind(set)
    .bind(found_by)
    .bind(pkgbase)
    .execute(&mut *db)
    .await?;
    for one in broken {
        let pkgname = one.pkgname.as_ref().map_or("", |pkgname| pkgname.as_str());
        sqlx::query(
            "INSERT OR REPLACE INTO broken_by_package \
             (build_set_id, found_by, pkgbase, pkgname, relation, reason) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(set)
        .bind(found_by)
        .bind(one.pkgbase.as_str())
        .bind(pkgname)
        .bind(&one.relation)
        .bind(&one.reason)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// What the built packages of a build set break.
pub async fn of_build_set(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<Vec<Broken>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT pkgbase, pkgname, relation, reason FROM broken_by_package WHERE build_set_id = ? \
         ORDER BY pkgbase, pkgname, relation",
    )
    .bind(set)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(pkgbase, pkgname, relation, reason)| {
            Ok(Broken {
                pkgbase: word("pkgbase", &pkgbase)?,
                pkgname: Some(word("pkgname", &pkgname)?),
                kind: RelationKind::Depends,
                relation,
                reason,
            })
        })
        .collect()
}
