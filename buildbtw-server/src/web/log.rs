//! The log of a run: a window of lines with numbers, colours and links, live while the run goes on.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::runs::RunDetails;
use buildbtw_api::{ProblemType, RunId};
use serde::Deserialize;

use super::ansi::{Painter, tells_error};
use super::page::{PageResult, When, build_page, bytes, log_page, name, render};
use crate::Server;
use crate::db::runs;
use crate::problems::{HttpProblem, HttpResult};

/// How many lines one page shows.
const LINES: u64 = 2_000;

/// How many bytes it shows at most, however long the lines are.
const WINDOW: u64 = 1 << 20;

/// How much is read at once in looking for the first error.
const SCAN: u64 = 4 << 20;

/// The longest line that is shown whole, in characters.
const LONGEST: usize = 4_000;

/// Which lines to show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Window {
    /// The first line, from 1; the end of the log where it is not given.
    from: Option<u64>,
    /// What was looked for.
    q: String,
    /// The line where it was found.
    at: Option<u64>,
    /// No line tells of an error.
    no_error: bool,
}

/// What to look for in a log.
#[derive(Debug, Deserialize)]
pub struct Search {
    /// The text; large and small letters are alike.
    q: String,
    /// Behind which line; from the begin where it is not given.
    after: Option<u64>,
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    run: RunDetails,
    build_page: String,
    ended: Option<When>,
    size: String,
    lines: Vec<Line>,
    /// The first line before what is shown, to go back to.
    earlier: Option<u64>,
    /// The first line behind it.
    later: Option<u64>,
    /// Where in bytes what is shown ends, when it is the end of a log that still grows.
    follow_from: Option<u64>,
    /// What was looked for.
    search: String,
    /// The line where it was found.
    found: Option<u64>,
    /// What came of looking for something, where nothing was found.
    nothing: Option<String>,
}

struct Line {
    number: u64,
    html: String,
    error: bool,
    /// makepkg begins a part with it.
    heading: bool,
}

async fn details(server: &Server, run: RunId) -> HttpResult<RunDetails> {
    let mut tx = server.db.read().await?;
    let details = runs::details(&mut tx, run).await?;
    details.ok_or_else(|| HttpProblem::new(ProblemType::NotFound, format!("there is no run {run}")))
}

/// Some lines of a log.
pub async fn show(
    State(server): State<Server>,
    Path(run): Path<String>,
    Query(window): Query<Window>,
) -> PageResult {
    let id: RunId = name(&run)?;
    let mut run = details(&server, id).await?;
    run.log_length = server.logs.length(id).await;
    let logs = &server.logs;
    let begin = match window.from {
        Some(from) => {
            let line = from.max(1) - 1;
            logs.line_start(id, line).await?.map(|start| (line, start))
        }
        None => {
            logs.known_line(id, run.log_length.saturating_sub(WINDOW / 4))
                .await?
        }
    };
    let (first, start) = begin.unwrap_or((0, 0));
    let running = run.run.outcome.is_none();
    let mut content = logs.read(id, start, WINDOW).await?;
    if running && start + content.len() as u64 == run.log_length {
        // A line that is being written is shown when it is whole.
        let whole = content.iter().rposition(|byte| *byte == b'\n');
        content.truncate(whole.map_or(0, |end| end + 1));
        run.log_length = start + content.len() as u64;
    }
    let (lines, used) = paint(&content, first, window.from.is_none());
    let end = start + used;
    let shown_to = lines.last().map_or(first, |line| line.number);
    let shown_from = lines.first().map_or(first + 1, |line| line.number);
    render(&LogPage {
        build_page: build_page(
            &run.namespace,
            run.iteration,
            &run.architecture,
            run.pkgbase.as_str(),
            run.pass,
        ),
        ended: run.run.ended_at.as_ref().map(When::new),
        size: bytes(run.log_length),
        earlier: (shown_from > 1).then(|| shown_from.saturating_sub(LINES).max(1)),
        later: (end < run.log_length).then_some(shown_to + 1),
        follow_from: (running && end >= run.log_length).then_some(end),
        nothing: match (window.no_error, window.q.is_empty(), window.at) {
            (true, ..) => Some("No line of it tells of an error.".to_owned()),
            (_, false, None) => Some(format!("“{}” does not appear in it.", window.q)),
            _ => None,
        },
        search: window.q,
        found: window.at,
        lines,
        run,
    })
}

