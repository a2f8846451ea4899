//! Fetching the dbs of mirrors, with as little traffic as they allow.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use tokio::io::AsyncReadExt;
use url::Url;

use super::{Bases, BasesError, lock};

/// The largest db that is taken, in bytes. Arch's largest has about 10 MB.
const SIZE_MAX: usize = 256 << 20;

/// How long a mirror may take to answer, and be silent in the middle.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a mirror sent last, to ask whether it is still true.
#[derive(Debug, Clone)]
pub(super) struct Fetched {
    etag: Option<String>,
    modified: Option<String>,
    digest: String,
}

/// The client for mirrors.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(concat!("buildbtw/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(TIMEOUT)
        .read_timeout(TIMEOUT)
        .build()
}

/// A URL as people may see it: without name and password.
pub(super) fn shown(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else {
        return url.to_owned();
    };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return url.to_owned();
    }
    // Both fail only for URLs that have neither.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.into()
}

impl Bases {
    /// The db of a mirror's repository as it is now.
    pub(super) async fn fetch(&self, name: &str, folder: &str) -> Result<Vec<u8>, BasesError> {
        let url = format!("{folder}/{name}.db");
        let failed = |reason: String| BasesError::Fetch {
            name: name.to_owned(),
            url: shown(&url),
            reason,
        };
        if let Some(path) = local_path(&url) {
            return read_file(&path)
                .await
                .map_err(|error| failed(error.to_string()));
        }
        let before = lock(&self.0.fetched).get(&url).cloned();
        if let Some(before) = before {
            match self.request(&url, Some(&before)).await.map_err(failed)? {
                Answer::New(bytes) => return Ok(bytes),
                Answer::Unchanged => {
                    match tokio::fs::read(self.0.folder.join(&before.digest)).await {
                        Ok(bytes) => return Ok(bytes),
                        Err(error) => {
                            tracing::warn!(repository = name, %error, "a kept db is gone; it is fetched anew");
                        }
                    }
                }
            }
        }
        match self.request(&url, None).await.map_err(failed)? {
            Answer::New(bytes) => Ok(bytes),
            Answer::Unchanged => Err(failed(
                "the mirror says `304 Not Modified` to who has no copy".to_owned(),
            )),
        }
    }

    /// Asks a mirror once; what is wrong comes back as text.
    async fn request(&self, url: &str, before: Option<&Fetched>) -> Result<Answer, String> {
        let mut request = self.0.http.get(url);
        if let Some(etag) = before.and_then(|before| before.etag.as_ref()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(modified) = before.and_then(|before| before.modified.as_ref()) {
            request = request.header(IF_MODIFIED_SINCE, modified);
        }
        let response = request.send().await.map_err(said)?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Answer::Unchanged);
        }
        if !response.status().is_success() {
            return Err(format!("the mirror answered {}", response.status()));
        }
        let too_large = || format!("it is larger than {SIZE_MAX} bytes");
        if response
            .content_length()
            .is_some_and(|length| length > SIZE_MAX as u64)
        {
            return Err(too_large());
        }
        let header = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (etag, modified) = (header(ETAG), header(LAST_MODIFIED));
        let mut bytes = Vec::new();
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(said)?;
            if bytes.len() + part.len() > SIZE_MAX {
                return Err(too_large());
            }
            bytes.extend_from_slice(&part);
        }
        let digest = buildbtw_repo::Sha256Digest::of(&bytes).to_string();
        let fetched = Fetched {
            etag,
            modified,
            digest,
        };
        lock(&self.0.fetched).insert(url.to_owned(), fetched);
        Ok(Answer::New(bytes))
    }
}

enum Answer {
    New(Vec<u8>),
    Unchanged,
}

/// What went wrong with a request, with its causes and without the URL, which may hold a password.
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

/// The file that a `file://` URL names.
pub(super) fn local_path(url: &str) -> Option<PathBuf> {
    if !url.starts_with("file://") {
        return None;
    }
    Url::parse(url).ok()?.to_file_path().ok()
}

async fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .await?;
    if bytes.len() > SIZE_MAX {
        return Err(io::Error::other(format!(
            "it is larger than {SIZE_MAX} bytes"
        )));
    }
    Ok(bytes)
}
