//! Answers with bytes that never change: conditional and partial requests (RFC 9110, 13 and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What is sent, without its bytes.
#[derive(Debug)]
pub(super) struct Content {
    /// How many bytes.
    pub len: u64,
    /// The entity tag, without quotes: a digest.
    pub tag: String,
    /// Last-Modified: seconds since 1970.
    pub modified: i64,
    /// The media type.
    pub media_type: &'static str,
}

impl Content {
    /// Answers a request: with all of it, a part, or that nothing changed. `body` gives the bytes of
    /// a range.
    pub fn answer(
        &self,
        method: &Method,
        request: &HeaderMap,
        body: impl FnOnce(Range<u64>) -> Body,
    ) -> Response {
        let mut response = if self.is_unchanged(request) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            // Parts are only defined for GET.
            let range = if *method == Method::GET {
                self.range(request)
            } else {
                Requested::All
            };
            match range {
                Requested::All => self.with_bytes(StatusCode::OK, 0..self.len, body),
                Requested::Part(range) => {
                    let text = format!("bytes {}-{}/{}", range.start, range.end - 1, self.len);
                    let mut response = self.with_bytes(StatusCode::PARTIAL_CONTENT, range, body);
                    response
                        .headers_mut()
                        .insert(header::CONTENT_RANGE, text_value(&text));
                    response
                }
                Requested::Impossible => {
                    let text = format!("bytes */{}", self.len);
                    (
                        StatusCode::RANGE_NOT_SATISFIABLE,
                        [(header::CONTENT_RANGE, text)],
                    )
                        .into_response()
                }
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, text_value(&format!("\"{}\"", self.tag)));
        headers.insert(
            header::LAST_MODIFIED,
            text_value(&httpdate::fmt_http_date(self.modified_time())),
        );
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // The name of an archived namespace may be given again, and then the same address has other
        // bytes. So a copy may be kept, but is asked for; the tag makes that cheap.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        response
    }

    fn with_bytes(
        &self,
        status: StatusCode,
        range: Range<u64>,
        body: impl FnOnce(Range<u64>) -> Body,
    ) -> Response {
        let headers = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.media_type),
            ),
            (
                header::CONTENT_LENGTH,
                HeaderValue::from(range.end - range.start),
            ),
        ];
        (status, headers, body(range)).into_response()
    }

    fn modified_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.modified).unwrap_or(0))
    }

    /// Whether the asker has these bytes already. A tag says more than a time, so the time is only
    /// looked at where there is no tag.
    fn is_unchanged(&self, request: &HeaderMap) -> bool {
        if request.contains_key(header::IF_NONE_MATCH) {
            return request
                .get_all(header::IF_NONE_MATCH)
                .iter()
                .any(|value| self.tag_is_in(value));
        }
        // Times in the future are none to be ignored here: see `publish`.
        let since = request.get(header::IF_MODIFIED_SINCE).and_then(date);
        since.is_some_and(|since| self.modified_time() <= since)
    }

    fn tag_is_in(&self, value: &HeaderValue) -> bool {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || self.is_tag(tag.strip_prefix("W/").unwrap_or(tag)))
    }

    fn is_tag(&self, tag: &str) -> bool {
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(&self.tag)
    }

    /// The part that is asked for. Several parts at once are answered with everything, as the
    /// standard allows.
    fn range(&self, request: &HeaderMap) -> Requested {
        let Some(text) = request
            .get(header::RANGE)
            .and_then(|value| value.to_str().ok())
        else {
            return Requested::All;
        };
        if let Some(condition) = request.get(header::IF_RANGE) {
            let same = condition.to_str().is_ok_and(|tag| self.is_tag(tag))
                || date(condition).is_some_and(|time| time == self.modified_time());
            if !same {
                return Requested::All;
            }
        }
        parse_range(text, self.len)
    }
}

fn text_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digests, dates and numbers are visible ASCII")
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Requested {
    All,
    Part(Range<u64>),
    Impossible,
}

fn parse_range(text: &str, len: u64) -> Requested {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Requested::All;
    };
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", "") => return Requested::All,
        ("", count) => number(count).map(|count| len.saturating_sub(count)..len),
        (first, "") => number(first).map(|first| first..len),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if last < first => return Requested::All,
            (Some(first), Some(last)) => Some(first..last.saturating_add(1).min(len)),
            _ => None,
        },
    };
    match range {
        None => Requested::All,
        Some(range) if range.start >= range.end => Requested::Impossible,
        Some(range) => Requested::Part(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |range| Requested::Part(range);
        for (text, expected) in [
            ("bytes=0-0", part(0..1)),
            ("bytes=2-", part(2..10)),
            ("bytes=2-5", part(2..6)),
            ("bytes=2-500", part(2..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-30", part(0..10)),
            ("bytes=9-99999999999999999999999", part(9..10)),
            ("bytes=10-", Requested::Impossible),
            ("bytes=10-12", Requested::Impossible),
            ("bytes=-0", Requested::Impossible),
            ("bytes=5-2", Requested::All),
            ("bytes=-", Requested::All),
            ("bytes=", Requested::All),
            ("bytes=a-b", Requested::All),
            ("bytes=+1-2", Requested::All),
            ("bytes=0-1,3-4", Requested::All),
            ("lines=0-1", Requested::All),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Requested::Impossible);
    }

    fn content() -> Content {
        Content {
            len: 10,
            tag: "abc".to_owned(),
            modified: 1_000_000_000,
            media_type: "text/plain",
        }
    }

    fn ask(headers: &[(header::HeaderName, &str)]) -> StatusCode {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        content()
            .answer(&Method::GET, &headers, |_| Body::empty())
            .status()
    }

    #[test]
    fn the_tag_decides_and_else_the_time() {
        let (time, later, earlier) = (
            "Sun, 09 Sep 2001 01:46:40 GMT",
            "Sun, 09 Sep 2001 01:46:41 GMT",
            "Sun, 09 Sep 2001 01:46:39 GMT",
        );
        assert_eq!(ask(&[]), 200);
        for tag in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert_eq!(ask(&[(header::IF_NONE_MATCH, tag)]), 304, "{tag}");
        }
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "abc")]), 200);
        assert_eq!(
            ask(&[
                (header::IF_NONE_MATCH, "\"x\""),
                (header::IF_MODIFIED_SINCE, later)
            ]),
            200
        );
        assert_eq!(ask(&[(header::IF_MODIFIED_SINCE, time)]), 304);
        assert_eq!(ask(&[(header::IF_MODIFIED_SINCE, later)]), 304);
        assert_eq!(ask(&[(header::IF_MODIFIED_SINCE, earlier)]), 200);
        assert_eq!(ask(&[(header::IF_MODIFIED_SINCE, "yesterday")]), 200);
        let range = (header::RANGE, "bytes=1-2");
        assert_eq!(ask(std::slice::from_ref(&range)), 206);
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "\"abc\"")]), 206);
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, time)]), 206);
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "W/\"abc\"")]), 200);
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, earlier)]), 200);
        assert_eq!(ask(&[range, (header::IF_NONE_MATCH, "\"abc\"")]), 304);
        assert_eq!(ask(&[(header::RANGE, "bytes=10-")]), 416);
    }
}
