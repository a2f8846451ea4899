//! What a build's installation must look like: resolved as pacman does it, from the packages that
//! are really published and from the base repositories that the iteration saw.
//!
//! Released packages of members are hidden, so that the expectation never contains an old package
//! where the namespace has, or should have, a new one. pacman sees them all the same; if it takes
//! one, the difference ends the run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use buildbtw_api::runs::{BuildRepository, ExpectedPackage};
use buildbtw_graph::{
    InstallRequest, Provision, Relation, ReleasedIndex, ReleasedRepository, resolve_installation,
};
use sqlx::SqliteConnection;

use crate::Server;
use crate::db::builds::{BuildInput, BuildState};
use crate::db::keys::BuildSetKey;
use crate::db::{DbError, DbResult, base_snapshots, builds, generations, word};

/// How many build sets are kept ready.
const KEPT: usize = 16;

/// What will be installed for a build.
#[derive(Debug)]
pub struct Installation {
    /// The packages, by name.
    pub expected: Vec<ExpectedPackage>,
    /// The repositories of the root, in order.
    pub repositories: Vec<BuildRepository>,
}

/// The repositories of build sets, indexed; each for the generation that was published last.
#[derive(Debug, Default)]
pub struct Stacks(Mutex<HashMap<BuildSetKey, Arc<Stack>>>);

#[derive(Debug)]
struct Stack {
    generation: u32,
    index: ReleasedIndex,
    /// SHA-256 of the namespace's own packages, by name.
    digests: HashMap<String, String>,
    repositories: Vec<BuildRepository>,
}

/// The installation of a build, or why there is none.
pub async fn installation(
    server: &Server,
    db: &mut SqliteConnection,
    state: &BuildState,
    input: &BuildInput,
) -> DbResult<Result<Installation, String>> {
    let stack = match stack(server, &mut *db, state, input).await? {
        Ok(stack) => stack,
        Err(reason) => return Ok(Err(reason)),
    };
    let replaced = builds::replaced_pkgbases(&mut *db, state.set, state.key).await?;
    let targets = relations(&input.install()?)?;
    let assumed = provisions(&input.assumed()?)?;
    let hidden = |package: &buildbtw_graph::ReleasedPackage, repository: usize| {
        repository > 0 && replaced.contains(package.pkgbase.as_ref())
    };
    let request = InstallRequest {
        stack: &stack.index,
        targets: &targets,
        assumed: &assumed,
        hidden: &hidden,
    };
    let packages = match resolve_installation(&request) {
        Ok(packages) => packages,
        Err(unsatisfied) => {
            let list: Vec<String> = unsatisfied.iter().map(ToString::to_string).collect();
            return Ok(Err(format!(
                "its dependencies cannot be installed: {}",
                list.join("; ")
            )));
        }
    };
    let mut expected: Vec<ExpectedPackage> = packages
        .into_iter()
        .map(|(repository, package)| ExpectedPackage {
            pkgname: package.pkgname.clone(),
            version: package.version.clone(),
            repository: stack.repositories[repository].name.clone(),
            sha256: (repository == 0)
                .then(|| stack.digests.get(package.pkgname.as_ref()).cloned())
                .flatten(),
        })
        .collect();
    expected.sort_by(|a, b| a.pkgname.cmp(&b.pkgname));
    Ok(Ok(Installation {
        expected,
        repositories: stack.repositories.clone(),
    }))
}

/// The stack of a build set at its newest generation, from memory if it is there.
async fn stack(
    server: &Server,
    db: &mut SqliteConnection,
    state: &BuildState,
    input: &BuildInput,
) -> DbResult<Result<Arc<Stack>, String>> {
    let generation = generations::newest_number(&mut *db, state.set).await?;
    let kept = |stacks: &HashMap<BuildSetKey, Arc<Stack>>| {
        stacks
            .get(&state.set)
            .filter(|stack| stack.generation == generation)
            .cloned()
    };
    let stacks = &server.dispatch.stacks.0;
    if let Some(stack) = kept(&stacks.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(Ok(stack));
    }
    let snapshot = base_snapshots::of_build_set(&mut *db, state.set).await?;
    let base = match server.bases.pinned(&snapshot).await {
        Ok(base) => base,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut own = Vec::new();
    let mut digests = HashMap::new();
    for package in generations::packages(&mut *db, state.set).await? {
        let entry = buildbtw_repo::DbEntry::from_package(&package);
        let released = entry.to_released().map_err(|error| DbError::Unreadable {
            what: "package",
            reason: error.to_string(),
        })?;
        digests.insert(released.pkgname.to_string(), package.sha256.to_string());
        own.push(released);
    }
    let name = input.namespace.clone();
    let architecture = &state.architecture;
    let mut repositories = vec![BuildRepository {
        // The generation is named, so that what is installed does not depend on what is published
        // while the run waits or works.
        server: format!(
            "/repo/{name}/{}/os/{architecture}/g/{generation}",
            input.iteration
        ),
        name: name.clone(),
    }];
    repositories.extend(snapshot.iter().map(|base| BuildRepository {
        name: base.name.clone(),
        server: format!("/bases/{}", base.digest),
    }));
    let own = Arc::new(ReleasedRepository {
        name,
        packages: own,
    });
    let repositories_in_order = std::iter::once(own)
        .chain(base.repositories().iter().cloned())
        .collect();
    let stack = Arc::new(Stack {
        generation,
        index: ReleasedIndex::new(repositories_in_order),
        digests,
        repositories,
    });
    let mut stacks = stacks.lock().unwrap_or_else(PoisonError::into_inner);
    if stacks.len() >= KEPT {
        stacks.clear();
    }
    stacks.insert(state.set, Arc::clone(&stack));
    Ok(Ok(stack))
}

fn relations(texts: &[String]) -> DbResult<Vec<Relation>> {
    texts.iter().map(|text| word("relation", text)).collect()
}

/// What counts as met, as if a package of that name and version were installed.
fn provisions(texts: &[String]) -> DbResult<Vec<Provision>> {
    texts
        .iter()
        .map(|text| {
            let relation: Relation = word("relation", text)?;
            Ok(Provision {
                name: relation.name,
                version: relation.constraint.map(|constraint| constraint.version),
            })
        })
        .collect()
}
