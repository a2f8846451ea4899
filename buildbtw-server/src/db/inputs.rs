//! What builds are made from.

use buildbtw_api::namespaces::{IterationReason, NamespaceOptions};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, RunKey};
use super::{DbResult, json};

/// What a run of a build needs to know, beside its state.
#[derive(Debug, Clone, FromRow)]
pub struct BuildInput {
    /// The row of `input`.
    pub input_id: i64,
    /// The namespace's name.
    pub namespace: String,
    /// The iteration's number.
    pub iteration: u32,
    /// The architecture.
    pub architecture: String,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// The version that is built.
    pub version: String,
    /// The pkgrel to write into the sources.
    pub pkgrel: Option<String>,
    /// The commit.
    pub commit_id: String,
    /// The commit's tree.
    pub tree_id: String,
    /// Its time in seconds since 1970.
    pub committed_at: i64,
    /// Whether the check is skipped.
    pub nocheck: bool,
    /// Whose the namespace is.
    pub owner: Option<String>,
    options: String,
    iteration_reason: String,
    pkgnames: String,
    install: String,
    assumed: String,
}

impl BuildInput {
    /// Whether packages of an equal input may be taken over.
    pub fn reuse(&self) -> DbResult<bool> {
        let options: NamespaceOptions = json("namespace's options", &self.options)?;
        let reason: IterationReason = json("iteration's reason", &self.iteration_reason)?;
        Ok(options.reuse && reason.allows_reuse())
    }

    /// The packages it makes.
    pub fn pkgnames(&self) -> DbResult<Vec<buildbtw_graph::PkgName>> {
        json("build's pkgnames", &self.pkgnames)
    }

    /// What pacman is asked to install.
    pub fn install(&self) -> DbResult<Vec<String>> {
        json("build's installation", &self.install)
    }

    /// What counts as met.
    pub fn assumed(&self) -> DbResult<Vec<String>> {
        json("build's assumptions", &self.assumed)
    }
}

/// The input of a build.
pub async fn input(db: &mut SqliteConnection, build: BuildKey) -> DbResult<BuildInput> {
    Ok(sqlx::query_as(
        "SELECT build.*, namespace.name AS namespace, namespace.owner AS owner, namespace.options AS options, iteration.reason AS iteration_reason, iteration.number AS iteration, architecture \
         FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id WHERE build.id = ?",
    )
    .bind(build)
    .fetch_one(db)
    .await?)
}

/// A run whose packages serve, or may serve, other builds.
#[derive(Debug, Clone)]
pub struct KnownRun {
    /// Its row.
    pub id: RunKey,
    /// Its namespace.
    pub namespace: String,
    /// The number of its iteration.
    pub iteration: u32,
}

/// The newest successful run of an input, or one that is on its way; with whether it succeeded. A
/// successful one is preferred.
pub async fn known_run(db: &mut SqliteConnection, key: &str) -> DbResult<Option<(KnownRun, bool)>> {
    let row: Option<(RunKey, String, u32, bool)> = sqlx::query_as(
        "SELECT run.id, namespace.name, iteration.number, run.status = 'ended' AS succeeded FROM input \
         JOIN run ON run.input_id = input.id JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id WHERE input.key = ? AND canary = 0 \
         AND (run.status <> 'ended' OR run.class = 'success') ORDER BY succeeded DESC, run.id DESC LIMIT 1",
    )
    .bind(key)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(id, namespace, iteration, succeeded)| {
        let run = KnownRun {
            id,
            namespace,
            iteration,
        };
        (run, succeeded)
    }))
}

/// Gives a build the input of a key, with its ingredients; builds of equal inputs share one. Without
/// a key it has an input of its own, which nobody takes over.
pub async fn assign(
    db: &mut SqliteConnection,
    build: BuildKey,
    key: Option<&str>,
    ingredients: &str,
) -> DbResult<i64> {
    // Mostly the row that the build was planned with, unless that stands for another input by now or
    // another row stands for this one.
    let own: Option<i64> = sqlx::query_scalar(
        "UPDATE input SET key = ?1, ingredients = ?2 WHERE key IS NULL \
         AND id = (SELECT input_id FROM build WHERE id = ?3) \
         AND NOT EXISTS (SELECT 1 FROM run WHERE input_id = input.id) \
         AND NOT EXISTS (SELECT 1 FROM input AS other WHERE other.key = ?1) RETURNING id",
    )
    .bind(key)
    .bind(ingredients)
    .bind(build)
    .fetch_optional(&mut *db)
    .await?;
    if let Some(own) = own {
        return Ok(own);
    }
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM input WHERE key = ?")
        .bind(key)
        .fetch_optional(&mut *db)
        .await?;
    let input = match known {
        Some(known) => known,
        None => {
            sqlx::query_scalar("INSERT INTO input (key, ingredients) VALUES (?, ?) RETURNING id")
                .bind(key)
                .bind(ingredients)
                .fetch_one(&mut *db)
                .await?
        }
    };
    sqlx::query("UPDATE build SET input_id = ? WHERE id = ?")
        .bind(input)
        .bind(build)
        .execute(db)
        .await?;
    Ok(input)
}

