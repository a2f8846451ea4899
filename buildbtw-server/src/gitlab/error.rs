//! What can go wrong in talking to GitLab.

use std::time::Duration;

use reqwest::StatusCode;

/// Why GitLab did not do what was asked. `what` says that in words: "list the projects".
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitLabError {
    /// No connection, or it broke.
    #[error("cannot {what}: GitLab at {host} is not reached: {reason}")]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// Whom.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// No answer in time.
    #[error("cannot {what}: GitLab at {host} takes longer than {} s", .after.as_secs_f32())]
    Silent {
        /// What was asked.
        what: &'static str,
        /// Whom.
        host: String,
        /// How long it was waited.
        after: Duration,
    },
    /// It answers that it is broken or busy.
    #[error("cannot {what}: GitLab at {host} answers {status}")]
    Broken {
        /// What was asked.
        what: &'static str,
        /// Whom.
        host: String,
        /// What it answered.
        status: StatusCode,
    },
    /// There were too many requests.
    #[error("cannot {what}: GitLab has had too many requests of us{}", wait(*.retry_after))]
    TooManyRequests {
        /// What was asked.
        what: &'static str,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The token is not known.
    #[error(
        "cannot {what}: GitLab does not know the token; it may have expired or been revoked: put a new one into \
         GITLAB_TOKEN"
    )]
    Unauthorized {
        /// What was asked.
        what: &'static str,
    },
    /// The token may not do that.
    #[error(
        "cannot {what}: GitLab says that the token may not ({said}); it needs the scope `api` (`read_api` to read \
         sources only), and its user a role in the group"
    )]
    Forbidden {
        /// What was asked.
        what: &'static str,
        /// GitLab's words.
        said: String,
    },
    /// It is not there, or the token may not see it.
    #[error("cannot {what}: GitLab says that it is not there, or that the token may not see it")]
    NotFound {
        /// What was asked.
        what: &'static str,
    },
    /// It refuses for another reason.
    #[error("cannot {what}: GitLab refuses: {said}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it answered.
        status: StatusCode,
        /// Its words.
        said: String,
    },
    /// A query took longer than GitLab allows. A smaller page may not.
    #[error("cannot {what}: it takes GitLab too long ({said})")]
    TookTooLong {
        /// What was asked.
        what: &'static str,
        /// Its words.
        said: String,
    },
    /// An answer that makes no sense.
    #[error("cannot {what}: GitLab's answer makes no sense: {reason}")]
    Garbled {
        /// What was asked.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that is too large.
    #[error("cannot {what}: GitLab's answer is larger than {limit} bytes")]
    TooLarge {
        /// What was asked.
        what: &'static str,
        /// How large it may be.
        limit: u64,
    },
    /// A file of ours.
    #[error("cannot {what}: {reason}")]
    File {
        /// What was asked.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// There is no HTTP client.
    #[error("cannot make a client for GitLab: {0}")]
    Client(String),
}

fn wait(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!("; it wants to be asked again in {} s", wait.as_secs()),
        None => String::new(),
    }
}

impl GitLabError {
    /// Whether GitLab as a whole is away, rather than this one request wrong.
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::Broken { .. }
                | Self::TooManyRequests { .. }
                | Self::Unauthorized { .. }
        )
    }
}
