//! What an iteration is pinned to beside its origins: the commits of its dependents, and the base
//! repositories.

use std::collections::{BTreeMap, HashMap};

use buildbtw_graph::{Architecture, PkgBase};
use sqlx::SqliteConnection;

use super::keys::{BuildSetKey, IterationKey, NamespaceKey};
use super::{DbResult, base_snapshots, word};
use crate::bases::SnapshotRepository;
use crate::sources::SourceCommit;

/// The iteration that the one of a number follows: the newest one before that was worked on. One that
/// was refused, or overtaken before it was whole, pins nothing.
pub async fn iteration_before(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    number: u32,
) -> DbResult<Option<IterationKey>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM iteration WHERE namespace_id = ? AND number < ? \
         AND (status = 'current' OR (status = 'superseded' AND previous_status = 'current')) \
         ORDER BY number DESC LIMIT 1",
    )
    .bind(namespace)
    .bind(number)
    .fetch_optional(db)
    .await?)
}

/// The commits of an iteration's dependents. What it took from its origins is not among them.
pub async fn dependents(
    db: &mut SqliteConnection,
    iteration: IterationKey,
) -> DbResult<HashMap<PkgBase, SourceCommit>> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT DISTINCT pkgbase, commit_id, tree_id, committed_at FROM build \
         JOIN build_set ON build_set.id = build_set_id WHERE iteration_id = ?1 AND pkgbase NOT IN \
         (SELECT pkgbase FROM iteration_changeset WHERE iteration_id = ?1)",
    )
    .bind(iteration)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(pkgbase, commit, tree, committed_at)| {
            let commit = SourceCommit {
                commit,
                tree,
                committed_at,
            };
            Ok((word("pkgbase", &pkgbase)?, commit))
        })
        .collect()
}

/// The base repositories of an iteration, by architecture.
pub async fn bases(
    db: &mut SqliteConnection,
    iteration: IterationKey,
) -> DbResult<BTreeMap<Architecture, Vec<SnapshotRepository>>> {
    let sets: Vec<(BuildSetKey, String)> =
        sqlx::query_as("SELECT id, architecture FROM build_set WHERE iteration_id = ?")
            .bind(iteration)
            .fetch_all(&mut *db)
            .await?;
    let mut bases = BTreeMap::new();
    for (set, architecture) in sets {
        let repositories = base_snapshots::of_build_set(&mut *db, set).await?;
        bases.insert(word("architecture", &architecture)?, repositories);
    }
    Ok(bases)
}
