//! What several commands ask the server for.

use buildbtw_api::builds::{Build, BuildDetails, BuildQuery};
use buildbtw_api::client::Client;
use buildbtw_api::namespaces::{Iteration, NamespaceDetails, Page};
use buildbtw_api::{IterationStatus, NamespaceName, ProblemType};
use buildbtw_graph::PkgBase;

use crate::failure::Failure;

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
