//! Plans: the whole calculation as one compressed text, and its builds and needs as rows.
//!
//! Rows go in by chunks of one transaction each, so that no claim waits for a large plan. Until the
//! iteration becomes the current one nobody works on them; what a crash left half is removed by
//! [`discard`] before it is planned again.

use std::collections::HashMap;

use buildbtw_graph::{Architecture, Commits, PkgBase, Plan};
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use crate::scheduler::Weight;

use super::keys::{BuildKey, BuildSetKey, IterationKey};
use super::{DbError, DbResult, now, to_json, word};

/// The format of the stored plan: JSON of `buildbtw_graph::Plan`.
const FORMAT: i64 = 1;

/// How many rows are written in one transaction.
pub const CHUNK: usize = 500;

/// The largest plan that is read back, in bytes.
const PLAN_MAX: usize = 1 << 30;

/// A build of a plan, ready to be stored.
#[derive(Debug, Clone)]
pub struct NewBuild {
    /// The package base.
    pub pkgbase: PkgBase,
    /// The pass.
    pub pass: u8,
    /// `blocked`, `pending`, `unbuildable` or `dependency_failed`.
    pub status: buildbtw_api::BuildStatus,
    /// Why it stands there.
    pub reason: Option<String>,
    /// The version that is built.
    pub version: String,
    /// The pkgrel to write into the sources.
    pub pkgrel: Option<String>,
    /// The commit.
    pub commit: String,
    /// Its tree.
    pub tree: String,
    /// Its time in seconds since 1970.
    pub committed_at: i64,
    /// The wave.
    pub wave: u32,
    /// Whether the check is skipped.
    pub nocheck: bool,
    /// The packages it makes.
    pub pkgnames: Vec<String>,
    /// Why it belongs to the plan, in words.
    pub because: String,
    /// The source because of which it does, unless it is changed itself.
    pub because_of: Option<PkgBase>,
    /// What pacman is asked to install.
    pub install: Vec<String>,
    /// What counts as met.
    pub assumed: Vec<String>,
    /// What its turn goes by.
    pub weight: Weight,
    /// How many needs are to be met.
    pub waits_for: u32,
    /// The build that it stands for, by its key.
    pub refers_to: Option<BuildKey>,
}

/// A need of a plan, by the keys of its builds.
#[derive(Debug, Clone)]
pub struct NewNeed {
    /// The build that waits.
    pub build: BuildKey,
    /// The one it waits for.
    pub needs: BuildKey,
    /// The kind of relation.
    pub kind: String,
    /// The relation, as text.
    pub relation: String,
    /// The pkgnames on the way.
    pub through: Vec<String>,
    /// Given up to break a cycle.
    pub dropped: bool,
}

/// Stores the calculation itself.
pub async fn insert(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    content: &StoredPlan,
) -> DbResult<()> {
    sqlx::query("INSERT INTO plan (iteration_id, format, digest, content) VALUES (?, ?, ?, ?)")
        .bind(iteration)
        .bind(FORMAT)
        .bind(&content.digest)
        .bind(&content.bytes)
        .execute(db)
        .await?;
    Ok(())
}

/// A plan in the form in which it is stored.
#[derive(Debug, Clone)]
pub struct StoredPlan {
    digest: String,
    bytes: Vec<u8>,
}

impl StoredPlan {
    /// Serialises and compresses a plan. Takes a while for a large one: not for async threads.
    pub fn new(plan: &Plan) -> Self {
        let text = to_json(plan);
        let bytes =
            zstd::bulk::compress(text.as_bytes(), 3).expect("memory is all that compression needs");
        Self {
            digest: hex::encode(Sha256::digest(&text)),
            bytes,
        }
    }

    /// The plan as JSON text.
    pub fn text(&self) -> DbResult<Vec<u8>> {
        let unreadable = |error: std::io::Error| DbError::Unreadable {
            what: "plan",
            reason: error.to_string(),
        };
        let text = zstd::bulk::decompress(&self.bytes, PLAN_MAX);
        // The one-shot decoder needs the size in the frame; the writer above always puts it there.
        text.map_err(unreadable)
    }

    /// The plan. Takes a while for a large one: not for async threads.
    pub fn plan(&self) -> DbResult<Plan> {
        serde_json::from_slice(&self.text()?).map_err(|error| DbError::Unreadable {
            what: "plan",
            reason: error.to_string(),
        })
    }
}

