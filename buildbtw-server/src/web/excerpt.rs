//! The part of a log that a build's page shows: the place of the first error, or the end.

use buildbtw_api::OutcomeClass;
use buildbtw_api::runs::RunDetails;

use super::log::{Line, paint};
use super::log_search::{FirstError, line_page, scan};
use super::page::log_page;
use crate::Server;
use crate::problems::HttpResult;

/// How much of the begin of a log is looked through for an error, and how much of its end where there is
/// none. The whole is looked through by who follows the link.
const BEGIN: u64 = 1 << 20;
const END: u64 = 256 << 10;

/// How much is shown at most, in bytes and lines.
const BYTES: u64 = 24 << 10;
const LINES: usize = 80;

/// How many lines come before an error: it is seen without scrolling.
const BEFORE: u64 = 8;

/// The longest error that is quoted whole, in characters.
const QUOTED: usize = 300;

/// Some lines of a log.
pub struct Excerpt {
    pub lines: Vec<Line>,
    /// The first line that tells of an error.
    pub error: Option<Quoted>,
    /// The log with these lines, before `#`.
    pub page: String,
    /// It has other lines besides.
    pub part: bool,
}

/// A line that is quoted.
pub struct Quoted {
    pub number: u64,
    pub text: String,
    pub page: String,
}

/// What to show of the log of a run that is over.
pub async fn excerpt(server: &Server, run: &RunDetails) -> HttpResult<Excerpt> {
    let id = run.run.id;
    let class = run.run.outcome.as_ref().map(|outcome| outcome.class);
    let error = match class {
        Some(OutcomeClass::Success | OutcomeClass::Cancelled) | None => None,
        Some(_) => first_error(server, run).await?,
    };
    let around = match &error {
        Some((number, _)) => {
            let first = number.saturating_sub(BEFORE + 1);
            let start = server.logs.line_start(id, first).await?;
            start.map(|start| (first, start))
        }
        None => None,
    };
    let end = around.is_none();
    let begin = match around {
        Some(begin) => begin,
        None => known(server, run, BYTES).await?,
    };
    let most = match end {
        true => run.log_length.saturating_sub(begin.1),
        false => BYTES,
    };
    let mut content = server.logs.read(id, begin.1, most).await?;
    if begin.1 + (content.len() as u64) < run.log_length {
        // The last line is not whole.
        let whole = content.iter().rposition(|byte| *byte == b'\n');
        content.truncate(whole.map_or(content.len(), |end| end + 1));
    }
    let (mut lines, used) = paint(&content, begin, end);
    match end {
        true => drop(lines.drain(..lines.len().saturating_sub(LINES))),
        false => lines.truncate(LINES),
    }
    let from = lines.first().map_or(1, |line| line.number);
    let whole = from == 1 && begin.1 + used >= run.log_length && lines.len() < LINES;
    Ok(Excerpt {
        error: error.map(|(number, text)| Quoted {
            number,
            text: cut(&text),
            page: line_page(id, number),
        }),
        page: format!("{}?from={from}", log_page(id)),
        part: !whole,
        lines,
    })
}

/// The first line of a log that tells of an error, with its number, as far as it is looked through.
async fn first_error(server: &Server, run: &RunDetails) -> HttpResult<Option<(u64, String)>> {
    let id = run.run.id;
    let looked = scan(server, id, (0, 0), BEGIN, FirstError::default()).await?;
    if looked.found.is_some() || run.log_length <= BEGIN {
        return Ok(looked.found);
    }
    let begin = known(server, run, END).await?;
    let looked = scan(server, id, begin, u64::MAX, FirstError::default()).await?;
    Ok(looked.found)
}

/// A line so many bytes before the end of a log or a little earlier: the number of those before it, and where it begins.
async fn known(server: &Server, run: &RunDetails, bytes: u64) -> HttpResult<(u64, u64)> {
    let offset = run.log_length.saturating_sub(bytes);
    let known = server.logs.known_line(run.run.id, offset).await?;
    Ok(known.unwrap_or((0, 0)))
}

fn cut(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}
