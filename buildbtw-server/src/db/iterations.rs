//! Iterations, their pinned changesets and their build sets.

use std::collections::BTreeMap;

use buildbtw_api::events::EventKind;
use buildbtw_api::namespaces::{
    BuildSetSummary, Iteration, IterationReason, PinnedBase, PinnedChangeset,
};
use buildbtw_api::{BuildStatus, Changeset, IterationStatus};
use buildbtw_graph::Architecture;
use sqlx::{FromRow, SqliteConnection};

use super::events::{NewEvent, record};
use super::keys::{BuildSetKey, IterationKey, NamespaceKey};
use super::{DbResult, json, now, timestamp, to_json, word};

/// An origin changeset of an iteration: commit and tree as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedOrigin {
    /// The changeset.
    pub changeset: Changeset,
    /// The commit.
    pub commit: String,
    /// The tree of that commit.
    pub tree: String,
}

/// An iteration's row.
#[derive(Debug, Clone, FromRow)]
pub struct StoredIteration {
    /// Its key.
    #[sqlx(rename = "id")]
    pub key: IterationKey,
    /// Its namespace.
    #[sqlx(rename = "namespace_id")]
    pub namespace: NamespaceKey,
    /// Its number, from 1.
    pub number: u32,
    status: String,
    reason: String,
    refusal: Option<String>,
    created_at: i64,
}

impl StoredIteration {
    /// Where it stands.
    pub fn status(&self) -> DbResult<IterationStatus> {
        word("iteration status", &self.status)
    }

    /// When it was made.
    pub fn created_at(&self) -> DbResult<jiff::Timestamp> {
        timestamp(self.created_at)
    }

    /// Why it was made.
    pub fn reason(&self) -> DbResult<IterationReason> {
        json("iteration's reason", &self.reason)
    }
}

/// Makes the next iteration of a namespace, to be planned.
pub async fn insert(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    reason: &IterationReason,
    origins: &[PinnedOrigin],
) -> DbResult<(IterationKey, u32)> {
    let number: u32 = sqlx::query_scalar(
        // A name that was used before goes on counting, so that the addresses of the repositories
        // that were published under it stay theirs.
        "SELECT coalesce(max(number), 0) + 1 FROM iteration WHERE namespace_id IN (SELECT namesake.id FROM \
         namespace JOIN namespace AS namesake ON namesake.name = namespace.name WHERE namespace.id = ?)",
    )
    .bind(namespace)
    .fetch_one(&mut *db)
    .await?;
    let now = now();
    let key: IterationKey = sqlx::query_scalar(
        "INSERT INTO iteration (namespace_id, number, status, reason, created_at, changed_at) \
         VALUES (?, ?, 'planning', ?, ?, ?) RETURNING id",
    )
    .bind(namespace)
    .bind(number)
    .bind(to_json(reason))
    .bind(now)
    .bind(now)
    .fetch_one(&mut *db)
    .await?;
    for (position, origin) in (0_i64..).zip(origins) {
        sqlx::query(
            "INSERT INTO iteration_changeset (iteration_id, position, pkgbase, reference, commit_id, tree_id) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(key)
        .bind(position)
        .bind(origin.changeset.pkgbase.as_ref())
        .bind(&origin.changeset.reference)
        .bind(&origin.commit)
        .bind(&origin.tree)
        .execute(&mut *db)
        .await?;
    }
    let why = reason.to_string();
    let event = NewEvent {
        iteration: Some(number),
        message: Some(&why),
        ..NewEvent::default()
    };
    record(db, EventKind::IterationCreated, Some(namespace), event).await?;
    Ok((key, number))
}

/// Iterations whose planning was cut short.
pub async fn being_planned(db: &mut SqliteConnection) -> DbResult<Vec<StoredIteration>> {
    Ok(
        sqlx::query_as("SELECT * FROM iteration WHERE status = 'planning' ORDER BY id")
            .fetch_all(db)
            .await?,
    )
}

/// An iteration by its row.
pub async fn by_key(db: &mut SqliteConnection, key: IterationKey) -> DbResult<StoredIteration> {
    Ok(sqlx::query_as("SELECT * FROM iteration WHERE id = ?")
        .bind(key)
        .fetch_one(db)
        .await?)
}

/// An iteration by its number.
pub async fn by_number(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    number: u32,
) -> DbResult<Option<StoredIteration>> {
    Ok(
        sqlx::query_as("SELECT * FROM iteration WHERE namespace_id = ? AND number = ?")
            .bind(namespace)
            .bind(number)
            .fetch_optional(db)
            .await?,
    )
}

/// The iteration of a number under a name, whichever of the namespaces that had that name it belongs
/// to: numbers go on counting when a name is taken again.
pub async fn by_name_and_number(
    db: &mut SqliteConnection,
    name: &str,
    number: u32,
) -> DbResult<Option<StoredIteration>> {
    Ok(sqlx::query_as(
        "SELECT iteration.* FROM iteration JOIN namespace ON namespace.id = namespace_id \
         WHERE name = ? AND number = ? ORDER BY namespace_id DESC LIMIT 1",
    )
    .bind(name)
    .bind(number)
    .fetch_optional(db)
    .await?)
}

/// All iterations of a namespace, newest first.
pub async fn of_namespace(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
) -> DbResult<Vec<StoredIteration>> {
    Ok(
        sqlx::query_as("SELECT * FROM iteration WHERE namespace_id = ? ORDER BY number DESC")
            .bind(namespace)
            .fetch_all(db)
            .await?,
    )
}

/// The newest iteration of a namespace.
pub async fn newest(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
) -> DbResult<Option<StoredIteration>> {
    Ok(sqlx::query_as(
        "SELECT * FROM iteration WHERE namespace_id = ? ORDER BY number DESC LIMIT 1",
    )
    .bind(namespace)
    .fetch_optional(db)
    .await?)
}

/// The origins of an iteration as pinned, in order.
pub async fn origins(db: &mut SqliteConnection, key: IterationKey) -> DbResult<Vec<PinnedOrigin>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT pkgbase, reference, commit_id, tree_id FROM iteration_changeset WHERE iteration_id = ? ORDER BY position",
    )
    .bind(key)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(pkgbase, reference, commit, tree)| {
            let changeset = Changeset {
                pkgbase: word("pkgbase", &pkgbase)?,
                reference,
            };
            Ok(PinnedOrigin {
                changeset,
                commit,
                tree,
            })
        })
        .collect()
}

