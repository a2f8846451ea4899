//! What can be wrong with source repositories, and how it becomes an answer.

use std::io;
use std::path::PathBuf;

use buildbtw_api::ProblemType;
use buildbtw_graph::PkgBase;

use crate::db::DbError;
use crate::gitlab::GitLabError;
use crate::problems::HttpProblem;

/// Why the sources cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The folder is not there, is no folder or cannot be read.
    #[error(
        "cannot read the folder of sources {path}: {source}; make it, or name another one in SOURCES_DIR"
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A setting of GitLab is missing or wrong.
    #[error("{0}")]
    GitLabSetting(String),
    /// There is no client of GitLab.
    #[error(transparent)]
    GitLab(#[from] GitLabError),
    /// The store of trees cannot be made.
    #[error("cannot make the store of source trees {path}: {source}")]
    Trees {
        /// Its folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The stored index cannot be read.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Reading the stored index broke off: a mistake of ours.
    #[error("reading the stored index of the sources broke off: {0}")]
    Broken(String),
}

/// Why something is not to be had from a source repository.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not all repositories are known yet.
    #[error(
        "the sources are still being read, and a plan would lack what is not known yet ({known} repositories are)"
    )]
    StillReading {
        /// How many are known.
        known: usize,
    },
    /// No source repository has that name.
    #[error("there is no source repository `{pkgbase}`")]
    UnknownPackage {
        /// The name as given.
        pkgbase: PkgBase,
        /// Which names may have been meant.
        hint: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{pkgbase} has no branch, tag or commit `{reference}`{detail}")]
    UnknownReference {
        /// The repository.
        pkgbase: PkgBase,
        /// The reference as given.
        reference: String,
        /// What else is known about it; begins with `: ` unless empty.
        detail: String,
        /// What there is instead.
        hint: String,
    },
    /// The repository has no commit on its default branch.
    #[error("the repository of {pkgbase} has no commit on its default branch: {detail}")]
    NoCommit {
        /// The repository.
        pkgbase: PkgBase,
        /// Which branch was looked for.
        detail: String,
    },
    /// The commit has no `.SRCINFO`.
    #[error(
        "{pkgbase} has no .SRCINFO at commit {commit}; write it with `makepkg --printsrcinfo > .SRCINFO` and commit it"
    )]
    NoSrcinfo {
        /// The repository.
        pkgbase: PkgBase,
        /// The commit.
        commit: String,
    },
    /// The `.SRCINFO` cannot be used.
    #[error("{pkgbase} at commit {commit}: {detail}")]
    BrokenSrcinfo {
        /// The repository.
        pkgbase: PkgBase,
        /// The commit.
        commit: String,
        /// What is wrong, with the line where that is known.
        detail: String,
    },
    /// The `.SRCINFO` describes another package base.
    #[error(
        "the .SRCINFO at commit {commit} says `{found}`, but the repository is called `{pkgbase}`; rename one of them"
    )]
    WrongPkgbase {
        /// The repository.
        pkgbase: PkgBase,
        /// The package base in the `.SRCINFO`.
        found: PkgBase,
        /// The commit.
        commit: String,
    },
    /// The pkgrel cannot be set safely.
    #[error("the pkgrel of {pkgbase} cannot be set at commit {commit}: {detail}")]
    NotEditable {
        /// The repository.
        pkgbase: PkgBase,
        /// The commit.
        commit: String,
        /// What stands in the way, with the line.
        detail: String,
    },
    /// The tree holds what no archive is made of.
    #[error("the tree of {pkgbase} at commit {commit} cannot be packed: {detail}")]
    Unpackable {
        /// The repository.
        pkgbase: PkgBase,
        /// The commit.
        commit: String,
        /// What stands in the way.
        detail: String,
    },
    /// The repository cannot be read.
    #[error("cannot read the git repository of {pkgbase}: {detail}; `git fsck` in it says more")]
    Git {
        /// The repository.
        pkgbase: PkgBase,
        /// What is wrong.
        detail: String,
    },
    /// GitLab does not give it.
    #[error("{pkgbase}: {error}")]
    GitLab {
        /// The repository.
        pkgbase: PkgBase,
        /// Why not.
        error: GitLabError,
    },
    /// A file of the server's own.
    #[error("cannot write a source archive: {0}")]
    Io(#[from] io::Error),
    /// The work broke off: a mistake of ours.
    #[error("reading the source repository broke off: {0}")]
    Broken(String),
}

impl From<SourceError> for HttpProblem {
    fn from(error: SourceError) -> Self {
        let detail = error.to_string();
        match error {
            SourceError::StillReading { .. } => Self::new(ProblemType::Unavailable, detail)
                .hint("try again in a while; the home page and `bbtw sources` show how far it is"),
            SourceError::UnknownPackage { hint, .. } => {
                Self::new(ProblemType::UnknownPackage, detail).hint(hint)
            }
            SourceError::UnknownReference { hint, .. } => {
                Self::new(ProblemType::UnknownReference, detail).hint(hint)
            }
            SourceError::NoCommit { .. } => {
                Self::new(ProblemType::UnknownReference, detail).hint("push a commit to it first")
            }
            SourceError::NoSrcinfo { .. }
            | SourceError::BrokenSrcinfo { .. }
            | SourceError::WrongPkgbase { .. }
            | SourceError::Unpackable { .. }
            | SourceError::Git { .. } => Self::new(ProblemType::BrokenSource, detail)
                .hint("a commit that mends it is noticed at once"),
            SourceError::NotEditable { .. } => Self::new(ProblemType::BrokenSource, detail)
                .hint("write the pkgrel as one plain line `pkgrel=1`, or pass `--pkgrel keep`"),
            SourceError::GitLab { .. } => Self::new(ProblemType::GitLabUnavailable, detail).hint(
                "what needs no GitLab goes on; `GET /api/v1/health` says since when it is away",
            ),
            SourceError::Io(error) => error.into(),
            SourceError::Broken(_) => Self::internal(&error),
        }
    }
}
