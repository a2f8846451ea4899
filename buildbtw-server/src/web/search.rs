//! Search over namespaces, packages and workers.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use buildbtw_graph::SourcePackage;
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
    packages: Vec<Package>,
    workers: Vec<String>,
}

/// A package base that was found.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    /// How long the name is that has the text in it: the nearest comes first.
    length: usize,
    pkgbase: String,
    /// The package with the text in its name, where it is not called like the package base.
    pkgname: Option<String>,
}

impl Package {
    fn named(pkgbase: &str) -> Self {
        Self {
            length: pkgbase.len(),
            pkgbase: pkgbase.to_owned(),
            pkgname: None,
        }
    }

    /// The package base of a source, if its name or that of a package it makes has the text in it.
    fn of(source: &SourcePackage, text: &str) -> Option<Self> {
        let pkgbase = source.pkgbase.as_str();
        if pkgbase.contains(text) {
            return Some(Self::named(pkgbase));
        }
        let names = source
            .packages
            .iter()
            .map(|package| package.pkgname.as_str());
        let nearest = names
            .filter(|name| name.contains(text))
            .min_by_key(|name| name.len())?;
        Some(Self {
            length: nearest.len(),
            pkgbase: pkgbase.to_owned(),
            pkgname: Some(nearest.to_owned()),
        })
    }

    fn is_called(&self, name: &str) -> bool {
        self.pkgname.as_ref().unwrap_or(&self.pkgbase) == name
    }
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
    let built = overview::pkgbases_like(&mut tx, &page.q, FOUND).await?;
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
        .map(|repository| repository.pkgbase.as_str());
    let known = known.filter(|pkgbase| pkgbase.contains(&page.q));
    let named = built.iter().map(String::as_str).chain(known);
    let mut packages: Vec<Package> = named.map(Package::named).collect();
    let sources = heads.index().iter();
    packages.extend(sources.filter_map(|source| Package::of(source, &page.q)));
    packages.sort();
    packages.dedup();
    packages.truncate(FOUND as usize);
    page.packages = packages;
    let just = |name: &String| *name == page.q;
    let namespace = page
        .namespaces
        .iter()
        .any(|(name, status, _)| just(name) && status != "archived");
    let mut called = page.packages.iter().filter(|one| one.is_called(&page.q));
    let own = page.packages.iter().find(|one| one.pkgbase == page.q);
    let package = own.or_else(|| called.next().filter(|_| called.next().is_none()));
    let address = match (namespace, package) {
        (true, None) => format!("/namespaces/{}", page.q),
        (false, Some(package)) => format!("/packages/{}", package.pkgbase.replace('+', "%2B")),
        _ => return render(&page),
    };
    Ok(Redirect::to(&address).into_response())
}
