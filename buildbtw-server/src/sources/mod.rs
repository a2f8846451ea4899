//! The sources: a folder of git repositories, one a package base.
//!
//! What is planned with are the `.SRCINFO` files of the default branches. They are read from git's
//! objects, never from a work tree, kept in memory as an index, and stored, so that a restart reads
//! only what changed. One task ([`keeper`]) keeps the index like the repositories; everything else
//! here reads a repository when it is asked.

mod error;
mod fingerprint;
mod git;
mod keeper;
mod locate;
mod near_names;
pub mod pkgrel_edit;
mod reading;
mod state;
mod stored;
mod survey;
mod tarball;
mod watches;

use std::fs::File;
use std::io::{BufWriter, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use buildbtw_api::Changeset;
use buildbtw_api::namespaces::Page;
use buildbtw_api::sources::{SourceQuery, SourceRepository};
use buildbtw_graph::{PkgBase, SourceIndex, SourcePackage};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::db::Db;
use git::GitRepository;

pub use error::{SourceError, SourcesError};
pub use fingerprint::Fingerprint;
pub use git::SourceCommit;
pub use locate::Found;
pub use reading::Repository;
pub use state::Heads;

/// How many changes a slow listener may be behind before it is told that it missed some.
const CHANGES: usize = 1024;

/// Something about a source repository changed: one of its references moved, or it appeared or
/// vanished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChange {
    /// The repository.
    pub pkgbase: PkgBase,
}

/// A changeset, pinned.
#[derive(Debug, Clone)]
pub struct ResolvedChangeset {
    /// What was asked for.
    pub changeset: Changeset,
    /// The commit it stands for.
    pub commit: SourceCommit,
    /// The package there.
    pub package: SourcePackage,
    /// What was passed over in reading it.
    pub warnings: Vec<String>,
}

/// The source repositories. Cheap to clone.
#[derive(Clone)]
pub struct Sources(Arc<Shared>);

/// What the keeper and everybody else share.
struct Shared {
    folder: PathBuf,
    default_branch: Option<String>,
    /// Where archives lie while they are sent; they have no names there.
    scratch: PathBuf,
    db: Db,
    state: state::State,
    changes: broadcast::Sender<SourceChange>,
    in_sync: watch::Sender<bool>,
    shutdown: CancellationToken,
}

