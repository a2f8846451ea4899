//! Search over namespaces, packages and workers.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::page::{PageResult, render};
use crate::Server;
use crate::db::{overview, workers};

/// How many things of a kind are found.
const FOUND: u32 = 50;

/// What to search for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    q: String,
    /// Name, status, and the number of the last iteration.
    namespaces: Vec<(String, String, u32)>,
    packages: Vec<String>,
    workers: Vec<String>,
}

/// Namespaces, packages and workers with a text in their names. What has just that name and is alone
/// with it is gone to at once.
pub async fn show(State(server): State<Server>, Query(search): Query<Search>) -> PageResult {
    let q = search.q.trim().to_owned();
    let mut page = SearchPage {
        namespaces: Vec::new(),
        packages: Vec::new(),
        workers: Vec::new(),
        q,
    };
    if page.q.is_empty() {
        return render(&page);
    }
    let mut tx = server.db.read().await?;
    page.namespaces = overview::namespaces_like(&mut tx, &page.q, FOUND).await?;
    page.packages = overview::pkgbases_like(&mut tx, &page.q, FOUND).await?;
    let workers = workers::all(&mut tx).await?.into_iter();
    page.workers = workers
        .map(|worker| worker.name)
        .filter(|name| name.contains(&page.q))
        .take(FOUND as usize)
        .collect();
    page.workers.dedup();
    drop(tx);
    let heads = server.sources.heads();
    let known = heads
        .repositories()
        .map(|repository| repository.pkgbase.to_string());
    let fitting = known.filter(|pkgbase| pkgbase.contains(&page.q));
    page.packages.extend(fitting);
    page.packages
        .sort_by_key(|pkgbase| (pkgbase.len(), pkgbase.clone()));
    page.packages.dedup();
    page.packages.truncate(FOUND as usize);
    let just = |name: &String| *name == page.q;
    let namespace = page
        .namespaces
        .iter()
        .any(|(name, status, _)| just(name) && status != "archived");
    let package = page.packages.iter().any(just);
    let address = match (namespace, package) {
        (true, false) => format!("/namespaces/{}", page.q),
        (false, true) => format!("/packages/{}", page.q.replace('+', "%2B")),
        _ => return render(&page),
    };
    Ok(Redirect::to(&address).into_response())
}
