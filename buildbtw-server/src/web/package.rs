//! A package base: its source, and its builds in all namespaces.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use buildbtw_api::sources::{SourceQuery, SourceRepository};
use buildbtw_graph::PkgBase;

use super::extract::Path;
use super::page::{PageResult, When, build_page, duration_ms, log_page, name, render};
use crate::Server;
use crate::db::overview::{self, HistoryRow};
use crate::db::ready;

/// How many builds the history shows.
const HISTORY: u32 = 100;

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
pub async fn show(State(server): State<Server>, Path(pkgbase): Path<String>) -> PageResult {
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
            // They are stored oldest first, and as on a worker of speed 1.
            let recent = recent.iter().rev();
            let recent: Vec<String> = recent.map(|took| duration_ms(*took)).collect();
            durations.push(format!("{architecture}: {}", recent.join(", ")));
        }
    }
    let rows = overview::history(&mut tx, pkgbase.as_str(), HISTORY).await?;
    drop(tx);
    let mut items = source.items.into_iter();
    let source = items.find(|found| found.pkgbase == pkgbase);
    // Nobody has heard of it; the page says what can be looked for.
    let unknown = source.is_none() && rows.is_empty();
    let page = render(&PackagePage {
        source,
        history: rows
            .into_iter()
            .map(|row| history(row, pkgbase.as_str()))
            .collect(),
        durations,
        pkgbase,
    })?;
    Ok(match unknown {
        true => (StatusCode::NOT_FOUND, page).into_response(),
        false => page,
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
