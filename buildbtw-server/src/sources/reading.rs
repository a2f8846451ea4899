//! Reading one source repository: what its default branch says.

use std::sync::Arc;
use std::time::SystemTime;

use buildbtw_graph::{MAX_SRCINFO_LENGTH, PkgBase, SourcePackage, read_srcinfo};
use gix::ObjectId;

use super::error::SourceError;
use super::fingerprint::{Fingerprint, Glance, fingerprint, glance};
use super::git::{GitRepository, SourceCommit};
use super::locate::Found;

/// A source repository as it was read last.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Where it is.
    pub found: Found,
    /// The branch that is planned with; `None` if there is none or HEAD names a commit.
    pub default_branch: Option<String>,
    /// The commit it names.
    pub commit: Option<SourceCommit>,
    /// What the `.SRCINFO` there says.
    pub package: Option<Arc<SourcePackage>>,
    /// Why it cannot be planned with.
    pub problem: Option<String>,
    /// What was passed over in reading it.
    pub warnings: Vec<String>,
    /// Its references when it was read; `None` if it is to be read again.
    pub fingerprint: Option<Fingerprint>,
}

impl Repository {
    /// Whether it was read the same way before.
    pub(super) fn is_as(&self, before: &Self) -> bool {
        self.found == before.found
            && self.fingerprint == before.fingerprint
            && self.commit == before.commit
            && self.problem == before.problem
    }
}

/// What a `.SRCINFO` says.
#[derive(Debug, Clone)]
pub(super) struct Understood {
    pub package: SourcePackage,
    pub warnings: Vec<String>,
}

/// Understands the text of a `.SRCINFO`.
pub(super) fn understand(
    pkgbase: &PkgBase,
    commit: &str,
    text: &str,
) -> Result<Understood, SourceError> {
    let reading = read_srcinfo(text).map_err(|error| SourceError::BrokenSrcinfo {
        pkgbase: pkgbase.clone(),
        commit: commit.to_owned(),
        detail: error.to_string(),
    })?;
    if reading.package.pkgbase != *pkgbase {
        return Err(SourceError::WrongPkgbase {
            pkgbase: pkgbase.clone(),
            found: reading.package.pkgbase,
            commit: commit.to_owned(),
        });
    }
    let warnings = reading
        .warnings
        .iter()
        .map(|warning| {
            format!(
                ".SRCINFO line {}: {}: {}",
                warning.line, warning.field, warning.message
            )
        })
        .collect();
    Ok(Understood {
        package: reading.package,
        warnings,
    })
}

/// The text of the `.SRCINFO` at a commit. What is not UTF-8 in it stands in texts for people,
/// and is replaced.
pub(super) fn srcinfo(
    git: &GitRepository,
    pkgbase: &PkgBase,
    commit: ObjectId,
) -> Result<String, SourceError> {
    match git.file(commit, ".SRCINFO", MAX_SRCINFO_LENGTH as u64)? {
        Some(Ok(bytes)) => Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
        Some(Err(detail)) => Err(SourceError::BrokenSrcinfo {
            pkgbase: pkgbase.clone(),
            commit: commit.to_string(),
            detail,
        }),
        None => Err(SourceError::NoSrcinfo {
            pkgbase: pkgbase.clone(),
            commit: commit.to_string(),
        }),
    }
}

/// What looking at a repository found.
#[derive(Debug)]
pub(super) struct Look {
    /// What to compare with next time; `None` if time stamps tell nothing yet.
    pub glance: Option<Glance>,
    /// What was read; `None` if its references are those of the known fingerprint.
    pub read: Option<Read>,
}

/// A repository that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// What is kept in memory.
    pub repository: Repository,
    /// The text of the `.SRCINFO`, which is stored.
    pub srcinfo: Option<String>,
}

/// Looks whether a repository's references are still those of a fingerprint, and reads it if not.
pub(super) fn look(
    found: &Found,
    known: Option<&Fingerprint>,
    default_branch: Option<&str>,
) -> Look {
    // Both are taken before anything is read: what changes in the middle shows next time.
    let glance = glance(&found.git_dir, SystemTime::now());
    let mut read = Read {
        repository: Repository {
            found: found.clone(),
            default_branch: None,
            commit: None,
            package: None,
            problem: None,
            warnings: Vec::new(),
            fingerprint: None,
        },
        srcinfo: None,
    };
    match fingerprint(&found.git_dir, default_branch) {
        Ok(fingerprint) if known == Some(&fingerprint) => return Look { glance, read: None },
        Ok(fingerprint) => read.repository.fingerprint = Some(fingerprint),
        Err(error) => {
            read.repository.problem = Some(format!("its references cannot be read: {error}"));
            return Look {
                glance: None,
                read: Some(read),
            };
        }
    }
    if let Err(error) = read_default_branch(&mut read, default_branch) {
        read.repository.problem = Some(error.to_string());
        if matches!(error, SourceError::Git { .. }) {
            // It may be in the middle of something, so it is to be read again.
            read.repository.fingerprint = None;
            return Look {
                glance: None,
                read: Some(read),
            };
        }
    }
    Look {
        glance,
        read: Some(read),
    }
}

fn read_default_branch(read: &mut Read, default_branch: Option<&str>) -> Result<(), SourceError> {
    let repository = &mut read.repository;
    let pkgbase = repository.found.pkgbase.clone();
    let git = GitRepository::open(&pkgbase, &repository.found.git_dir)?;
    let branch = git.default_branch(default_branch)?;
    repository.default_branch = branch.name;
    let commit = repository.commit.insert(git.describe(branch.commit)?);
    let text = read.srcinfo.insert(srcinfo(&git, &pkgbase, branch.commit)?);
    let understood = understand(&pkgbase, &commit.commit, text)?;
    repository.package = Some(Arc::new(understood.package));
    repository.warnings = understood.warnings;
    Ok(())
}
