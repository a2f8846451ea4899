//! Why a worker gets nothing, or nothing more.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ServerMode, WorkerMode};

/// Why a worker gets no run now. There is no other reason than these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum IdleReason {
    /// It was not heard of lately.
    NotHeardOf,
    /// The server hands out no runs.
    ServerHandsOutNothing {
        /// `drain` or `stopped`.
        mode: ServerMode,
        /// What was said.
        message: Option<String>,
    },
    /// It is not active.
    NotActive {
        /// `draining`, `paused` or `set_aside`.
        mode: WorkerMode,
        /// What was said.
        message: Option<String>,
    },
    /// It carries out as many runs as it has slots.
    SlotsTaken {
        /// How many slots it has.
        slots: u32,
    },
    /// No build is ready.
    NothingReady,
    /// It can carry out nothing of what is ready.
    NothingFits {
        /// What it lacks for the first of it.
        lacking: String,
    },
    /// What is ready failed on it before and is left to others.
    LeftToOthers,
    /// What is ready ends sooner on a faster worker, which is about to be free.
    LeftToFaster {
        /// The name of that worker.
        worker: String,
    },
    /// What is ready waits for runs of an equal input, whose packages will serve.
    WaitsForEqualInput,
    /// It gets a run when it asks next.
    NextInLine,
    /// It is a runner of GitLab's, which gives it jobs.
    FromGitLab,
}

impl fmt::Display for IdleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |message: &Option<String>| match message {
            Some(message) => format!(": {message}"),
            None => String::new(),
        };
        match self {
            Self::NotHeardOf => write!(f, "it was not heard of lately"),
            Self::ServerHandsOutNothing { mode, message } => write!(
                f,
                "the server hands out no runs (mode {mode}){}",
                said(message)
            ),
            Self::NotActive { mode, message } => {
                write!(f, "it is {}{}", mode.in_words(), said(message))
            }
            Self::SlotsTaken { slots: 1 } => write!(f, "its only slot is taken"),
            Self::SlotsTaken { slots } => write!(f, "all its {slots} slots are taken"),
            Self::NothingReady => write!(f, "nothing is ready"),
            Self::NothingFits { lacking } => {
                write!(f, "nothing of what is ready fits: {lacking}")
            }
            Self::LeftToOthers => write!(f, "what is ready failed on it and is left to others"),
            Self::LeftToFaster { worker } => write!(
                f,
                "what is ready ends sooner on {worker}, which is faster and about to be free"
            ),
            Self::WaitsForEqualInput => write!(
                f,
                "what is ready waits for runs of an equal input, whose packages will serve"
            ),
            Self::NextInLine => write!(f, "it gets a run when it asks next"),
            Self::FromGitLab => write!(f, "it gets its runs as jobs of GitLab"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_a_sentence_and_is_read_back() {
        let message = Some("a new disk".to_owned());
        let all = [
            (IdleReason::NotHeardOf, "it was not heard of lately"),
            (IdleReason::FromGitLab, "it gets its runs as jobs of GitLab"),
            (
                IdleReason::ServerHandsOutNothing {
                    mode: ServerMode::Drain,
                    message: message.clone(),
                },
                "the server hands out no runs (mode drain): a new disk",
            ),
            (
                IdleReason::NotActive {
                    mode: WorkerMode::SetAside,
                    message,
                },
                "it is set aside: a new disk",
            ),
            (
                IdleReason::SlotsTaken { slots: 1 },
                "its only slot is taken",
            ),
            (
                IdleReason::SlotsTaken { slots: 4 },
                "all its 4 slots are taken",
            ),
            (IdleReason::NothingReady, "nothing is ready"),
            (
                IdleReason::NothingFits {
                    lacking: "it lacks the label kvm".to_owned(),
                },
                "nothing of what is ready fits: it lacks the label kvm",
            ),
            (
                IdleReason::LeftToOthers,
                "what is ready failed on it and is left to others",
            ),
            (
                IdleReason::LeftToFaster {
                    worker: "quick".to_owned(),
                },
                "what is ready ends sooner on quick, which is faster and about to be free",
            ),
            (
                IdleReason::WaitsForEqualInput,
                "what is ready waits for runs of an equal input, whose packages will serve",
            ),
            (IdleReason::NextInLine, "it gets a run when it asks next"),
        ];
        for (reason, text) in all {
            assert_eq!(reason.to_string(), text);
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<IdleReason>(&json).unwrap(), reason);
        }
    }
}
