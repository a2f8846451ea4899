//! What the plan of an iteration found, and what changed from the iteration before.

use askama::Template;
use axum::extract::State;
use buildbtw_api::namespaces::DifferenceQuery;
use buildbtw_api::{NamespaceName, ProblemType};
use buildbtw_graph::Difference;

use super::extract::Path;
use super::page::{PageResult, Piece, iteration_number, name, pieces, render, sentence};
use super::plan::{Findings, findings};
use crate::Server;
use crate::api::extract::{self, Path as ApiPath, Query};
use crate::api::plans;
use crate::problems::HttpProblem;

#[derive(Template)]
#[template(path = "findings.html")]
struct FindingsPage {
    namespace: NamespaceName,
    iteration: u32,
    sets: Vec<(String, Vec<Findings>)>,
    warnings: Vec<Vec<Piece>>,
}

/// What the plan of an iteration found.
pub async fn show(
    State(server): State<Server>,
    Path((namespace, number)): Path<(String, String)>,
) -> PageResult {
    let (namespace, number): (NamespaceName, u32) = (name(&namespace)?, iteration_number(&number)?);
    let (_, iteration) = extract::iteration(&server, &namespace, number).await?;
    let plan = crate::db::plans::get(&mut *server.db.read().await?, iteration.key).await?;
    let plan = plan.ok_or_else(|| {
        let detail = format!("iteration {number} of {namespace} has no plan");
        HttpProblem::new(ProblemType::NotFound, detail)
    })?;
    let plan = tokio::task::spawn_blocking(move || plan.plan())
        .await
        .map_err(|error| HttpProblem::internal(&error))??;
    let sets = plan.architectures.iter();
    let warnings = plan.warnings.iter().map(|warning| match &warning.pkgbase {
        Some(pkgbase) => pieces(&format!("{pkgbase}: {}", warning.message)),
        None => pieces(&sentence(&warning.message)),
    });
    render(&FindingsPage {
        sets: sets
            .map(|(on, set)| (on.to_string(), findings(set)))
            .collect(),
        warnings: warnings.collect(),
        namespace,
        iteration: number,
    })
}

#[derive(Template)]
#[template(path = "difference.html")]
struct DifferencePage {
    namespace: NamespaceName,
    from: u32,
    to: u32,
    difference: Difference,
}

/// What changed from the iteration before.
pub async fn difference(
    State(server): State<Server>,
    Path((namespace, number)): Path<(String, String)>,
) -> PageResult {
    let (namespace, number): (NamespaceName, u32) = (name(&namespace)?, iteration_number(&number)?);
    let path = ApiPath((namespace.clone(), number));
    let answer = plans::difference(State(server), path, Query(DifferenceQuery::default())).await?;
    render(&DifferencePage {
        namespace,
        from: answer.0.from,
        to: answer.0.to,
        difference: answer.0.difference,
    })
}
