//! From projects of GitLab's to source repositories.

use std::collections::BTreeMap;

use buildbtw_graph::{MAX_SRCINFO_LENGTH, PkgBase, Version};

use super::{Address, GitLabSources};
use crate::gitlab::{Head, Project, ProjectId, Text};
use crate::sources::directory::Fingerprint;
use crate::sources::error::SourceError;
use crate::sources::git::SourceCommit;
use crate::sources::reading::{Place, Read, Repository, Understood, understand};
use crate::sources::stated_version::stated_version;

/// What projects become: repositories that were read, and such that are not there any more.
#[derive(Debug, Default)]
pub struct Taken {
    pub read: Vec<Read>,
    pub gone: Vec<PkgBase>,
}

/// What a commit's tree is known by where its id was not asked for.
pub fn tree_of(commit: &str) -> String {
    format!("commit:{commit}")
}

/// A commit as it is kept.
pub fn commit_of(head: &Head) -> SourceCommit {
    SourceCommit {
        commit: head.commit.clone(),
        tree: tree_of(&head.commit),
        committed_at: head.authored_at,
    }
}

/// What a text says.
///
/// # Errors
///
/// When it is missing, no text, or no `.SRCINFO` of that package base.
pub fn read_text(pkgbase: &PkgBase, commit: &str, text: &Text) -> Result<Understood, SourceError> {
    let broken = |detail: String| SourceError::BrokenSrcinfo {
        pkgbase: pkgbase.clone(),
        commit: commit.to_owned(),
        detail,
    };
    match text {
        Text::Missing | Text::NotAsked => Err(SourceError::NoSrcinfo {
            pkgbase: pkgbase.clone(),
            commit: commit.to_owned(),
        }),
        Text::Binary => Err(broken("it is not a text".to_owned())),
        Text::Text(text) if text.len() > MAX_SRCINFO_LENGTH => Err(broken(format!(
            "it has {} bytes; {MAX_SRCINFO_LENGTH} are the limit",
            text.len()
        ))),
        Text::Text(text) => understand(pkgbase, commit, text),
    }
}

/// The version that a PKGBUILD states, if its text alone tells.
pub fn stated(pkgbuild: &Text) -> Option<Version> {
    match pkgbuild {
        Text::Text(text) => stated_version(text),
        Text::NotAsked | Text::Missing | Text::Binary => None,
    }
}

impl GitLabSources {
    /// Whether a project is one that is planned with.
    pub fn counts(&self, project: &Project) -> bool {
        !project.archived && !project.marked_for_deletion && self.has(&project.full_path)
    }

    /// What projects, asked for with their texts, become. `known` is kept up to date.
    pub fn take(&self, projects: &[Project], known: &mut BTreeMap<ProjectId, PkgBase>) -> Taken {
        let mut taken = Taken::default();
        for project in projects {
            let before = known.remove(&project.id);
            let name: Option<PkgBase> = project.name.parse().ok();
            if self.counts(project) && name.is_none() {
                tracing::warn!(
                    name = project.name,
                    "a project on GitLab is not read: its name is none of a package base"
                );
            }
            let now = name.filter(|_| self.counts(project));
            if let Some(before) = before.filter(|before| Some(before) != now.as_ref()) {
                // Somebody else may have the name by now.
                if !known.values().any(|other| *other == before) {
                    taken.gone.push(before);
                }
            }
            if let Some(pkgbase) = now {
                taken.read.push(read(project, pkgbase.clone()));
                // A name is one project's: the other one has lost it, and shows so when it is read.
                known.retain(|_, other| *other != pkgbase);
                known.insert(project.id, pkgbase);
            }
        }
        // One of these projects may have taken over the name of another.
        let names: Vec<&PkgBase> = known.values().collect();
        taken.gone.retain(|gone| !names.contains(&gone));
        taken
    }
}

fn read(project: &Project, pkgbase: PkgBase) -> Read {
    let address = Address {
        id: project.id,
        full_path: project.full_path.clone(),
    };
    let mut repository = Repository::at(pkgbase.clone(), Place::GitLab(address));
    repository.default_branch = project.default_branch.clone();
    let mut srcinfo = None;
    match &project.head {
        None => {
            let detail = "the project on GitLab is empty, or has no such branch".to_owned();
            let error = SourceError::NoCommit { pkgbase, detail };
            repository.problem = Some(error.to_string());
        }
        Some(head) => {
            repository.commit = Some(commit_of(head));
            repository.fingerprint = Some(Fingerprint::from_stored(head.commit.clone()));
            if let Text::Text(text) = &project.srcinfo {
                srcinfo = Some(text.clone());
            }
            repository.stated = stated(&project.pkgbuild);
            match read_text(&pkgbase, &head.commit, &project.srcinfo) {
                Ok(understood) => repository.take(understood),
                Err(error) => repository.problem = Some(error.to_string()),
            }
        }
    }
    Read {
        repository,
        srcinfo,
    }
}
