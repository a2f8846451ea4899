//! Whether GitLab answers, for people to see.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::error::GitLabError;
use crate::clock;

/// Whether GitLab answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// When it answered last.
    pub answered_at: Option<Timestamp>,
    /// Since when it does not.
    pub away_since: Option<Timestamp>,
    /// Why not.
    pub reason: Option<String>,
}

/// Keeps [`Reach`].
#[derive(Debug, Default)]
pub struct Watching(Mutex<Reach>);

impl Watching {
    /// As it is.
    pub fn now(&self) -> Reach {
        let reach = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reach.clone()
    }

    /// Takes in how a request went.
    pub fn note<T>(&self, result: &Result<T, GitLabError>) {
        let now = clock::now();
        let mut reach = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Err(error) if error.is_away() => {
                let since = *reach.away_since.get_or_insert(now);
                if since == now {
                    tracing::warn!(%error, "GitLab does not answer");
                }
                reach.reason = Some(error.to_string());
            }
            // A refusal is an answer.
            _ => {
                if let Some(since) = reach.away_since.take() {
                    tracing::info!(%since, "GitLab answers again");
                }
                reach.answered_at = Some(now);
                reach.reason = None;
            }
        }
    }
}
