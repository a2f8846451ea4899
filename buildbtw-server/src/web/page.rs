//! What all pages share: rendering, headers, names, times.

use std::collections::BTreeMap;
use std::fmt;

use askama::Template;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use buildbtw_api::{BuildStatus, ProblemType};
use jiff::Timestamp;

pub use super::errors::{PageError, PageResult};
use crate::problems::HttpProblem;
use crate::{Server, clock};

/// Pages load nothing from elsewhere and run no script but their own files.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every page is sent with.
pub fn headers() -> [(header::HeaderName, &'static str); 4] {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ]
}

/// A template as an answer.
pub fn render(template: &impl Template) -> PageResult {
    let html = template
        .render()
        .map_err(|error| HttpProblem::internal(&error))?;
    Ok((headers(), Html(html)).into_response())
}

/// A name in the path of a page.
pub fn name<T: std::str::FromStr>(text: &str) -> Result<T, PageError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        HttpProblem::new(ProblemType::InvalidName, error.to_string()).into()
    })
}

/// A number in the path of a page; where none stands, there is nothing.
pub fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| {
        let detail = format!("There is no {what} `{text}`: they are counted from 1.");
        HttpProblem::new(ProblemType::NotFound, detail).into()
    })
}

/// The number of an iteration in the path of a page.
pub fn iteration_number(text: &str) -> Result<u32, PageError> {
    number(text, "iteration")
}

/// A word of the API as people read it: `dependency_failed` has a blank.
pub fn words(word: impl fmt::Display) -> String {
    word.to_string().replace('_', " ")
}

/// A moment: exact for programs, to the second and relative for people.
pub struct When {
    /// RFC 3339.
    pub exact: String,
    /// To the second, in UTC.
    pub shown: String,
    /// How long ago.
    pub ago: String,
}

impl When {
    /// A moment, seen from now.
    pub fn new(at: &Timestamp) -> Self {
        let seconds = clock::now().duration_since(*at).as_secs();
        Self {
            exact: at.to_string(),
            shown: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            ago: match seconds {
                i64::MIN..0 => format!("in {}", length(-seconds * 1000)),
                0..5 => "just now".to_owned(),
                _ => format!("{} ago", length(seconds * 1000)),
            },
        }
    }

    /// A moment in microseconds since 1970.
    pub fn at_microsecond(at: i64) -> Self {
        Self::new(&Timestamp::from_microsecond(at).unwrap_or_default())
    }
}

