//! A calculation becomes rows: the plan as one text, its builds and needs, the bases it saw.

use std::collections::{BTreeMap, HashMap, HashSet};

use buildbtw_api::BuildStatus;
use buildbtw_graph::{Architecture, Because, BuildKey as PlanKey, BuildSet, PlannedBuild};

use super::{Calculation, PlannerError, make_current};
use crate::Server;
use crate::db::iterations::StoredIteration;
use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::plans::{self, CHUNK, NewBuild, NewNeed, StoredPlan};
use crate::db::{base_snapshots, ready};
use crate::scheduler::{Weight, weights};

/// Stores a calculation and makes its iteration the current one.
///
/// # Errors
///
/// When the database fails; the iteration is then still being planned, and what was stored of it is
/// to be discarded ([`plans::discard`]).
pub async fn store(
    server: &Server,
    iteration: &StoredIteration,
    calculation: Calculation,
) -> Result<(), PlannerError> {
    let calculation = std::sync::Arc::new(calculation);
    let content = {
        let calculation = std::sync::Arc::clone(&calculation);
        tokio::task::spawn_blocking(move || StoredPlan::new(&calculation.plan))
            .await
            .map_err(|error| PlannerError::Broken(error.to_string()))?
    };
    let mut sets: BTreeMap<&Architecture, BuildSetKey> = BTreeMap::new();
    let mut tx = server.db.write().await?;
    plans::insert(&mut tx, iteration.key, &content).await?;
    for (architecture, set) in &calculation.plan.architectures {
        let key = plans::insert_build_set(
            &mut tx,
            iteration.key,
            architecture,
            set.waves,
            set.unresolved.len(),
            set.broken.len(),
        )
        .await?;
        if let Some(snapshot) = calculation.bases.get(architecture) {
            base_snapshots::insert(&mut tx, key, &snapshot.repositories).await?;
        }
        sets.insert(architecture, key);
    }
    tx.commit().await?;

    // The primary architecture first: builds of the others may stand for one of its.
    let mut keys: HashMap<&Architecture, HashMap<(buildbtw_graph::PkgBase, u8), BuildKey>> =
        HashMap::new();
    let in_order = server
        .config
        .architectures
        .iter()
        .filter_map(|wanted| calculation.plan.architectures.get_key_value(wanted));
    for (architecture, set) in in_order {
        let Some(set_key) = sets.get(architecture) else {
            continue;
        };
        let durations = ready::durations(&mut *server.db.read().await?, architecture).await?;
        let weights = {
            let (calculation, on) = (std::sync::Arc::clone(&calculation), architecture.clone());
            let weigh = move || weights(&calculation.plan.architectures[&on], &durations);
            tokio::task::spawn_blocking(weigh)
                .await
                .map_err(|error| PlannerError::Broken(error.to_string()))?
        };
        let builds = new_builds(set, &calculation, &keys, &weights);
        let mut own = HashMap::with_capacity(builds.len());
        for chunk in builds.chunks(CHUNK) {
            let mut tx = server.db.write().await?;
            plans::insert_builds(&mut tx, *set_key, chunk, &mut own).await?;
            tx.commit().await?;
        }
        for chunk in new_needs(set, &own).chunks(CHUNK) {
            let mut tx = server.db.write().await?;
            plans::insert_needs(&mut tx, chunk).await?;
            tx.commit().await?;
        }
        keys.insert(architecture, own);
    }
    make_current(server, iteration).await?;
    Ok(())
}

