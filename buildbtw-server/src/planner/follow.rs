//! Following the origins: a new commit on a changeset's reference makes a new iteration.

use std::collections::BTreeSet;
use std::time::Duration;

use buildbtw_api::IterationStatus;
use buildbtw_api::namespaces::{ChangesetMove, IterationReason};
use tokio::sync::broadcast::error::RecvError;

use super::{PlannerError, new_iteration, plan_iteration, resolve};
use crate::Server;
use crate::db::iterations::PinnedOrigin;
use crate::db::keys::NamespaceKey;
use crate::db::{DbError, iterations, namespaces};
use crate::sources::{ResolvedChangeset, SourceChange};

/// A burst of commits makes one iteration: this long after the first one is waited for more.
const BURST: Duration = Duration::from_millis(300);

/// How often it is looked whether the planning of some iteration was cut short, by a full disk for one.
const CUT_SHORT: Duration = Duration::from_secs(60);

/// Follows the origins of all namespaces until the server stops.
pub async fn follow_origins(server: Server) {
    let mut changes = server.sources.subscribe();
    let mut in_sync = server.sources.in_sync();
    // What moved while the server was down shows once the sources are read.
    let synced = in_sync.wait_for(|in_sync| *in_sync);
    tokio::select! {
        _ = synced => {}
        () = server.shutdown.cancelled() => return,
    }
    check_all(&server).await;
    let mut again = tokio::time::interval(CUT_SHORT);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let first = tokio::select! {
            change = changes.recv() => change,
            _ = again.tick() => {
                plan_what_was_cut_short(&server).await;
                continue;
            }
            () = server.shutdown.cancelled() => return,
        };
        let mut moved = BTreeSet::new();
        let mut lagged = false;
        let mut note = |change: Result<SourceChange, RecvError>| match change {
            Ok(change) => {
                moved.insert(change.pkgbase);
                true
            }
            Err(RecvError::Lagged(_)) => {
                lagged = true;
                true
            }
            Err(RecvError::Closed) => false,
        };
        if !note(first) {
            return;
        }
        let end = tokio::time::Instant::now() + BURST;
        while let Ok(change) = tokio::time::timeout_at(end, changes.recv()).await {
            if !note(change) {
                return;
            }
        }
        if lagged {
            check_all(&server).await;
            continue;
        }
        let mut affected = BTreeSet::new();
        for pkgbase in moved {
            match followed(&server, Some(pkgbase.as_ref())).await {
                Ok(keys) => affected.extend(keys),
                Err(error) => {
                    tracing::error!(%error, "cannot tell which namespaces follow {pkgbase}")
                }
            }
        }
        for namespace in affected {
            check(&server, namespace).await;
        }
    }
}

/// Plans the iterations whose planning the machinery cut short; what is being planned just now is waited for.
pub async fn plan_what_was_cut_short(server: &Server) {
    let waiting = async {
        let mut tx = server.db.glance().await?;
        iterations::being_planned(&mut tx).await
    };
    let waiting = match waiting.await {
        Ok(waiting) => waiting,
        Err(error) => {
            tracing::error!(%error, "cannot list the iterations that are to be planned");
            return;
        }
    };
    for iteration in waiting {
        if let Err(error) = plan_iteration(server, &iteration).await {
            tracing::warn!(%error, "an iteration cannot be planned; it is tried again");
        }
    }
}

async fn followed(server: &Server, pkgbase: Option<&str>) -> Result<Vec<NamespaceKey>, DbError> {
    let mut tx = server.db.read().await?;
    namespaces::followed(&mut tx, pkgbase).await
}

async fn check_all(server: &Server) {
    match followed(server, None).await {
        Ok(keys) => {
            for namespace in keys {
                check(server, namespace).await;
            }
        }
        Err(error) => {
            tracing::error!(%error, "cannot list the namespaces whose origins are followed")
        }
    }
}

/// A namespace's name, for the log.
async fn name_of(server: &Server, namespace: NamespaceKey) -> Option<String> {
    let mut tx = server.db.read().await.ok()?;
    let namespace = namespaces::by_key(&mut tx, namespace).await.ok()?;
    Some(namespace.name.to_string())
}

async fn check(server: &Server, namespace: NamespaceKey) {
    let result = check_origins(server, namespace, |moves| IterationReason::NewCommit {
        moves,
    })
    .await;
    if let Err(error) = result {
        let name = name_of(server, namespace).await;
        // The current iteration goes on; the next change of the sources is another chance.
        tracing::warn!(namespace = name, %error, "the origins of a namespace cannot be followed");
    }
}

/// Makes a new iteration if an origin's tree is not the newest iteration's any more. Whether there
/// is one comes back.
///
/// # Errors
///
/// When a changeset cannot be resolved; the namespace stays as it is.
pub async fn check_origins(
    server: &Server,
    namespace: NamespaceKey,
    reason: impl FnOnce(Vec<ChangesetMove>) -> IterationReason,
) -> Result<bool, PlannerError> {
    let _turn = server.following.lock().await;
    let result = look(server, namespace, reason).await;
    let problem = match &result {
        Ok(_) => None,
        // A fault of ours says nothing about the changesets.
        Err(PlannerError::Db(_) | PlannerError::Broken(_)) => return result,
        Err(error) => Some(error.to_string()),
    };
    let mut tx = server.db.write().await?;
    namespaces::set_origins_problem(&mut tx, namespace, problem.as_deref()).await?;
    tx.commit().await?;
    server.feed.wake();
    result
}

async fn look(
    server: &Server,
    namespace: NamespaceKey,
    reason: impl FnOnce(Vec<ChangesetMove>) -> IterationReason,
) -> Result<bool, PlannerError> {
    let (changesets, newest, pinned) = {
        let mut tx = server.db.read().await?;
        let Some(newest) = iterations::newest(&mut tx, namespace).await? else {
            return Ok(false);
        };
        let pinned = iterations::origins(&mut tx, newest.key).await?;
        (
            namespaces::changesets(&mut tx, namespace).await?,
            newest,
            pinned,
        )
    };
    if newest.status()? == IterationStatus::Planning {
        // It was pinned a moment ago; a later change comes with an event of its own.
        plan_iteration(server, &newest).await?;
    }
    let resolved = resolve(server, &changesets).await?;
    let moves = moves(&pinned, &resolved);
    if moves.is_empty() {
        return Ok(false);
    }
    let iteration = {
        let mut tx = server.db.write().await?;
        let iteration = new_iteration(&mut tx, namespace, &reason(moves), &resolved).await?;
        namespaces::settle(&mut tx, namespace).await?;
        tx.commit().await?;
        iteration
    };
    server.feed.wake();
    plan_iteration(server, &iteration).await?;
    Ok(true)
}

/// The changesets whose trees differ. Another commit with the same tree builds the same.
pub(super) fn moves(pinned: &[PinnedOrigin], resolved: &[ResolvedChangeset]) -> Vec<ChangesetMove> {
    resolved
        .iter()
        .filter_map(|now| {
            let before = pinned
                .iter()
                .find(|origin| origin.changeset == now.changeset)?;
            (!now.commit.builds_as(&before.commit, &before.tree)).then(|| ChangesetMove {
                changeset: now.changeset.clone(),
                from: before.commit.clone(),
                to: now.commit.commit.clone(),
            })
        })
        .collect()
}
