//! What builds are made from.

use buildbtw_api::RunId;
use buildbtw_api::namespaces::{IterationReason, NamespaceOptions};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, RunKey};
use super::{DbResult, Statements, json};

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

const INPUT: &str = "SELECT input_id, pkgbase, pass, version, pkgrel, commit_id, tree_id, committed_at, nocheck, pkgnames, install, \
     assumed, namespace.name AS namespace, namespace.owner AS owner, namespace.options AS options, \
     iteration.reason AS iteration_reason, iteration.number AS iteration, architecture \
     FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
     JOIN namespace ON namespace.id = namespace_id";

/// The input of a build.
pub async fn input(db: &mut SqliteConnection, build: BuildKey) -> DbResult<BuildInput> {
    let mut asked = Statements::default();
    ask(&mut asked, build);
    asked.fetch(db).await?.one()
}

/// Asks for the input of a build.
pub(super) fn ask(to: &mut Statements, build: BuildKey) {
    to.add(&format!("{INPUT} WHERE build.id = ?")).bind(build);
}

/// Asks for the input of a run's build.
pub(super) fn ask_of_run(to: &mut Statements, run: RunId) {
    to.add(&format!(
        "{INPUT} WHERE build.id = (SELECT build_id FROM run WHERE public_id = ?)"
    ))
    .bind(run.to_string());
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

/// What there is of the input that a build turned out to have.
#[derive(Debug, Clone)]
pub struct Known {
    /// The newest successful run of it, or one that is on its way; with whether it succeeded. A successful
    /// one is preferred.
    pub run: Option<(KnownRun, bool)>,
    /// The row of it.
    row: Option<i64>,
    /// Whether the row that the build was planned with stands for no other input yet.
    own: bool,
}

/// Looks up what there is of the input of a key that a build turned out to have. One without a key is
/// the build's alone, and nobody takes anything over.
pub async fn look_up(
    db: &mut SqliteConnection,
    build: BuildKey,
    key: Option<&str>,
) -> DbResult<Known> {
    let mut asked = Statements::default();
    asked
        .add(
            "SELECT run.id, namespace.name, iteration.number, run.status = 'ended' AS succeeded FROM input \
             JOIN run ON run.input_id = input.id JOIN build ON build.id = run.build_id \
             JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
             JOIN namespace ON namespace.id = namespace_id WHERE input.key = ? AND canary = 0 \
             AND (run.status <> 'ended' OR run.class = 'success') ORDER BY succeeded DESC, run.id DESC LIMIT 1",
        )
        .bind(key);
    asked
        .add(
            "SELECT (SELECT id FROM input WHERE key = ?), EXISTS (SELECT 1 FROM input WHERE key IS NULL \
             AND id = build.input_id AND NOT EXISTS (SELECT 1 FROM run WHERE input_id = input.id)) FROM build WHERE id = ?",
        )
        .bind(key)
        .bind(build);
    let mut answers = asked.fetch(db).await?;
    let run: Option<(RunKey, String, u32, bool)> = answers.optional()?;
    let (row, own) = answers.one()?;
    Ok(Known {
        run: run.map(|(id, namespace, iteration, succeeded)| {
            let run = KnownRun {
                id,
                namespace,
                iteration,
            };
            (run, succeeded)
        }),
        row,
        own,
    })
}

impl Known {
    /// Gives a build the input that was looked up, with its ingredients; builds of equal inputs share one.
    pub fn add_assignment(
        &self,
        to: &mut Statements,
        build: BuildKey,
        key: Option<&str>,
        ingredients: &str,
    ) {
        match (self.row, self.own) {
            (Some(row), _) => {
                to.add("UPDATE build SET input_id = ? WHERE id = ?")
                    .bind(row)
                    .bind(build);
            }
            // Mostly: the row that the build was planned with.
            (None, true) => {
                to.add("UPDATE input SET key = ?, ingredients = ? WHERE id = (SELECT input_id FROM build WHERE id = ?)")
                    .bind(key)
                    .bind(ingredients)
                    .bind(build);
            }
            (None, false) => {
                to.add("INSERT INTO input (key, ingredients) VALUES (?, ?)")
                    .bind(key)
                    .bind(ingredients);
                to.add("UPDATE build SET input_id = last_insert_rowid() WHERE id = ?")
                    .bind(build);
            }
        }
    }
}

/// What a run made is not what its input stands for: nobody takes it over.
pub fn add_forget_key(to: &mut Statements, run: RunKey) {
    to.add("UPDATE input SET key = NULL WHERE id = (SELECT input_id FROM run WHERE id = ?)")
        .bind(run);
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
