//! What follows from a run's ending or a build's change of status: for the build, for what waits
//! for it, for the namespace. All within the caller's transaction.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use buildbtw_api::runs::Outcome;
use buildbtw_api::{BuildStatus, OutcomeClass, RunId};
use sqlx::SqliteConnection;

use crate::db::builds::{self, BuildState};
use crate::db::keys::{BuildKey, IterationKey};
use crate::db::publishing::ToPublish;
use crate::db::runs::{self, RunState};
use crate::db::{DbResult, Statements, namespaces, suspicions};
use crate::scheduler::{Verdict, verdict};

/// How long a build waits that a worker gave back.
const GIVEN_BACK: Duration = Duration::from_secs(1);

/// Ends a run without packages and decides what becomes of its build: the machinery's failures are
/// tried again within a budget, everything else is a failure of the build.
pub async fn end_run(
    db: &mut SqliteConnection,
    run: &RunState,
    outcome: &Outcome,
    infrastructure_tries: u32,
) -> DbResult<()> {
    let build = builds::state(&mut *db, run.build).await?;
    runs::end(&mut *db, run, &build, outcome).await?;
    if run.canary {
        return suspicions::canary_failed(db, run.key).await;
    }
    if build.status()?.is_final() {
        return Ok(());
    }
    let failures = runs::infrastructure_failures(&mut *db, run.build).await?;
    let message = Some(outcome.message.as_str());
    match verdict(outcome.class, failures, infrastructure_tries) {
        // The newer iteration has a build of its own that can be tried again.
        Verdict::TryAgain(_) if build.is_superseded()? => {
            let reason = format!("{}; a newer iteration took its place", outcome.message);
            builds::set_status(db, &build, BuildStatus::Cancelled, Some(&reason)).await
        }
        Verdict::TryAgain(wait) => {
            builds::set_status(&mut *db, &build, BuildStatus::Pending, message).await?;
            let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
            builds::delay(&mut *db, run.build, crate::db::now().saturating_add(micros)).await
        }
        // Whoever cancels a run decides about its build; a worker cannot.
        Verdict::CallOff => builds::set_status(db, &build, BuildStatus::Cancelled, message).await,
        // A success has packages, and comes to its end where they are published.
        Verdict::Fail | Verdict::Publish => {
            suspicions::failed(&mut *db, run.build, run.key).await?;
            fail(db, &build, &outcome.message).await
        }
    }
}

/// Takes a run from a worker that gives it back: its build waits a moment, so that a worker that does
/// nothing else does not do that as fast as it can.
pub async fn give_back(db: &mut SqliteConnection, run: &RunState, reason: &str) -> DbResult<()> {
    take_back(&mut *db, run, reason).await?;
    let micros = i64::try_from(GIVEN_BACK.as_micros()).unwrap_or(i64::MAX);
    builds::delay(db, run.build, crate::db::now().saturating_add(micros)).await
}

/// Takes a run away from its worker without blaming anybody: its build waits to be handed out again.
pub async fn take_back(db: &mut SqliteConnection, run: &RunState, reason: &str) -> DbResult<()> {
    let build = builds::state(&mut *db, run.build).await?;
    let outcome = Outcome {
        class: OutcomeClass::Cancelled,
        message: reason.to_owned(),
        exit_code: None,
        failed_step: None,
    };
    runs::end(&mut *db, run, &build, &outcome).await?;
    if build.status()?.is_final() {
        return Ok(());
    }
    // What a newer iteration took the place of waits for nothing any more.
    let status = match build.is_superseded()? {
        true => BuildStatus::Cancelled,
        false => BuildStatus::Pending,
    };
    builds::set_status(db, &build, status, Some(reason)).await
}

/// A build failed; what waits for it cannot go on.
pub async fn fail(db: &mut SqliteConnection, build: &BuildState, reason: &str) -> DbResult<()> {
    builds::set_status(&mut *db, build, BuildStatus::Failed, Some(reason)).await?;
    block_dependents(db, build).await
}

/// What waits, directly or not, for a build that failed.
async fn block_dependents(db: &mut SqliteConnection, build: &BuildState) -> DbResult<()> {
    let waiting = [BuildStatus::Blocked, BuildStatus::Pending];
    let reason = format!("{} failed", build.pkgbase);
    for dependent in builds::transitive_dependents(&mut *db, &[build.key], &waiting).await? {
        builds::set_status(
            &mut *db,
            &dependent,
            BuildStatus::DependencyFailed,
            Some(&reason),
        )
        .await?;
    }
    Ok(())
}

/// The packages of a build are published: it is built (or reused), what stands for it on other
/// architectures is reused, and what waited for nothing else is ready.
pub(super) fn add_published(
    to: &mut Statements,
    made: &ToPublish,
    status: BuildStatus,
    reason: Option<&str>,
) {
    let build = &made.build;
    builds::add_status(to, build, status, reason);
    builds::add_release(to, build.key);
    for reference in &made.references {
        let reason = format!("built for {}", build.architecture);
        builds::add_status(to, reference, BuildStatus::Reused, Some(&reason));
        builds::add_release(to, reference.key);
    }
    namespaces::add_settled(to, build.namespace);
}

/// Calls off all unfinished builds of an iteration but some, and the open runs of those; hands back
/// the runs.
pub async fn cancel_iteration(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    except: &HashSet<BuildKey>,
    reason: &str,
) -> DbResult<Vec<RunId>> {
    let unfinished: Vec<BuildStatus> = BuildStatus::ALL
        .iter()
        .copied()
        .filter(|status| !status.is_final())
        .collect();
    let mut stopped = Vec::new();
    for build in builds::in_statuses(&mut *db, iteration, &unfinished).await? {
        if !except.contains(&build.key) {
            stopped.extend(cancel_build(&mut *db, &build, reason).await?);
        }
    }
    Ok(stopped)
}

