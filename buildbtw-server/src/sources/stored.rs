//! The index as it is stored: from rows to memory at the start, and back after every reading.

use std::sync::Arc;

use buildbtw_graph::PkgBase;
use rayon::prelude::*;

use super::Provider;
use super::directory::Fingerprint;
use super::git::SourceCommit;
use super::gitlab::Address;
use super::reading::{Place, Read, Repository, understand};
use crate::db::sources::{self, StoredSource};
use crate::db::{Db, DbResult};

/// Repositories as they were stored, understood anew in parallel: what a text means is this
/// version's to say. Rows that make no sense are left out; their repositories are read again.
pub(super) async fn load(
    db: &Db,
    provider: Provider,
) -> DbResult<Result<Vec<Arc<Repository>>, tokio::task::JoinError>> {
    let rows = sources::all(&mut *db.read().await?, provider.name()).await?;
    let restored = tokio::task::spawn_blocking(move || {
        rows.into_par_iter()
            .filter_map(|row| restore(&provider, row))
            .map(Arc::new)
            .collect()
    });
    Ok(restored.await)
}

fn restore(provider: &Provider, row: StoredSource) -> Option<Repository> {
    let pkgbase: PkgBase = row.pkgbase.parse().ok()?;
    let place = match provider {
        Provider::Directory(directory) => {
            Place::Directory(directory.stored(&pkgbase, &row.location)?)
        }
        Provider::GitLab(_) => Place::GitLab(Address::read(&row.location)?),
    };
    let commit = match (row.commit_id, row.tree_id, row.committed_at) {
        (Some(commit), Some(tree), Some(committed_at)) => Some(SourceCommit {
            commit,
            tree,
            committed_at,
        }),
        _ => None,
    };
    let mut repository = Repository {
        pkgbase,
        place,
        default_branch: row.default_branch,
        commit,
        package: None,
        stated: row.stated_version.and_then(|version| version.parse().ok()),
        problem: row.problem,
        warnings: Vec::new(),
        fingerprint: row.fingerprint.map(Fingerprint::from_stored),
    };
    if let (Some(commit), Some(text)) = (&repository.commit, &row.srcinfo) {
        match understand(&repository.pkgbase, &commit.commit, text) {
            Ok(understood) => repository.take(understood),
            Err(error) => repository.problem = Some(error.to_string()),
        }
    }
    Some(repository)
}

/// Stores what was read, and removes what is gone, by chunks.
pub(super) async fn save(
    db: &Db,
    provider: &Provider,
    read: &[Read],
    gone: &[PkgBase],
) -> DbResult<()> {
    for chunk in read.chunks(sources::CHUNK) {
        let mut tx = db.write().await?;
        for read in chunk {
            if let Some(row) = row(read) {
                sources::put(&mut tx, provider.name(), &row).await?;
            }
        }
        tx.commit().await?;
    }
    for chunk in gone.chunks(sources::CHUNK) {
        let mut tx = db.write().await?;
        for pkgbase in chunk {
            sources::remove(&mut tx, provider.name(), pkgbase).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// A repository's row; none for a path that no text can hold, which is then read at every start.
fn row(read: &Read) -> Option<StoredSource> {
    let repository = &read.repository;
    let commit = repository.commit.as_ref();
    Some(StoredSource {
        pkgbase: repository.pkgbase.to_string(),
        location: match &repository.place {
            Place::Directory(found) => found.git_dir.to_str()?.to_owned(),
            Place::GitLab(address) => address.to_string(),
        },
        fingerprint: repository
            .fingerprint
            .as_ref()
            .map(|fingerprint| fingerprint.as_str().to_owned()),
        default_branch: repository.default_branch.clone(),
        commit_id: commit.map(|commit| commit.commit.clone()),
        tree_id: commit.map(|commit| commit.tree.clone()),
        committed_at: commit.map(|commit| commit.committed_at),
        srcinfo: read.srcinfo.clone(),
        stated_version: repository.stated.as_ref().map(ToString::to_string),
        problem: repository.problem.clone(),
    })
}
