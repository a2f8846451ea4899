//! The ways to find what changed: all pages with texts, the pages of late, all pages without texts.
//!
//! *Why the poll misses nothing.* A push moves `lastActivityAt` only if that is more than an hour old. So after
//! a push at time t it is not older than t minus an hour. Let M be the newest `lastActivityAt` of all projects
//! at one poll. Whatever is pushed after that poll has, at the next one, a `lastActivityAt` of at least M
//! minus an hour. The poll reads the order by activity down to there and compares commits. All of these are
//! GitLab's own times: no clock of ours takes part. The sweep is for what leaves no activity at all: projects
//! that were renamed, archived or deleted, and whatever GitLab does otherwise one day.

use std::collections::BTreeSet;
use std::sync::Arc;

use buildbtw_graph::PkgBase;
use jiff::{SignedDuration, Timestamp};

use super::{GitLabSources, lock};
use crate::clock;
use crate::db::DbError;
use crate::db::source_sync::{self, Sync};
use crate::gitlab::{GitLabError, Order, Page, Project, ProjectId};
use crate::sources::Shared;

use super::page_size::PageSize;

/// How far `lastActivityAt` may lag behind a push, and a little more.
const LAG: SignedDuration = SignedDuration::from_mins(61);

/// How many projects are asked for by their ids at once.
const BY_ID: usize = 50;

/// What is read of a project: changed whenever that becomes more.
const READING: &str = "2";