impl Sources {
    /// Opens the folder of sources with the stored index.
    ///
    /// # Errors
    ///
    /// When the folder or the stored index cannot be read. A single repository that cannot be
    /// read is no error.
    pub async fn open(
        config: &Config,
        db: Db,
        shutdown: CancellationToken,
    ) -> Result<Self, SourcesError> {
        let at = |source| SourcesError::Folder {
            path: config.sources_dir.clone(),
            source,
        };
        let folder = config.sources_dir.canonicalize().map_err(at)?;
        // Listed once to see whether it can be.
        std::fs::read_dir(&folder).map_err(at)?;
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            default_branch: config.default_branch.clone(),
            scratch: config.data_dir.clone(),
            db,
            state: state::State::default(),
            changes: broadcast::Sender::new(CHANGES),
            in_sync: watch::Sender::new(false),
            shutdown,
        });
        let stored = stored::load(&shared.db, folder).await?;
        shared.state.update(
            stored.map_err(|error| SourcesError::Broken(error.to_string()))?,
            &[],
        );
        Ok(Self(shared))
    }

    /// Begins to read what changed since the index was stored, and to watch, with at most so many of
    /// the system's watches: the rest is looked at every few seconds. Ends with the server.
    pub fn keep_up(&self, watches: usize) {
        tokio::spawn(keeper::Keeper::new(Arc::clone(&self.0), watches).run());
    }

    /// The packages of the default branches. Cheap; what comes back does not change.
    pub fn index(&self) -> SourceIndex {
        self.heads().index().clone()
    }

    /// The packages of the default branches with their commits, which belong together.
    pub fn heads(&self) -> Heads {
        self.0.state.heads()
    }

    /// The commit of a default branch.
    pub fn head(&self, pkgbase: &PkgBase) -> Option<SourceCommit> {
        self.heads().head(pkgbase).cloned()
    }

    /// Hears of every change from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<SourceChange> {
        self.0.changes.subscribe()
    }

    /// Whether the first reading is over.
    pub fn in_sync(&self) -> watch::Receiver<bool> {
        self.0.in_sync.subscribe()
    }

    /// A page of the list of repositories.
    pub fn list(&self, query: &SourceQuery) -> Page<SourceRepository> {
        self.heads().list(query)
    }

    /// How many repositories there are, and how many of them cannot be planned with.
    pub fn counts(&self) -> (usize, usize) {
        self.heads().counts()
    }

    /// The commit a changeset stands for now, and the package there. A branch comes before a
    /// tag, a tag before a commit; `refs/...` is taken literally.
    ///
    /// # Errors
    ///
    /// When there is no such repository or reference, or the `.SRCINFO` there cannot be used.
    pub async fn resolve(&self, changeset: &Changeset) -> Result<ResolvedChangeset, SourceError> {
        let changeset = changeset.clone();
        self.with_repository(&changeset.pkgbase.clone(), move |git, _| {
            let commit = git.resolve(&changeset.reference)?;
            read_changeset(git, changeset, commit)
        })
        .await
    }

    /// The same at a commit that the changeset was pinned to before.
    ///
    /// # Errors
    ///
    /// When the repository or the commit is not there any more, or the `.SRCINFO` there cannot be used.
    pub async fn resolve_pinned(
        &self,
        changeset: &Changeset,
        commit: &str,
    ) -> Result<ResolvedChangeset, SourceError> {
        let (changeset, commit) = (changeset.clone(), commit.to_owned());
        self.with_repository(&changeset.pkgbase.clone(), move |git, _| {
            let commit = git.stored_commit(&commit)?;
            read_changeset(git, changeset, commit)
        })
        .await
    }

    /// The package at a commit.
    ///
    /// # Errors
    ///
    /// When the repository or the commit is not there, or the `.SRCINFO` there cannot be used.
    pub async fn read_at(
        &self,
        pkgbase: &PkgBase,
        commit: &str,
    ) -> Result<SourcePackage, SourceError> {
        let (name, commit) = (pkgbase.clone(), commit.to_owned());
        self.with_repository(pkgbase, move |git, _| {
            let text = reading::srcinfo(git, &name, git.stored_commit(&commit)?)?;
            Ok(reading::understand(&name, &commit, &text)?.package)
        })
        .await
    }

    /// The tree of a commit as a tar archive, ready to be read from its beginning. With a pkgrel,
    /// that one is written into PKGBUILD and `.SRCINFO`. The file has no name and goes when it
    /// is closed.
    ///
    /// # Errors
    ///
    /// When the repository or the commit is not there, the tree cannot be packed, or the pkgrel
    /// cannot be set safely.
    pub async fn tarball(
        &self,
        pkgbase: &PkgBase,
        commit: &str,
        pkgrel: Option<&str>,
    ) -> Result<File, SourceError> {
        let (name, commit, pkgrel) = (
            pkgbase.clone(),
            commit.to_owned(),
            pkgrel.map(str::to_owned),
        );
        self.with_repository(pkgbase, move |git, shared| {
            let commit = git.stored_commit(&commit)?;
            let mut file = tempfile::tempfile_in(&shared.scratch)?;
            tarball::pack(
                git,
                &name,
                commit,
                pkgrel.as_deref(),
                BufWriter::new(&mut file),
            )?;
            file.rewind()?;
            Ok(file)
        })
        .await
    }

    /// Whether the PKGBUILD at a commit has a function pkgver(), which makes a version that its
    /// `.SRCINFO` does not know (PKGBUILD(5)).
    ///
    /// # Errors
    ///
    /// When the repository, the commit or the file is not there.
    pub async fn sets_its_version(
        &self,
        pkgbase: &PkgBase,
        commit: &str,
    ) -> Result<bool, SourceError> {
        let commit = commit.to_owned();
        self.with_repository(pkgbase, move |git, _| {
            let commit = git.stored_commit(&commit)?;
            let text = git.file(commit, "PKGBUILD", tarball::LARGEST_PKGBUILD)?;
            let text = text.and_then(Result::ok).unwrap_or_default();
            Ok(pkgrel_edit::has_pkgver_function(&String::from_utf8_lossy(
                &text,
            )))
        })
        .await
    }

    /// Does something with an open repository, on a thread that may block.
    async fn with_repository<T: Send + 'static>(
        &self,
        pkgbase: &PkgBase,
        work: impl FnOnce(&GitRepository, &Shared) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let shared = Arc::clone(&self.0);
        let pkgbase = pkgbase.clone();
        tokio::task::spawn_blocking(move || {
            let found = shared.find(&pkgbase)?;
            let git = GitRepository::open(&pkgbase, &found.git_dir)?;
            work(&git, &shared)
        })
        .await
        .map_err(|error| SourceError::Broken(error.to_string()))?
    }
}

impl Shared {
    /// Where a repository is: as known, or just made.
    fn find(&self, pkgbase: &PkgBase) -> Result<Found, SourceError> {
        let heads = self.state.heads();
        if let Some(repository) = heads.repository(pkgbase)
            && repository.found.git_dir.is_dir()
        {
            return Ok(repository.found.clone());
        }
        locate::find(&self.folder, pkgbase).ok_or_else(|| SourceError::UnknownPackage {
            pkgbase: pkgbase.clone(),
            hint: near_names::hint(
                pkgbase,
                heads
                    .repositories()
                    .map(|repository| &repository.found.pkgbase),
                heads.index(),
            ),
        })
    }
}

fn read_changeset(
    git: &GitRepository,
    changeset: Changeset,
    commit: gix::ObjectId,
) -> Result<ResolvedChangeset, SourceError> {
    let described = git.describe(commit)?;
    let text = reading::srcinfo(git, &changeset.pkgbase, commit)?;
    let understood = reading::understand(&changeset.pkgbase, &described.commit, &text)?;
    Ok(ResolvedChangeset {
        changeset,
        commit: described,
        package: understood.package,
        warnings: understood.warnings,
    })
}