/// The lines of some bytes, as HTML, and how many of the bytes that is: the last ones of a window that
/// ends in the middle of a line are left for the next.
fn paint(content: &[u8], first: u64, last_ones: bool) -> (Vec<Line>, u64) {
    let text = String::from_utf8_lossy(content);
    let mut painter = Painter::default();
    let mut used = 0;
    let mut all: Vec<(u64, &str)> = Vec::new();
    for (number, line) in (first + 1..).zip(text.split_inclusive('\n')) {
        all.push((number, line));
    }
    let most = usize::try_from(LINES).unwrap_or(usize::MAX);
    let window = match last_ones {
        true => &all[all.len().saturating_sub(most)..],
        false => &all[..all.len().min(most)],
    };
    let whole = window.len() == all.len() || last_ones;
    let mut lines = Vec::with_capacity(window.len());
    for (number, line) in window {
        let cut = line.char_indices().nth(LONGEST).map(|(at, _)| at);
        let shown = line.trim_end_matches('\n');
        let shown = cut.map_or(shown, |at| &line[..at]);
        let mut painted = painter.line(shown);
        if cut.is_some() {
            painted.html.push_str(" …");
        }
        lines.push(Line {
            number: *number,
            error: tells_error(&painted.plain),
            heading: painted.plain.starts_with("==> "),
            html: painted.html,
        });
        used += line.len();
    }
    // Replacement characters may make the text longer than the bytes were.
    let used = if whole {
        content.len()
    } else {
        used.min(content.len())
    };
    (lines, used as u64)
}

/// Goes to the first line that tells of an error, or to the end.
pub async fn first_error(State(server): State<Server>, Path(run): Path<String>) -> PageResult {
    let id: RunId = name(&run)?;
    details(&server, id).await?;
    let page = log_page(id);
    let address = match find(&server, id, 0, tells_error).await? {
        Some(line) => format!("{page}?from={}#L{line}", before(line)),
        None => format!("{page}?no_error=true"),
    };
    Ok(Redirect::to(&address).into_response())
}

/// Goes to the next line with a text; behind the last one the search begins anew.
pub async fn search(
    State(server): State<Server>,
    Path(run): Path<String>,
    Query(search): Query<Search>,
) -> PageResult {
    let id: RunId = name(&run)?;
    details(&server, id).await?;
    let wanted = search.q.to_lowercase();
    let has_it = |line: &str| line.to_lowercase().contains(&wanted);
    let after = search.after.unwrap_or(0);
    let mut found = None;
    if !wanted.is_empty() {
        found = find(&server, id, after, has_it).await?;
        if found.is_none() && after > 0 {
            found = find(&server, id, 0, has_it).await?;
        }
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("q", &search.q)
        .finish();
    let page = log_page(id);
    let address = match found {
        Some(line) => format!("{page}?from={}&at={line}&{query}#L{line}", before(line)),
        None => format!("{page}?{query}"),
    };
    Ok(Redirect::to(&address).into_response())
}

/// Where to begin to show what leads to a line.
fn before(line: u64) -> u64 {
    line.saturating_sub(20).max(1)
}

/// The number, from 1, of the first line behind a place of which something holds.
async fn find(
    server: &Server,
    run: RunId,
    after: u64,
    holds: impl Fn(&str) -> bool,
) -> HttpResult<Option<u64>> {
    let (mut offset, mut number) = (0, 0);
    let mut begun = Vec::new();
    loop {
        let part = server.logs.read(run, offset, SCAN).await?;
        if part.is_empty() {
            return Ok(None);
        }
        offset += part.len() as u64;
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(piece);
            if !piece.ends_with(b"\n") {
                continue;
            }
            number += 1;
            let text = String::from_utf8_lossy(&begun);
            if number > after
                && text.len() <= LONGEST
                && holds(&Painter::default().line(&text).plain)
            {
                return Ok(Some(number));
            }
            begun.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_numbered_and_knows_where_it_ends() {
        let (lines, used) = paint(b"==> Starting build()...\nx: error: <no>\nhalf", 4, false);
        let numbers: Vec<u64> = lines.iter().map(|line| line.number).collect();
        assert_eq!((numbers, used), (vec![5, 6, 7], 43));
        let (ends, _) = paint(b"==> ERROR: A failure occurred in check().\n", 0, false);
        assert!(ends[0].error, "makepkg's own line counts");
        assert!(lines[0].heading && !lines[0].error);
        assert!(lines[1].error && lines[1].html.contains("&lt;no&gt;"));
        let many = "line\n".repeat(3000);
        let (first, used) = paint(many.as_bytes(), 0, false);
        assert_eq!((first.len(), first[0].number, used), (2000, 1, 10_000));
        let (last, used) = paint(many.as_bytes(), 0, true);
        assert_eq!((last.len(), last[0].number, used), (2000, 1001, 15_000));
    }
}
