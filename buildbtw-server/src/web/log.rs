//! The log of a run: a window of lines with numbers, colours and links, live while the run goes on.

use askama::Template;
use axum::extract::State;
use buildbtw_api::runs::RunDetails;
use buildbtw_api::{ProblemType, RunId};
use jiff::Timestamp;
use serde::Deserialize;

use super::ansi::{Painter, tells_error};
use super::extract::{Path, Query};
use super::page::{PageResult, When, build_page, bytes, name, render, sentence};
use crate::Server;
use crate::db::runs;
use crate::problems::{HttpProblem, HttpResult};

/// How many lines one page shows.
const LINES: u64 = 2_000;

/// How many bytes it shows at most, however long the lines are.
const WINDOW: u64 = 1 << 20;

/// The longest line that is shown whole, in characters.
pub(super) const LONGEST: usize = 4_000;

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
    /// Which one of how many places that is.
    hit: u64,
    of: u64,
    /// No line tells of an error.
    no_error: bool,
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    run: RunDetails,
    build_page: String,
    /// How it ended, in words.
    said: Option<String>,
    ended: Option<When>,
    size: String,
    lines: Vec<Line>,
    /// The first line before what is shown, to go back to.
    earlier: Option<u64>,
    /// The first line behind it.
    later: Option<u64>,
    /// What leads to these lines also when the log has grown, before `#`.
    here: String,
    /// When the run began, in milliseconds since 1970: the times of lines count from there.
    started: i64,
    /// Where in bytes what is shown ends, when it is the end of a log that still grows.
    follow_from: Option<u64>,
    /// What was looked for.
    search: String,
    /// The line where it was found, and which one of how many places that is.
    found: Option<(u64, u64, u64)>,
    /// What came of looking for something, where nothing was found.
    nothing: Option<String>,
}

/// A line of a log as it is shown.
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Its first byte.
    offset: u64,
    /// When it was received, as hours, minutes and seconds from the run's start.
    at: String,
    pub html: String,
    pub error: bool,
    /// makepkg begins a part with it.
    pub heading: bool,
}

pub(super) async fn details(server: &Server, run: RunId) -> HttpResult<RunDetails> {
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
        None => None,
    };
    // Who asks for a line behind the last one gets the end, too.
    let last_ones = begin.is_none();
    let begin = match begin {
        Some(begin) => Some(begin),
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
    if start + (content.len() as u64) < run.log_length {
        // The window ends in the middle of a line: that one is the first of the next.
        let whole = content.iter().rposition(|byte| *byte == b'\n');
        content.truncate(whole.map_or(content.len(), |end| end + 1));
    }
    let (mut lines, used) = paint(&content, (first, start), last_ones);
    let end = start + used;
    let started = run.run.started_at.unwrap_or(run.run.claimed_at);
    let received = logs.received(id, start, end).await?;
    tell_times(&mut lines, &received, started);
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
        said: run
            .run
            .outcome
            .as_ref()
            .map(|outcome| sentence(&outcome.message)),
        ended: run.run.ended_at.as_ref().map(When::new),
        size: bytes(run.log_length),
        earlier: (shown_from > 1).then(|| shown_from.saturating_sub(LINES).max(1)),
        here: match last_ones {
            false => String::new(),
            true => format!("?from={shown_from}"),
        },
        started: started.as_millisecond(),
        later: (end < run.log_length).then_some(shown_to + 1),
        follow_from: (running && end >= run.log_length).then_some(end),
        nothing: match (window.no_error, window.q.is_empty(), window.at) {
            (true, ..) => Some("No line of it tells of an error.".to_owned()),
            (_, false, None) => Some(format!("“{}” does not appear in it.", window.q)),
            _ => None,
        },
        search: window.q,
        found: window.at.map(|at| (at, window.hit, window.of)),
        lines,
        run,
    })
}

/// Says of each line when it was received.
fn tell_times(lines: &mut [Line], received: &[(u64, Timestamp)], started: Timestamp) {
    let mut times = received.iter().peekable();
    let mut at = started;
    for line in lines {
        while let Some((_, time)) = times.next_if(|(offset, _)| *offset <= line.offset) {
            at = *time;
        }
        let seconds = at.duration_since(started).as_secs().max(0);
        line.at = format!(
            "{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
    }
}

/// The first lines of some bytes, or the last ones, as HTML, and how many of the bytes are behind what
/// is to be shown next. `begin` is the number of the lines before and of the bytes before.
pub(super) fn paint(content: &[u8], begin: (u64, u64), last_ones: bool) -> (Vec<Line>, u64) {
    let (mut number, mut offset) = begin;
    let pieces: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let most = usize::try_from(LINES).unwrap_or(usize::MAX);
    let skipped = match last_ones {
        true => pieces.len().saturating_sub(most),
        false => 0,
    };
    let mut painter = Painter::default();
    let mut lines = Vec::with_capacity(pieces.len().min(most));
    for (at, piece) in pieces.into_iter().take(skipped + most).enumerate() {
        number += 1;
        if at >= skipped {
            lines.push(line(piece, number, offset, &mut painter));
        }
        offset += piece.len() as u64;
    }
    (lines, offset - begin.1)
}

fn line(bytes: &[u8], number: u64, offset: u64, painter: &mut Painter) -> Line {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\n');
    let cut = text.char_indices().nth(LONGEST).map(|(at, _)| at);
    let mut painted = painter.line(cut.map_or(text, |at| &text[..at]));
    if cut.is_some() {
        painted.html.push_str(" …");
    }
    Line {
        number,
        offset,
        at: String::new(),
        error: tells_error(&painted.plain),
        heading: painted.plain.starts_with("==> "),
        html: painted.html,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_numbered_and_knows_where_it_ends() {
        let text = b"==> Starting build()...\nx: error: <no>\nh\xc3\x28lf";
        let (lines, used) = paint(text, (4, 100), false);
        let places: Vec<_> = lines
            .iter()
            .map(|line| (line.number, line.offset))
            .collect();
        assert_eq!(places, [(5, 100), (6, 124), (7, 139)]);
        assert_eq!(used, text.len() as u64, "bytes count, not what is shown");
        let (ends, _) = paint(
            b"==> ERROR: A failure occurred in check().\n",
            (0, 0),
            false,
        );
        assert!(ends[0].error, "makepkg's own line counts");
        assert!(lines[0].heading && !lines[0].error);
        assert!(lines[1].error && lines[1].html.contains("&lt;no&gt;"));
        let many = "line\n".repeat(3000);
        let (first, used) = paint(many.as_bytes(), (0, 0), false);
        assert_eq!((first.len(), first[0].number, used), (2000, 1, 10_000));
        let (last, used) = paint(many.as_bytes(), (0, 0), true);
        assert_eq!((last.len(), last[0].number, used), (2000, 1001, 15_000));
        assert_eq!(last[0].offset, 5_000);
    }

    #[test]
    fn a_line_has_the_time_of_the_last_place_before_it() {
        let (mut lines, _) = paint(b"a\nb\nc\nd\n", (0, 10), false);
        let second = |at: i64| Timestamp::from_second(at).unwrap();
        // The first place lies before the window; one lies between two lines of it.
        let received = [(4, second(101)), (12, second(107)), (15, second(3_761))];
        tell_times(&mut lines, &received, second(100));
        let times: Vec<&str> = lines.iter().map(|line| line.at.as_str()).collect();
        assert_eq!(times, ["00:00:01", "00:00:07", "00:00:07", "01:01:01"]);
        // A clock that was set back makes nothing negative.
        tell_times(&mut lines, &received, second(200));
        assert_eq!(lines[0].at, "00:00:00");
    }
}
