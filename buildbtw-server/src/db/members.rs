//! Which package bases build sets and iterations build.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::keys::{BuildKey, BuildSetKey, IterationKey};
use super::{DbResult, to_json};

/// The package bases of a build set: they are known from its plan on.
pub async fn members(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<HashSet<String>> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT pkgbase FROM build WHERE build_set_id = ?")
            .bind(set)
            .fetch_all(db)
            .await?;
    Ok(names.into_iter().collect())
}

/// The members of a build set whose released packages the installation of a build may use all the
/// same: its own, those that it does without, to break a cycle, and those that a person left out.
pub async fn not_replaced(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    build: BuildKey,
) -> DbResult<HashSet<String>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT pkgbase FROM build WHERE id = ? UNION \
         SELECT pkgbase FROM need JOIN build ON build.id = needs_build_id WHERE build_id = ? AND dropped UNION \
         SELECT pkgbase FROM build AS waived WHERE build_set_id = ? AND status = 'waived' AND NOT EXISTS \
         (SELECT 1 FROM build AS pass WHERE pass.build_set_id = waived.build_set_id \
          AND pass.pkgbase = waived.pkgbase AND pass.status <> 'waived')",
    )
    .bind(build)
    .bind(build)
    .bind(set)
    .fetch_all(db)
    .await?;
    Ok(names.into_iter().collect())
}

/// Of some package bases, those that a build set still has to build: what is released of them, or was
/// published by an earlier pass, is not final.
pub async fn unfinished_of(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    pkgbases: &[&str],
) -> DbResult<HashSet<String>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT pkgbase FROM build WHERE build_set_id = ? \
         AND pkgbase IN (SELECT value FROM json_each(?)) AND status NOT IN ('built', 'reused', 'waived')",
    )
    .bind(set)
    .bind(to_json(&pkgbases))
    .fetch_all(db)
    .await?;
    Ok(names.into_iter().collect())
}

/// The package bases that an iteration builds.
pub async fn pkgbases(
    db: &mut SqliteConnection,
    iteration: IterationKey,
) -> DbResult<HashSet<String>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT pkgbase FROM build JOIN build_set ON build_set.id = build_set_id WHERE iteration_id = ?",
    )
    .bind(iteration)
    .fetch_all(db)
    .await?;
    Ok(names.into_iter().collect())
}
