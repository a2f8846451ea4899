//! Changing a running namespace: other origin changesets, newer commits and base repositories, or all
//! of it once more. Each makes a new iteration, which takes over what stays as it is.

use buildbtw_api::changing::NewerCommit;
use buildbtw_api::namespaces::IterationReason;
use buildbtw_api::{Changeset, IterationStatus, NamespaceStatus};

use super::calculate::base_repositories;
use super::follow::moves;
use super::{
    Pins, PlannerError, calculate, new_iteration, plan_iteration, plan_now_or_later, resolve,
};
use crate::Server;
use crate::bases::SnapshotRepository;
use crate::db::namespaces::StoredNamespace;
use crate::db::{iterations, namespaces};

/// Refuses a namespace on which nobody works any more.
pub fn check_worked_on(namespace: &StoredNamespace) -> Result<(), PlannerError> {
    match namespace.status {
        NamespaceStatus::Cancelled | NamespaceStatus::Archived => Err(PlannerError::NotWorkedOn {
            name: namespace.name.clone(),
            status: namespace.status,
        }),
        _ => Ok(()),
    }
}

/// Makes a new iteration of a namespace with these origin changesets. The caller holds the turn of
/// those who look for moved origins, so that nobody else makes one meanwhile.
///
/// # Errors
///
/// When it cannot be planned; the namespace then stays as it is.
pub async fn change(
    server: &Server,
    namespace: &StoredNamespace,
    changesets: &[Changeset],
    reason: IterationReason,
) -> Result<(), PlannerError> {
    finish_planning(server, namespace).await?;
    let resolved = resolve(server, changesets).await?;
    let pins = match reason.keeps_pins() {
        true => Pins::before(server, namespace.key, u32::MAX).await?,
        false => Pins::default(),
    };
    // A plan that is refused changes nothing.
    calculate(server, &resolved, &namespace.options, &pins).await?;
    let iteration = {
        let _turn = server.namespaces.lock().await;
        let mut tx = server.db.write().await?;
        // Somebody may have called it off meanwhile.
        check_worked_on(&namespaces::by_key(&mut tx, namespace.key).await?)?;
        namespaces::set_changesets(&mut tx, namespace.key, changesets).await?;
        namespaces::set_origins_problem(&mut tx, namespace.key, None).await?;
        let iteration = new_iteration(&mut tx, namespace.key, &reason, &resolved).await?;
        namespaces::settle(&mut tx, namespace.key).await?;
        tx.commit().await?;
        iteration
    };
    server.feed.wake();
    plan_now_or_later(server, &iteration).await
}

/// What is pinned to is that of the newest iteration, so that has to be there.
async fn finish_planning(server: &Server, namespace: &StoredNamespace) -> Result<(), PlannerError> {
    let newest = {
        let mut tx = server.db.read().await?;
        iterations::newest(&mut tx, namespace.key).await?
    };
    match newest {
        Some(newest) if newest.status()? == IterationStatus::Planning => {
            plan_iteration(server, &newest).await
        }
        _ => Ok(()),
    }
}

/// The dependents of which there are newer commits than the newest iteration builds. Another commit
/// with the same tree builds the same.
pub fn newer_commits(server: &Server, pins: &Pins) -> Vec<NewerCommit> {
    let heads = server.sources.heads();
    let mut newer: Vec<NewerCommit> = pins
        .commits
        .iter()
        .filter_map(|(pkgbase, pinned)| {
            let head = heads.head(pkgbase)?;
            (!head.builds_as(&pinned.commit, &pinned.tree)).then(|| NewerCommit {
                pkgbase: pkgbase.clone(),
                from: pinned.commit.clone(),
                to: head.commit.clone(),
            })
        })
        .collect();
    newer.sort_by(|a, b| a.pkgbase.cmp(&b.pkgbase));
    newer
}

/// The names of the base repositories whose db is another one by now.
async fn newer_bases(
    server: &Server,
    namespace: &StoredNamespace,
    pins: &Pins,
) -> Result<Vec<String>, PlannerError> {
    let mut newer = Vec::new();
    for (architecture, pinned) in &pins.bases {
        let wanted = base_repositories(server, &namespace.options);
        let now = server.bases.snapshot(wanted, architecture).await?;
        let is_in = |base: &SnapshotRepository, list: &[SnapshotRepository]| {
            let mut list = list.iter();
            list.any(|other| other.name == base.name && other.digest == base.digest)
        };
        let come = now.repositories.iter().filter(|base| !is_in(base, pinned));
        let gone = pinned.iter().filter(|base| !is_in(base, &now.repositories));
        for base in come.chain(gone) {
            if !newer.contains(&base.name) {
                newer.push(base.name.clone());
            }
        }
    }
    Ok(newer)
}

/// Takes what is newer: commits of dependents, base repositories, origins. Whether there was anything
/// comes back.
///
/// # Errors
///
/// As [`change`].
pub async fn update(server: &Server, namespace: &StoredNamespace) -> Result<bool, PlannerError> {
    finish_planning(server, namespace).await?;
    let pins = Pins::before(server, namespace.key, u32::MAX).await?;
    let (changesets, newest, pinned) = {
        let mut tx = server.db.read().await?;
        let changesets = namespaces::changesets(&mut tx, namespace.key).await?;
        let newest = iterations::newest(&mut tx, namespace.key).await?;
        let pinned = match &newest {
            Some(newest) => iterations::origins(&mut tx, newest.key).await?,
            None => Vec::new(),
        };
        (changesets, newest, pinned)
    };
    // One that was refused may work with what is there now.
    let refused = match newest {
        Some(newest) => newest.status()? == IterationStatus::Refused,
        None => true,
    };
    let dependents = newer_commits(server, &pins);
    let bases = newer_bases(server, namespace, &pins).await?;
    let moves = moves(&pinned, &resolve(server, &changesets).await?);
    if dependents.is_empty() && bases.is_empty() && moves.is_empty() && !refused {
        return Ok(false);
    }
    let reason = IterationReason::Updated {
        dependents: u32::try_from(dependents.len()).unwrap_or(u32::MAX),
        bases,
        moves,
    };
    change(server, namespace, &changesets, reason).await?;
    Ok(true)
}