/// Moves an iteration to another status, with what refused it.
pub async fn set_status(
    db: &mut SqliteConnection,
    iteration: &StoredIteration,
    status: IterationStatus,
    refusal: Option<&str>,
) -> DbResult<()> {
    sqlx::query(
        "UPDATE iteration SET previous_status = status, status = ?, refusal = ?, changed_at = ? WHERE id = ?",
    )
    .bind(status.as_str())
    .bind(refusal)
    .bind(now())
    .bind(iteration.key)
    .execute(&mut *db)
    .await?;
    let event = NewEvent {
        iteration: Some(iteration.number),
        before: Some(&iteration.status),
        after: Some(status.to_string()),
        message: refusal,
        ..NewEvent::default()
    };
    record(
        db,
        EventKind::IterationStatus,
        Some(iteration.namespace),
        event,
    )
    .await?;
    Ok(())
}

/// A build set's row.
#[derive(Debug, Clone, FromRow)]
pub struct StoredBuildSet {
    /// Its key.
    #[sqlx(rename = "id")]
    pub key: BuildSetKey,
    /// Its architecture.
    pub architecture: String,
    waves: u32,
    unresolved: u32,
    broken: u32,
}

/// The build sets of an iteration.
pub async fn build_sets(
    db: &mut SqliteConnection,
    key: IterationKey,
) -> DbResult<Vec<StoredBuildSet>> {
    Ok(
        sqlx::query_as("SELECT * FROM build_set WHERE iteration_id = ? ORDER BY id")
            .bind(key)
            .fetch_all(db)
            .await?,
    )
}

/// How many builds of a build set stand in each status.
pub async fn counts(
    db: &mut SqliteConnection,
    key: BuildSetKey,
) -> DbResult<BTreeMap<BuildStatus, u32>> {
    let rows: Vec<(String, u32)> =
        sqlx::query_as("SELECT status, count(*) FROM build WHERE build_set_id = ? GROUP BY status")
            .bind(key)
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|(status, count)| Ok((word("build status", &status)?, count)))
        .collect()
}

/// An iteration as the API shows it.
pub async fn summary(
    db: &mut SqliteConnection,
    namespace: &str,
    iteration: &StoredIteration,
) -> DbResult<Iteration> {
    let mut build_sets_by_architecture = BTreeMap::new();
    for set in build_sets(&mut *db, iteration.key).await? {
        let generation: u32 = sqlx::query_scalar(
            "SELECT coalesce(max(number), 0) FROM generation WHERE build_set_id = ?",
        )
        .bind(set.key)
        .fetch_one(&mut *db)
        .await?;
        let architecture: Architecture = word("architecture", &set.architecture)?;
        let base = super::base_snapshots::of_build_set(&mut *db, set.key)
            .await?
            .into_iter()
            .map(|base| PinnedBase {
                repository: format!("/bases/{}", base.digest),
                name: base.name,
                origin: base.origin,
                digest: base.digest,
            })
            .collect();
        let summary = BuildSetSummary {
            counts: counts(&mut *db, set.key).await?,
            waves: set.waves,
            generation,
            base,
            repository: format!("/repo/{namespace}/{}/os/{architecture}", iteration.number),
            unresolved: set.unresolved,
            broken: set.broken,
            broken_by_packages: super::broken::of_build_set(&mut *db, set.key).await?,
        };
        build_sets_by_architecture.insert(architecture, summary);
    }
    let reason = iteration.reason()?;
    let changesets = origins(&mut *db, iteration.key)
        .await?
        .into_iter()
        .map(|origin| PinnedChangeset {
            changeset: origin.changeset,
            commit: origin.commit,
        })
        .collect();
    Ok(Iteration {
        number: iteration.number,
        status: iteration.status()?,
        why: reason.to_string(),
        reason,
        created_at: timestamp(iteration.created_at)?,
        changesets,
        refusal: iteration.refusal.clone(),
        build_sets: build_sets_by_architecture,
    })
}
