//! Which package bases build sets and iterations build, and what that says about an installation.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::builds::{self, BuildState};
use super::generations::{self, Changes};
use super::inputs::{self, BuildInput};
use super::keys::{BuildKey, BuildSetKey, IterationKey};
use super::{DbResult, Statements, Tx, to_json};

/// The package bases of a build set: they are known from its plan on.
pub async fn members(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<HashSet<String>> {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT pkgbase FROM build WHERE build_set_id = ?")
            .bind(set)
            .fetch_all(db)
            .await?;
    Ok(names.into_iter().collect())
}

/// A build that is ready, with what its installation depends on.
#[derive(Debug)]
pub struct Asked {
    /// The build.
    pub state: BuildState,
    /// What it is made from.
    pub input: BuildInput,
    /// What changed in its repository since a generation.
    pub changes: Changes,
    /// The members of its build set whose released packages the installation may use all the same: its
    /// own, those that it does without, to break a cycle, and those that a person left out.
    pub kept: HashSet<String>,
}

/// Reads a build of a build set with what its installation depends on, where its repository is known as
/// of a generation. The transaction begins with it, if it has not begun.
pub async fn to_install(
    tx: &mut Tx,
    build: BuildKey,
    set: BuildSetKey,
    since: u32,
) -> DbResult<Asked> {
    let mut asked = Statements::default();
    builds::ask_state(&mut asked, build);
    inputs::ask(&mut asked, build);
    generations::ask_changes(&mut asked, set, since);
    asked
        .add(
            "SELECT pkgbase FROM build WHERE id = ? UNION \
             SELECT pkgbase FROM need JOIN build ON build.id = needs_build_id WHERE build_id = ? AND dropped UNION \
             SELECT pkgbase FROM build AS waived WHERE build_set_id = ? AND status = 'waived' AND NOT EXISTS \
             (SELECT 1 FROM build AS pass WHERE pass.build_set_id = waived.build_set_id \
              AND pass.pkgbase = waived.pkgbase AND pass.status <> 'waived')",
        )
        .bind(build)
        .bind(build)
        .bind(set);
    let mut answers = tx.begin(asked).await?;
    let (state, input) = (answers.one()?, answers.one()?);
    let changes = generations::told_changes(&mut answers, since)?;
    let kept: Vec<(String,)> = answers.all()?;
    Ok(Asked {
        state,
        input,
        changes,
        kept: kept.into_iter().map(|(pkgbase,)| pkgbase).collect(),
    })
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
