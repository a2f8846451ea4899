//! The provider `directory`: a folder of git repositories, watched.

mod fingerprint;
mod keeper;
mod locate;
mod looking;
mod survey;
mod watches;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use buildbtw_graph::PkgBase;

use super::Shared;
use super::error::{SourceError, SourcesError};
use super::git::GitRepository;
use crate::config::Config;

pub use fingerprint::Fingerprint;
pub use locate::Found;

/// The folder.
pub struct Directory {
    folder: PathBuf,
    default_branch: Option<String>,
}

impl Directory {
    /// The folder that the settings name.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn open(config: &Config) -> Result<Self, SourcesError> {
        let at = |source| SourcesError::Folder {
            path: config.sources_dir.clone(),
            source,
        };
        let folder = config.sources_dir.canonicalize().map_err(at)?;
        // Listed once to see whether it can be.
        std::fs::read_dir(&folder).map_err(at)?;
        Ok(Self {
            folder,
            default_branch: config.default_branch.clone(),
        })
    }

    /// A repository that was stored, by the folder with its `HEAD`.
    pub fn stored(&self, pkgbase: &PkgBase, location: &str) -> Option<Found> {
        let git_dir = PathBuf::from(location);
        let inside = git_dir.strip_prefix(&self.folder).ok()?;
        let entry = inside.components().next()?.as_os_str().to_owned();
        Some(Found {
            pkgbase: pkgbase.clone(),
            entry,
            git_dir,
        })
    }

    /// Reads and watches until the server stops, with at most so many of the system's watches.
    pub fn keep_up(self: &Arc<Self>, shared: &Arc<Shared>, watches: usize) {
        let keeper = keeper::Keeper::new(Arc::clone(shared), Arc::clone(self), watches);
        tokio::spawn(keeper.run());
    }

    /// Does something with an open repository, on a thread that may block.
    ///
    /// # Errors
    ///
    /// When there is no such repository, or what is done fails.
    pub async fn with_repository<T: Send + 'static>(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        pkgbase: &PkgBase,
        work: impl FnOnce(&GitRepository, &Path) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let (directory, shared) = (Arc::clone(self), Arc::clone(shared));
        let pkgbase = pkgbase.clone();
        tokio::task::spawn_blocking(move || {
            let found = directory.find(&shared, &pkgbase)?;
            let git = GitRepository::open(&pkgbase, &found.git_dir)?;
            work(&git, &shared.scratch)
        })
        .await
        .map_err(|error| SourceError::Broken(error.to_string()))?
    }

    /// Where a repository is: as known, or just made.
    fn find(&self, shared: &Shared, pkgbase: &PkgBase) -> Result<Found, SourceError> {
        let heads = shared.state.heads();
        let known = heads.repository(pkgbase).and_then(|known| known.found());
        if let Some(found) = known.filter(|found| found.git_dir.is_dir()) {
            return Ok(found.clone());
        }
        locate::find(&self.folder, pkgbase).ok_or_else(|| {
            match locate::why_not(&self.folder, pkgbase) {
                Some(hint) => SourceError::UnknownPackage {
                    pkgbase: pkgbase.clone(),
                    hint,
                },
                None => shared.unknown_package(pkgbase),
            }
        })
    }
}
