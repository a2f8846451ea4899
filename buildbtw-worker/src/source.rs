//! Fetches the source tarball of a run.

use std::path::Path;

use buildbtw_api::ProblemType;
use buildbtw_api::client::ClientError;
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::Workplace;
use crate::held::Hold;
use crate::retry::{Attempt, Undelivered, deliver};

/// Why there is no source.
#[derive(Debug)]
pub enum NoSource {
    /// It could not be fetched or kept.
    Undelivered(Undelivered),
    /// The server has none.
    Missing(ClientError),
    /// It is larger than allowed.
    TooLarge,
}

/// Writes the tarball to a file, at most `limit` bytes, beginning anew when the connection breaks.
pub async fn fetch(
    place: &Workplace,
    hold: &Hold,
    path: &str,
    to: &Path,
    limit: u64,
) -> Result<(), NoSource> {
    deliver(
        "the wish for a source tarball",
        &hold.lost,
        &place.reach,
        || attempt(place, path, to, limit),
    )
    .await
    .map_err(NoSource::Undelivered)?
}

async fn attempt(
    place: &Workplace,
    path: &str,
    to: &Path,
    limit: u64,
) -> Result<Result<(), NoSource>, Attempt> {
    let (length, stream) = match place.client.file(path).await {
        // Not the run but its source is not there: that is an outcome, and no reason to fall silent.
        Err(error)
            if error
                .problem()
                .is_some_and(|problem| problem.kind == ProblemType::NotFound) =>
        {
            return Ok(Err(NoSource::Missing(error)));
        }
        answer => answer?,
    };
    if length.is_some_and(|length| length > limit) {
        return Ok(Err(NoSource::TooLarge));
    }
    let mut stream = std::pin::pin!(stream);
    let mut file = File::create(to).await.map_err(Attempt::Disk)?;
    let mut written = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        written += chunk.len() as u64;
        if written > limit {
            return Ok(Err(NoSource::TooLarge));
        }
        file.write_all(&chunk).await.map_err(Attempt::Disk)?;
    }
    file.flush().await.map_err(Attempt::Disk)?;
    Ok(Ok(()))
}
