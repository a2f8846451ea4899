//! Looking for something in a log: its first error, or a text.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::RunId;
use serde::Deserialize;

use super::ansi::{readable, tells_error};
use super::log::{LONGEST, details};
use super::page::{PageResult, log_page, name};
use crate::Server;
use crate::problems::{HttpProblem, HttpResult};

/// How much is read at once.
const SCAN: u64 = 4 << 20;

/// What to look for in a log.
#[derive(Debug, Deserialize)]
pub struct Search {
    /// The text; large and small letters are alike.
    q: String,
    /// Behind which line; from the begin where it is not given.
    after: Option<u64>,
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
    let after = search.after.unwrap_or(0);
    let mut found = None;
    if !wanted.is_empty() {
        let has_it = {
            let wanted = wanted.clone();
            move |line: &str| contains(line, &wanted)
        };
        found = find(&server, id, after, has_it.clone()).await?;
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

/// Whether a text has another one in it, which is in small letters.
fn contains(text: &str, wanted: &str) -> bool {
    match text.is_ascii() {
        true => {
            let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
            text.windows(wanted.len())
                .any(|part| part.eq_ignore_ascii_case(wanted))
        }
        false => text.to_lowercase().contains(wanted),
    }
}

/// Where to begin to show what leads to a line.
fn before(line: u64) -> u64 {
    line.saturating_sub(20).max(1)
}

/// A place in a log, and what is wanted of the lines behind it.
struct Scan<F> {
    /// The number of the last whole line.
    number: u64,
    /// The begin of a line whose end was not read yet. Of a long one only the begin is kept: it is
    /// not looked at.
    begun: Vec<u8>,
    after: u64,
    holds: F,
}

impl<F: Fn(&str) -> bool> Scan<F> {
    /// Goes over the bytes that come next; the first line that is wanted.
    fn look(&mut self, part: &[u8]) -> Option<u64> {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            let whole = piece.ends_with(b"\n");
            if !whole || !self.begun.is_empty() {
                let room = (LONGEST + 2).saturating_sub(self.begun.len());
                self.begun
                    .extend_from_slice(&piece[..piece.len().min(room)]);
            }
            if !whole {
                continue;
            }
            self.number += 1;
            let line = match self.begun.is_empty() {
                true => piece,
                false => self.begun.as_slice(),
            };
            let wanted = self.number > self.after && line.len() <= LONGEST && {
                let text = String::from_utf8_lossy(line);
                (self.holds)(&readable(&text))
            };
            if wanted {
                return Some(self.number);
            }
            self.begun.clear();
        }
        None
    }
}

/// The number, from 1, of the first line behind a place of which something holds.
async fn find(
    server: &Server,
    run: RunId,
    after: u64,
    holds: impl Fn(&str) -> bool + Send + 'static,
) -> HttpResult<Option<u64>> {
    let mut scan = Scan {
        number: 0,
        begun: Vec::new(),
        after,
        holds,
    };
    let mut offset = 0;
    loop {
        let part = server.logs.read(run, offset, SCAN).await?;
        if part.is_empty() {
            return Ok(None);
        }
        offset += part.len() as u64;
        // A log of a hundred megabytes keeps nobody else waiting.
        let looked = tokio::task::spawn_blocking(move || {
            let found = scan.look(&part);
            (found, scan)
        });
        let found;
        (found, scan) = looked
            .await
            .map_err(|error| HttpProblem::internal(&error))?;
        if found.is_some() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_over_the_parts_that_are_read() {
        let text = "one\n\ntwo é\nerror: x\n";
        for cut in 0..text.len() {
            let mut scan = Scan {
                number: 0,
                begun: Vec::new(),
                after: 1,
                holds: tells_error,
            };
            let (first, second) = text.as_bytes().split_at(cut);
            let found = scan.look(first).or_else(|| scan.look(second));
            assert_eq!(found, Some(4), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_of_many_megabytes_is_counted_and_not_kept() {
        let mut scan = Scan {
            number: 0,
            begun: Vec::new(),
            after: 0,
            holds: |line: &str| line == "error",
        };
        for _ in 0..10 {
            assert_eq!(scan.look(&[b'x'; 10_000]), None);
        }
        assert!(scan.begun.capacity() < 100_000);
        assert_eq!(scan.look(b"error\nerror\n"), Some(2));
    }

    #[test]
    fn large_and_small_letters_are_alike() {
        assert!(contains("Fatal ERROR", "l err") && contains("SCHÖN", "schön"));
        assert!(!contains("short", "a longer text") && !contains("", "a"));
    }
}
