//! The provider `gitlab`: the projects of a group, followed through its API. Nothing is cloned.
//!
//! The first reading goes page by page, with texts, and is resumed where it broke off. Afterwards hooks
//! say what moved, at once; a poll finds what no hook told ([`rounds`]); and a slow sweep compares
//! all commits. None of them believes a date: what counts is whether the commit is another one.

mod address;
mod asking;
mod following;
mod page_size;
mod projects;
mod rounds;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildbtw_api::sources::GitLabState;
use buildbtw_graph::PkgBase;
use jiff::Timestamp;
use tokio::sync::Notify;
use url::Url;

use super::Shared;
use super::error::SourcesError;
use crate::clock;
use crate::config::Config;
use crate::gitlab::hooks::{self, Credentials, News, Secret};
use crate::gitlab::{GitLab, ProjectId, RealTime, Settings};

pub use address::Address;

/// The group, and how far it is read.
pub struct GitLabSources {
    gitlab: GitLab,
    group: String,
    branch: Option<String>,
    secret: Option<Secret>,
    trees: PathBuf,
    progress: Mutex<Progress>,
    noticed: Mutex<BTreeSet<ProjectId>>,
    wake: Notify,
    /// One round at a time: two would overtake each other.
    round: tokio::sync::Mutex<page_size::PageSize>,
}

/// How far the index is, for people to see.
#[derive(Debug, Clone, Default)]
struct Progress {
    complete: bool,
    read: u64,
    total: Option<u64>,
    polled_at: Option<Timestamp>,
    swept_at: Option<Timestamp>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wrong(text: &str) -> SourcesError {
    SourcesError::GitLabSetting(text.to_owned())
}

/// The client that the settings name. Nothing is asked yet.
///
/// # Errors
///
/// When a setting is missing or wrong.
pub fn client(config: &Config) -> Result<GitLab, SourcesError> {
    let token = config.gitlab_token.clone().ok_or_else(|| {
        wrong(
            "GITLAB_PACKAGES_GROUP is set, so sources are read from GitLab, and GITLAB_TOKEN is not set; \
             it needs a token with the scope `read_api`",
        )
    })?;
    let domain = config.gitlab_domain.trim_end_matches('/');
    let address = if domain.contains("://") {
        domain.to_owned()
    } else {
        format!("https://{domain}")
    };
    let url = Url::parse(&address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| wrong("GITLAB_DOMAIN is no name of a host, such as gitlab.archlinux.org"))?;
    Ok(GitLab::new(Settings::new(url, token), Arc::new(RealTime))?)
}

impl GitLabSources {
    /// The group that the settings name. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, or the store of trees cannot be made.
    pub fn open(config: &Config, gitlab: GitLab) -> Result<Self, SourcesError> {
        let group = config.gitlab_packages_group.as_deref().unwrap_or_default();
        let group = group.trim_matches('/').to_owned();
        if group.is_empty() {
            return Err(wrong(
                "GITLAB_PACKAGES_GROUP is empty; write the group's path, such as archlinux/packaging/packages",
            ));
        }
        let secret = match &config.gitlab_hook_secret {
            None => None,
            Some(text) => Some(Secret::new(&text.0).ok_or_else(|| {
                wrong("GITLAB_HOOK_SECRET begins with `whsec_` and is no signing token of GitLab's")
            })?),
        };
        let trees = config.data_dir.join("source-trees.git");
        trees::make(&trees).map_err(|source| SourcesError::Trees {
            path: trees.clone(),
            source,
        })?;
        Ok(Self {
            gitlab,
            group,
            branch: config.default_branch.clone(),
            secret,
            trees,
            progress: Mutex::default(),
            noticed: Mutex::default(),
            wake: Notify::new(),
            round: tokio::sync::Mutex::default(),
        })
    }

    /// The client.
    pub fn client(&self) -> &GitLab {
        &self.gitlab
    }

    /// Reads and follows until the server stops.
    pub fn keep_up(self: &Arc<Self>, shared: &Arc<Shared>) {
        let (gitlab, shared) = (Arc::clone(self), Arc::clone(shared));
        tokio::spawn(async move {
            let shutdown = shared.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = gitlab.follow(&shared) => {}
            }
        });
    }

    /// How far the index is, and whether GitLab answers.
    pub fn state(&self) -> GitLabState {
        let progress = lock(&self.progress).clone();
        let reach = self.gitlab.reach();
        GitLabState {
            url: self.gitlab.url().to_string(),
            group: self.group.clone(),
            complete: progress.complete,
            read: progress.read,
            total: progress.total,
            polled_at: progress.polled_at,
            swept_at: progress.swept_at,
            away_since: reach.away_since,
            reason: reach.reason,
        }
    }

    /// A project may have changed. It is looked at soon.
    pub fn notice(&self, project: ProjectId) {
        lock(&self.noticed).insert(project);
        self.wake.notify_one();
    }

    /// Takes a hook: what it says, if it comes from GitLab. What it says of projects is heeded here. The
    /// same hook twice, or two in the wrong order, make no difference: what they name is asked for.
    pub fn hook(&self, shown: &Credentials<'_>, body: &[u8]) -> Option<News> {
        let secret = self.secret.as_ref()?;
        if !secret.fits(shown, body, clock::now()) {
            return None;
        }
        let news = hooks::read(body).unwrap_or(News::Other);
        if let News::Project(project) = news {
            self.notice(project);
        }
        Some(news)
    }

    /// The package bases by the projects they are known to be.
    fn known(&self, shared: &Shared) -> BTreeMap<ProjectId, PkgBase> {
        let heads = shared.state.heads();
        heads
            .repositories()
            .filter_map(|known| Some((known.address()?.id, known.pkgbase.clone())))
            .collect()
    }

    /// Whether a path lies in the group, and not below one of its groups.
    fn has(&self, full_path: &str) -> bool {
        full_path
            .rsplit_once('/')
            .is_some_and(|(group, _)| group.eq_ignore_ascii_case(&self.group))
    }
}
