//! Why iterations are made.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Changeset;

/// Why an iteration was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IterationReason {
    /// The namespace was created.
    Created,
    /// An origin's reference points to another commit.
    NewCommit {
        /// The origin changesets that moved.
        moves: Vec<ChangesetMove>,
    },
    /// The namespace was resumed and its origins had moved meanwhile.
    Resumed {
        /// The origin changesets that moved.
        moves: Vec<ChangesetMove>,
    },
    /// Somebody added origin changesets.
    Added {
        /// Those.
        changesets: Vec<Changeset>,
    },
    /// Somebody took origin changesets out.
    Removed {
        /// Those.
        changesets: Vec<Changeset>,
    },
    /// Somebody asked for the newer commits of dependents and for the base repositories as they are.
    Updated {
        /// How many dependents have newer commits.
        dependents: u32,
        /// The base repositories that changed.
        bases: Vec<String>,
        /// The origin changesets that moved.
        moves: Vec<ChangesetMove>,
    },
    /// Somebody asked to build it all once more.
    Rebuilt {
        /// Packages of an equal earlier input are taken over, as far as the namespace's options want it.
        reuse: bool,
    },
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

impl IterationReason {
    /// Whether dependents and base repositories stay as the iteration before has them. Otherwise
    /// the newest is taken.
    pub fn keeps_pins(&self) -> bool {
        !matches!(self, Self::Created | Self::Updated { .. })
    }

    /// Whether packages of an equal earlier input may be taken over.
    pub fn allows_reuse(&self) -> bool {
        !matches!(self, Self::Rebuilt { reuse: false })
    }
}

/// An origin changeset whose reference moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangesetMove {
    /// The changeset.
    pub changeset: Changeset,
    /// The commit of the iteration before.
    pub from: String,
    /// The commit of this iteration.
    pub to: String,
}

impl Display for ChangesetMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |commit: &str| commit.get(..8).unwrap_or(commit).to_owned();
        let (from, to) = (short(&self.from), short(&self.to));
        write!(f, "{} moved from {from} to {to}", self.changeset)
    }
}

fn listed<T: Display>(things: &[T]) -> String {
    let things: Vec<String> = things.iter().map(ToString::to_string).collect();
    things.join(", ")
}

impl Display for IterationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let were = |count: usize| if count == 1 { "was" } else { "were" };
        match self {
            Self::Created => f.write_str("the namespace was created"),
            Self::NewCommit { moves } => f.write_str(&listed(moves)),
            Self::Resumed { moves } if moves.is_empty() => f.write_str("the namespace was resumed"),
            Self::Resumed { moves } => {
                write!(f, "the namespace was resumed and {}", listed(moves))
            }
            Self::Added { changesets } => {
                let were = were(changesets.len());
                write!(f, "{} {were} added", listed(changesets))
            }
            Self::Removed { changesets } => {
                let were = were(changesets.len());
                write!(f, "{} {were} removed", listed(changesets))
            }
            Self::Updated {
                dependents,
                bases,
                moves,
            } => {
                let mut parts: Vec<String> = Vec::new();
                match dependents {
                    0 => {}
                    1 => parts.push("a newer commit of one dependent".to_owned()),
                    many => parts.push(format!("newer commits of {many} dependents")),
                }
                if !bases.is_empty() {
                    parts.push(format!("newer base repositories ({})", listed(bases)));
                }
                if !moves.is_empty() {
                    parts.push(listed(moves));
                }
                match parts.is_empty() {
                    true => f.write_str("an update was asked for"),
                    false => write!(f, "an update was asked for: {}", parts.join("; ")),
                }
            }
            Self::Rebuilt { reuse: true } => f.write_str("a rebuild was asked for"),
            Self::Rebuilt { reuse: false } => {
                f.write_str("a rebuild without taking anything over was asked for")
            }
            Self::Unknown => f.write_str("for a reason that this version does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_sentences() {
        let changesets = vec!["a/main".parse().unwrap(), "b/next".parse().unwrap()];
        let moves = vec![ChangesetMove {
            changeset: "a/main".parse().unwrap(),
            from: "1111111111".to_owned(),
            to: "2222222222".to_owned(),
        }];
        let updated = |dependents, bases: &[&str], moves| IterationReason::Updated {
            dependents,
            bases: bases.iter().map(ToString::to_string).collect(),
            moves,
        };
        for (reason, text) in [
            (
                IterationReason::Added {
                    changesets: changesets[..1].to_vec(),
                },
                "a/main was added",
            ),
            (
                IterationReason::Removed { changesets },
                "a/main, b/next were removed",
            ),
            (
                updated(2, &["core"], Vec::new()),
                "an update was asked for: newer commits of 2 dependents; newer base repositories (core)",
            ),
            (
                updated(0, &[], moves),
                "an update was asked for: a/main moved from 11111111 to 22222222",
            ),
        ] {
            assert_eq!(reason.to_string(), text);
        }
    }

    #[test]
    fn a_reason_of_a_later_version_is_read() {
        let later = r#"{"kind": "phase_of_the_moon", "phase": 3}"#;
        let reason: IterationReason = serde_json::from_str(later).unwrap();
        assert_eq!(reason, IterationReason::Unknown);
    }
}
