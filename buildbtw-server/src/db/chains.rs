//! Builds in a row: the way from a change to a build, where each source was planned because of one before it, and
//! the longest chain of builds that wait for each other.

use std::collections::HashSet;

use buildbtw_api::BuildStatus;
use sqlx::SqliteConnection;

use super::keys::{BuildKey, IterationKey};
use super::{DbResult, word};

/// The longest chain that is followed. A plan's chains are the shortest that there are.
const LONGEST: u32 = 500;

/// A build on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The package base.
    pub pkgbase: String,
    /// Where its first pass stands.
    pub status: BuildStatus,
    /// Why it is in the plan, in words.
    pub because: String,
}

/// The builds from a change to a build, in this order, itself last.
pub async fn to_build(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<Link>> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "WITH RECURSIVE chain (place, id) AS (SELECT 0, ?1 UNION ALL \
         SELECT place + 1, earlier.id FROM chain JOIN build AS later ON later.id = chain.id \
         JOIN build AS earlier ON earlier.build_set_id = later.build_set_id \
         AND earlier.pkgbase = later.because_of AND earlier.pass = 1 WHERE place < ?2) \
         SELECT pkgbase, status, because FROM chain JOIN build ON build.id = chain.id ORDER BY place DESC",
    )
    .bind(build)
    .bind(LONGEST)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(pkgbase, status, because)| {
            Ok(Link {
                pkgbase,
                status: word("build status", &status)?,
                because,
            })
        })
        .collect()
}

/// The builds on the chain of each build set that takes longest, by what was expected when it was planned. Between
/// chains that take equally long names decide, as in `scheduler::foresee`. No chain is longer than one that begins with
/// what waits for nothing.
pub async fn longest(
    db: &mut SqliteConnection,
    iteration: IterationKey,
) -> DbResult<HashSet<BuildKey>> {
    let builds: Vec<(BuildKey,)> = sqlx::query_as(
        "WITH RECURSIVE chain (id) AS (\
         SELECT (SELECT id FROM build WHERE build_set_id = build_set.id AND wave = 1 ORDER BY remaining_ms DESC, pkgbase, pass LIMIT 1) \
         FROM build_set WHERE iteration_id = ? UNION \
         SELECT (SELECT build.id FROM need JOIN build ON build.id = need.build_id WHERE needs_build_id = chain.id \
         AND NOT dropped ORDER BY remaining_ms DESC, pkgbase, pass LIMIT 1) FROM chain WHERE chain.id IS NOT NULL) \
         SELECT id FROM chain WHERE id IS NOT NULL",
    )
    .bind(iteration)
    .fetch_all(db)
    .await?;
    Ok(builds.into_iter().map(|(build,)| build).collect())
}
