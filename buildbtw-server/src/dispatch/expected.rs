//! What a build's installation must look like: resolved as pacman does it, from the packages that
//! are really published and from the base repositories that the iteration saw.
//!
//! Released packages of members are hidden, so that the expectation never contains an old package
//! where the namespace has, or should have, a new one. pacman sees them all the same; if it takes
//! one, the difference ends the run.

use std::collections::{BTreeMap, HashSet};

use buildbtw_api::runs::{BuildRepository, ExpectedPackage};
use buildbtw_graph::{
    Comparison, Constraint, InstallRequest, PkgName, Provision, Relation, Uninstallable,
    resolve_installation,
};
use sqlx::SqliteConnection;

use super::stack::{Stack, brought_up};
use crate::Server;
use crate::db::builds::BuildState;
use crate::db::inputs::BuildInput;
use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::members::{self, Asked};
use crate::db::{DbResult, Tx, word};

/// What will be installed for a build.
#[derive(Debug)]
pub struct Installation {
    /// The packages, by name.
    pub expected: Vec<ExpectedPackage>,
    /// The repositories of the root, in order.
    pub repositories: Vec<BuildRepository>,
    /// The content digests of those that are the namespace's own.
    pub own: BTreeMap<PkgName, String>,
    /// What counts as met: what the plan left out, and versions of it that packages turned out to want.
    pub assumed: Vec<String>,
}

/// The installation of a build, or why there is none.
pub async fn installation(
    server: &Server,
    db: &mut SqliteConnection,
    asked: Asked,
) -> DbResult<(BuildState, BuildInput, Result<Installation, String>)> {
    let Asked {
        state,
        input,
        changes,
        kept,
    } = asked;
    let stack = brought_up(server, &mut *db, &state, changes).await?;
    let installation = match stack {
        Ok(stack) => resolve(&stack, &input, &kept)?,
        Err(reason) => Err(reason),
    };
    Ok((state, input, installation))
}

/// Reads what the installation of a build of a build set depends on, in one go.
pub async fn look_up(
    server: &Server,
    tx: &mut Tx,
    build: BuildKey,
    set: BuildSetKey,
) -> DbResult<Asked> {
    let since = server.dispatch.stacks.generation(set);
    members::to_install(tx, build, set, since).await
}

fn resolve(
    stack: &Stack,
    input: &BuildInput,
    kept: &HashSet<String>,
) -> DbResult<Result<Installation, String>> {
    let targets = relations(&input.install()?)?;
    let mut left_out = input.assumed()?;
    let mut assumed = provisions(&left_out)?;
    let hidden = |package: &buildbtw_graph::ReleasedPackage, repository: usize| {
        let pkgbase = package.pkgbase.as_str();
        repository > 0 && stack.members.contains(pkgbase) && !kept.contains(pkgbase)
    };
    let packages = loop {
        let request = InstallRequest {
            stack: &stack.index,
            targets: &targets,
            assumed: &assumed,
            hidden: &hidden,
        };
        let unsatisfied = match resolve_installation(&request) {
            Ok(packages) => break packages,
            Err(unsatisfied) => unsatisfied,
        };
        let more = versions_of_assumed(&assumed, &unsatisfied);
        if more.is_empty() {
            let list: Vec<String> = unsatisfied.iter().map(ToString::to_string).collect();
            return Ok(Err(format!(
                "its dependencies cannot be installed: {}",
                list.join("; ")
            )));
        }
        left_out.extend(more.iter().map(ToString::to_string));
        assumed.extend(more);
    };
    let mut own = BTreeMap::new();
    let mut expected = Vec::with_capacity(packages.len());
    for (repository, package) in packages {
        let digests = stack.digests.get(&package.pkgname);
        let digests = digests.filter(|_| repository == 0);
        if let Some(digests) = digests {
            own.insert(package.pkgname.clone(), digests.content.clone());
        }
        expected.push(ExpectedPackage {
            pkgname: package.pkgname.clone(),
            version: package.version.clone(),
            repository: stack.repositories[repository].name.clone(),
            sha256: digests.map(|digests| digests.sha256.clone()),
        });
    }
    expected.sort_by(|a, b| a.pkgname.cmp(&b.pkgname));
    Ok(Ok(Installation {
        expected,
        repositories: stack.repositories.clone(),
        own,
        assumed: left_out,
    }))
}

/// Versions that packages want of what counts as met without one. A source needs `libfoo.so`, and that is what
/// a plan leaves out; the package that was built of it needs `libfoo.so=1-64`, for which what has no version does
/// not do.
fn versions_of_assumed(assumed: &[Provision], unsatisfied: &[Uninstallable]) -> Vec<Provision> {
    let mut versions = Vec::new();
    for one in unsatisfied {
        let Uninstallable::Unsatisfied {
            relation: Relation { name, constraint },
            wanted_by: Some(_),
        } = one
        else {
            continue;
        };
        let Some(Constraint {
            op: Comparison::Equal,
            version,
        }) = constraint
        else {
            continue;
        };
        let wanted = Provision {
            name: name.clone(),
            version: Some(version.clone()),
        };
        let is_left_out = assumed
            .iter()
            .any(|provision| provision.name == *name && provision.version.is_none());
        if is_left_out && !assumed.contains(&wanted) && !versions.contains(&wanted) {
            versions.push(wanted);
        }
    }
    versions
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
