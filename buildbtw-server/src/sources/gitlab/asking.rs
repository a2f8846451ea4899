//! What is asked about single commits: changesets, pinned sources, trees.

use std::fs::File;
use std::sync::Arc;

use buildbtw_api::Changeset;
use buildbtw_graph::{PkgBase, SourcePackage};

use super::projects::{read_text, stated, tree_of};
use super::{GitLabSources, trees};
use crate::gitlab::{CommitFiles, GitLabError, ProjectId, Text, path_of};
use crate::sources::error::SourceError;
use crate::sources::git::{GitRepository, SourceCommit, branches_hint};
use crate::sources::{ResolvedChangeset, Shared, packed, pkgrel_edit, tarball};

/// The largest archive that is fetched, compressed, in bytes.
const LARGEST_ARCHIVE: u64 = 1 << 30;

fn failed(pkgbase: &PkgBase) -> impl Fn(GitLabError) -> SourceError {
    let pkgbase = pkgbase.clone();
    move |error| SourceError::GitLab {
        pkgbase: pkgbase.clone(),
        error,
    }
}

impl GitLabSources {
    /// The project of a package base: as known, or just made.
    async fn find(&self, shared: &Shared, pkgbase: &PkgBase) -> Result<ProjectId, SourceError> {
        let heads = shared.state.heads();
        let known = heads.repository(pkgbase).and_then(|known| known.address());
        if let Some(address) = known {
            return Ok(address.id);
        }
        let path = format!("{}/{}", self.group, path_of(pkgbase.as_str()));
        let found = self
            .gitlab
            .project_by_path(&path, self.branch.as_deref())
            .await
            .map_err(failed(pkgbase))?;
        match found {
            // Several names may have one path, and an old path leads to where the project is now.
            Some(project) if project.name == pkgbase.as_str() && self.counts(&project) => {
                self.notice(project.id);
                Ok(project.id)
            }
            _ => Err(shared.unknown_package(pkgbase)),
        }
    }

    /// The commit a changeset stands for now, and the package there.
    ///
    /// # Errors
    ///
    /// When there is no such project or reference, or GitLab does not answer.
    pub async fn resolve(
        &self,
        shared: &Shared,
        changeset: &Changeset,
    ) -> Result<ResolvedChangeset, SourceError> {
        let pkgbase = &changeset.pkgbase;
        let project = self.find(shared, pkgbase).await?;
        let found = match self.gitlab.resolve(project, &changeset.reference).await {
            Ok(found) => found,
            Err(error) => {
                // Of a default branch it is known what it was a short time ago.
                let known = as_known(shared, changeset, &error);
                return known.ok_or_else(|| failed(pkgbase)(error));
            }
        };
        match found.commit {
            Some(commit) => {
                self.read_or_known(shared, project, changeset, &commit)
                    .await
            }
            None => Err(SourceError::UnknownReference {
                pkgbase: pkgbase.clone(),
                reference: changeset.reference.clone(),
                detail: String::new(),
                hint: branches_hint(&found.branches),
            }),
        }
    }

    /// The same at a commit that the changeset was pinned to before.
    ///
    /// # Errors
    ///
    /// When the project or the commit is not there any more, or GitLab does not answer.
    pub async fn resolve_pinned(
        &self,
        shared: &Shared,
        changeset: &Changeset,
        commit: &str,
    ) -> Result<ResolvedChangeset, SourceError> {
        let project = self.find(shared, &changeset.pkgbase).await?;
        self.read_or_known(shared, project, changeset, commit).await
    }

    /// What a commit says. That of a default branch was read already, and does not change, so GitLab's failing in
    /// this moment refuses no iteration.
    async fn read_or_known(
        &self,
        shared: &Shared,
        project: ProjectId,
        changeset: &Changeset,
        commit: &str,
    ) -> Result<ResolvedChangeset, SourceError> {
        match self.changeset_at(project, changeset, commit).await {
            Err(error @ SourceError::GitLab { .. }) => {
                as_read(shared, changeset, commit).ok_or(error)
            }
            done => done,
        }
    }

    async fn changeset_at(
        &self,
        project: ProjectId,
        changeset: &Changeset,
        commit: &str,
    ) -> Result<ResolvedChangeset, SourceError> {
        let files = self.files(project, &changeset.pkgbase, commit).await?;
        let understood = read_text(&changeset.pkgbase, commit, &files.srcinfo)?
            .beside(stated(&files.pkgbuild).as_ref());
        Ok(ResolvedChangeset {
            changeset: changeset.clone(),
            commit: SourceCommit {
                commit: commit.to_owned(),
                tree: files.tree.unwrap_or_else(|| tree_of(commit)),
                committed_at: files.authored_at,
            },
            package: understood.package,
            warnings: understood.warnings,
        })
    }

    async fn files(
        &self,
        project: ProjectId,
        pkgbase: &PkgBase,
        commit: &str,
    ) -> Result<CommitFiles, SourceError> {
        let files = self
            .gitlab
            .commit_files(project, commit)
            .await
            .map_err(failed(pkgbase))?;
        files.ok_or_else(|| SourceError::UnknownReference {
            pkgbase: pkgbase.clone(),
            reference: commit.to_owned(),
            detail: ": it was there once, so it was pushed away".to_owned(),
            hint: "a newer commit of it may be there".to_owned(),
        })
    }