/// What stops a round.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// GitLab.
    #[error(transparent)]
    GitLab(#[from] GitLabError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl GitLabSources {
    /// What is stored of how far the group is read.
    pub async fn stored(&self, shared: &Shared) -> Result<Sync, DbError> {
        let key = self.key();
        let stored = source_sync::get(&mut *shared.db.read().await?, &key).await?;
        Ok(stored.unwrap_or_default())
    }

    /// Which GitLab's group, read how: whoever changes the settings reads anew, and so does a version that
    /// wants to know more of each project.
    fn key(&self) -> String {
        let branch = self.branch.as_deref().unwrap_or_default();
        format!("{READING} {} {} {branch}", self.gitlab.url(), self.group)
    }

    async fn store(&self, shared: &Shared, sync: &Sync) -> Result<(), DbError> {
        let mut tx = shared.db.write().await?;
        source_sync::put(&mut tx, &self.key(), sync).await?;
        tx.commit().await
    }

    /// A page, as large as GitLab manages.
    async fn page(
        &self,
        size: &mut PageSize,
        after: Option<&str>,
        order: Order,
        texts: bool,
    ) -> Result<Page, GitLabError> {
        loop {
            let page = self
                .gitlab
                .projects(
                    &self.group,
                    after.map(str::to_owned),
                    size.get(),
                    order,
                    self.branch.as_deref(),
                    texts,
                )
                .await;
            match page {
                Ok(page) => {
                    size.worked();
                    return Ok(page);
                }
                Err(error) => {
                    if !size.failed(&error) {
                        return Err(error);
                    }
                    tracing::info!(%error, size = size.get(), "a smaller page is tried");
                }
            }
        }
    }

    /// Reads all projects with their texts, from where it broke off.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses; what was read so far is kept.
    pub async fn read_all(&self, shared: &Shared) -> Result<(), RoundError> {
        let mut size = self.round.lock().await;
        let mut sync = self.stored(shared).await?;
        if sync.complete {
            let mut progress = lock(&self.progress);
            progress.complete = true;
            progress.read = sync.read;
            progress.swept_at = sync.swept_at;
            return Ok(());
        }
        let total = self.gitlab.who_am_i(&self.group).await?.projects;
        if sync.cursor.is_none() {
            // What is pushed from here on shows in the poll.
            let first = self.gitlab.projects(
                &self.group,
                None,
                1,
                Order::Activity,
                self.branch.as_deref(),
                false,
            );
            sync.newest_activity = newest(&first.await?.projects);
            sync.read = 0;
        } else {
            tracing::info!(
                read = sync.read,
                "the first reading of GitLab goes on where it broke off"
            );
        }
        let mut known = self.known(shared);
        loop {
            {
                let mut progress = lock(&self.progress);
                progress.read = sync.read;
                progress.total = total.and_then(|total| u64::try_from(total).ok());
            }
            let page = self
                .page(&mut size, sync.cursor.as_deref(), Order::Stable, true)
                .await?;
            let taken = self.take(&page.projects, &mut known);
            // The rows go before the cursor: a page is rather read twice than not at all.
            shared.take_in(taken.read, &taken.gone).await;
            sync.read += (page.projects.len() + page.unreadable) as u64;
            sync.complete = page.next.is_none();
            sync.swept_at = sync.complete.then(clock::now);
            sync.cursor = page.next;
            self.store(shared, &sync).await?;
            if sync.read % 1000 < size.get() as u64 {
                tracing::info!(read = sync.read, total, "reading the projects of GitLab");
            }
            if sync.complete {
                break;
            }
        }
        let mut progress = lock(&self.progress);
        progress.read = sync.read;
        progress.complete = true;
        progress.swept_at = sync.swept_at;
        Ok(())
    }

    /// Looks for what changed since the last poll.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses; the next poll then looks for what this one was to find.
    pub async fn poll(&self, shared: &Arc<Shared>) -> Result<(), GitLabError> {
        into_gitlab(self.poll_round(shared).await)
    }

    async fn poll_round(&self, shared: &Shared) -> Result<(), RoundError> {
        let mut size = self.round.lock().await;
        let mut sync = self.stored(shared).await?;
        let since = sync.newest_activity.map(|newest| newest - LAG);
        let mut newest_now = None;
        let mut after = None;
        loop {
            let page = self
                .page(&mut size, after.as_deref(), Order::Activity, false)
                .await?;
            if after.is_none() {
                newest_now = newest(&page.projects);
            }
            // A project of which it is not told when something happened may be any.
            let over = page.projects.iter().any(|project| {
                let activity = project.last_activity_at;
                activity.zip(since).is_some_and(|(at, since)| at < since)
            });
            self.compare(shared, &page.projects).await?;
            after = page.next;
            if over || after.is_none() {
                break;
            }
        }
        sync.newest_activity = newest_now.max(sync.newest_activity);
        self.store(shared, &sync).await?;
        lock(&self.progress).polled_at = Some(clock::now());
        Ok(())
    }

    /// Compares all commits with GitLab's, and finds what is not there any more.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses; what was found so far is kept.
    pub async fn sweep(&self, shared: &Arc<Shared>) -> Result<(), GitLabError> {
        into_gitlab(self.sweep_round(shared).await)
    }

    async fn sweep_round(&self, shared: &Shared) -> Result<(), RoundError> {
        let mut seen = BTreeSet::new();
        let mut after = None;
        loop {
            // Others get their turn between two pages.
            let mut size = self.round.lock().await;
            let page = self
                .page(&mut size, after.as_deref(), Order::Stable, false)
                .await?;
            seen.extend(page.projects.iter().map(|project| project.id));
            self.compare(shared, &page.projects).await?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let _round = self.round.lock().await;
        let known = self.known(shared);
        // Pages may move under the reader, so what was not seen is asked for by name.
        let missing: Vec<ProjectId> = known.into_keys().filter(|id| !seen.contains(id)).collect();
        self.look_at(shared, &missing).await?;
        let mut sync = self.stored(shared).await?;
        sync.swept_at = Some(clock::now());
        self.store(shared, &sync).await?;
        lock(&self.progress).swept_at = sync.swept_at;
        Ok(())
    }

    /// Looks at those that hooks named. What cannot be asked for now stays noticed.
    ///
    /// # Errors
    ///
    /// When GitLab is away or refuses.
    pub async fn attend(&self, shared: &Shared) -> Result<(), RoundError> {
        let _round = self.round.lock().await;
        let noticed = std::mem::take(&mut *lock(&self.noticed));
        let ids: Vec<ProjectId> = noticed.iter().copied().collect();
        let result = self.look_at(shared, &ids).await;
        if result.is_err() {
            lock(&self.noticed).extend(noticed);
        }
        result
    }

    /// Asks for the texts of those projects that are not what is known of them.
    async fn compare(&self, shared: &Shared, projects: &[Project]) -> Result<(), RoundError> {
        let known = self.known(shared);
        let heads = shared.state.heads();
        let changed: Vec<ProjectId> = projects
            .iter()
            .filter(|project| {
                let repository = known
                    .get(&project.id)
                    .and_then(|name| heads.repository(name));
                match repository {
                    None => self.counts(project) && project.name.parse::<PkgBase>().is_ok(),
                    Some(repository) => {
                        let commit = repository.commit.as_ref().map(|commit| &commit.commit);
                        let path = repository.address().map(|address| &address.full_path);
                        !self.counts(project)
                            || repository.pkgbase.as_str() != project.name
                            || path != Some(&project.full_path)
                            || commit != project.head.as_ref().map(|head| &head.commit)
                            || repository.default_branch != project.default_branch
                    }
                }
            })
            .map(|project| project.id)
            .collect();
        drop(heads);
        self.look_at(shared, &changed).await
    }

    /// Reads projects by their ids; those that are not there any more are gone.
    async fn look_at(&self, shared: &Shared, ids: &[ProjectId]) -> Result<(), RoundError> {
        let mut known = self.known(shared);
        for ids in ids.chunks(BY_ID) {
            let page = self
                .gitlab
                .projects_by_id(ids, self.branch.as_deref())
                .await?;
            let mut taken = self.take(&page.projects, &mut known);
            if page.unreadable == 0 {
                let there: BTreeSet<ProjectId> =
                    page.projects.iter().map(|project| project.id).collect();
                for id in ids.iter().filter(|id| !there.contains(id)) {
                    taken.gone.extend(known.remove(id));
                }
            }
            shared.take_in(taken.read, &taken.gone).await;
        }
        Ok(())
    }
}

fn newest(projects: &[Project]) -> Option<Timestamp> {
    projects
        .iter()
        .filter_map(|project| project.last_activity_at)
        .max()
}

/// What the database does not take is told in the log; the next round tries again.
fn into_gitlab(result: Result<(), RoundError>) -> Result<(), GitLabError> {
    match result {
        Ok(()) => Ok(()),
        Err(RoundError::GitLab(error)) => Err(error),
        Err(RoundError::Db(error)) => {
            tracing::error!(%error, "cannot store how far GitLab is read");
            Ok(())
        }
    }
}
