//! Packages of an equal input are taken over instead of being built again.
//!
//! What shapes a build's packages is written down as its ingredients; their digest is the key of
//! its input. So an iteration builds only what changed, and a package that came out as before ends
//! the chain: whoever depends on it has an input that is known.

use buildbtw_api::BuildStatus;
use buildbtw_api::workers::WorkerOffer;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::expected::Installation;
use super::ingredients::Ingredients;
use super::publisher;
use super::steps;
use crate::Server;
use crate::artifacts::PublishError;
use crate::db::builds::BuildState;
use crate::db::inputs::{self, BuildInput, Known, KnownRun};
use crate::db::keys::{BuildKey, RunKey};
use crate::db::publishing::ToPublish;
use crate::db::{DbError, DbResult, Statements, Tx, builds, json, packages, suspicions, to_json};

/// What is to be done for a build that is ready.
pub enum Reuse {
    /// It is built, as this input.
    Build(AssignedInput),
    /// Another build of an equal input is on its way: wait for what comes of it.
    Wait(KnownRun),
    /// The packages of an earlier run serve.
    TakeOver(KnownRun),
}

/// The input that a build turned out to have.
pub struct AssignedInput {
    known: Known,
    key: Option<String>,
    ingredients: String,
}

impl AssignedInput {
    /// Gives it to the build.
    pub fn add(&self, to: &mut Statements, build: BuildKey) {
        let key = self.key.as_deref();
        self.known.add_assignment(to, build, key, &self.ingredients);
    }
}

/// An input of a build's own, which nobody takes over.
pub async fn an_own_input(db: &mut SqliteConnection, build: BuildKey) -> DbResult<AssignedInput> {
    Ok(AssignedInput {
        known: inputs::look_up(db, build, None).await?,
        key: None,
        ingredients: "{}".to_owned(),
    })
}

/// Decides whether a build that is ready has to be built.
pub async fn decide(
    server: &Server,
    db: &mut SqliteConnection,
    state: &BuildState,
    input: &BuildInput,
    offer: &WorkerOffer,
    installation: &Installation,
) -> DbResult<Reuse> {
    let ingredients = to_json(&Ingredients {
        pkgbase: input.pkgbase.clone(),
        tree: input.tree_id.clone(),
        version: input.version.clone(),
        pkgrel: input.pkgrel.clone(),
        architecture: input.architecture.clone(),
        pass: input.pass,
        check: !input.nocheck,
        builder: offer.builder.clone(),
        configuration: offer.configuration.clone(),
        root_mode: server.config.root_mode,
        install: input.install()?,
        assumed: installation.assumed.clone(),
        own: installation.own.clone(),
        bases: installation
            .repositories
            .iter()
            .filter_map(|repository| repository.server.strip_prefix("/bases/"))
            .map(str::to_owned)
            .collect(),
    });
    let key = input
        .reuse()?
        .then(|| hex::encode(Sha256::digest(&ingredients)));
    let mut known = inputs::look_up(db, state.key, key.as_deref()).await?;
    Ok(match known.run.take() {
        Some((run, true)) => Reuse::TakeOver(run),
        Some((run, false)) => Reuse::Wait(run),
        None => Reuse::Build(AssignedInput {
            known,
            key,
            ingredients,
        }),
    })
}

/// A run is carried out by somebody who offers this: the key of its input says so from now on. Where
/// another input has that key already, it serves nobody.
pub async fn is_built_by(
    db: &mut SqliteConnection,
    run: RunKey,
    offer: &WorkerOffer,
) -> DbResult<()> {
    let Some(input) = inputs::of_run(&mut *db, run).await? else {
        return Ok(());
    };
    let mut ingredients: Ingredients = json("input's ingredients", &input.ingredients)?;
    if ingredients.builder == offer.builder && ingredients.configuration == offer.configuration {
        return Ok(());
    }
    ingredients.builder.clone_from(&offer.builder);
    ingredients.configuration.clone_from(&offer.configuration);
    let ingredients = to_json(&ingredients);
    let key = hex::encode(Sha256::digest(&ingredients));
    let key = input.key.as_ref().map(|_| key.as_str());
    inputs::change(db, run, key, &ingredients).await
}

/// Publishes the packages of an earlier run as those of a build; false where they cannot stand in
/// its repository.
pub async fn take_over(
    server: &Server,
    tx: &mut Tx,
    build: &BuildState,
    run: &KnownRun,
) -> DbResult<bool> {
    let made = ToPublish {
        build: build.clone(),
        references: builds::references(&mut *tx, build.key).await?,
        packages: packages::kept_of_run(&mut *tx, run.id).await?,
    };
    let mut writes = Statements::default();
    let published = publisher::publish_packages(server, tx, &mut writes, &[&made]).await;
    match published {
        Ok(()) => {}
        Err(PublishError::Db(error)) => return Err(error),
        Err(PublishError::Refused(reason)) => {
            tracing::warn!(
                pkgbase = build.pkgbase,
                reason,
                "packages cannot be taken over"
            );
            return Ok(false);
        }
        Err(PublishError::Broken(reason)) => {
            return Err(DbError::Unreadable {
                what: "repository",
                reason,
            });
        }
    }
    let reason = format!(
        "its input is that of iteration {} of {}, whose packages serve",
        run.iteration, run.namespace
    );
    steps::add_published(&mut writes, &made, BuildStatus::Reused, Some(&reason));
    suspicions::add_passed(&mut writes, build.key, run.id);
    writes.carry_out(tx).await?;
    Ok(true)
}
