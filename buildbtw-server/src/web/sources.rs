//! Source repositories and their problems; a package with its history; search.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::sources::{GitLabState, SourceQuery, SourceRepository};
use buildbtw_graph::PkgBase;
use serde::Deserialize;

use super::page::{PageResult, When, build_page, duration_ms, log_page, name, render};
use crate::Server;
use crate::db::overview::{self, HistoryRow};
use crate::db::{ready, workers};

/// How many repositories one page shows.
const SOURCES: u32 = 200;

/// How many builds a package's history shows.
const HISTORY: u32 = 100;

/// How many things of a kind a search finds.
const FOUND: u32 = 50;

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    items: Vec<SourceRepository>,
    next: Option<String>,
    problems: bool,
    total: usize,
    bad: usize,
    in_sync: bool,
    gitlab: Option<GitLabView>,
}

/// How far the sources on GitLab are, and whether it answers.
struct GitLabView {
    state: GitLabState,
    away_since: Option<When>,
}

/// The source repositories.
pub async fn show(
    State(server): State<Server>,
    Query(mut query): Query<SourceQuery>,
) -> PageResult {
    query.limit = Some(SOURCES);
    let page = server.sources.list(&query);
    let (total, bad) = server.sources.counts();
    render(&SourcesPage {
        items: page.items,
        next: page.next,
        problems: query.problems,
        total,
        bad,
        in_sync: *server.sources.in_sync().borrow(),
        gitlab: server.sources.gitlab().map(|gitlab| {
            let state = gitlab.state();
            GitLabView {
                away_since: state.away_since.as_ref().map(When::new),
                state,
            }
        }),
    })
}

#[derive(Template)]
#[template(path = "package.html")]
struct PackagePage {
    pkgbase: PkgBase,
    source: Option<SourceRepository>,
    durations: Vec<String>,
    history: Vec<HistoryView>,
}

struct HistoryView {
    row: HistoryRow,
    page: String,
    log: Option<String>,
    changed: When,
    took: String,
}

/// A package base: its source, and its builds in all namespaces.
pub async fn package(State(server): State<Server>, Path(pkgbase): Path<String>) -> PageResult {
    let pkgbase: PkgBase = name(&pkgbase)?;
    let source = server.sources.list(&SourceQuery {
        problems: false,
        after: Some(just_before(pkgbase.as_str())),
        limit: Some(1),
    });
    let mut tx = server.db.read().await?;
    let mut durations = Vec::new();
    for architecture in &server.config.architectures {
        let known = ready::durations(&mut tx, architecture).await?;
        if let Some(recent) = known.get(pkgbase.as_str()) {
            let recent: Vec<String> = recent.iter().map(|took| duration_ms(*took)).collect();
            durations.push(format!("{architecture}: {}", recent.join(", ")));
        }
    }
    let rows = overview::history(&mut tx, pkgbase.as_str(), HISTORY).await?;
    drop(tx);
    render(&PackagePage {
        source: source
            .items
            .into_iter()
            .find(|found| found.pkgbase == pkgbase),
        history: rows
            .into_iter()
            .map(|row| history(row, pkgbase.as_str()))
            .collect(),
        durations,
        pkgbase,
    })
}

/// A text that sorts right before another one of the characters that names are made of.
fn just_before(text: &str) -> String {
    let mut before: Vec<char> = text.chars().collect();
    let last = before
        .pop()
        .and_then(|last| char::from_u32(u32::from(last).saturating_sub(1)));
    before.extend(last);
    before.push('~');
    before.into_iter().collect()
}

fn history(row: HistoryRow, pkgbase: &str) -> HistoryView {
    HistoryView {
        page: build_page(
            &row.namespace,
            row.iteration,
            &row.architecture,
            pkgbase,
            row.pass,
        ),
        log: row.run.as_ref().map(log_page),
        changed: When::at_microsecond(row.changed_at),
        took: match (row.started_at, row.ended_at) {
            (Some(from), Some(to)) => duration_ms((to - from) / 1000),
            _ => String::new(),
        },
        row,
    }
}

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
    namespaces: Vec<(String, String)>,
    packages: Vec<String>,
    workers: Vec<String>,
}

/// Namespaces, packages and workers with a text in their names. What has just that name and is alone
/// with it is gone to at once.
pub async fn search(State(server): State<Server>, Query(search): Query<Search>) -> PageResult {
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
    let namespace = page.namespaces.iter().any(|(name, _)| just(name));
    let package = page.packages.iter().any(just);
    let address = match (namespace, package) {
        (true, false) => format!("/namespaces/{}", page.q),
        (false, true) => format!("/packages/{}", page.q.replace('+', "%2B")),
        _ => return render(&page),
    };
    Ok(Redirect::to(&address).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_between_a_name_and_what_is_just_before_it() {
        for name in ["a", "gtk+", "0ad", "zlib"] {
            let before = just_before(name);
            assert!(before.as_str() < name, "{before}");
            assert!(!("lib" > before.as_str() && "lib" < name));
        }
    }
}
