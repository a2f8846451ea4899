//! Looking at one repository of the folder, and reading its default branch.

use std::time::SystemTime;

use super::fingerprint::{Fingerprint, Glance, fingerprint, glance};
use super::locate::Found;
use crate::sources::error::SourceError;
use crate::sources::git::GitRepository;
use crate::sources::reading::{Place, Read, Repository, srcinfo, stated, understand};

/// What looking at a repository found.
#[derive(Debug)]
pub struct Look {
    /// What to compare with next time; `None` if time stamps tell nothing yet.
    pub glance: Option<Glance>,
    /// What was read; `None` if its references are those of the known fingerprint.
    pub read: Option<Read>,
}

/// Looks whether a repository's references are still those of a fingerprint, and reads it if not.
pub fn look(found: &Found, known: Option<&Fingerprint>, default_branch: Option<&str>) -> Look {
    // Both are taken before anything is read: what changes in the middle shows next time.
    let glance = glance(&found.git_dir, SystemTime::now());
    let mut read = Read {
        repository: Repository::at(found.pkgbase.clone(), Place::Directory(found.clone())),
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
    if let Err(error) = read_default_branch(&mut read, found, default_branch) {
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

fn read_default_branch(
    read: &mut Read,
    found: &Found,
    default_branch: Option<&str>,
) -> Result<(), SourceError> {
    let repository = &mut read.repository;
    let pkgbase = found.pkgbase.clone();
    let git = GitRepository::open(&pkgbase, &found.git_dir)?;
    let branch = git.default_branch(default_branch)?;
    repository.default_branch = branch.name;
    let commit = repository.commit.insert(git.describe(branch.commit)?);
    let text = read.srcinfo.insert(srcinfo(&git, &pkgbase, branch.commit)?);
    let understood = understand(&pkgbase, &commit.commit, text)?;
    repository.stated = stated(&git, branch.commit)?;
    repository.take(understood);
    Ok(())
}
