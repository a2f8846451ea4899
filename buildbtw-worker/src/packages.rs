//! Sends the packages that a build made.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use buildbtw_api::client::{ClientError, UploadError};
use buildbtw_api::{Problem, ProblemType};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::Workplace;
use crate::held::Hold;
use crate::retry::{Attempt, Undelivered, deliver};

/// How long a connection may take no byte of a package before it counts as broken.
const STALL: Duration = Duration::from_secs(60);

/// How long the server may take to check and store a package that it has in full.
const STORING: Duration = Duration::from_secs(15 * 60);

/// How often a connection may break in the middle of a package while the server answers otherwise:
/// then it refuses the package without a word that reaches us.
const BREAKS: u32 = 10;

/// How much is read from the disk at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// Sends one package, from the start again if need be, and hands back its file name.
///
/// # Errors
///
/// When the run is lost, the server refuses the package, or it cannot be read.
pub async fn send(place: &Workplace, hold: &Hold, path: &Path) -> Result<String, Undelivered> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| {
            let what = format!("{} has no file name that is text", path.display());
            Undelivered::Disk(std::io::Error::other(what))
        })?;
    let (digest, size) = digest(path).await.map_err(Undelivered::Disk)?;
    let limit = place.upload_limit();
    if size > limit {
        let detail =
            format!("{name} has {size} bytes, and the server takes packages of {limit} at most");
        let problem = Problem::new(ProblemType::TooLarge, detail);
        return Err(Undelivered::Refused(ClientError::Problem(Box::new(
            problem,
        ))));
    }
    tracing::debug!(run = %hold.run, name, size, "sending a package");
    let breaks = AtomicU32::new(0);
    deliver(
        "a package",
        &hold.lost,
        &place.reach,
        async || match attempt(place, hold, path, name, &digest, size).await {
            Err(Attempt::Upload(UploadError::Client(
                error @ (ClientError::Unreachable { .. } | ClientError::Broken { .. }),
            ))) if !place.reach.is_away() && breaks.fetch_add(1, Ordering::Relaxed) >= BREAKS => {
                Err(Attempt::Hopeless(error))
            }
            answer => answer,
        },
    )
    .await?;
    Ok(name.to_owned())
}

/// SHA-256 in hexadecimal, and the size in bytes.
async fn digest(path: &Path) -> std::io::Result<(String, u64)> {
    let path = path.to_owned();
    let hashing = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok((hex::encode(hasher.finalize()), size)),
                Ok(read) => {
                    hasher.update(&chunk[..read]);
                    size += read as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    });
    hashing.await.map_err(std::io::Error::other)?
}

async fn attempt(
    place: &Workplace,
    hold: &Hold,
    path: &Path,
    name: &str,
    digest: &str,
    size: u64,
) -> Result<(), Attempt> {
    let file = File::open(path).await.map_err(Attempt::Disk)?;
    let passed = Arc::new(AtomicU64::new(0));
    let unreadable = Arc::new(AtomicBool::new(false));
    let stream = ReaderStream::with_capacity(file, CHUNK)
        .inspect_ok({
            let passed = Arc::clone(&passed);
            move |chunk| {
                passed.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        })
        .inspect_err({
            let unreadable = Arc::clone(&unreadable);
            move |_| unreadable.store(true, Ordering::Relaxed)
        });
    let body = reqwest::Body::wrap_stream(stream);
    let upload = place
        .client
        .upload_package(hold.run, hold.fence, name, digest, size, body);
    let answer = tokio::select! {
        answer = upload => answer,
        () = stalled(&passed, size) => Err(UploadError::Client(ClientError::Broken {
            url: place.client.base().clone(),
            reason: format!("the server took no more of {name}"),
        })),
    };
    match answer {
        // The connection broke because there was nothing to send: trying again would not help.
        Err(error) if unreadable.load(Ordering::Relaxed) => {
            Err(Attempt::Disk(std::io::Error::other(error)))
        }
        answer => answer.map_err(Attempt::from),
    }
}

/// Ends when nothing has passed for too long.
async fn stalled(passed: &AtomicU64, size: u64) {
    let mut before = 0;
    loop {
        let all = before >= size;
        tokio::time::sleep(if all { STORING } else { STALL }).await;
        let now = passed.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}
