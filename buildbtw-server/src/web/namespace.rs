//! A namespace: its iterations, and the builds of one of them.

use askama::Template;
use axum::extract::{Path, Query, State};
use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::namespaces::{Iteration, Namespace};
use buildbtw_api::{BuildStatus, NamespaceName, ProblemType};

use super::page::{PageResult, name, render, time};
use crate::Server;
use crate::api::{extract, namespace_as_shown};
use crate::db::builds::{self, BuildPosition};
use crate::db::{events, iterations};
use crate::problems::HttpProblem;

/// How many builds one page shows.
const BUILDS: u32 = 200;

#[derive(Template)]
#[template(path = "namespace.html")]
struct NamespacePage {
    namespace: Namespace,
    created: String,
    iterations: Vec<Iteration>,
    shown: Option<Iteration>,
    builds: Vec<Build>,
    next: Option<String>,
    statuses: &'static [BuildStatus],
    chosen: Option<BuildStatus>,
    base_url: String,
    last_event: i64,
}

/// The newest iteration of a namespace.
pub async fn show(
    State(server): State<Server>,
    Path(namespace): Path<String>,
    Query(query): Query<BuildQuery>,
) -> PageResult {
    page(&server, &name(&namespace)?, None, &query).await
}

/// One iteration of a namespace.
pub async fn show_iteration(
    State(server): State<Server>,
    Path((namespace, number)): Path<(String, String)>,
    Query(query): Query<BuildQuery>,
) -> PageResult {
    page(&server, &name(&namespace)?, Some(name(&number)?), &query).await
}

async fn page(
    server: &Server,
    name: &NamespaceName,
    number: Option<u32>,
    query: &BuildQuery,
) -> PageResult {
    let stored = extract::namespace(server, name).await?;
    let mut tx = server.db.read().await?;
    let namespace = namespace_as_shown(server, &mut tx, &stored).await?;
    let rows = iterations::of_namespace(&mut tx, stored.key).await?;
    let row =
        match number {
            Some(number) => Some(rows.iter().find(|row| row.number == number).ok_or_else(
                || {
                    HttpProblem::new(
                        ProblemType::NotFound,
                        format!("namespace {name} has no iteration {number}"),
                    )
                },
            )?),
            None => rows.first(),
        };
    let mut summaries = Vec::with_capacity(rows.len());
    for row in &rows {
        summaries.push(iterations::summary(&mut tx, name.as_str(), row).await?);
    }
    let after: Option<BuildPosition> = query.after.as_deref().and_then(|text| text.parse().ok());
    let (builds, next) = match row {
        Some(row) => builds::page(&mut tx, row.key, query, after.as_ref(), BUILDS).await?,
        None => (Vec::new(), None),
    };
    let shown = row.and_then(|row| {
        summaries
            .iter()
            .find(|summary| summary.number == row.number)
            .cloned()
    });
    render(&NamespacePage {
        created: time(&namespace.created_at),
        namespace,
        iterations: summaries,
        shown,
        builds,
        next: next.map(|next| next.to_string()),
        statuses: BuildStatus::ALL,
        chosen: query.status,
        base_url: server.base_url.clone(),
        last_event: events::last(&mut tx).await?,
    })
}
