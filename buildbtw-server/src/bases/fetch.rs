//! Fetching the dbs of mirrors, with as little traffic as they allow.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::StatusCode;
use reqwest::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};

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

impl Bases {
    /// The db of a mirror's repository as it is now.
    pub(super) async fn fetch(&self, name: &str, folder: &str) -> Result<Vec<u8>, BasesError> {
        let url = format!("{folder}/{name}.db");
        let failed = |reason: String| BasesError::Fetch {
            name: name.to_owned(),
            url: url.clone(),
            reason,
        };
        if let Some(path) = url.strip_prefix("file://") {
            return tokio::fs::read(path)
                .await
                .map_err(|error| failed(error.to_string()));
        }
        let before = lock(&self.0.fetched).get(&url).cloned();
        let mut request = self.0.http.get(&url);
        if let Some(before) = &before {
            if let Some(etag) = &before.etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            if let Some(modified) = &before.modified {
                request = request.header(IF_MODIFIED_SINCE, modified);
            }
        }
        let response = request
            .send()
            .await
            .map_err(|error| failed(error.to_string()))?;
        if response.status() == StatusCode::NOT_MODIFIED
            && let Some(before) = &before
        {
            return tokio::fs::read(self.0.folder.join(&before.digest))
                .await
                .map_err(|error| {
                    failed(format!(
                        "it has not changed, but the kept copy is gone: {error}"
                    ))
                });
        }
        if !response.status().is_success() {
            return Err(failed(format!("the mirror answered {}", response.status())));
        }
        let header = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (etag, modified) = (header(ETAG), header(LAST_MODIFIED));
        let mut bytes = Vec::new();
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| failed(error.to_string()))?;
            if bytes.len() + part.len() > SIZE_MAX {
                return Err(failed(format!("it is larger than {SIZE_MAX} bytes")));
            }
            bytes.extend_from_slice(&part);
        }
        let digest = buildbtw_repo::Sha256Digest::of(&bytes).to_string();
        let fetched = Fetched {
            etag,
            modified,
            digest,
        };
        lock(&self.0.fetched).insert(url, fetched);
        Ok(bytes)
    }
}
