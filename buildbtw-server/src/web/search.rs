//! Search over namespaces, packages and workers.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use buildbtw_graph::SourcePackage;
use serde::Deserialize;

use super::extract::Query;
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
    namespaces: Found<NamespaceFound>,
    packages: Found<Package>,
    workers: Found<String>,
}

/// The first things of a kind, and whether there are more.
struct Found<T> {
    items: Vec<T>,
    more: bool,
}

impl<T> Found<T> {
    fn first_of(mut items: Vec<T>) -> Self {
        let more = items.len() > FOUND as usize;
        items.truncate(FOUND as usize);
        Self { items, more }
    }
}

struct NamespaceFound {
    name: String,
    status: String,
    /// The number of its last iteration.
    last: u32,
}

/// How well a name fits: called so, beginning so, or with the text somewhere in it; then the shorter one.
type Fit = (bool, bool, usize);

/// How well a name fits a text in small letters, if it has it in it.
fn fit(name: &str, text: &str) -> Option<Fit> {
    let name = name.to_ascii_lowercase();
    let at = name.find(text)?;
    Some((name != text, at > 0, name.len()))
}

/// A package base that was found.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    fit: Fit,
    pkgbase: String,
    /// The package with the text in its name, where it is not called like the package base.
    pkgname: Option<String>,
}

impl Package {
    fn named(pkgbase: &str, text: &str) -> Option<Self> {
        Some(Self {
            fit: fit(pkgbase, text)?,
            pkgbase: pkgbase.to_owned(),
            pkgname: None,
        })
    }

    /// The package base of a source, if its name or that of a package it makes has the text in it.
    fn of(source: &SourcePackage, text: &str) -> Option<Self> {
        let pkgbase = source.pkgbase.as_str();
        if let Some(named) = Self::named(pkgbase, text) {
            return Some(named);
        }
        let names = source.packages.iter();
        let names = names.map(|package| package.pkgname.as_str());
        let (fit, pkgname) = names
            .filter_map(|name| Some((fit(name, text)?, name)))
            .min()?;
        Some(Self {
            fit,
            pkgbase: pkgbase.to_owned(),
            pkgname: Some(pkgname.to_owned()),
        })
    }
}

/// Namespaces, packages and workers with a text in their names; large and small letters are alike. What has
/// just that name and is alone with it is gone to at once.
pub async fn show(State(server): State<Server>, Query(search): Query<Search>) -> PageResult {
    let q = search.q.trim().to_owned();
    let text = q.to_ascii_lowercase();
    if text.is_empty() {
        return render(&SearchPage {
            q,
            namespaces: Found::first_of(Vec::new()),
            packages: Found::first_of(Vec::new()),
            workers: Found::first_of(Vec::new()),
        });
    }
    let mut tx = server.db.read().await?;
    let namespaces = overview::namespaces_like(&mut tx, &text, FOUND + 1).await?;
    let built = overview::pkgbases_like(&mut tx, &text, FOUND + 1).await?;
    let workers = workers::all(&mut tx).await?.into_iter();
    drop(tx);
    let workers = workers.map(|worker| worker.name);
    let mut workers: Vec<(Fit, String)> = workers
        .filter_map(|name| Some((fit(&name, &text)?, name)))
        .collect();
    workers.sort();
    workers.dedup();
    let packages = packages(&server, &built, &text);
    let namespaces = namespaces.into_iter();
    let namespaces = namespaces.map(|(name, status, last)| NamespaceFound { name, status, last });
    let page = SearchPage {
        q,
        namespaces: Found::first_of(namespaces.collect()),
        packages: Found::first_of(packages),
        workers: Found::first_of(workers.into_iter().map(|(_, name)| name).collect()),
    };
    match only(&page) {
        Some(address) => Ok(Redirect::to(&address).into_response()),
        None => render(&page),
    }
}

/// All packages with a text in small letters in their names, those that fit best first.
fn packages(server: &Server, built: &[String], text: &str) -> Vec<Package> {
    let heads = server.sources.heads();
    let known = heads.repositories();
    let known = known.map(|repository| repository.pkgbase.as_str());
    let named = built.iter().map(String::as_str).chain(known);
    let mut packages: Vec<Package> = named
        .filter_map(|pkgbase| Package::named(pkgbase, text))
        .collect();
    let sources = heads.index().iter();
    packages.extend(sources.filter_map(|source| Package::of(source, text)));
    packages.sort();
    packages.dedup();
    packages
}

/// The page of what is called just so, where nothing else is.
fn only(page: &SearchPage) -> Option<String> {
    let just = |name: &str| name.eq_ignore_ascii_case(&page.q);
    let mut namespaces = page
        .namespaces
        .items
        .iter()
        .filter(|one| just(&one.name) && one.status != "archived");
    let packages = page.packages.items.iter();
    let mut called = packages
        .clone()
        .filter(|one| just(one.pkgname.as_ref().unwrap_or(&one.pkgbase)));
    let own = packages.clone().find(|one| just(&one.pkgbase));
    let package = own.or_else(|| called.next().filter(|_| called.next().is_none()));
    match (namespaces.next(), namespaces.next(), package) {
        (Some(namespace), None, None) => Some(format!("/namespaces/{}", namespace.name)),
        (None, _, Some(package)) => {
            Some(format!("/packages/{}", package.pkgbase.replace('+', "%2B")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_better_comes_first() {
        let mut names = ["a-GTK", "gtk4-doc", "x", "GTK", "gtk4", "libgtk"];
        names.sort_by_key(|name| fit(name, "gtk").unwrap_or((true, true, usize::MAX)));
        assert_eq!(names, ["GTK", "gtk4", "gtk4-doc", "a-GTK", "libgtk", "x"]);
        assert_eq!(fit("x", "gtk"), None);
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let shown = |count: usize| {
            let page = SearchPage {
                q: "w".to_owned(),
                namespaces: Found::first_of(Vec::new()),
                packages: Found::first_of(Vec::new()),
                workers: Found::first_of(vec!["w".to_owned(); count]),
            };
            page.render().unwrap()
        };
        assert!(shown(51).contains("More than 50 match"));
        assert!(!shown(50).contains("More than"));
    }
}
