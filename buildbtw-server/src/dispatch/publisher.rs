//! Publishing what runs made. One task does it for all build sets; what finishes while it works is
//! published together with the next round, so that many builds share a generation.

use std::collections::BTreeMap;
use std::time::Duration;

use buildbtw_api::runs::Outcome;
use buildbtw_api::{BuildStatus, OutcomeClass};
use buildbtw_repo::PackageFile;
use tracing::Instrument as _;

use super::{breakage, steps, suspicion};
use crate::Server;
use crate::artifacts::{Entering, PublishError};
use crate::db::builds::BuildState;
use crate::db::keys::{BuildKey, BuildSetKey, RunKey};
use crate::db::publishing::{self, ToPublish, Waiting, Which};
use crate::db::{DbError, Statements, Tx, flaky, ready, runs, suspicions};
use crate::scheduler::Speed;

/// How long to wait after a failure of the server's own before the next try.
pub const PAUSE: Duration = Duration::from_secs(2);

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
            // Whatever finished meanwhile has said so.
            Ok(_) => tokio::select! {
                () = finished => {}
                () = server.shutdown.cancelled() => return,
            },
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

/// Publishes all that waits for it, one build set after the other; whether there was anything.
///
/// # Errors
///
/// When the server itself fails; what waits is then still to be published.
pub async fn publish_waiting(server: &Server) -> Result<bool, RoundError> {
    let mut behind = None;
    loop {
        let (tx, waiting) = publishing::look(&server.db, Which::Next(behind)).await?;
        let Some(waiting) = waiting else {
            return Ok(behind.is_some());
        };
        behind = Some(waiting.set);
        let more = waiting.more;
        let runs: Vec<RunKey> = waiting.runs.iter().map(|(run, _)| run.key).collect();
        match publish_together(server, tx, waiting).await {
            // One that cannot be published must not keep the others back.
            Err(RoundError::Publish(PublishError::Refused(_))) => {
                for run in runs {
                    publish_or_fail(server, run).await?;
                }
            }
            other => other?,
        }
        if !more {
            return Ok(true);
        }
    }
}

/// Publishes one run's packages; if that is impossible, the run ends as the package's failure.
async fn publish_or_fail(server: &Server, run: RunKey) -> Result<(), RoundError> {
    let (tx, waiting) = publishing::look(&server.db, Which::Run(run)).await?;
    let Some(waiting) = waiting else {
        return Ok(());
    };
    let Some(run) = waiting.runs.first().map(|(run, _)| run.clone()) else {
        return Ok(());
    };
    let refusal = match publish_together(server, tx, waiting).await {
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
    steps::end_run(&mut tx, &run, &outcome, server.config.infrastructure_tries).await?;
    tx.commit().await?;
    server.feed.wake();
    server.dispatch.wake();
    Ok(())
}

/// One generation for some runs of one build set, and all that follows from it, in one transaction on the connection
/// on which they were read.
async fn publish_together(server: &Server, mut tx: Tx, waiting: Waiting) -> Result<(), RoundError> {
    let Waiting {
        runs: built,
        mut paces,
        ..
    } = waiting;
    if built.is_empty() {
        return Ok(());
    }
    let made: Vec<&ToPublish> = built.iter().map(|(_, made)| made).collect();
    let mut writes = Statements::default();
    publish_packages(server, &mut tx, &mut writes, &made)
        .instrument(tracing::debug_span!("repository"))
        .await?;
    let mut speeds = Vec::new();
    for (place, (run, made)) in built.iter().enumerate() {
        if place > 0 {
            // One text of statements a run: the connection keeps each.
            std::mem::take(&mut writes).carry_out(&mut tx).await?;
        }
        let outcome = Outcome {
            class: OutcomeClass::Success,
            message: "its packages are published".to_owned(),
            exit_code: Some(0),
            failed_step: None,
        };
        let build = &made.build;
        let shown = paces.add(&mut writes, run.key);
        let speed = shown.map_or(Speed::default(), |(_, speed)| speed);
        if let Some(shown) = shown {
            speeds.push((run.worker()?, shown));
        }
        runs::add_end(&mut writes, run, build, &outcome)?;
        ready::add_duration(
            &mut writes,
            run.key,
            &build.pkgbase,
            &build.architecture,
            speed,
        );
        flaky::add(&mut writes, run.key);
        steps::add_published(&mut writes, made, BuildStatus::Built, None);
        suspicions::add_passed(&mut writes, build.key, run.key);
    }
    let passed: Vec<BuildKey> = built.iter().map(|(run, _)| run.build).collect();
    let suspects = publishing::commit(tx, writes, &passed).await?;
    for (id, (worker, speed)) in speeds {
        server.dispatch.roster.learned(worker, speed);
        if let Some(id) = id {
            server.dispatch.quiet.forget(id);
        }
    }
    server.feed.wake();
    server.dispatch.wake();
    suspicion::review_workers(server, suspects).await?;
    Ok(())
}

/// Enters the packages of some builds into the repositories of their build sets: in one generation
/// of each, also where `any` packages count for other architectures. What follows from that is added to what is to be
/// written, the generations with it.
pub(super) async fn publish_packages(
    server: &Server,
    tx: &mut Tx,
    writes: &mut Statements,
    made: &[&ToPublish],
) -> Result<(), PublishError> {
    let mut additions: BTreeMap<BuildSetKey, Vec<(BuildState, Vec<PackageFile>)>> = BTreeMap::new();
    for made in made {
        // Debug packages stay with the run: Arch keeps them in repositories of their own.
        let debug = format!("{}-debug", made.build.pkgbase);
        let packages = made.packages.iter();
        let packages: Vec<_> = packages
            .filter(|package| package.info.pkgname != debug)
            .cloned()
            .collect();
        for build in made.references.iter().chain([&made.build]) {
            let of_set = additions.entry(build.set).or_default();
            of_set.push((build.clone(), packages.clone()));
        }
    }
    for (set, packages) in &additions {
        let made = packages
            .iter()
            .flat_map(|(build, made)| made.iter().map(|package| (build.key, package)));
        let entering = Entering::of(*set, made)?;
        let since = server.dispatch.stacks.generation(*set);
        let (entrance, changes) = entering.look_up(tx, since).await?;
        breakage::note(server, tx, writes, packages, changes).await?;
        entering.enter(tx, writes, entrance).await?;
    }
    Ok(())
}
