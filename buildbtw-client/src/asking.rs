//! What several commands ask the server for.

use std::collections::{BTreeMap, BTreeSet};

use buildbtw_api::builds::{Build, BuildDetails, BuildQuery};
use buildbtw_api::client::Client;
use buildbtw_api::namespaces::{Iteration, NamespaceDetails};
use buildbtw_api::page::Page;
use buildbtw_api::{IterationStatus, NamespaceName, ProblemType};
use buildbtw_graph::{PkgBase, RelationKind};
use serde::Serialize;

use crate::failure::Failure;
use crate::words::{harmless, some_of};

/// The largest page of builds that a server gives.
const BUILDS_PAGE: u32 = 1000;

/// The iteration that a command is about: the wanted one, else the newest that has builds.
pub fn iteration(details: &NamespaceDetails, wanted: Option<u32>) -> Result<&Iteration, Failure> {
    let name = &details.namespace.name;
    if let Some(number) = wanted {
        let found = details.iterations.iter().find(|one| one.number == number);
        return found.ok_or_else(|| {
            Failure::new(format!("namespace {name} has no iteration {number}"))
                .hint(format!("`bbtw show {name}` lists its iterations"))
        });
    }
    details
        .iterations
        .iter()
        .find(|one| has_builds(one))
        .ok_or_else(|| {
            let why = match details.iterations.first() {
                Some(newest) => match &newest.refusal {
                    Some(refusal) => format!("no plan could be made: {refusal}"),
                    None => format!("iteration {} is {}", newest.number, newest.status),
                },
                None => "it has no iteration".to_owned(),
            };
            Failure::new(format!("namespace {name} has no builds yet: {why}"))
                .hint(format!("`bbtw show {name}` says more"))
        })
}

/// Whether an iteration got as far as having builds.
pub fn has_builds(iteration: &Iteration) -> bool {
    matches!(
        iteration.status,
        IterationStatus::Current | IterationStatus::Superseded
    )
}

/// Passes the next page on, if it is another one: a server that names the same page twice must
/// not keep us for ever.
pub fn next_page<T>(page: &Page<T>, before: Option<&String>) -> Result<Option<String>, Failure> {
    match &page.next {
        Some(next) if Some(next) == before => Err(Failure::new(
            "the server answers with the same page again and again",
        )),
        next => Ok(next.clone()),
    }
}

/// All builds of an iteration that a query picks.
pub async fn builds(
    client: &Client,
    name: &NamespaceName,
    iteration: u32,
    mut query: BuildQuery,
) -> Result<Vec<Build>, Failure> {
    query.limit = Some(BUILDS_PAGE);
    let mut builds = Vec::new();
    loop {
        let page = client.builds(name, iteration, &query).await?;
        let next = next_page(&page, query.after.as_ref())?;
        builds.extend(page.items);
        if next.is_none() {
            return Ok(builds);
        }
        query.after = next;
    }
}

/// The builds of one package base in an iteration, on every architecture and in every pass.
pub async fn builds_of(
    client: &Client,
    name: &NamespaceName,
    iteration: &Iteration,
    pkgbase: &PkgBase,
) -> Result<Vec<BuildDetails>, Failure> {
    let mut found = Vec::new();
    for architecture in iteration.build_sets.keys() {
        for pass in 1..=2 {
            match client
                .build(name, iteration.number, architecture, pkgbase, pass)
                .await
            {
                Ok(build) => found.push(build),
                Err(error)
                    if error
                        .problem()
                        .is_some_and(|problem| problem.kind == ProblemType::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if found.is_empty() {
        let message = format!(
            "iteration {} of {name} does not build {pkgbase}",
            iteration.number
        );
        return Err(
            Failure::new(message).hint(format!("`bbtw show {name} --all` lists what it builds"))
        );
    }
    Ok(found)
}

/// A run-time need of packages that no package of the repositories satisfies.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The relation's text.
    pub relation: String,
    /// Whose packages have it.
    pub pkgbases: Vec<PkgBase>,
}

/// What the packages of an iteration need at run time and nothing in its repositories provides.
/// They are built nevertheless where the host's tools or `--bootstrap` stand in for it, but pacman
/// installs them only where something else provides it.
pub async fn unmet(
    client: &Client,
    name: &NamespaceName,
    iteration: &Iteration,
) -> Result<Vec<Unmet>, Failure> {
    // The plan of a whole distribution is large, and mostly there is nothing to look for.
    if iteration.build_sets.values().all(|set| set.unresolved == 0) {
        return Ok(Vec::new());
    }
    let plan = client.iteration_plan(name, iteration.number).await?;
    let mut needs: BTreeMap<String, BTreeSet<PkgBase>> = BTreeMap::new();
    let all = plan.architectures.into_values();
    for need in all.flat_map(|set| set.unresolved) {
        if need.kind == RelationKind::Depends {
            needs.entry(need.relation).or_default().insert(need.pkgbase);
        }
    }
    let unmet = needs.into_iter().map(|(relation, pkgbases)| Unmet {
        relation,
        pkgbases: pkgbases.into_iter().collect(),
    });
    Ok(unmet.collect())
}

/// Run-time needs that nothing satisfies, in words; `None` where there is none.
pub fn unmet_in_words(unmet: &[Unmet]) -> Option<String> {
    let needs: Vec<String> = unmet
        .iter()
        .map(|one| format!("{} ({})", one.relation, some_of(&one.pkgbases, 3)))
        .collect();
    (!needs.is_empty()).then(|| {
        harmless(&format!(
            "no repository has what these packages need at run time: {}; pacman installs them \
             only where something else provides it",
            some_of(&needs, 8)
        ))
    })
}
