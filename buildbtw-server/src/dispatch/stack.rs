//! The repositories of a build set, indexed: its own as it was published last, then the base
//! repositories. Kept in memory, and only changed by what a generation changed: a build set of
//! thousands of builds has thousands of generations.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use buildbtw_api::runs::BuildRepository;
use buildbtw_graph::{PkgName, ReleasedIndex, ReleasedPackage, ReleasedRepository};
use buildbtw_repo::{DbEntry, PackageFile};
use sqlx::SqliteConnection;

use crate::Server;
use crate::db::builds::BuildState;
use crate::db::generations::Changes;
use crate::db::keys::BuildSetKey;
use crate::db::{DbError, DbResult, base_snapshots, generations, members};

/// How many build sets are kept ready.
const KEPT: usize = 16;

/// The repositories of build sets, each for the generation that was looked at last.
#[derive(Debug, Default)]
pub struct Stacks(Mutex<HashMap<BuildSetKey, Arc<Stack>>>);

/// The repositories of a build set at one generation.
#[derive(Debug, Clone)]
pub struct Stack {
    generation: u32,
    /// The packages, to be found by any name.
    pub index: ReleasedIndex,
    /// The digests of the namespace's own packages.
    pub digests: HashMap<PkgName, Digests>,
    /// The repositories of a build root, in order.
    pub repositories: Vec<BuildRepository>,
    /// The package bases that the build set builds.
    pub members: Arc<HashSet<String>>,
}

/// What tells a published package from others of its name.
#[derive(Debug, Clone)]
pub struct Digests {
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// That of its content, which a rebuild may leave as it was.
    pub content: String,
}

impl Stacks {
    /// The generation at which a build set's repositories were looked at last; 0 if they were not.
    pub(super) fn generation(&self, set: BuildSetKey) -> u32 {
        let stacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.get(&set).map_or(0, |stack| stack.generation)
    }

    /// Takes the stack of a build set, to be kept again.
    fn take(&self, set: BuildSetKey) -> Option<Arc<Stack>> {
        let mut stacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stacks.remove(&set)
    }

    fn keep(&self, set: BuildSetKey, stack: Arc<Stack>) {
        let mut stacks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if stacks.len() >= KEPT && !stacks.contains_key(&set) {
            stacks.clear();
        }
        stacks.insert(set, stack);
    }
}

/// The stack of a build set at its newest generation, from what changed since the generation that it was
/// looked at last ([`Stacks::generation`]); or why there is none.
pub(super) async fn brought_up(
    server: &Server,
    db: &mut SqliteConnection,
    state: &BuildState,
    mut changes: Changes,
) -> DbResult<Result<Arc<Stack>, String>> {
    let stacks = &server.dispatch.stacks;
    let mut stack = match stacks.take(state.set) {
        Some(stack) if stack.generation == changes.since && changes.since <= changes.newest => {
            stack
        }
        _ => {
            if changes.since > 0 {
                changes = generations::changes_since(&mut *db, state.set, 0).await?;
            }
            match empty(server, &mut *db, state).await? {
                Ok(empty) => Arc::new(empty),
                Err(reason) => return Ok(Err(reason)),
            }
        }
    };
    if stack.generation < changes.newest {
        // Nobody else has it, mostly, so that nothing is copied.
        let changed = Arc::make_mut(&mut stack);
        for pkgname in &changes.gone {
            changed.digests.remove(pkgname);
        }
        let mut added = Vec::with_capacity(changes.new.len());
        for package in &changes.new {
            let released = as_released(package)?;
            let known = Digests {
                sha256: package.sha256.to_string(),
                content: package.content_digest.to_string(),
            };
            changed.digests.insert(released.pkgname.clone(), known);
            added.push(released);
        }
        changed.index.change(&changes.gone, added);
        changed.generation = changes.newest;
        if let Some(own) = changed.repositories.first_mut() {
            *own = own_repository(state, changes.newest);
        }
    }
    stacks.keep(state.set, Arc::clone(&stack));
    Ok(Ok(stack))
}

/// The stack before anything was published.
async fn empty(
    server: &Server,
    db: &mut SqliteConnection,
    state: &BuildState,
) -> DbResult<Result<Stack, String>> {
    let snapshot = base_snapshots::of_build_set(&mut *db, state.set).await?;
    let base = match server.bases.pinned(&snapshot).await {
        Ok(base) => base,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let own = Arc::new(ReleasedRepository {
        name: state.namespace_name.clone(),
        packages: Vec::new(),
    });
    let bases = snapshot.iter().map(|base| BuildRepository {
        name: base.name.clone(),
        server: format!("/bases/{}", base.digest),
    });
    Ok(Ok(Stack {
        generation: 0,
        index: base.behind(own),
        digests: HashMap::new(),
        repositories: std::iter::once(own_repository(state, 0))
            .chain(bases)
            .collect(),
        members: Arc::new(members::members(&mut *db, state.set).await?),
    }))
}

/// The namespace's own repository. The generation is named, so that what is installed does not
/// depend on what is published while the run waits or works.
fn own_repository(state: &BuildState, generation: u32) -> BuildRepository {
    let (name, iteration) = (&state.namespace_name, state.iteration);
    let architecture = &state.architecture;
    BuildRepository {
        name: name.clone(),
        server: format!("/repo/{name}/{iteration}/os/{architecture}/g/{generation}"),
    }
}

/// A package as plans and installations see it.
pub fn as_released(package: &PackageFile) -> DbResult<ReleasedPackage> {
    let entry = DbEntry::from_package(package);
    entry.to_released().map_err(|error| DbError::Unreadable {
        what: "package",
        reason: error.to_string(),
    })
}
