//! The client of GitLab: GraphQL for sources, REST for archives and pipelines.
//!
//! Every request goes through [`request`]: it takes its turn in one budget, is tried again where that
//! cannot do anything twice, and what goes wrong becomes a [`GitLabError`] that a person understands.
//! Whoever asks decides what follows; nothing else of the server waits for GitLab.

mod answers;
mod backoff;
mod budget;
mod ci_configurations;
mod error;
mod files;
mod graphql;
pub mod hooks;
mod paths;
mod pipelines;
mod projects;
mod queries;
mod reach;
mod request;
mod time;
mod token;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use answers::CommitFiles;
pub use ci_configurations::{CiConfiguration, CiPage};
pub use error::GitLabError;
pub use files::tree_id;
pub use paths::path_of;
pub use pipelines::{CommitState, CommitStatus, Job, NewPipeline, Pipeline, PipelineStatus};
pub use projects::{Cost, Head, Identity, Order, Page, Project, ProjectId, Reference, Text};
pub use reach::Reach;
pub use time::{RealTime, Time};
pub use token::Token;
pub use tokens::TokenFacts;

/// How a GitLab is talked to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is, such as `https://gitlab.archlinux.org`.
    pub url: Url,
    /// Whose rights are used.
    pub token: Token,
    /// How many requests may be open at once.
    pub at_once: usize,
    /// How many requests may be made a minute, on the average.
    pub a_minute: u32,
    /// How often a request is tried in all.
    pub tries: u32,
    /// The pause before the second try; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause between tries, also where GitLab asks for a longer one: then the request
    /// fails, and whoever asked comes back later.
    pub longest_pause: Duration,
    /// How long an answer may take as a whole, archives excepted.
    pub timeout: Duration,
    /// How long GitLab may be silent in the middle of an answer.
    pub silence: Duration,
}

impl Settings {
    /// What is polite and patient enough for any GitLab.
    pub fn new(url: Url, token: Token) -> Self {
        Self {
            url,
            token,
            at_once: 4,
            a_minute: 600,
            tries: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(120),
            // GitLab gives up on a GraphQL request after thirty seconds.
            timeout: Duration::from_secs(60),
            silence: Duration::from_secs(45),
        }
    }
}

/// A client of one GitLab. Cheap to clone; clones share the budget.
#[derive(Debug, Clone)]
pub struct GitLab(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    http: reqwest::Client,
    budget: budget::Budget,
    reach: reach::Watching,
    time: Arc<dyn Time>,
}

impl GitLab {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(settings: Settings, time: Arc<dyn Time>) -> Result<Self, GitLabError> {
        let host = settings.url.clone();
        // A redirect that leads elsewhere would take the token along.
        let redirects = reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > 5 {
                attempt.error("too many redirects")
            } else if attempt.url().origin() == host.origin() {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("buildbtw/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.silence)
            .read_timeout(settings.silence)
            .redirect(redirects)
            .build()
            .map_err(|error| GitLabError::Client(error.without_url().to_string()))?;
        Ok(Self(Arc::new(Inner {
            budget: budget::Budget::new(settings.at_once, settings.a_minute, time.now()),
            reach: reach::Watching::default(),
            settings,
            http,
            time,
        })))
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.0.settings.url
    }

    /// Whether GitLab answers, and since when it does not.
    pub fn reach(&self) -> Reach {
        self.0.reach.now()
    }
}
