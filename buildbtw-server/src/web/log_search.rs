//! Looking for something in a log: its first error, or a text.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::RunId;
use serde::Deserialize;

use super::ansi::{readable, tells_error};
use super::extract::{Path, Query};
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
    /// Before that line instead.
    #[serde(default)]
    back: bool,
}

/// Goes to the first line that tells of an error, or to the end.
pub async fn first_error(State(server): State<Server>, Path(run): Path<String>) -> PageResult {
    let id: RunId = name(&run)?;
    details(&server, id).await?;
    let looked = scan(&server, id, (0, 0), u64::MAX, FirstError::default()).await?;
    let address = match looked.found {
        Some((line, _)) => line_page(id, line),
        None => format!("{}?no_error=true", log_page(id)),
    };
    Ok(Redirect::to(&address).into_response())
}

/// Goes to the next line with a text, or to the one before; behind the last one the search begins anew.
pub async fn search(
    State(server): State<Server>,
    Path(run): Path<String>,
    Query(search): Query<Search>,
) -> PageResult {
    let id: RunId = name(&run)?;
    details(&server, id).await?;
    let mut hits = Hits {
        wanted: search.q.to_lowercase(),
        from: search.after.unwrap_or(0),
        ..Hits::default()
    };
    if !hits.wanted.is_empty() {
        hits = scan(&server, id, (0, 0), u64::MAX, hits).await?;
    }
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("q", &search.q)
        .finish();
    let page = log_page(id);
    let address = match hits.chosen(search.back) {
        Some((line, hit)) => format!(
            "{page}?from={}&at={line}&hit={hit}&of={}&{query}#L{line}",
            before(line),
            hits.all
        ),
        None => format!("{page}?{query}"),
    };
    Ok(Redirect::to(&address).into_response())
}

/// The address of a line of a log, with what leads to it.
pub(super) fn line_page(run: RunId, line: u64) -> String {
    format!("{}?from={}#L{line}", log_page(run), before(line))
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

/// What is wanted of a log.
pub(super) trait Look {
    /// Looks at a line, numbered from 1; whether that was enough.
    fn line(&mut self, number: u64, text: &str) -> bool;
}

/// The first line that tells of an error.
#[derive(Debug, Default)]
pub(super) struct FirstError {
    /// Its number and what it says.
    pub found: Option<(u64, String)>,
}

impl Look for FirstError {
    fn line(&mut self, number: u64, text: &str) -> bool {
        if tells_error(text) {
            self.found = Some((number, text.to_owned()));
        }
        self.found.is_some()
    }
}

/// The lines with a text in them, seen from one of them. Each is kept with its place among all.
#[derive(Debug, Default)]
struct Hits {
    /// In small letters.
    wanted: String,
    from: u64,
    all: u64,
    first: Option<(u64, u64)>,
    before: Option<(u64, u64)>,
    next: Option<(u64, u64)>,
    last: Option<(u64, u64)>,
}

impl Hits {
    /// The next one or the one before, around the ends.
    fn chosen(&self, back: bool) -> Option<(u64, u64)> {
        match back {
            true => self.before.or(self.last),
            false => self.next.or(self.first),
        }
    }
}

impl Look for Hits {
    fn line(&mut self, number: u64, text: &str) -> bool {
        if contains(text, &self.wanted) {
            self.all += 1;
            let hit = Some((number, self.all));
            self.first = self.first.or(hit);
            self.last = hit;
            if number < self.from {
                self.before = hit;
            }
            if number > self.from {
                self.next = self.next.or(hit);
            }
        }
        false
    }
}

/// A place in a log, and who looks at the lines behind it.
struct Scan<L> {
    /// The number of the last whole line.
    number: u64,
    /// The begin of a line whose end was not read yet. Of a long one only the begin is kept: it is
    /// not looked at.
    begun: Vec<u8>,
    look: L,
}

impl<L: Look> Scan<L> {
    /// Goes over the bytes that come next; whether that was enough.
    fn go_on(&mut self, part: &[u8]) -> bool {
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
            let enough = line.len() <= LONGEST && {
                let text = String::from_utf8_lossy(line);
                self.look.line(self.number, &readable(&text))
            };
            if enough {
                return true;
            }
            self.begun.clear();
        }
        false
    }
}

/// Looks at the lines behind a place, which is a number of lines and where the next one begins, over so
/// many bytes or more.
pub(super) async fn scan<L: Look + Send + 'static>(
    server: &Server,
    run: RunId,
    (number, mut offset): (u64, u64),
    most: u64,
    look: L,
) -> HttpResult<L> {
    let mut scan = Scan {
        number,
        begun: Vec::new(),
        look,
    };
    let end = offset.saturating_add(most);
    while offset < end {
        let part = server.logs.read(run, offset, SCAN.min(end - offset));
        let part = part.await?;
        if part.is_empty() {
            break;
        }
        offset += part.len() as u64;
        // A log of a hundred megabytes keeps nobody else waiting.
        let looked = tokio::task::spawn_blocking(move || {
            let enough = scan.go_on(&part);
            (enough, scan)
        });
        let enough;
        (enough, scan) = looked
            .await
            .map_err(|error| HttpProblem::internal(&error))?;
        if enough {
            break;
        }
    }
    Ok(scan.look)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over<L: Look>(look: L, number: u64) -> Scan<L> {
        Scan {
            number,
            begun: Vec::new(),
            look,
        }
    }

    #[test]
    fn lines_are_counted_over_the_parts_that_are_read() {
        let text = "one\n\ntwo é\nerror: x\n";
        for cut in 0..text.len() {
            let mut scan = over(FirstError::default(), 0);
            let (first, second) = text.as_bytes().split_at(cut);
            assert!(scan.go_on(first) || scan.go_on(second));
            let found = Some((4, "error: x".to_owned()));
            assert_eq!(scan.look.found, found, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_of_many_megabytes_is_counted_and_not_kept() {
        let mut scan = over(FirstError::default(), 0);
        for _ in 0..10 {
            assert!(!scan.go_on(&[b'x'; 10_000]));
        }
        assert!(scan.begun.capacity() < 100_000);
        assert!(scan.go_on(b"error: y\nerror: z\n"));
        assert_eq!(scan.look.found, Some((2, "error: z".to_owned())));
    }

    #[test]
    fn one_goes_from_hit_to_hit_in_both_directions() {
        let chosen = |from, back| {
            let wanted = "hit".to_owned();
            let hits = Hits {
                wanted,
                from,
                ..Hits::default()
            };
            let mut scan = over(hits, 0);
            assert!(!scan.go_on(b"-\nHIT\n-\nhit\n-\na hit\n"));
            assert_eq!(scan.look.all, 3);
            scan.look.chosen(back).unwrap()
        };
        assert_eq!([0, 2, 4, 6].map(|at| chosen(at, false).0), [2, 4, 6, 2]);
        assert_eq!(
            [6, 4, 2, 0].map(|at| chosen(at, true)).map(|hit| hit.1),
            [2, 1, 3, 3]
        );
    }

    #[test]
    fn large_and_small_letters_are_alike() {
        assert!(contains("Fatal ERROR", "l err") && contains("SCHÖN", "schön"));
        assert!(!contains("short", "a longer text") && !contains("", "a"));
    }
}
