//! What stays as the iteration before has it: the commits of dependents and the base repositories.
//! So a commit on an origin changes what it changes, and nothing beside.

use std::collections::{BTreeMap, HashMap};

use buildbtw_graph::{Architecture, PkgBase, PlanWarning, SourceIndex};

use super::PlannerError;
use crate::Server;
use crate::bases::SnapshotRepository;
use crate::db::keys::{IterationKey, NamespaceKey};
use crate::db::{DbResult, pins};
use crate::sources::{Heads, ResolvedChangeset, SourceCommit, SourceError};

/// What a calculation does not take the newest of. Without any, it takes the newest of everything.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// The commits of dependents.
    pub commits: HashMap<PkgBase, SourceCommit>,
    /// The base repositories, by architecture.
    pub bases: BTreeMap<Architecture, Vec<SnapshotRepository>>,
}

impl Pins {
    /// Those of an iteration.
    pub async fn of_iteration(server: &Server, iteration: IterationKey) -> DbResult<Self> {
        let mut tx = server.db.read().await?;
        Ok(Self {
            commits: pins::dependents(&mut tx, iteration).await?,
            bases: pins::bases(&mut tx, iteration).await?,
        })
    }

    /// Those that the iteration of a number takes over from the one before.
    pub async fn before(server: &Server, namespace: NamespaceKey, number: u32) -> DbResult<Self> {
        let before = {
            let mut tx = server.db.read().await?;
            pins::iteration_before(&mut tx, namespace, number).await?
        };
        match before {
            Some(iteration) => Self::of_iteration(server, iteration).await,
            None => Ok(Self::default()),
        }
    }
}

/// The sources as they are pinned, beside what the default branches say.
pub(super) struct PinnedSources {
    /// What is planned with.
    pub index: SourceIndex,
    /// The commits that hold; those of all others are the default branches'.
    pub commits: HashMap<PkgBase, SourceCommit>,
    /// Commits that are not to be had any more.
    pub warnings: Vec<PlanWarning>,
}

/// Puts the pinned sources in the place of those of the default branches. An origin is never pinned:
/// its changeset says what it is.
pub(super) async fn apply(
    server: &Server,
    pins: &Pins,
    heads: &Heads,
    resolved: &[ResolvedChangeset],
) -> Result<PinnedSources, PlannerError> {
    let mut pinned = PinnedSources {
        index: heads.index().clone(),
        commits: pins.commits.clone(),
        warnings: Vec::new(),
    };
    for changeset in resolved {
        pinned.commits.remove(&changeset.changeset.pkgbase);
    }
    let mut gone = Vec::new();
    for (pkgbase, commit) in &pinned.commits {
        // An equal tree says the same.
        let head = heads.head(pkgbase);
        if head.is_some_and(|head| head.builds_as(&commit.commit, &commit.tree)) {
            continue;
        }
        match server.sources.read_at(pkgbase, &commit.commit).await {
            Ok(package) => {
                pinned.index.insert(package);
            }
            Err(
                error @ (SourceError::UnknownPackage { .. } | SourceError::UnknownReference { .. }),
            ) => {
                pinned.warnings.push(PlanWarning {
                    pkgbase: Some(pkgbase.clone()),
                    message: format!("its newest commit is taken, since {error}"),
                });
                gone.push(pkgbase.clone());
            }
            Err(error) => return Err(error.into()),
        }
    }
    for pkgbase in gone {
        pinned.commits.remove(&pkgbase);
    }
    Ok(pinned)
}
