//! Why there is no plan.

use buildbtw_api::{NamespaceName, NamespaceStatus, ProblemType};
use buildbtw_graph::{Flaw, NoProvedPlan, PkgBase};

use super::calculate::MOVING_SOURCES_TRIES;
use crate::db::DbError;
use crate::problems::{HttpProblem, make_a_new_one, resume, there_are_namespaces};
use crate::sources::SourceError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlannerError {
    /// A changeset cannot be resolved.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// A base repository cannot be read.
    #[error("{0}")]
    Bases(#[from] crate::bases::BasesError),
    /// The calculation refuses the input.
    #[error("{0}")]
    Plan(#[from] buildbtw_graph::PlanError),
    /// The proof refuses the plan: a mistake of ours.
    #[error("the plan did not stand its proof; please report this: {}", listed(.0))]
    Unproved(Vec<Flaw>),
    /// There is nothing to plan.
    #[error("no changeset is given")]
    NoChangeset,
    /// One package is named twice.
    #[error("{0} is named twice; a namespace takes one changeset a package")]
    NamedTwice(PkgBase),
    /// A base repository that the server does not ask because somebody says so.
    #[error("base repository {0} is not one that the server may ask")]
    BaseNotAllowed(String),
    /// There is no namespace to go on from.
    #[error("there is no namespace {0}")]
    UnknownNamespace(NamespaceName),
    /// Nobody works on the namespace any more.
    #[error("namespace {name} is {status}")]
    NotWorkedOn {
        /// The namespace.
        name: NamespaceName,
        /// Where it stands.
        status: NamespaceStatus,
    },
    /// Sources kept moving.
    #[error(
        "the sources of {0} moved while the plan was made, {MOVING_SOURCES_TRIES} times in a row"
    )]
    MovingSources(PkgBase),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The calculation panicked: a mistake of ours.
    #[error("the calculation broke off: {0}")]
    Broken(String),
}

impl PlannerError {
    /// Whether GitLab is away, so that there may be a plan later without anything being changed.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Source(SourceError::GitLab { error, .. }) if error.is_away())
    }
}

impl From<NoProvedPlan> for PlannerError {
    fn from(error: NoProvedPlan) -> Self {
        match error {
            NoProvedPlan::NoPlan(error) => Self::Plan(error),
            NoProvedPlan::Unproved(flaws) => Self::Unproved(flaws),
        }
    }
}

/// The first of the flaws, which are many if there is one.
fn listed(flaws: &[Flaw]) -> String {
    let first: Vec<String> = flaws.iter().take(3).map(ToString::to_string).collect();
    match flaws.len().saturating_sub(first.len()) {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}

impl From<PlannerError> for HttpProblem {
    fn from(error: PlannerError) -> Self {
        let detail = error.to_string();
        match error {
            PlannerError::Source(error) => error.into(),
            PlannerError::Bases(_) => Self::new(ProblemType::BaseUnavailable, detail)
                .hint("check BASE_REPOSITORIES, or pass --base; `--base none` plans without any"),
            PlannerError::Plan(_) | PlannerError::Unproved(_) => {
                Self::new(ProblemType::PlanRefused, detail)
            }
            PlannerError::NoChangeset => Self::new(ProblemType::BadRequest, detail)
                .hint("name at least one, such as `openimageio/main`"),
            PlannerError::BaseNotAllowed(_) => Self::new(ProblemType::BadRequest, detail)
                .hint("BASE_HOSTS in the server's settings names the hosts that --base may name"),
            PlannerError::NamedTwice(_) => Self::new(ProblemType::BadRequest, detail),
            PlannerError::UnknownNamespace(_) => {
                Self::new(ProblemType::UnknownNamespace, detail).hint(there_are_namespaces())
            }
            PlannerError::NotWorkedOn { name, status } => Self::new(ProblemType::Conflict, detail)
                .hint(match status {
                    NamespaceStatus::Archived => make_a_new_one(),
                    _ => resume(name.as_str()),
                }),
            PlannerError::MovingSources(_) => {
                Self::new(ProblemType::Conflict, detail).hint("try again in a moment")
            }
            PlannerError::Db(error) => error.into(),
            PlannerError::Broken(_) => Self::internal(&error),
        }
    }
}
