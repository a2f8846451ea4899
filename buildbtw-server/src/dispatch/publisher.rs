//! Publishing what runs made. One task does it for all build sets; what finishes while it works is
//! published together with the next round, so that many builds share a generation.

use std::collections::BTreeMap;
use std::time::Duration;

use buildbtw_api::runs::Outcome;
use buildbtw_api::{BuildStatus, OutcomeClass};
use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;

use super::{breakage, steps, suspicion};
use crate::Server;
use crate::artifacts::{self, PublishError};
use crate::db::builds::BuildState;
use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::runs::RunState;
use crate::db::{DbError, builds, flaky, packages, ready, runs, suspicions};

/// How long to wait after a failure of the server's own before the next try.
const PAUSE: Duration = Duration::from_secs(2);

/// Why a round did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The repository.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Publishes until the server stops.
pub async fn watch(server: Server) {
    loop {
        let finished = server.dispatch.finished.notified();
        match publish_waiting(&server).await {
            Ok(false) => tokio::select! {
                () = finished => {}
                () = server.shutdown.cancelled() => return,
            },
            Ok(true) => {}
            Err(error) => {
                tracing::error!(%error, "publishing failed; it is tried again");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = server.shutdown.cancelled() => return,
                }
            }
        }
        if server.shutdown.is_cancelled() {
            return;
        }
    }
}

/// Publishes all that waits for it; whether there was anything.
///
/// # Errors
///
/// When the server itself fails; what waits is then still to be published.
pub async fn publish_waiting(server: &Server) -> Result<bool, RoundError> {
    let waiting = {
        let mut tx = server.db.read().await?;
        runs::publishing(&mut tx).await?
    };
    let mut by_set: BTreeMap<BuildSetKey, Vec<RunState>> = BTreeMap::new();
    for run in waiting {
        by_set.entry(run.set).or_default().push(run);
    }
    let found = !by_set.is_empty();
    for runs_of_set in by_set.into_values() {
        match publish_together(server, &runs_of_set).await {
            // One that cannot be published must not keep the others back.
            Err(RoundError::Publish(PublishError::Refused(_))) => {
                for run in &runs_of_set {
                    publish_or_fail(server, run).await?;
                }
            }
            other => other?,
        }
    }
    Ok(found)
}

/// Publishes one run's packages; if that is impossible, the run ends as the package's failure.
async fn publish_or_fail(server: &Server, run: &RunState) -> Result<(), RoundError> {
    let refusal = match publish_together(server, std::slice::from_ref(run)).await {
        Err(RoundError::Publish(PublishError::Refused(reason))) => reason,
        other => return other,
    };
    let mut tx = server.db.write().await?;
    let outcome = Outcome {
        class: OutcomeClass::Package,
        message: format!("its packages cannot be published: {refusal}"),
        exit_code: None,
        failed_step: None,
    };
    steps::end_run(&mut tx, run, &outcome, server.config.infrastructure_tries).await?;
    tx.commit().await.map_err(DbError::from)?;
    server.feed.wake();
    server.dispatch.wake();
    Ok(())
}

/// One generation for some runs of one build set, and all that follows from it, in one transaction.
async fn publish_together(server: &Server, finished: &[RunState]) -> Result<(), RoundError> {
    let mut tx = server.db.write().await?;
    let mut built: Vec<(&RunState, BuildState, Vec<PackageFile>)> = Vec::new();
    for run in finished {
        let id = run.id().map_err(RoundError::from)?;
        // A cancel may have come in between.
        let Some(current) = runs::state(&mut tx, id).await? else {
            continue;
        };
        if current.status()? != buildbtw_api::RunStatus::Publishing {
            continue;
        }
        let build = builds::state(&mut tx, run.build).await?;
        if build.status()? != BuildStatus::Building {
            continue;
        }
        let made = packages::kept_of_run(&mut tx, run.key).await?;
        built.push((run, build, made));
    }
    let made: Vec<(&BuildState, Vec<PackageFile>)> = built
        .iter_mut()
        .map(|(_, build, made)| (&*build, std::mem::take(made)))
        .collect();
    publish_packages(server, &mut tx, &made).await?;
    for (run, build, _) in &built {
        let outcome = Outcome {
            class: OutcomeClass::Success,
            message: "its packages are published".to_owned(),
            exit_code: Some(0),
            failed_step: None,
        };
        if let Some(took) = runs::end(&mut tx, run, build, &outcome).await? {
            ready::learn(&mut tx, &build.pkgbase, &build.architecture, took).await?;
        }
        flaky::note(&mut tx, run.key).await?;
        steps::publish_build(&mut tx, build, BuildStatus::Built, None).await?;
        suspicions::passed(&mut tx, build.key, run.key).await?;
    }
    tx.commit().await.map_err(DbError::from)?;
    server.feed.wake();
    server.dispatch.wake();
    suspicion::review(server).await?;
    Ok(())
}

/// Enters the packages of some builds into the repositories of their build sets: in one generation
/// of each, also where `any` packages count for other architectures.
pub(super) async fn publish_packages(
    server: &Server,
    db: &mut SqliteConnection,
    made: &[(&BuildState, Vec<PackageFile>)],
) -> Result<(), PublishError> {
    let mut additions: BTreeMap<BuildSetKey, Vec<(BuildKey, Vec<PackageFile>)>> = BTreeMap::new();
    for (build, made) in made {
        // Debug packages stay with the run: Arch keeps them in repositories of their own.
        let debug = format!("{}-debug", build.pkgbase);
        let made: Vec<_> = made
            .iter()
            .filter(|package| package.info.pkgname != debug)
            .cloned()
            .collect();
        for reference in builds::references(&mut *db, build.key).await? {
            additions
                .entry(reference.set)
                .or_default()
                .push((reference.key, made.clone()));
        }
        additions
            .entry(build.set)
            .or_default()
            .push((build.key, made));
    }
    for (set, packages) in &additions {
        breakage::note(server, &mut *db, *set, packages).await?;
        artifacts::publish(&mut *db, *set, packages).await?;
    }
    Ok(())
}
