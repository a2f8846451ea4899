//! Failures as an Atom feed (RFC 4287), for those who read such.

use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::page::{PageResult, When, build_page};
use crate::db::overview;
use crate::problems::HttpProblem;
use crate::{Server, clock};

/// How many failures the feed has, and how far it goes back, in microseconds.
const ENTRIES: u32 = 100;
const SINCE: i64 = 14 * 24 * 3600 * 1_000_000;

#[derive(Template)]
#[template(path = "failures.atom", escape = "html")]
struct Feed {
    base_url: String,
    updated: String,
    entries: Vec<Entry>,
}

struct Entry {
    id: String,
    page: String,
    title: String,
    text: String,
    at: When,
}

/// The newest failures.
pub async fn failures(State(server): State<Server>) -> PageResult {
    let since = clock::now().as_microsecond() - SINCE;
    let rows = overview::failures(&mut *server.db.read().await?, since, ENTRIES).await?;
    let entries = rows.into_iter().map(|row| Entry {
        page: build_page(
            &row.namespace,
            row.iteration,
            &row.architecture,
            &row.pkgbase,
            row.pass,
        ),
        title: match &row.failed_step {
            // `sources` is a class and a step.
            Some(step) if *step != row.class => {
                format!("{}: {} in {step}", row.pkgbase, row.class)
            }
            _ => format!("{}: {}", row.pkgbase, row.class),
        },
        text: format!("{} ({})", row.message.unwrap_or_default(), row.namespace),
        at: When::at_microsecond(row.ended_at),
        id: row.run,
    });
    let entries: Vec<Entry> = entries.collect();
    let feed = Feed {
        base_url: server.base_url.clone(),
        updated: match entries.first() {
            Some(newest) => newest.at.exact.clone(),
            // A feed without entries is always the same.
            None => jiff::Timestamp::UNIX_EPOCH.to_string(),
        },
        entries,
    };
    let text = feed
        .render()
        .map_err(|error| HttpProblem::internal(&error))?;
    let kind = (header::CONTENT_TYPE, "application/atom+xml; charset=utf-8");
    Ok(([kind], text).into_response())
}
