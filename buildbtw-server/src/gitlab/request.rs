//! One request to GitLab, from its turn in the budget to an answer or an error.

use std::fs::File;
use std::io::{Seek, Write};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::backoff::{Failure, Rules, next_pause};
use super::budget::Limits;
use super::error::GitLabError;
use super::{GitLab, Inner};

/// The largest answer that is read into memory, in bytes.
const LARGEST_ANSWER: u64 = 128 << 20;

/// The longest of GitLab's words that are passed on, in characters.
const LONGEST_WORDS: usize = 300;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// In words: "list the projects".
    pub what: &'static str,
    /// How.
    pub method: Method,
    /// Where to, below the address of the GitLab.
    pub path: String,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Option<Value>,
    /// Whether it may be done twice.
    pub idempotent: bool,
}

impl Call {
    /// A request that reads.
    pub fn get(what: &'static str, path: String) -> Self {
        Self {
            what,
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            idempotent: true,
        }
    }

    /// A request that changes something, and may not be made twice.
    pub fn post(what: &'static str, path: String, body: Value) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            idempotent: false,
            ..Self::get(what, path)
        }
    }
}

/// A failed try.
struct Failed {
    error: GitLabError,
    failure: Failure,
}

impl Failed {
    fn unknown(error: GitLabError) -> Self {
        let failure = Failure::Unknown { retry_after: None };
        Self { error, failure }
    }

    fn last(error: GitLabError) -> Self {
        let failure = Failure::Final;
        Self { error, failure }
    }
}

/// Where an answer goes.
enum Into<'a> {
    Memory(Vec<u8>),
    File(&'a mut File, u64),
}

impl Into<'_> {
    /// Forgets what an earlier try left.
    fn clear(&mut self) -> std::io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.clear(),
            Self::File(file, _) => {
                file.set_len(0)?;
                file.rewind()?;
            }
        }
        Ok(())
    }
}

impl GitLab {
    /// Makes a request and understands the JSON that comes back.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, GitLabError> {
        let mut into = Into::Memory(Vec::new());
        self.fetch(call, &mut into).await?;
        let bytes = match into {
            Into::Memory(bytes) => bytes,
            Into::File(..) => Vec::new(),
        };
        serde_json::from_slice(&bytes).map_err(|error| GitLabError::Garbled {
            what: call.what,
            reason: error.to_string(),
        })
    }

    /// Makes a request whose answer is of no interest.
    pub(super) async fn done(&self, call: &Call) -> Result<(), GitLabError> {
        self.fetch(call, &mut Into::Memory(Vec::new())).await
    }

    /// Makes a request and writes the answer into a file, which is emptied first.
    pub(super) async fn download(
        &self,
        call: &Call,
        file: &mut File,
        limit: u64,
    ) -> Result<(), GitLabError> {
        self.fetch(call, &mut Into::File(file, limit)).await
    }

    /// Tries until it goes well, or may not be tried again.
    async fn fetch(&self, call: &Call, into: &mut Into<'_>) -> Result<(), GitLabError> {
        let settings = &self.0.settings;
        let rules = Rules {
            tries: settings.tries,
            first_pause: settings.first_pause,
            longest_pause: settings.longest_pause,
        };
        let mut tried = 0;
        let result = loop {
            into.clear().map_err(|error| file_error(call, &error))?;
            let result = {
                let _turn = self.0.budget.turn(&*self.0.time).await;
                self.0.attempt(call, into).await
            };
            tried += 1;
            let Failed { error, failure } = match result {
                Ok(()) => break Ok(()),
                Err(failed) => failed,
            };
            if let GitLabError::TooManyRequests {
                retry_after: Some(wait),
                ..
            } = &error
            {
                // It holds for everybody with this token.
                let wait = (*wait).min(settings.longest_pause);
                self.0.budget.hold(self.0.time.now() + wait);
            }
            let chance = fastrand::f64();
            match next_pause(&rules, failure, call.idempotent, tried, chance) {
                Some(pause) => {
                    tracing::debug!(%error, tried, ?pause, "a request to GitLab is tried again");
                    self.0.time.pause(pause).await;
                }
                None => break Err(error),
            }
        };
        self.0.reach.note(&result);
        result
    }
}

fn file_error(call: &Call, error: &std::io::Error) -> GitLabError {
    GitLabError::File {
        what: call.what,
        reason: error.to_string(),
    }
}

impl Inner {
    fn host(&self) -> String {
        self.settings.url.host_str().unwrap_or_default().to_owned()
    }

    fn request(&self, call: &Call) -> RequestBuilder {
        let base = self.settings.url.as_str().trim_end_matches('/');
        let url = format!("{base}{}", call.path);
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .bearer_auth(self.settings.token.expose());
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request
    }