/// What a run made is not what its input stands for: nobody takes it over.
pub async fn forget_key(db: &mut SqliteConnection, run: RunKey) -> DbResult<()> {
    sqlx::query("UPDATE input SET key = NULL WHERE id = (SELECT input_id FROM run WHERE id = ?)")
        .bind(run)
        .execute(db)
        .await?;
    Ok(())
}

/// The input of a run, where it is written down.
pub async fn of_run(db: &mut SqliteConnection, run: RunKey) -> DbResult<Option<StoredInput>> {
    Ok(sqlx::query_as(
        "SELECT key, ingredients FROM run JOIN input ON input.id = input_id \
         WHERE run.id = ? AND ingredients IS NOT NULL",
    )
    .bind(run)
    .fetch_optional(db)
    .await?)
}

/// The input of a run turned out to be another one. It has no key if another row has that already.
pub async fn change(
    db: &mut SqliteConnection,
    run: RunKey,
    key: Option<&str>,
    ingredients: &str,
) -> DbResult<()> {
    sqlx::query(
        "UPDATE input SET key = CASE WHEN EXISTS (SELECT 1 FROM input AS other WHERE other.key = ?1) THEN NULL \
         ELSE ?1 END, ingredients = ?2 WHERE id = (SELECT input_id FROM run WHERE id = ?3)",
    )
    .bind(key)
    .bind(ingredients)
    .bind(run)
    .execute(db)
    .await?;
    Ok(())
}

/// An input of a canary's own: what it makes serves nobody.
pub async fn of_canary(db: &mut SqliteConnection) -> DbResult<i64> {
    Ok(
        sqlx::query_scalar("INSERT INTO input (key, ingredients) VALUES (NULL, NULL) RETURNING id")
            .fetch_one(db)
            .await?,
    )
}

/// An input as it was written down.
#[derive(Debug, Clone, FromRow)]
pub struct StoredInput {
    /// Its key, if packages made of it may be taken over.
    pub key: Option<String>,
    /// Its ingredients, as JSON.
    pub ingredients: String,
}

/// The input that a build was handed out with last.
pub async fn of_handed_out(
    db: &mut SqliteConnection,
    build: BuildKey,
) -> DbResult<Option<StoredInput>> {
    Ok(sqlx::query_as(
        "SELECT key, ingredients FROM build JOIN input ON input.id = input_id \
         WHERE build.id = ? AND ingredients IS NOT NULL",
    )
    .bind(build)
    .fetch_optional(db)
    .await?)
}

/// A successful run with the input that it had.
#[derive(Debug, Clone, FromRow)]
pub struct SuccessfulRun {
    /// Its public id.
    pub run: String,
    /// Its namespace.
    pub namespace: String,
    /// The number of its iteration.
    pub iteration: u32,
    /// When it ended, in stored form.
    pub ended_at: i64,
    /// Its input.
    #[sqlx(flatten)]
    pub input: StoredInput,
}

/// The last successful run of the same package base, architecture and pass before a build was handed
/// out for the first time.
pub async fn succeeded_before(
    db: &mut SqliteConnection,
    build: BuildKey,
) -> DbResult<Option<SuccessfulRun>> {
    Ok(sqlx::query_as(
        "SELECT run.public_id AS run, namespace.name AS namespace, iteration.number AS iteration, ended_at, \
         key, ingredients FROM build AS own JOIN build_set AS own_set ON own_set.id = own.build_set_id \
         JOIN build AS other ON other.pkgbase = own.pkgbase AND other.pass = own.pass AND other.id <> own.id \
         JOIN build_set ON build_set.id = other.build_set_id AND build_set.architecture = own_set.architecture \
         JOIN iteration ON iteration.id = build_set.iteration_id JOIN namespace ON namespace.id = namespace_id \
         JOIN run ON run.build_id = other.id AND run.class = 'success' JOIN input ON input.id = run.input_id \
         WHERE own.id = ? AND ingredients IS NOT NULL \
         AND ended_at <= (SELECT min(claimed_at) FROM run AS mine WHERE mine.build_id = own.id) \
         ORDER BY ended_at DESC, run.id DESC LIMIT 1",
    )
    .bind(build)
    .fetch_optional(db)
    .await?)
}