/// A length of time in milliseconds, in the unit that fits: `8 s`, `3 min`, `2.5 h`, `4 d`.
pub fn length(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..5_400 => format!("{} min", (seconds + 30) / 60),
        5_400..172_800 => format!("{:.1} h", seconds as f64 / 3600.0),
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

/// A length of time in milliseconds, to the second; below ten seconds to a tenth, since the steps of most builds
/// are as short.
pub fn duration_ms(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let seconds = milliseconds / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0..10) if milliseconds >= 100 => {
            format!("{seconds}.{} s", milliseconds / 100 % 10)
        }
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// A length of time as people read it.
pub fn duration(from: &Timestamp, to: &Timestamp) -> String {
    duration_ms(i64::try_from(to.duration_since(*from).as_millis()).unwrap_or(i64::MAX))
}

/// How many bytes, in the unit that fits.
pub fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1023.95 {
            return match unit {
                "B" => format!("{count} B"),
                unit => format!("{size:.1} {unit}"),
            };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// How a disk is.
pub struct Disk {
    /// What is free on it, in words.
    pub free: String,
    /// Builds and uploads are about to fail for want of space.
    pub low: bool,
}

/// What is free on the disk of the server's data.
pub fn disk(server: &Server) -> Disk {
    let refused = match server.lacks_space() {
        true => {
            "; a package was refused for want of space, its worker sends it again until there is room"
        }
        false => "",
    };
    match crate::disk::space(&server.config.data_dir) {
        Ok(space) => Disk {
            free: format!(
                "{} of {} free{refused}",
                bytes(space.free),
                bytes(space.total)
            ),
            low: crate::disk::is_nearly_full(&space) || server.lacks_space(),
        },
        Err(error) => Disk {
            free: format!("cannot be asked: {error}"),
            low: true,
        },
    }
}

/// How many builds stand in each status, as a bar.
pub struct Bar {
    /// All of them; at least 1, since nothing is drawn of 0.
    pub total: u32,
    /// What it says to those who do not see it.
    pub label: String,
    /// Its parts, from left to right.
    pub parts: Vec<BarPart>,
}

/// The builds of one status in a bar.
pub struct BarPart {
    /// The status.
    pub status: BuildStatus,
    /// Where it begins.
    pub from: u32,
    /// How long it is.
    pub count: u32,
}

/// What is good first, then what is bad, then what is still to come.
const BAR_ORDER: [BuildStatus; 11] = [
    BuildStatus::Built,
    BuildStatus::Reused,
    BuildStatus::Waived,
    BuildStatus::Failed,
    BuildStatus::Unbuildable,
    BuildStatus::DependencyFailed,
    BuildStatus::Building,
    BuildStatus::Scheduled,
    BuildStatus::Pending,
    BuildStatus::Blocked,
    BuildStatus::Cancelled,
];

impl Bar {
    /// A bar of so many builds in each status.
    pub fn new(counts: &BTreeMap<BuildStatus, u32>) -> Self {
        let mut parts: Vec<BarPart> = Vec::new();
        let mut from = 0;
        for status in BAR_ORDER {
            let count = counts.get(&status).copied().unwrap_or(0);
            if count > 0 {
                parts.push(BarPart {
                    status,
                    from,
                    count,
                });
                from += count;
            }
        }
        let words = parts
            .iter()
            .map(|part| format!("{} {}", part.count, words(part.status)));
        let words: Vec<String> = words.collect();
        Self {
            total: from.max(1),
            label: match words.is_empty() {
                true => "no builds".to_owned(),
                false => words.join(", "),
            },
            parts,
        }
    }
}

/// A part of a text: code, as people write it between backticks, or not.
pub struct Piece {
    /// It is code.
    pub code: bool,
    /// What it says.
    pub text: String,
}

/// The parts of a text in which code stands between backticks. One that is not closed is none.
pub fn pieces(text: &str) -> Vec<Piece> {
    let closed = text.matches('`').count().is_multiple_of(2);
    let parts = text.splitn(if closed { usize::MAX } else { 1 }, '`');
    let pieces = parts.enumerate().map(|(number, part)| Piece {
        code: number % 2 == 1,
        text: part.to_owned(),
    });
    pieces.filter(|piece| !piece.text.is_empty()).collect()
}

/// A text as the begin of a sentence.
pub fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_uppercase().collect::<String>());
    first.unwrap_or_default() + rest.as_str()
}

/// The address of a build's page.
pub fn build_page(
    namespace: impl fmt::Display,
    iteration: u32,
    architecture: impl fmt::Display,
    pkgbase: &str,
    pass: u8,
) -> String {
    // Of the characters that names are made of, only `+` means something else in an address.
    let pkgbase = pkgbase.replace('+', "%2B");
    format!("/namespaces/{namespace}/{iteration}/{architecture}/{pkgbase}/{pass}")
}

/// The address of an iteration's page. It stays, also when the namespace is archived and its name taken
/// again.
pub fn iteration_page(namespace: impl fmt::Display, number: u32) -> String {
    format!("/namespaces/{namespace}/{number}")
}

/// The address of a run's log.
pub fn log_page(run: impl fmt::Display) -> String {
    format!("/runs/{run}/log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes() {
        let lengths = [0, 59_999, 60_000, 5_399_000, 5_400_000, 172_800_000].map(length);
        assert_eq!(lengths, ["0 s", "59 s", "1 min", "90 min", "1.5 h", "2 d"]);
        let sizes = [0, 1023, 1024, 1_048_524, 1_048_576, 5 << 40].map(bytes);
        assert_eq!(
            sizes,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "1023.9 KiB",
                "1.0 MiB",
                "5.0 TiB"
            ]
        );
    }

    #[test]
    fn code_stands_between_backticks() {
        let parts = |text: &str| -> Vec<(bool, String)> {
            let pieces = pieces(text).into_iter();
            pieces.map(|piece| (piece.code, piece.text)).collect()
        };
        let (code, plain) = (
            |text: &str| (true, text.to_owned()),
            |text: &str| (false, text.to_owned()),
        );
        assert_eq!(
            parts("`bbtw retry n` tries again, `x`"),
            [code("bbtw retry n"), plain(" tries again, "), code("x")]
        );
        assert_eq!(parts("it`s not closed"), [plain("it`s not closed")]);
    }

    #[test]
    fn every_status_has_its_place_in_a_bar() {
        let counts = BuildStatus::ALL.iter().map(|status| (*status, 2)).collect();
        let bar = Bar::new(&counts);
        assert_eq!(bar.total as usize, BuildStatus::ALL.len() * 2);
        assert_eq!(Bar::new(&BTreeMap::new()).total, 1);
    }
}
