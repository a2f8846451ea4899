//! From changesets to iterations: resolve, pin, plan, store.
//!
//! The calculation itself is `buildbtw_graph::plan`; this room gathers what it needs and keeps
//! what comes out. An iteration is first stored as being planned, so that a crash in the middle is
//! found and the planning done again.

mod calculate;
pub mod change;
mod error;
pub mod follow;
mod pins;
mod remembered;
mod store;

use std::collections::HashSet;

use buildbtw_api::IterationStatus;
use buildbtw_api::namespaces::IterationReason;

use crate::Server;
use crate::db::iterations::{PinnedOrigin, StoredIteration};
use crate::db::keys::NamespaceKey;
use crate::db::superseded::still_running;
use crate::db::{DbError, iterations, namespaces, plans, waivers};
use crate::dispatch::{steps, superseded};
use crate::sources::ResolvedChangeset;

pub use calculate::{
    Calculation, base_repositories, calculate, check_bases, preview, resolve, why,
};
pub use error::PlannerError;
pub use follow::{follow_origins, plan_what_was_cut_short};
pub use pins::Pins;
pub use remembered::Remembered;
pub use store::store;

/// The origins of an iteration, for its rows.
pub fn pins(resolved: &[ResolvedChangeset]) -> Vec<PinnedOrigin> {
    resolved
        .iter()
        .map(|changeset| PinnedOrigin {
            changeset: changeset.changeset.clone(),
            commit: changeset.commit.commit.clone(),
            tree: changeset.commit.tree.clone(),
        })
        .collect()
}

/// Makes an iteration for resolved changesets, in the caller's transaction; it is to be planned
/// with [`plan_iteration`] once that is committed.
pub async fn new_iteration(
    db: &mut sqlx::SqliteConnection,
    namespace: NamespaceKey,
    reason: &IterationReason,
    resolved: &[ResolvedChangeset],
) -> Result<StoredIteration, DbError> {
    let (key, _) = iterations::insert(&mut *db, namespace, reason, &pins(resolved)).await?;
    iterations::by_key(db, key).await
}

/// Plans an iteration that was just stored. Where GitLab went away meanwhile it stays to be planned, which is tried
/// again every minute.
pub async fn plan_now_or_later(
    server: &Server,
    iteration: &StoredIteration,
) -> Result<(), PlannerError> {
    match plan_iteration(server, iteration).await {
        Err(error) if error.is_away() => {
            tracing::warn!(%error, "an iteration cannot be planned now; it is tried again");
            Ok(())
        }
        done => done,
    }
}

/// Plans an iteration that is stored as being planned, and puts it in the place of the current
/// one; what refuses the plan is stored with the iteration. Only failures of the machinery, and of a
/// GitLab that is away, come back as errors: the iteration is then still to be planned.
pub async fn plan_iteration(
    server: &Server,
    iteration: &StoredIteration,
) -> Result<(), PlannerError> {
    // One at a time: two iterations of one namespace must not race for its place.
    let _turn = server.planning.lock().await;
    let (namespace, origins) = {
        let mut tx = server.db.read().await?;
        if iterations::by_key(&mut tx, iteration.key).await?.status()? != IterationStatus::Planning
        {
            return Ok(());
        }
        (
            namespaces::by_key(&mut tx, iteration.namespace).await?,
            iterations::origins(&mut tx, iteration.key).await?,
        )
    };
    {
        let mut tx = server.db.write().await?;
        plans::discard(&mut tx, iteration.key).await?;
        tx.commit().await?;
    }
    let calculation = async {
        let mut resolved = Vec::with_capacity(origins.len());
        for origin in &origins {
            resolved.push(
                server
                    .sources
                    .resolve_pinned(&origin.changeset, &origin.commit)
                    .await?,
            );
        }
        let pins = match iteration.reason()?.keeps_pins() {
            true => Pins::before(server, iteration.namespace, iteration.number).await?,
            false => Pins::default(),
        };
        calculate(server, &resolved, &namespace.options, &pins).await
    }
    .await;
    match calculation {
        Ok(calculation) => store(server, iteration, calculation).await,
        Err(error @ PlannerError::Db(_)) => Err(error),
        Err(error) if error.is_away() => Err(error),
        Err(refusal) => {
            tracing::warn!(namespace = %namespace.name, iteration = iteration.number, %refusal, "an iteration was refused");
            let mut tx = server.db.write().await?;
            let text = refusal.to_string();
            iterations::set_status(&mut tx, iteration, IterationStatus::Refused, Some(&text))
                .await?;
            namespaces::settle(&mut tx, iteration.namespace).await?;
            tx.commit().await?;
            server.feed.wake();
            Ok(())
        }
    }
}

/// Leaves out what people left out of an earlier iteration, where the source is still the same.
async fn carry_waivers_over(
    db: &mut sqlx::SqliteConnection,
    iteration: &StoredIteration,
) -> Result<(), DbError> {
    let holding = waivers::holding(&mut *db, iteration.namespace, iteration.key).await?;
    if holding.is_empty() {
        return Ok(());
    }
    let reason = |pkgbase: &str| {
        let waiver = holding.iter().find(|waiver| waiver.pkgbase == pkgbase)?;
        Some(format!(
            "waived since iteration {}: {}",
            waiver.iteration, waiver.reason
        ))
    };
    steps::waive_builds(db, iteration.key, reason).await?;
    Ok(())
}

/// Puts an iteration that is fully stored in the place of the current one, in one transaction; one
/// that a newer iteration overtook is superseded at once.
async fn make_current(server: &Server, iteration: &StoredIteration) -> Result<(), DbError> {
    let mut tx = server.db.write().await?;
    let mut stopped = Vec::new();
    let reason = format!("iteration {} took its place", iteration.number);
    let all = iterations::of_namespace(&mut tx, iteration.namespace).await?;
    for newer in all.iter().filter(|other| other.number > iteration.number) {
        if newer.status()? == IterationStatus::Current {
            let reason = format!("iteration {} came first", newer.number);
            steps::cancel_iteration(&mut tx, iteration.key, &HashSet::new(), &reason).await?;
            iterations::set_status(&mut tx, iteration, IterationStatus::Superseded, None).await?;
            tx.commit().await?;
            server.feed.wake();
            return Ok(());
        }
    }
    // Older ones may still have runs that were kept for the iteration that is superseded now.
    let mut giving_way = still_running(&mut tx, iteration.namespace).await?;
    for older in all {
        if older.number < iteration.number && older.status()? != IterationStatus::Superseded {
            iterations::set_status(&mut tx, &older, IterationStatus::Superseded, None).await?;
            giving_way.push(older.key);
        }
    }
    for older in giving_way {
        let ended = superseded::give_way(server, &mut tx, older, iteration, &reason).await?;
        stopped.extend(ended);
    }
    iterations::set_status(&mut tx, iteration, IterationStatus::Current, None).await?;
    carry_waivers_over(&mut tx, iteration).await?;
    namespaces::settle(&mut tx, iteration.namespace).await?;
    tx.commit().await?;
    for run in stopped {
        server.dispatch.stop(run, &reason).await;
        server.close_log(run, &reason).await;
    }
    server.feed.wake();
    server.dispatch.wake();
    server.dispatch.watch_kept();
    Ok(())
}