    /// Makes one try.
    async fn attempt(&self, call: &Call, into: &mut Into<'_>) -> Result<(), Failed> {
        let mut request = self.request(call);
        if matches!(into, Into::Memory(_)) {
            request = request.timeout(self.settings.timeout);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.broke(call, error)),
        };
        let status = response.status();
        if let Some(limits) = limits(response.headers()) {
            self.budget.heed(limits, self.time.now());
        }
        if status.is_success() {
            self.receive(call, response, into).await?;
            return match into {
                Into::Memory(bytes) => whole(call, bytes),
                Into::File(..) => Ok(()),
            };
        }
        Err(self.refusal(call, response).await)
    }

    /// What became of a connection.
    fn broke(&self, call: &Call, error: reqwest::Error) -> Failed {
        let what = call.what;
        let (connecting, timeout) = (error.is_connect(), error.is_timeout());
        let error = if timeout {
            GitLabError::Silent {
                what,
                host: self.host(),
                after: self.settings.timeout.min(self.settings.silence),
            }
        } else {
            GitLabError::Unreachable {
                what,
                host: self.host(),
                reason: self.settings.token.remove_from(&said(error)),
            }
        };
        if connecting {
            let failure = Failure::NotDone { retry_after: None };
            Failed { error, failure }
        } else {
            Failed::unknown(error)
        }
    }

    async fn receive(
        &self,
        call: &Call,
        response: Response,
        into: &mut Into<'_>,
    ) -> Result<(), Failed> {
        let mut length = 0_u64;
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| self.broke(call, error))?;
            length += part.len() as u64;
            let limit = match into {
                Into::Memory(_) => LARGEST_ANSWER,
                Into::File(_, limit) => *limit,
            };
            if length > limit {
                let what = call.what;
                return Err(Failed::last(GitLabError::TooLarge { what, limit }));
            }
            match into {
                Into::Memory(bytes) => bytes.extend_from_slice(&part),
                Into::File(file, _) => file
                    .write_all(&part)
                    .map_err(|error| Failed::last(file_error(call, &error)))?,
            }
        }
        Ok(())
    }

    /// Understands an answer that says no.
    async fn refusal(&self, call: &Call, response: Response) -> Failed {
        let (what, status) = (call.what, response.status());
        let retry_after = retry_after(response.headers());
        let mut words = Into::Memory(Vec::new());
        let received = self.receive(call, response, &mut words).await;
        let bytes = match words {
            Into::Memory(bytes) => bytes,
            Into::File(..) => Vec::new(),
        };
        let said = self.words(status, &bytes);
        match status {
            StatusCode::TOO_MANY_REQUESTS => Failed {
                error: GitLabError::TooManyRequests { what, retry_after },
                failure: Failure::NotDone { retry_after },
            },
            StatusCode::UNAUTHORIZED => Failed::last(GitLabError::Unauthorized { what }),
            StatusCode::FORBIDDEN => Failed::last(GitLabError::Forbidden { what, said }),
            StatusCode::NOT_FOUND => Failed::last(GitLabError::NotFound { what }),
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => Failed {
                error: GitLabError::Broken {
                    what,
                    host: self.host(),
                    status,
                },
                failure: Failure::Unknown { retry_after },
            },
            status if status.is_redirection() => Failed::last(GitLabError::Refused {
                what,
                status,
                said: "it leads to another server, to which no token is sent".to_owned(),
            }),
            // Here the words count: half of them may be other ones.
            status => match received.and_then(|()| whole(call, &bytes)) {
                Ok(()) => Failed::last(GitLabError::Refused { what, status, said }),
                Err(failed) => failed,
            },
        }
    }

    /// GitLab's words, as far as it has some: `message` or `error`, each a text, a list or a map.
    fn words(&self, status: StatusCode, body: &[u8]) -> String {
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(body) => ["message", "error_description", "error", "errors"]
                .into_iter()
                .filter_map(|name| body.get(name))
                .map(flat)
                .find(|text| !text.is_empty())
                .unwrap_or_default(),
            Err(_) => String::new(),
        };
        let text = if text.is_empty() {
            status.to_string()
        } else {
            text
        };
        self.shortened(&text)
    }

    /// Words of others: short, on one line, and without the token.
    pub(super) fn shortened(&self, text: &str) -> String {
        let text = self.settings.token.remove_from(text);
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut short: String = plain.clone().take(LONGEST_WORDS).collect();
        if plain.count() > LONGEST_WORDS {
            short.push('…');
        }
        short
    }
}

/// Half an answer may be whole the next time.
fn whole(call: &Call, bytes: &[u8]) -> Result<(), Failed> {
    if bytes.is_empty() {
        return Ok(());
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failed::unknown(GitLabError::Garbled {
            what: call.what,
            reason: error.to_string(),
        })),
    }
}

/// A JSON value as words.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join("; "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match name.as_str() {
                "base" | "message" => flat(value),
                _ => format!("{name}: {}", flat(value)),
            })
            .collect::<Vec<_>>()
            .join("; "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What went wrong with a connection, with its causes and without the address.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The sender's clock.
fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// When somebody wants to be asked again: seconds, or a date by the sender's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    if let Some(seconds) = number(headers, RETRY_AFTER.as_str()) {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(headers.get(RETRY_AFTER)?.to_str().ok()?).ok()?;
    at.duration_since(date(headers)?).ok()
}

/// What GitLab says of its limits.
fn limits(headers: &HeaderMap) -> Option<Limits> {
    let remaining = number(headers, "ratelimit-remaining")?;
    let resets_at = i64::try_from(number(headers, "ratelimit-reset")?).ok()?;
    let now = Timestamp::try_from(date(headers)?).ok()?;
    let seconds = u64::try_from(resets_at - now.as_second()).unwrap_or(0);
    Some(Limits {
        remaining,
        resets_in: Duration::from_secs(seconds),
    })
}
