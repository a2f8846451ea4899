//! The plan: from two worlds and some changes to build sets.

mod options;
mod output;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use options::{PkgrelMode, PlanOptions, Scope, Via};
pub use output::{
    Ambiguous, Because, Broken, BuildKey, BuildSet, Changed, Dependent, Edge, Plan, PlanWarning,
    PlannedBuild, Risk, Unbuildable, UnbuildableReason, Unresolved, World,
};

use crate::index::{ReleasedIndex, SourceIndex};
use crate::names::{Architecture, PkgBase};
use crate::source::SourcePackage;

/// Everything a plan is made from.
pub struct PlanInput<'a> {
    /// The default branches of all package sources.
    pub sources: &'a SourceIndex,
    /// The released repositories of each architecture. Where one is missing or
    /// empty, the default branches stand for what is released.
    pub released: &'a BTreeMap<Architecture, Arc<ReleasedIndex>>,
    /// The changed package sources, in place of those of the default branches.
    pub changes: &'a [SourcePackage],
    /// What the plan is asked to do.
    pub options: &'a PlanOptions,
}

/// An input that cannot be planned at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No architecture was given.
    #[error("the plan names no architecture; give at least one, the primary one first")]
    NoArchitecture,
    /// `any`, or one architecture twice.
    #[error("architecture {0} cannot be planned for: give real architectures, each once")]
    BadArchitecture(Architecture),
    /// Neither 1 nor 2 passes.
    #[error("{0} passes were asked for; a plan has 1 or 2")]
    BadPasses(u8),
    /// Two changes of one source.
    #[error("{0} is changed twice; name each package once")]
    ChangedTwice(PkgBase),
    /// Too many builds, relations or packages for one plan.
    #[error("the plan is too large: {what} exceed {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: usize,
    },
}
