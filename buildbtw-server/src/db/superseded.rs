//! What still runs in iterations whose place a newer one took, and whether that is of use there.

use std::collections::HashSet;

use sqlx::{FromRow, SqliteConnection};

use super::DbResult;
use super::builds::transitive_dependents;
use super::keys::{BuildKey, BuildSetKey, IterationKey, NamespaceKey, RunKey};
use buildbtw_api::BuildStatus;

/// A run that is not over, as far as its use for a newer iteration goes.
#[derive(Debug, Clone, FromRow)]
pub struct OpenRun {
    /// Its row.
    #[sqlx(rename = "id")]
    pub key: RunKey,
    /// The build it was handed out for.
    #[sqlx(rename = "build_id")]
    pub build: BuildKey,
    /// The build set of that.
    #[sqlx(rename = "build_set_id")]
    pub set: BuildSetKey,
    /// The namespace.
    #[sqlx(rename = "namespace_id")]
    pub namespace: NamespaceKey,
    /// Whether it succeeded and its packages wait to be published.
    pub publishing: bool,
    /// Whether builds of an equal input may take its packages over.
    pub serves_others: bool,
}

const OPEN: &str = "SELECT run.id, run.build_id, build_set_id, namespace_id, run.status = 'publishing' AS publishing, \
     input.key IS NOT NULL AS serves_others FROM run JOIN input ON input.id = run.input_id \
     JOIN build ON build.id = run.build_id JOIN build_set ON build_set.id = build_set_id \
     JOIN iteration ON iteration.id = iteration_id WHERE run.status <> 'ended' AND canary = 0";

/// The runs of an iteration that are not over.
pub async fn open_runs(
    db: &mut SqliteConnection,
    iteration: IterationKey,
) -> DbResult<Vec<OpenRun>> {
    let sql = format!("{OPEN} AND iteration_id = ? ORDER BY run.id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(iteration)
        .fetch_all(db)
        .await?)
}

/// The superseded iterations of a namespace in which something still runs.
pub async fn still_running(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
) -> DbResult<Vec<IterationKey>> {
    Ok(sqlx::query_scalar(
        "SELECT DISTINCT iteration_id FROM run JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         WHERE run.status <> 'ended' AND canary = 0 AND namespace_id = ? AND iteration.status = 'superseded'",
    )
    .bind(namespace)
    .fetch_all(db)
    .await?)
}

/// The runs of superseded iterations that workers still carry out, and whether the current iteration
/// may come to take over what they make: it has that build, and has not begun with it.
pub async fn kept_runs(db: &mut SqliteConnection) -> DbResult<Vec<(OpenRun, bool)>> {
    let runs: Vec<OpenRun> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{OPEN} AND run.status <> 'publishing' AND iteration.status = 'superseded' ORDER BY run.id"
    )))
    .fetch_all(&mut *db)
    .await?;
    let mut kept = Vec::with_capacity(runs.len());
    for run in runs {
        let awaited: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM build AS earlier JOIN build_set AS earlier_set ON earlier_set.id = earlier.build_set_id \
             JOIN iteration ON iteration.namespace_id = ?2 AND iteration.status = 'current' \
             JOIN build_set AS later_set ON later_set.iteration_id = iteration.id \
             AND later_set.architecture = earlier_set.architecture \
             JOIN build AS later ON later.build_set_id = later_set.id AND later.pkgbase = earlier.pkgbase AND later.pass = earlier.pass \
             WHERE earlier.id = ?1 AND later.status IN ('blocked', 'pending'))",
        )
        .bind(run.build)
        .bind(run.namespace)
        .fetch_one(&mut *db)
        .await?;
        kept.push((run, awaited));
    }
    Ok(kept)
}

/// The build set of an iteration on the architecture of another one, if it stands on the same base
/// repositories.
pub async fn set_on_equal_bases(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    set: BuildSetKey,
) -> DbResult<Option<BuildSetKey>> {
    let bases = |set: &str| {
        format!(
            "(SELECT group_concat(digest, ' ' ORDER BY position) FROM base_snapshot WHERE build_set_id = {set}.id)"
        )
    };
    let sql = format!(
        "SELECT later.id FROM build_set AS earlier JOIN build_set AS later ON later.architecture = earlier.architecture \
         WHERE earlier.id = ? AND later.iteration_id = ? AND {} IS {}",
        bases("earlier"),
        bases("later")
    );
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(set)
        .bind(iteration)
        .fetch_optional(db)
        .await?)
}

/// Of some builds of a build set, those whose input is another one in a newer build set, as far as
/// plans tell: they, or something that they wait for, differ there in what is built or in what
/// comes before.
pub async fn with_other_inputs(
    db: &mut SqliteConnection,
    builds: &[BuildKey],
    newer: BuildSetKey,
) -> DbResult<HashSet<BuildKey>> {
    let needs = |build: &str| {
        format!(
            "(SELECT group_concat(pkgbase || ' ' || pass || ' ' || dropped, ';' ORDER BY pkgbase, pass) \
             FROM need JOIN build AS needed ON needed.id = needs_build_id WHERE need.build_id = {build}.id)"
        )
    };
    // A need that was left out in the older iteration is not left out in the newer one.
    let sql = format!(
        "WITH RECURSIVE before (id) AS (SELECT value FROM json_each(?1) UNION \
         SELECT needs_build_id FROM before JOIN need ON need.build_id = before.id WHERE NOT dropped) \
         SELECT earlier.id FROM before JOIN build AS earlier ON earlier.id = before.id LEFT JOIN build AS later \
         ON later.build_set_id = ?2 AND later.pkgbase = earlier.pkgbase AND later.pass = earlier.pass \
         WHERE later.id IS NULL OR later.status NOT IN ('blocked', 'pending') OR earlier.status = 'waived' \
         OR (later.tree_id, later.version, later.nocheck, later.install, later.assumed) \
         <> (earlier.tree_id, earlier.version, earlier.nocheck, earlier.install, earlier.assumed) \
         OR later.pkgrel IS NOT earlier.pkgrel OR {} IS NOT {}",
        needs("earlier"),
        needs("later")
    );
    let keys: Vec<i64> = builds.iter().map(|build| build.0).collect();
    let changed: Vec<BuildKey> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(super::to_json(&keys))
        .bind(newer)
        .fetch_all(&mut *db)
        .await?;
    let statuses = [BuildStatus::Scheduled, BuildStatus::Building];
    let behind = transitive_dependents(db, &changed, &statuses).await?;
    let behind = behind.into_iter().map(|build| build.key);
    Ok(changed.into_iter().chain(behind).collect())
}