/// The builds of a build set as rows, each with the status it begins in.
fn new_builds(
    set: &BuildSet,
    calculation: &Calculation,
    keys: &HashMap<&Architecture, HashMap<(buildbtw_graph::PkgBase, u8), BuildKey>>,
    weights: &[Weight],
) -> Vec<NewBuild> {
    let mut waits_for: HashMap<&PlanKey, u32> = HashMap::new();
    let mut dependents: HashMap<&PlanKey, Vec<&PlanKey>> = HashMap::new();
    for edge in set.edges.iter().filter(|edge| !edge.dropped) {
        *waits_for.entry(&edge.after).or_default() += 1;
        dependents
            .entry(&edge.before)
            .or_default()
            .push(&edge.after);
    }
    let plan_keys: Vec<PlanKey> = set.builds.iter().map(PlannedBuild::key).collect();
    // What waits for an impossible build cannot go on either.
    let mut hopeless: HashMap<&PlanKey, &PlanKey> = HashMap::new();
    let mut stack: Vec<(&PlanKey, &PlanKey)> = set
        .builds
        .iter()
        .zip(&plan_keys)
        .filter(|(build, _)| build.unbuildable.is_some())
        .map(|(_, key)| (key, key))
        .collect();
    let mut seen: HashSet<&PlanKey> = stack.iter().map(|(key, _)| *key).collect();
    while let Some((key, cause)) = stack.pop() {
        for dependent in dependents.get(key).into_iter().flatten() {
            if seen.insert(dependent) {
                hopeless.insert(dependent, cause);
                stack.push((dependent, cause));
            }
        }
    }
    set.builds
        .iter()
        .zip(&plan_keys)
        .zip(weights)
        .map(|((build, key), weight)| {
            let waits = waits_for.get(key).copied().unwrap_or(0);
            let (status, reason) = match (&build.unbuildable, hopeless.get(key)) {
                (Some(unbuildable), _) => {
                    (BuildStatus::Unbuildable, Some(unbuildable.hint.clone()))
                }
                (None, Some(cause)) => (
                    BuildStatus::DependencyFailed,
                    Some(format!("{} cannot be built", cause.pkgbase)),
                ),
                (None, None) if waits > 0 || build.refers_to.is_some() => {
                    (BuildStatus::Blocked, None)
                }
                (None, None) => (BuildStatus::Pending, None),
            };
            let commit = calculation.commits.get(&build.pkgbase);
            NewBuild {
                pkgbase: build.pkgbase.clone(),
                pass: build.pass,
                status,
                reason,
                version: build.version.to_string(),
                pkgrel: build.pkgrel.clone(),
                commit: commit
                    .map(|commit| commit.commit.clone())
                    .unwrap_or_default(),
                tree: commit.map(|commit| commit.tree.clone()).unwrap_or_default(),
                committed_at: commit.map_or(0, |commit| commit.committed_at),
                wave: build.wave,
                nocheck: build.nocheck,
                pkgnames: build.pkgnames.iter().map(ToString::to_string).collect(),
                because: because(build),
                because_of: match &build.because {
                    Because::Changed(_) => None,
                    Because::Dependent(dependent) => Some(dependent.of.clone()),
                },
                install: build.install.clone(),
                assumed: build.assumed.clone(),
                weight: *weight,
                waits_for: waits,
                refers_to: build.refers_to.as_ref().and_then(|primary| {
                    keys.get(primary)?
                        .get(&(build.pkgbase.clone(), build.pass))
                        .copied()
                }),
            }
        })
        .collect()
}

/// Why a build belongs to the plan, in words.
fn because(build: &PlannedBuild) -> String {
    match &build.because {
        Because::Changed(_) => "it is an origin of the namespace".to_owned(),
        Because::Dependent(dependent) => {
            format!(
                "{} needs {}, which {} makes",
                dependent.pkgname, dependent.relation, dependent.of
            )
        }
    }
}

/// The needs of a build set as rows. Of several between two builds one is kept: the stored pairs
/// order builds, and the plan has them all.
fn new_needs(
    set: &BuildSet,
    keys: &HashMap<(buildbtw_graph::PkgBase, u8), BuildKey>,
) -> Vec<NewNeed> {
    let key = |plan: &PlanKey| keys.get(&(plan.pkgbase.clone(), plan.pass)).copied();
    set.edges
        .iter()
        .filter_map(|edge| {
            Some(NewNeed {
                build: key(&edge.after)?,
                needs: key(&edge.before)?,
                kind: edge.kind.as_str().to_owned(),
                relation: edge.relation.clone(),
                through: edge.through.iter().map(ToString::to_string).collect(),
                dropped: edge.dropped,
            })
        })
        .collect()
}
