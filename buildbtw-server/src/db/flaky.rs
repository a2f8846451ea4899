//! Runs that failed by themselves although another one of the same input succeeded later.

use buildbtw_api::ingredients::Flaky;
use sqlx::SqliteConnection;

use super::keys::{BuildKey, RunKey};
use super::{DbResult, Statements, now, timestamp, word};

/// How many are told of a package base.
const TOLD: u32 = 10;

/// A run succeeded: those of the same input that failed before were flaky. An input that has lost its
/// key is not known to be the same.
pub fn add(to: &mut Statements, passed: RunKey) {
    to.add(
        "INSERT OR IGNORE INTO flaky (failed_run_id, passed_run_id, pkgbase, architecture, noticed_at) \
         SELECT failed.id, passed.id, pkgbase, architecture, ? FROM run AS passed \
         JOIN input ON input.id = passed.input_id AND input.key IS NOT NULL \
         JOIN build ON build.id = passed.build_id JOIN build_set ON build_set.id = build_set_id \
         JOIN run AS failed ON failed.input_id = passed.input_id AND failed.class IN ('package', 'timeout') \
         WHERE passed.id = ?",
    )
    .bind(now())
    .bind(passed);
}

/// The last times that the package base of a build was flaky on its architecture, newest first.
pub async fn of_build(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<Flaky>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT failed.public_id, passed.public_id, noticed_at FROM build \
         JOIN build_set ON build_set.id = build_set_id \
         JOIN flaky ON flaky.pkgbase = build.pkgbase AND flaky.architecture = build_set.architecture \
         JOIN run AS failed ON failed.id = failed_run_id JOIN run AS passed ON passed.id = passed_run_id \
         WHERE build.id = ? ORDER BY noticed_at DESC, failed.id DESC LIMIT ?",
    )
    .bind(build)
    .bind(TOLD)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(failed, passed, noticed_at)| {
            Ok(Flaky {
                failed: word("run's id", &failed)?,
                passed: word("run's id", &passed)?,
                noticed_at: timestamp(noticed_at)?,
            })
        })
        .collect()
}
