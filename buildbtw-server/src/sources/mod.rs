//! The sources: git repositories, one a package base, in a folder or on GitLab.
//!
//! What is planned with are the `.SRCINFO` files of the default branches. They are kept in memory as an
//! index, and stored, so that a restart reads only what changed. Where they come from is a [`Provider`]'s
//! to know: one task of it keeps the index like the repositories, and it answers what is asked about
//! single commits. Everything else here is the same for all.

mod directory;
mod error;
mod git;
mod gitlab;
mod near_names;
mod on_gitlab;
pub mod pkgrel_edit;
mod reading;
mod state;
mod stated_version;
mod stored;
mod tarball;

use std::fs::File;
use std::io::{BufWriter, Seek};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use buildbtw_api::Changeset;
use buildbtw_api::page::Page;
use buildbtw_api::sources::{SourceQuery, SourceRepository};
use buildbtw_graph::{PkgBase, SourceIndex, SourcePackage};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::db::Db;
use directory::Directory;
use git::GitRepository;
use gitlab::GitLabSources;
use reading::Read;

pub use directory::{Fingerprint, Found};
pub use error::{SourceError, SourcesError};
pub use git::SourceCommit;
pub use gitlab::{Address, client as gitlab_client};
pub use on_gitlab::OnGitLab;
pub use reading::{Place, Repository};
pub use state::Heads;

/// How many changes a slow listener may be behind before it is told that it missed some.
const CHANGES: usize = 1024;

/// How long somebody who wants a plan waits for the first reading: a folder of 8,000 repositories takes some seconds.
pub const READING: Duration = Duration::from_secs(30);

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

/// Where source repositories come from.
#[derive(Clone)]
enum Provider {
    Directory(Arc<Directory>),
    GitLab(Arc<GitLabSources>),
}

impl Provider {
    /// What its rows are marked with.
    fn name(&self) -> &'static str {
        match self {
            Self::Directory(_) => "directory",
            Self::GitLab(_) => "gitlab",
        }
    }
}

/// What the provider's task and everybody else share.
struct Shared {
    provider: Provider,
    /// Where archives lie while they are sent; they have no names there.
    scratch: PathBuf,
    db: Db,
    state: state::State,
    changes: broadcast::Sender<SourceChange>,
    in_sync: watch::Sender<bool>,
    /// Whether every repository is known, if perhaps not its newest commit.
    whole: watch::Sender<bool>,
    shutdown: CancellationToken,
}

impl Sources {
    /// Opens the sources that the settings name, with the stored index.
    ///
    /// # Errors
    ///
    /// When the folder, the client of GitLab or the stored index cannot be opened. A single repository
    /// that cannot be read is no error.
    pub async fn open(
        config: &Config,
        db: Db,
        shutdown: CancellationToken,
    ) -> Result<Self, SourcesError> {
        let provider = if config.gitlab_packages_group.is_some() {
            let client = gitlab::client(config)?;
            Provider::GitLab(Arc::new(GitLabSources::open(config, client)?))
        } else {
            Provider::Directory(Arc::new(Directory::open(config)?))
        };
        Self::of(provider, config, db, shutdown).await
    }

    /// The same on GitLab, with a client whose time and patience are somebody else's.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, or the stored index cannot be read.
    pub async fn open_with_client(
        config: &Config,
        client: crate::gitlab::GitLab,
        db: Db,
        shutdown: CancellationToken,
    ) -> Result<Self, SourcesError> {
        let provider = Provider::GitLab(Arc::new(GitLabSources::open(config, client)?));
        Self::of(provider, config, db, shutdown).await
    }

    async fn of(
        provider: Provider,
        config: &Config,
        db: Db,
        shutdown: CancellationToken,
    ) -> Result<Self, SourcesError> {
        let shared = Arc::new(Shared {
            provider: provider.clone(),
            scratch: config.data_dir.clone(),
            db,
            state: state::State::default(),
            changes: broadcast::Sender::new(CHANGES),
            in_sync: watch::Sender::new(false),
            whole: watch::Sender::new(false),
            shutdown,
        });
        let stored = stored::load(&shared.db, provider).await?;
        shared.state.update(
            stored.map_err(|error| SourcesError::Broken(error.to_string()))?,
            &[],
        );
        Ok(Self(shared))
    }

    /// Begins to read what changed since the index was stored, and to follow what changes. A folder is
    /// watched with at most so many of the system's watches: the rest is looked at every few seconds.
    /// Ends with the server.
    pub fn keep_up(&self, watches: usize) {
        match &self.0.provider {
            Provider::Directory(directory) => directory.keep_up(&self.0, watches),
            Provider::GitLab(gitlab) => gitlab.keep_up(&self.0),
        }
    }

    /// The sources on GitLab, if that is where they are.
    pub fn gitlab(&self) -> Option<OnGitLab<'_>> {
        match &self.0.provider {
            Provider::Directory(_) => None,
            Provider::GitLab(gitlab) => Some(OnGitLab {
                shared: &self.0,
                gitlab,
            }),
        }
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

