//! Packages and the repositories made of them.
//!
//! Packages are kept by digest, and are durable before anything speaks of them. A generation is a
//! published state of a build set's repository: rows that appear in one transaction, long after
//! the bytes. Names are resolved through those rows, never through the file system.
//!
//! Debug packages are kept with their runs, but not published: they would make every repository
//! many times larger, and Arch has them in repositories of their own.

mod address;
mod answer;
mod publish;
mod receive;
mod serve;
mod store;

pub use publish::{Entering, PublishError};
pub use receive::ReceiveError;
pub use serve::{Repositories, package_of, router};
pub use store::Artifacts;

use buildbtw_api::NamespaceName;
use buildbtw_graph::Architecture;
use buildbtw_repo::END_FRAME;
use sqlx::SqliteConnection;

use crate::db::generations::{self, IterationName};
use crate::db::keys::BuildSetKey;
use crate::db::{DbResult, frames};

/// What a namespace has published, for others to build on.
#[derive(Debug, Clone)]
pub struct PublishedDb {
    /// Its db.
    pub db: Vec<u8>,
    /// The build set that published it.
    pub set: BuildSetKey,
    /// The path on this server under which its packages lie.
    pub packages_path: String,
}

/// The newest generation of a namespace: of its newest complete iteration, or of the newest that has
/// one if none is complete. `None` if nothing was published yet.
///
/// # Errors
///
/// When the database fails, or has lost a frame.
pub async fn published_db(
    db: &mut SqliteConnection,
    namespace: &NamespaceName,
    architecture: &Architecture,
) -> DbResult<Option<PublishedDb>> {
    let found =
        generations::repository(&mut *db, namespace, IterationName::Published, architecture)
            .await?;
    let Some(repository) = found else {
        return Ok(None);
    };
    let number = generations::newest_number(&mut *db, repository.set).await?;
    let Some(generation) = generations::get(&mut *db, repository.set, number).await? else {
        return Ok(None);
    };
    let length = usize::try_from(generation.frames.db_len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(length);
    for digest in generation.frames.db_frames() {
        bytes.extend(frames::bytes(&mut *db, digest).await?);
    }
    bytes.extend_from_slice(END_FRAME);
    let iteration = repository.iteration;
    Ok(Some(PublishedDb {
        db: bytes,
        set: repository.set,
        packages_path: format!("/repo/{namespace}/{iteration}/os/{architecture}"),
    }))
}
