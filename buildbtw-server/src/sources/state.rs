//! What is known of all source repositories, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use buildbtw_api::page::Page;
use buildbtw_api::sources::{SourceQuery, SourceRepository};
use buildbtw_graph::{PkgBase, SourceIndex};

use super::git::SourceCommit;
use super::reading::Repository;

/// How many repositories a page of the list has unless asked.
const PAGE: usize = 100;

/// The most repositories of a page.
const PAGE_MAX: usize = 1000;

/// All source repositories at one moment: the index and the commits belong together.
/// A clone costs next to nothing and does not change.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    index: SourceIndex,
    repositories: Arc<BTreeMap<PkgBase, Arc<Repository>>>,
}

impl Heads {
    /// The packages of the default branches.
    pub fn index(&self) -> &SourceIndex {
        &self.index
    }

    /// The commit of a default branch whose package is in the index.
    pub fn head(&self, pkgbase: &PkgBase) -> Option<&SourceCommit> {
        let repository = self.repositories.get(pkgbase)?;
        repository.package.as_ref()?;
        repository.commit.as_ref()
    }

    /// What is known of a repository.
    pub fn repository(&self, pkgbase: &PkgBase) -> Option<&Arc<Repository>> {
        self.repositories.get(pkgbase)
    }

    /// All repositories, by name.
    pub fn repositories(&self) -> impl Iterator<Item = &Arc<Repository>> {
        self.repositories.values()
    }

    /// How many repositories there are, and how many of them cannot be planned with.
    pub fn counts(&self) -> (usize, usize) {
        let problems = self
            .repositories()
            .filter(|repository| repository.problem.is_some())
            .count();
        (self.repositories.len(), problems)
    }

    /// A page of the list of repositories, by name.
    pub fn list(&self, query: &SourceQuery) -> Page<SourceRepository> {
        let limit = query
            .limit
            .map_or(PAGE, |limit| limit as usize)
            .clamp(1, PAGE_MAX);
        let after = query.after.as_deref().unwrap_or_default();
        let mut items: Vec<SourceRepository> = self
            .repositories
            .range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
            .map(|(_, repository)| repository)
            .filter(|repository| {
                !query.problems || repository.problem.is_some() || !repository.warnings.is_empty()
            })
            .take(limit + 1)
            .map(|repository| shown(repository))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items
            .last()
            .filter(|_| more)
            .map(|item| item.pkgbase.to_string());
        Page { items, next }
    }
}

fn shown(repository: &Repository) -> SourceRepository {
    SourceRepository {
        pkgbase: repository.pkgbase.clone(),
        default_branch: repository.default_branch.clone(),
        commit: repository
            .commit
            .as_ref()
            .map(|commit| commit.commit.clone()),
        version: repository
            .package
            .as_ref()
            .map(|package| package.version.clone()),
        pkgbuild_version: repository.stated.clone(),
        srcinfo: repository.srcinfo_state(),
        problem: repository.problem.clone(),
        warnings: repository.warnings.clone(),
    }
}

/// The newest [`Heads`], shared.
#[derive(Debug, Default)]
pub(super) struct State(RwLock<Heads>);

impl State {
    /// The newest state.
    pub fn heads(&self) -> Heads {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes in repositories that were read, and takes out those that are gone.
    pub fn update(&self, read: impl IntoIterator<Item = Arc<Repository>>, gone: &[PkgBase]) {
        let mut heads = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Heads {
            index,
            repositories,
        } = &mut *heads;
        let repositories = Arc::make_mut(repositories);
        for pkgbase in gone {
            index.remove(pkgbase);
            repositories.remove(pkgbase);
        }
        for repository in read {
            let pkgbase = repository.pkgbase.clone();
            match &repository.package {
                // Equal content is left where it is, so that whoever compares sees no change.
                Some(package) if index.get(&pkgbase) == Some(package) => {}
                Some(package) => {
                    index.insert(Arc::clone(package));
                }
                None => {
                    index.remove(&pkgbase);
                }
            }
            repositories.insert(pkgbase, repository);
        }
    }
}
