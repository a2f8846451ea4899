//! Relations that only a built package shows to be broken.

use buildbtw_graph::{Broken, RelationKind};
use sqlx::SqliteConnection;

use super::keys::{BuildKey, BuildSetKey};
use super::{DbResult, Statements, to_json, word};

/// What the packages of a build break.
#[derive(Debug)]
pub struct BrokenBy<'a> {
    /// The build.
    pub build: BuildKey,
    /// Its package base.
    pub pkgbase: &'a str,
    /// What they break.
    pub broken: Vec<Broken>,
}

/// Stores what the packages of some builds of a build set break, in place of what they broke before.
/// They are made anew, so what was known of their own relations is over.
pub fn add_replaced(to: &mut Statements, set: BuildSetKey, found: &[BrokenBy<'_>]) {
    let builds: Vec<i64> = found.iter().map(|by| by.build.0).collect();
    let pkgbases: Vec<&str> = found.iter().map(|by| by.pkgbase).collect();
    // One by one, so that an index answers each.
    to.add(
        "DELETE FROM broken_by_package WHERE build_set_id = ? AND found_by IN (SELECT value FROM json_each(?))",
    )
    .bind(set)
    .bind(to_json(&builds));
    to.add(
        "DELETE FROM broken_by_package WHERE build_set_id = ? AND pkgbase IN (SELECT value FROM json_each(?))",
    )
    .bind(set)
    .bind(to_json(&pkgbases));
    let rows: Vec<_> = found
        .iter()
        .flat_map(|by| by.broken.iter().map(|one| (by.build.0, one)))
        .map(|(build, one)| {
            let pkgname = one.pkgname.as_ref().map_or("", |pkgname| pkgname.as_str());
            (
                build,
                one.pkgbase.as_str(),
                pkgname,
                &one.relation,
                &one.reason,
            )
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    to.add(
        "INSERT OR REPLACE INTO broken_by_package (build_set_id, found_by, pkgbase, pkgname, relation, reason) \
         SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?)",
    )
    .bind(set)
    .bind(to_json(&rows));
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
