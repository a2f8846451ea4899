//! What is known of one source repository, and what a `.SRCINFO` means.

use std::sync::Arc;

use buildbtw_api::sources::SrcinfoState;
use buildbtw_graph::{MAX_SRCINFO_LENGTH, PkgBase, SourcePackage, Version, read_srcinfo};
use gix::ObjectId;

use super::directory::{Fingerprint, Found};
use super::error::SourceError;
use super::git::{GitRepository, SourceCommit};
use super::gitlab::Address;
use super::stated_version;
use super::tarball::LARGEST_PKGBUILD;

/// Where a source repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the folder of sources.
    Directory(Found),
    /// On GitLab.
    GitLab(Address),
}

/// A source repository as it was read last.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its name.
    pub pkgbase: PkgBase,
    /// Where it is.
    pub place: Place,
    /// The branch that is planned with; `None` if there is none or HEAD names a commit.
    pub default_branch: Option<String>,
    /// The commit it names.
    pub commit: Option<SourceCommit>,
    /// What the `.SRCINFO` there says.
    pub package: Option<Arc<SourcePackage>>,
    /// The version that the PKGBUILD there states, if its text alone tells.
    pub stated: Option<Version>,
    /// Why it cannot be planned with.
    pub problem: Option<String>,
    /// What was passed over in reading it, and that the `.SRCINFO` is stale.
    pub warnings: Vec<String>,
    /// Its references when it was read; `None` if it is to be read again.
    pub fingerprint: Option<Fingerprint>,
}

impl Repository {
    /// One of which nothing is known but where it is.
    pub(super) fn at(pkgbase: PkgBase, place: Place) -> Self {
        Self {
            pkgbase,
            place,
            default_branch: None,
            commit: None,
            package: None,
            stated: None,
            problem: None,
            warnings: Vec::new(),
            fingerprint: None,
        }
    }

    /// Where it is in the folder of sources.
    pub(super) fn found(&self) -> Option<&Found> {
        match &self.place {
            Place::Directory(found) => Some(found),
            Place::GitLab(_) => None,
        }
    }

    /// Where it is on GitLab.
    pub(crate) fn address(&self) -> Option<&Address> {
        match &self.place {
            Place::Directory(_) => None,
            Place::GitLab(address) => Some(address),
        }
    }

    /// Whether it was read the same way before.
    pub(super) fn is_as(&self, before: &Self) -> bool {
        self.pkgbase == before.pkgbase
            && self.place == before.place
            && self.default_branch == before.default_branch
            && self.fingerprint == before.fingerprint
            && self.commit == before.commit
            && self.stated == before.stated
            && self.problem == before.problem
    }

    /// Takes in what its `.SRCINFO` says, once it is known what its PKGBUILD states.
    pub(super) fn take(&mut self, understood: Understood) {
        let understood = understood.beside(self.stated.as_ref());
        self.package = Some(Arc::new(understood.package));
        self.warnings = understood.warnings;
        self.problem = None;
    }

    /// Whether its `.SRCINFO` says the version of its PKGBUILD.
    pub(super) fn srcinfo_state(&self) -> SrcinfoState {
        match (&self.package, &self.stated) {
            (None, _) => SrcinfoState::Unusable,
            (Some(_), None) => SrcinfoState::Unknown,
            (Some(package), Some(stated)) if stated_version::differs(package, stated) => {
                SrcinfoState::Stale
            }
            (Some(_), Some(_)) => SrcinfoState::Fresh,
        }
    }
}

/// What a `.SRCINFO` says.
#[derive(Debug, Clone)]
pub(super) struct Understood {
    pub package: SourcePackage,
    pub warnings: Vec<String>,
}

impl Understood {
    /// The same beside a PKGBUILD that states a version, if it is known to state one.
    pub fn beside(mut self, stated: Option<&Version>) -> Self {
        if let Some(stated) = stated.filter(|stated| stated_version::differs(&self.package, stated))
        {
            let words = stated_version::words(&self.package, stated);
            self.warnings.insert(0, words);
        }
        self
    }
}

/// The version that the PKGBUILD at a commit states, if its text alone tells.
pub(super) fn stated(
    git: &GitRepository,
    commit: ObjectId,
) -> Result<Option<Version>, SourceError> {
    let text = git.file(commit, "PKGBUILD", LARGEST_PKGBUILD)?;
    let text = text.and_then(Result::ok).unwrap_or_default();
    Ok(stated_version::stated_version(&String::from_utf8_lossy(
        &text,
    )))
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

/// A repository that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// What is kept in memory.
    pub repository: Repository,
    /// The text of the `.SRCINFO`, which is stored.
    pub srcinfo: Option<String>,
}
