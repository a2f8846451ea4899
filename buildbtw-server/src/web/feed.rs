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
        title: title(&row.pkgbase, &row.class, row.failed_step.as_deref()),
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

fn title(pkgbase: &str, class: &str, step: Option<&str>) -> String {
    match step {
        // `sources` is a class and a step.
        Some(step) if step != class => format!("{pkgbase}: {class} in {step}"),
        _ => format!("{pkgbase}: {class}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_called_like_its_class_is_named_once() {
        assert_eq!(title("a", "sources", Some("sources")), "a: sources");
        assert_eq!(title("a", "package", Some("check")), "a: package in check");
        assert_eq!(title("a", "timeout", None), "a: timeout");
    }
}