/// Calls off a build, and its open runs; hands back those.
pub async fn cancel_build(
    db: &mut SqliteConnection,
    build: &BuildState,
    reason: &str,
) -> DbResult<Vec<RunId>> {
    let mut stopped = Vec::new();
    for run in runs::open_of_build(&mut *db, build.key).await? {
        let outcome = Outcome {
            class: OutcomeClass::Cancelled,
            message: reason.to_owned(),
            exit_code: None,
            failed_step: None,
        };
        runs::end(&mut *db, &run, build, &outcome).await?;
        stopped.push(run.id()?);
    }
    builds::set_status(db, build, BuildStatus::Cancelled, Some(reason)).await?;
    Ok(stopped)
}

/// Puts a build back to where it waits: for others, or to be handed out.
async fn back_to_work(db: &mut SqliteConnection, build: &BuildState, reason: &str) -> DbResult<()> {
    let status = if build.waits_for == 0 {
        BuildStatus::Pending
    } else {
        BuildStatus::Blocked
    };
    builds::set_status(db, build, status, Some(reason)).await
}

/// Puts the cancelled builds of an iteration back to work.
pub async fn resume_iteration(db: &mut SqliteConnection, iteration: IterationKey) -> DbResult<()> {
    for build in builds::in_statuses(&mut *db, iteration, &[BuildStatus::Cancelled]).await? {
        back_to_work(&mut *db, &build, "the namespace was resumed").await?;
    }
    Ok(())
}

/// Leaves builds of an iteration out, as if their released packages were new; hands back how many,
/// and how many go on that could not before. Builds that are handed out or over stay as they are.
/// `reason` says for a package base why it is left out, or that it is not.
pub async fn waive_builds(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    reason: impl Fn(&str) -> Option<String>,
) -> DbResult<(u32, u32)> {
    let waivable: Vec<BuildStatus> = BuildStatus::ALL
        .iter()
        .copied()
        .filter(|status| {
            *status != BuildStatus::Cancelled && status.may_become(BuildStatus::Waived)
        })
        .collect();
    let mut waived = 0;
    for build in builds::in_statuses(&mut *db, iteration, &waivable).await? {
        let Some(reason) = reason(&build.pkgbase) else {
            continue;
        };
        builds::set_status(&mut *db, &build, BuildStatus::Waived, Some(&reason)).await?;
        builds::hand_on_needs(&mut *db, build.key).await?;
        builds::release_dependents(&mut *db, build.key).await?;
        waived += 1;
    }
    // What waited for nothing but these goes on; nothing is tried again that failed by itself.
    let (_, dependents) = retry_iteration(db, iteration, |_| false, false, "").await?;
    Ok((waived, dependents))
}

/// Takes back that builds of an iteration are left out: they are built, and what has not begun waits
/// for them again. Hands back how many, and the package bases that stay left out because something
/// went on with their released packages already.
pub async fn take_waivers_back(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    chosen: impl Fn(&str) -> bool,
    reason: &str,
) -> DbResult<(u32, BTreeSet<String>)> {
    let waived = builds::in_statuses(&mut *db, iteration, &[BuildStatus::Waived]).await?;
    let chosen = waived.iter().filter(|build| chosen(&build.pkgbase));
    let mut stay = BTreeSet::new();
    for build in chosen.clone() {
        if builds::went_on(&mut *db, build.key).await? {
            stay.insert(build.pkgbase.clone());
        }
    }
    let mut again = 0;
    for build in chosen.filter(|build| !stay.contains(&build.pkgbase)) {
        // Another one of them may have come to wait for this one, or this one for it.
        let build = builds::state(&mut *db, build.key).await?;
        builds::hold_dependents(
            &mut *db,
            build.key,
            &format!("{} is built after all", build.pkgbase),
        )
        .await?;
        back_to_work(&mut *db, &build, reason).await?;
        again += 1;
    }
    // What failed meanwhile keeps them from going on.
    let failed = [BuildStatus::Failed, BuildStatus::Unbuildable];
    for build in builds::in_statuses(&mut *db, iteration, &failed).await? {
        block_dependents(&mut *db, &build).await?;
    }
    Ok((again, stay))
}

/// Puts failed builds of an iteration back to work, and what waited for them; hands back how many
/// of each. Impossible builds are meant only with `force`.
pub async fn retry_iteration(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    chosen: impl Fn(&BuildState) -> bool,
    force: bool,
    reason: &str,
) -> DbResult<(u32, u32)> {
    let (mut again, mut still_failed) = (0, Vec::new());
    for build in builds::in_statuses(
        &mut *db,
        iteration,
        &[BuildStatus::Failed, BuildStatus::Unbuildable],
    )
    .await?
    {
        let failed = build.status()? == BuildStatus::Failed;
        if !chosen(&build) || !(failed || force) {
            still_failed.push(build.key);
            continue;
        }
        back_to_work(&mut *db, &build, reason).await?;
        again += 1;
    }
    let hopeless: HashSet<BuildKey> =
        builds::transitive_dependents(&mut *db, &still_failed, &[BuildStatus::DependencyFailed])
            .await?
            .into_iter()
            .map(|build| build.key)
            .collect();
    let mut dependents = 0;
    for build in builds::in_statuses(&mut *db, iteration, &[BuildStatus::DependencyFailed]).await? {
        if hopeless.contains(&build.key) {
            continue;
        }
        back_to_work(&mut *db, &build, "what it waits for is tried again").await?;
        dependents += 1;
    }
    Ok((again, dependents))
}