    /// The package at a commit.
    ///
    /// # Errors
    ///
    /// When the project or the commit is not there, or GitLab does not answer.
    pub async fn read_at(
        &self,
        shared: &Shared,
        pkgbase: &PkgBase,
        commit: &str,
    ) -> Result<SourcePackage, SourceError> {
        let heads = shared.state.heads();
        let is_head = heads
            .head(pkgbase)
            .is_some_and(|head| head.commit == commit);
        if let Some(package) = heads.index().get(pkgbase).filter(|_| is_head) {
            return Ok(package.as_ref().clone());
        }
        let project = self.find(shared, pkgbase).await?;
        let files = self.files(project, pkgbase, commit).await?;
        Ok(read_text(pkgbase, commit, &files.srcinfo)?.package)
    }

    /// Whether the PKGBUILD at a commit has a function pkgver().
    ///
    /// # Errors
    ///
    /// When the project or the commit is not there, or GitLab does not answer.
    pub async fn sets_its_version(
        &self,
        shared: &Shared,
        pkgbase: &PkgBase,
        commit: &str,
    ) -> Result<bool, SourceError> {
        let project = self.find(shared, pkgbase).await?;
        let files = self.files(project, pkgbase, commit).await?;
        Ok(match files.pkgbuild {
            Text::Text(text) => pkgrel_edit::has_pkgver_function(&text),
            _ => false,
        })
    }

    /// The tree of a commit as a tar archive.
    ///
    /// # Errors
    ///
    /// When it is neither kept nor to be had, or the pkgrel cannot be set safely.
    pub async fn tarball(
        &self,
        shared: &Arc<Shared>,
        pkgbase: &PkgBase,
        commit: &str,
        pkgrel: Option<&str>,
    ) -> Result<File, SourceError> {
        if let Some(kept) = trees::find(&self.trees, commit) {
            match self.packed(shared, pkgbase, commit, kept, pkgrel).await {
                // What a crash tore is fetched anew.
                Err(SourceError::Git { detail, .. }) => {
                    tracing::warn!(%pkgbase, commit, detail, "a kept tree cannot be read; it is fetched anew");
                    trees::forget(&self.trees, commit)?;
                }
                done => return done,
            }
        }
        let project = self.find(shared, pkgbase).await?;
        let files = self.files(project, pkgbase, commit).await?;
        let mut archive = tempfile::tempfile_in(&shared.scratch)?;
        self.gitlab
            .archive(project, commit, &mut archive, LARGEST_ARCHIVE)
            .await
            .map_err(failed(pkgbase))?;
        let (folder, name) = (self.trees.clone(), pkgbase.clone());
        let kept =
            tokio::task::spawn_blocking(move || trees::keep(&folder, &name, &files, archive))
                .await
                .map_err(|error| SourceError::Broken(error.to_string()))??;
        self.packed(shared, pkgbase, commit, kept, pkgrel).await
    }

    async fn packed(
        &self,
        shared: &Arc<Shared>,
        pkgbase: &PkgBase,
        commit: &str,
        kept: trees::Kept,
        pkgrel: Option<&str>,
    ) -> Result<File, SourceError> {
        let (folder, scratch) = (self.trees.clone(), shared.scratch.clone());
        let (pkgbase, commit) = (pkgbase.clone(), commit.to_owned());
        let pkgrel = pkgrel.map(str::to_owned);
        tokio::task::spawn_blocking(move || {
            let git = GitRepository::open(&pkgbase, &folder)?;
            let of = tarball::CommitTree {
                commit: &commit,
                tree: kept.tree,
                committed_at: kept.committed_at,
            };
            packed(&git, &pkgbase, of, pkgrel.as_deref(), &scratch)
        })
        .await
        .map_err(|error| SourceError::Broken(error.to_string()))?
    }
}

/// A changeset of a default branch as it was when GitLab answered last, if GitLab is away.
fn as_known(
    shared: &Shared,
    changeset: &Changeset,
    error: &GitLabError,
) -> Option<ResolvedChangeset> {
    let heads = shared.state.heads();
    let known = heads.repository(&changeset.pkgbase)?;
    let branch = known.default_branch.as_deref()?;
    let meant = changeset.reference == branch
        || changeset.reference.strip_prefix("refs/heads/") == Some(branch);
    if !meant || !error.is_away() {
        return None;
    }
    let mut read = as_read(shared, changeset, &known.commit.as_ref()?.commit)?;
    let warning = format!("this is what was known last, since {error}");
    read.warnings.push(warning);
    Some(read)
}

/// A changeset at the commit of a default branch, as it was read.
fn as_read(shared: &Shared, changeset: &Changeset, commit: &str) -> Option<ResolvedChangeset> {
    let heads = shared.state.heads();
    let known = heads.repository(&changeset.pkgbase)?;
    let head = known.commit.as_ref().filter(|head| head.commit == commit)?;
    Some(ResolvedChangeset {
        changeset: changeset.clone(),
        commit: head.clone(),
        package: known.package.as_ref()?.as_ref().clone(),
        warnings: known.warnings.clone(),
    })
}