    /// Waits until every repository is known: a plan made before would lack dependents, and nobody would see that.
    ///
    /// # Errors
    ///
    /// When that takes longer than somebody wants to wait for an answer ([`READING`]), as the first reading of a large
    /// group does.
    pub async fn until_whole(&self, patience: Duration) -> Result<(), SourceError> {
        let mut whole = self.0.whole.subscribe();
        // The sender lives as long as the sources.
        match tokio::time::timeout(patience, whole.wait_for(|whole| *whole)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(SourceError::StillReading {
                known: self.counts().0,
            }),
        }
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
        match &self.0.provider {
            Provider::Directory(directory) => {
                let changeset = changeset.clone();
                directory
                    .with_repository(&self.0, &changeset.pkgbase.clone(), move |git, _| {
                        let commit = git.resolve(&changeset.reference)?;
                        read_changeset(git, changeset, commit)
                    })
                    .await
            }
            Provider::GitLab(gitlab) => gitlab.resolve(&self.0, changeset).await,
        }
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
        match &self.0.provider {
            Provider::Directory(directory) => {
                let (changeset, commit) = (changeset.clone(), commit.to_owned());
                directory
                    .with_repository(&self.0, &changeset.pkgbase.clone(), move |git, _| {
                        let commit = git.stored_commit(&commit)?;
                        read_changeset(git, changeset, commit)
                    })
                    .await
            }
            Provider::GitLab(gitlab) => gitlab.resolve_pinned(&self.0, changeset, commit).await,
        }
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
        match &self.0.provider {
            Provider::Directory(directory) => {
                let (name, commit) = (pkgbase.clone(), commit.to_owned());
                directory
                    .with_repository(&self.0, pkgbase, move |git, _| {
                        let text = reading::srcinfo(git, &name, git.stored_commit(&commit)?)?;
                        Ok(reading::understand(&name, &commit, &text)?.package)
                    })
                    .await
            }
            Provider::GitLab(gitlab) => gitlab.read_at(&self.0, pkgbase, commit).await,
        }
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
        match &self.0.provider {
            Provider::Directory(directory) => {
                let (name, commit, pkgrel) = (
                    pkgbase.clone(),
                    commit.to_owned(),
                    pkgrel.map(str::to_owned),
                );
                directory
                    .with_repository(&self.0, pkgbase, move |git, scratch| {
                        let described = git.describe(git.stored_commit(&commit)?)?;
                        let tree = gix::ObjectId::from_hex(described.tree.as_bytes())
                            .map_err(git.failed())?;
                        let of = tarball::CommitTree {
                            commit: &commit,
                            tree,
                            committed_at: described.committed_at,
                        };
                        packed(git, &name, of, pkgrel.as_deref(), scratch)
                    })
                    .await
            }
            Provider::GitLab(gitlab) => gitlab.tarball(&self.0, pkgbase, commit, pkgrel).await,
        }
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
        match &self.0.provider {
            Provider::Directory(directory) => {
                let commit = commit.to_owned();
                directory
                    .with_repository(&self.0, pkgbase, move |git, _| {
                        let commit = git.stored_commit(&commit)?;
                        let text = git.file(commit, "PKGBUILD", tarball::LARGEST_PKGBUILD)?;
                        let text = text.and_then(Result::ok).unwrap_or_default();
                        let text = String::from_utf8_lossy(&text);
                        Ok(pkgrel_edit::has_pkgver_function(&text))
                    })
                    .await
            }
            Provider::GitLab(gitlab) => gitlab.sets_its_version(&self.0, pkgbase, commit).await,
        }
    }
}

impl Shared {
    fn unknown_package(&self, pkgbase: &PkgBase) -> SourceError {
        let heads = self.state.heads();
        let names = heads.repositories().map(|repository| &repository.pkgbase);
        SourceError::UnknownPackage {
            pkgbase: pkgbase.clone(),
            hint: near_names::hint(pkgbase, names, heads.index()),
        }
    }

    /// Keeps and stores what was read and is new, takes out what is gone, and says so.
    async fn take_in(&self, read: Vec<Read>, gone: &[PkgBase]) {
        let heads = self.state.heads();
        let read: Vec<Read> = read
            .into_iter()
            .filter(|read| {
                heads
                    .repository(&read.repository.pkgbase)
                    .is_none_or(|known| !read.repository.is_as(known))
            })
            .collect();
        drop(heads);
        if read.is_empty() && gone.is_empty() {
            return;
        }
        if let Err(error) = stored::save(&self.db, &self.provider, &read, gone).await {
            // They are read again after a restart, which is all that is lost.
            tracing::error!(%error, "cannot store what was read of the sources");
        }
        let read: Vec<_> = read
            .into_iter()
            .map(|read| Arc::new(read.repository))
            .collect();
        let moved: Vec<PkgBase> = read
            .iter()
            .map(|repository| repository.pkgbase.clone())
            .chain(gone.iter().cloned())
            .collect();
        for repository in &read {
            if let Some(problem) = &repository.problem {
                tracing::warn!(pkgbase = %repository.pkgbase, problem, "a source repository has a problem");
            }
        }
        self.state.update(read, gone);
        for pkgbase in moved {
            // Nobody may be listening, which is no failure.
            let _ = self.changes.send(SourceChange { pkgbase });
        }
    }
}

/// A commit's tree in a file without a name, ready to be read from its beginning.
fn packed(
    git: &GitRepository,
    pkgbase: &PkgBase,
    of: tarball::CommitTree<'_>,
    pkgrel: Option<&str>,
    scratch: &std::path::Path,
) -> Result<File, SourceError> {
    let mut file = tempfile::tempfile_in(scratch)?;
    tarball::pack(git, pkgbase, of, pkgrel, BufWriter::new(&mut file))?;
    file.rewind()?;
    Ok(file)
}

fn read_changeset(
    git: &GitRepository,
    changeset: Changeset,
    commit: gix::ObjectId,
) -> Result<ResolvedChangeset, SourceError> {
    let described = git.describe(commit)?;
    let text = reading::srcinfo(git, &changeset.pkgbase, commit)?;
    let understood = reading::understand(&changeset.pkgbase, &described.commit, &text)?
        .beside(reading::stated(git, commit)?.as_ref());
    Ok(ResolvedChangeset {
        changeset,
        commit: described,
        package: understood.package,
        warnings: understood.warnings,
    })
}