/// The commits that the builds of an iteration are made from.
pub async fn commits(db: &mut SqliteConnection, iteration: IterationKey) -> DbResult<Commits> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT s.architecture, b.pkgbase, b.commit_id FROM build AS b \
         JOIN build_set AS s ON s.id = b.build_set_id WHERE s.iteration_id = ?",
    )
    .bind(iteration)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(architecture, pkgbase, commit)| {
            let key = (
                word("architecture", &architecture)?,
                word("pkgbase", &pkgbase)?,
            );
            Ok((key, commit))
        })
        .collect()
}

/// The stored plan of an iteration.
pub async fn get(
    db: &mut SqliteConnection,
    iteration: IterationKey,
) -> DbResult<Option<StoredPlan>> {
    let row: Option<(String, Vec<u8>)> =
        sqlx::query_as("SELECT digest, content FROM plan WHERE iteration_id = ?")
            .bind(iteration)
            .fetch_optional(db)
            .await?;
    Ok(row.map(|(digest, bytes)| StoredPlan { digest, bytes }))
}

/// Makes a build set.
pub async fn insert_build_set(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    architecture: &Architecture,
    waves: u32,
    unresolved: usize,
    broken: usize,
) -> DbResult<BuildSetKey> {
    Ok(sqlx::query_scalar(
        "INSERT INTO build_set (iteration_id, architecture, waves, unresolved, broken) VALUES (?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(iteration)
    .bind(architecture.as_ref())
    .bind(waves)
    .bind(i64::try_from(unresolved).unwrap_or(i64::MAX))
    .bind(i64::try_from(broken).unwrap_or(i64::MAX))
    .fetch_one(db)
    .await?)
}

/// Stores some builds of a build set and adds their keys to `keys`.
pub async fn insert_builds(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    builds: &[NewBuild],
    keys: &mut HashMap<(PkgBase, u8), BuildKey>,
) -> DbResult<()> {
    let now = now();
    for build in builds {
        let input: i64 = sqlx::query_scalar("INSERT INTO input DEFAULT VALUES RETURNING id")
            .fetch_one(&mut *db)
            .await?;
        let key: BuildKey = sqlx::query_scalar(
            "INSERT INTO build (build_set_id, input_id, refers_to, pkgbase, pass, status, reason, version, pkgrel, \
             commit_id, tree_id, committed_at, wave, nocheck, pkgnames, because, because_of, install, assumed, waits_for, remaining_ms, unlocks, expected_ms, changed_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(set)
        .bind(input)
        .bind(build.refers_to)
        .bind(build.pkgbase.as_ref())
        .bind(build.pass)
        .bind(build.status.as_str())
        .bind(&build.reason)
        .bind(&build.version)
        .bind(&build.pkgrel)
        .bind(&build.commit)
        .bind(&build.tree)
        .bind(build.committed_at)
        .bind(build.wave)
        .bind(build.nocheck)
        .bind(to_json(&build.pkgnames))
        .bind(&build.because)
        .bind(build.because_of.as_ref().map(|of| of.as_str().to_owned()))
        .bind(to_json(&build.install))
        .bind(to_json(&build.assumed))
        .bind(build.waits_for)
        .bind(build.weight.remaining_ms)
        .bind(build.weight.unlocks)
        .bind(build.weight.own_ms)
        .bind(now)
        .fetch_one(&mut *db)
        .await?;
        keys.insert((build.pkgbase.clone(), build.pass), key);
    }
    Ok(())
}

/// Stores some needs.
pub async fn insert_needs(db: &mut SqliteConnection, needs: &[NewNeed]) -> DbResult<()> {
    for need in needs {
        sqlx::query(
            "INSERT INTO need (build_id, needs_build_id, kind, relation, through, dropped) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(need.build)
        .bind(need.needs)
        .bind(&need.kind)
        .bind(&need.relation)
        .bind(to_json(&need.through))
        .bind(need.dropped)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// Removes what was stored of an iteration's plan, so that it can be planned again.
pub async fn discard(db: &mut SqliteConnection, iteration: IterationKey) -> DbResult<()> {
    // Needs and base snapshots go with their builds and build sets; `input` rows that nobody
    // refers to do no harm.
    sqlx::query(
        "DELETE FROM build WHERE refers_to IS NOT NULL \
         AND build_set_id IN (SELECT id FROM build_set WHERE iteration_id = ?)",
    )
    .bind(iteration)
    .execute(&mut *db)
    .await?;
    for statement in [
        "DELETE FROM build_set WHERE iteration_id = ?",
        "DELETE FROM plan WHERE iteration_id = ?",
    ] {
        sqlx::query(statement)
            .bind(iteration)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}
