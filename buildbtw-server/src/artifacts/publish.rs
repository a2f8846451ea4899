//! Publishing: one more generation of a build set's repository, in the caller's transaction.

use std::collections::HashMap;

use buildbtw_repo::{ChangeError, PackageFile, RepositoryState, Sha256Digest, add_packages};
use sqlx::SqliteConnection;

use crate::db::generations::{self, StoredGeneration};
use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::{DbError, packages};

/// Why packages were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// They cannot be, whoever tries again.
    #[error("{0}")]
    Refused(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Adds the packages of some builds to a build set's repository, as one generation, and hands back
/// its number. The bytes of the packages must be durable.
///
/// The cost does not grow with the repository: only its last frame is written again.
///
/// # Errors
///
/// When a file name would get other bytes than it has, or a package cannot stand in a db; the
/// caller's transaction must then be given up.
pub async fn publish(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    additions: &[(BuildKey, Vec<PackageFile>)],
) -> Result<u32, PublishError> {
    let newest = generations::newest(&mut *db, set).await?;
    let (number, last_time, state) = match newest {
        Some(newest) => (newest.number + 1, newest.published_at, newest.state),
        None => (1, 0, RepositoryState::default()),
    };
    let mut added = Vec::new();
    for (build, files) in additions {
        for file in files {
            let digest = file.sha256.to_string();
            if let Some(there) = generations::file(&mut *db, set, &file.file_name).await? {
                if there.sha256 == digest {
                    continue;
                }
                return Err(PublishError::Refused(format!(
                    "{} is published already with other bytes; a rebuild needs another pkgrel",
                    file.file_name
                )));
            }
            let package = packages::by_digest(&mut *db, &digest).await?.ok_or_else(|| {
                PublishError::Refused(format!("{} was never received", file.file_name))
            })?;
            generations::end_replaced(&mut *db, set, &file.info.pkgname, &file.file_name, number).await?;
            generations::insert_file(&mut *db, set, &file.file_name, package, *build, number).await?;
            added.push(file.clone());
        }
    }
    let change = {
        let frames = frames_to_rewrite(&mut *db, &state, &added).await?;
        let load = |digest: &Sha256Digest| frames.get(digest).cloned().ok_or("it is not among the frames to rewrite");
        add_packages(&state, load, &added).map_err(|error| match error {
            ChangeError::Load { .. } | ChangeError::Damaged { .. } => {
                PublishError::Db(DbError::Unreadable { what: "frame", reason: error.to_string() })
            }
            other => PublishError::Refused(other.to_string()),
        })?
    };
    for (digest, content) in &change.new_frames {
        generations::insert_frame(&mut *db, digest, content).await?;
    }
    // pacman asks only for what is newer, to the second, so the time grows with every generation. A
    // burst may run ahead of the clock by as many seconds as it has generations; that does no
    // harm, since pacman hands back the very time that it was given.
    let published_at = jiff::Timestamp::now().as_second().max(last_time + 1);
    let db_digest = Sha256Digest::of(
        change.state.db_frames().map(ToString::to_string).collect::<Vec<_>>().join("\n").as_bytes(),
    );
    let generation = StoredGeneration { number, published_at, state: change.state };
    generations::insert(db, set, &generation, &db_digest.to_string()).await?;
    Ok(number)
}

/// The frames that adding some packages may have to read: the last one, and those that hold a
/// package that is replaced.
async fn frames_to_rewrite(
    db: &mut SqliteConnection,
    state: &RepositoryState,
    added: &[PackageFile],
) -> Result<HashMap<Sha256Digest, Vec<u8>>, DbError> {
    let names: std::collections::HashSet<&str> = added.iter().map(|file| file.info.pkgname.as_str()).collect();
    let mut frames = HashMap::new();
    let last = state.frames.len().saturating_sub(1);
    for (position, frame) in state.frames.iter().enumerate() {
        if position == last || frame.packages.iter().any(|name| names.contains(name.as_ref())) {
            for digest in [&frame.db_digest, &frame.files_digest] {
                frames.insert(digest.clone(), generations::frame(&mut *db, digest).await?);
            }
        }
    }
    Ok(frames)
}
