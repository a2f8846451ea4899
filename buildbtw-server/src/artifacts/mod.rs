//! What builds make: packages by digest, and the repositories that they are published in.

mod publish;
mod receive;
mod serve;

use std::io;
use std::path::{Path, PathBuf};

use buildbtw_api::NamespaceName;
use buildbtw_graph::Architecture;
use buildbtw_repo::{RepositoryState, Sha256Digest};
use sqlx::SqliteConnection;

use crate::db::{DbResult, generations, namespaces};

pub use publish::{PublishError, publish};
pub use receive::ReceiveError;
pub use serve::router;

/// The packages that are kept, by digest.
#[derive(Debug, Clone)]
pub struct Artifacts {
    packages: PathBuf,
    incoming: PathBuf,
    upload_limit: u64,
}

impl Artifacts {
    /// Opens the folders of packages and of uploads; what a crash left of uploads is removed.
    ///
    /// # Errors
    ///
    /// When a folder cannot be made or swept.
    pub fn open(data_dir: &Path, upload_limit: u64) -> io::Result<Self> {
        let (packages, incoming) = (data_dir.join("packages"), data_dir.join("incoming"));
        std::fs::create_dir_all(&packages)?;
        std::fs::create_dir_all(&incoming)?;
        for entry in std::fs::read_dir(&incoming)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self { packages, incoming, upload_limit })
    }

    /// Where the bytes of a digest are kept.
    fn path(&self, digest: &Sha256Digest) -> PathBuf {
        let name = digest.to_string();
        self.packages.join(&name[..2]).join(&name)
    }
}

/// A published db, for use as a base repository.
#[derive(Debug)]
pub struct PublishedDb {
    /// The bytes of the db.
    pub db: Vec<u8>,
    /// The folder of the packages: a path on this server.
    pub packages_path: String,
}

/// The newest db that a namespace published for an architecture.
pub async fn published_db(
    db: &mut SqliteConnection,
    name: &NamespaceName,
    architecture: &Architecture,
) -> DbResult<Option<PublishedDb>> {
    let Some(namespace) = namespaces::by_name(&mut *db, name).await? else { return Ok(None) };
    let found = generations::build_set(&mut *db, namespace.key, None, architecture.as_ref()).await?;
    let Some((set, iteration)) = found else { return Ok(None) };
    let Some(generation) = generations::newest(&mut *db, set).await? else { return Ok(None) };
    Ok(Some(PublishedDb {
        db: joined(db, &generation.state, Kind::Db).await?,
        packages_path: format!("/repo/{name}/{iteration}/os/{architecture}"),
    }))
}

/// Which of a repository's two dbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Db,
    Files,
}

/// The bytes of a db: its frames one behind the other.
async fn joined(db: &mut SqliteConnection, state: &RepositoryState, kind: Kind) -> DbResult<Vec<u8>> {
    let frames: Vec<&Sha256Digest> = match kind {
        Kind::Db => state.db_frames().collect(),
        Kind::Files => state.files_frames().collect(),
    };
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.extend(generations::frame(&mut *db, frame).await?);
    }
    bytes.extend_from_slice(buildbtw_repo::END_FRAME);
    Ok(bytes)
}
