//! Statuses, and the one table of the steps that lead from one to another.
//!
//! The same tables stand in the database as foreign keys; a test of the server
//! holds the two against each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! statuses {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }
     steps { $($from:ident => [$($to:ident),* $(,)?]),* $(,)? }) => {
        statuses!($(#[$doc])* $name { $($(#[$vdoc])* $variant = $text),+ });

        impl $name {
            /// Every legal step, as pairs of the status before and after.
            pub const STEPS: &'static [(Self, Self)] = &[$($((Self::$from, Self::$to)),*),*];

            /// Whether a thing of this status may take the other one next.
            pub fn may_become(self, next: Self) -> bool {
                Self::STEPS.contains(&(self, next))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// All statuses, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it, as it stands in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, UnknownStatus> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownStatus { text: text.to_owned(), known: [$($text),+].join(", ") }),
                }
            }
        }
    };
}

/// A word that is no status of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is none of: {known}")]
pub struct UnknownStatus {
    /// The word that was found.
    pub text: String,
    /// The words that would have done.
    pub known: String,
}

statuses! {
    /// Whether a worker gets runs.
    WorkerMode {
        /// It gets runs.
        Active = "active",
        /// It gets no more runs; its program ends when those that it has are over.
        Draining = "draining",
        /// It gets no more runs until somebody says otherwise.
        Paused = "paused",
        /// The server gives it none: builds that failed on it passed elsewhere, or are tried there.
        SetAside = "set_aside",
    }
}

impl WorkerMode {
    /// The mode as it stands in a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::SetAside => "set aside",
            other => other.as_str(),
        }
    }
}

statuses! {
    /// Whether the server hands out runs.
    ServerMode {
        /// It does.
        Run = "run",
        /// It hands out no more; those that are out go on.
        Drain = "drain",
        /// It hands out no more, and those that are out are taken back, to be built again later.
        Stopped = "stopped",
    }
}

statuses! {
    /// Who carries builds out.
    #[derive(Default)]
    BuildPlace {
        /// Workers that ask for them.
        #[default]
        Workers = "workers",
        /// Runners of GitLab, each build as a pipeline.
        GitLab = "gitlab",
    }
}

statuses! {
    /// Where a build stands.
    BuildStatus {
        /// Waits for other builds.
        Blocked = "blocked",
        /// Ready: everything it waits for is published.
        Pending = "pending",
        /// Handed out to a worker, not begun.
        Scheduled = "scheduled",
        /// A worker carries it out, or its packages are being published.
        Building = "building",
        /// Its packages are published.
        Built = "built",
        /// Its last run ended without packages.
        Failed = "failed",
        /// The packages of an identical earlier input were taken over.
        Reused = "reused",
        /// Something it waits for failed.
        DependencyFailed = "dependency_failed",
        /// Known to be impossible; tried only when forced.
        Unbuildable = "unbuildable",
        /// A person left it out; dependents go on with the released package.
        Waived = "waived",
        /// Called off with its namespace or by a newer iteration.
        Cancelled = "cancelled",
    }
    steps {
        Blocked => [Pending, DependencyFailed, Reused, Waived, Cancelled],
        Pending => [Blocked, Scheduled, Reused, Waived, Cancelled, DependencyFailed, Failed],
        Scheduled => [Building, Pending, Failed, Cancelled],
        Building => [Built, Pending, Failed, Cancelled],
        Failed => [Pending, Waived, Cancelled],
        DependencyFailed => [Blocked, Pending, Waived, Cancelled],
        Unbuildable => [Blocked, Pending, Waived, Cancelled],
        Waived => [Blocked, Pending],
        Cancelled => [Blocked, Pending],
    }
}

impl BuildStatus {
    /// Nothing more happens to it unless somebody asks.
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Blocked | Self::Pending | Self::Scheduled | Self::Building
        )
    }

    /// Builds that wait for it may go on.
    pub fn releases_dependents(self) -> bool {
        matches!(self, Self::Built | Self::Reused | Self::Waived)
    }

    /// It ended without packages, and not because a person wanted it so.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::DependencyFailed | Self::Unbuildable
        )
    }

    /// It ended so, and not only because something that it needs did.
    pub fn is_failure_itself(self) -> bool {
        matches!(self, Self::Failed | Self::Unbuildable)
    }
}

statuses! {
    /// Where a namespace stands.
    NamespaceStatus {
        /// Its current iteration is worked on and its origins are followed.
        Active = "active",
        /// A person stopped the handing out of its builds for a while.
        Paused = "paused",
        /// Every build of the current iteration is built, reused or waived.
        Finished = "finished",
        /// A person called it off. It can be resumed.
        Cancelled = "cancelled",
        /// Kept for reading only; its name is free again.
        Archived = "archived",
    }
    steps {
        Active => [Paused, Finished, Cancelled, Archived],
        Paused => [Active, Cancelled, Archived],
        Finished => [Active, Cancelled, Archived],
        Cancelled => [Active, Archived],
    }
}

statuses! {
    /// Where an iteration stands.
    IterationStatus {
        /// Its plan is being calculated.
        Planning = "planning",
        /// The one that is worked on.
        Current = "current",
        /// A newer one took its place; its repository stays readable.
        Superseded = "superseded",
        /// No plan could be made; it says why.
        Refused = "refused",
    }
    steps {
        Planning => [Current, Superseded, Refused],
        Current => [Superseded],
        Refused => [Superseded],
    }
}

statuses! {
    /// Where a run stands.
    RunStatus {
        /// Handed to a worker, which has not begun.
        Scheduled = "scheduled",
        /// The worker reports from it.
        Running = "running",
        /// It succeeded; its packages wait to be published.
        Publishing = "publishing",
        /// It is over; the outcome says how.
        Ended = "ended",
    }
    steps {
        Scheduled => [Running, Ended],
        Running => [Publishing, Ended],
        Publishing => [Ended],
    }
}

statuses! {
    /// How a run ended, and whose business that is.
    OutcomeClass {
        /// Packages came out and were taken.
        Success = "success",
        /// The package itself failed, in one of makepkg's phases.
        Package = "package",
        /// Its sources could not be had or did not match.
        Sources = "sources",
        /// What it needs could not be installed, or something else was installed instead.
        Dependencies = "dependencies",
        /// It took, or was silent for, longer than it may.
        Timeout = "timeout",
        /// The machinery failed: a lost worker, a full disk, a network. Never the package's fault.
        Infrastructure = "infrastructure",
        /// It was called off.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_or_reused_stays_so() {
        assert!(
            !BuildStatus::STEPS
                .iter()
                .any(|(from, _)| matches!(from, BuildStatus::Built | BuildStatus::Reused))
        );
    }

    #[test]
    fn every_unfinished_build_can_be_cancelled() {
        for status in BuildStatus::ALL.iter().filter(|status| !status.is_final()) {
            assert!(
                status.may_become(BuildStatus::Cancelled),
                "{status} cannot be cancelled"
            );
        }
    }

    #[test]
    fn words_are_read_back() {
        for status in BuildStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("Built".parse::<BuildStatus>().is_err());
    }
}
