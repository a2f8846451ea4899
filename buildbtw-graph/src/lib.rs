//! Names, versions, relations and the plan: what must be rebuilt, in which
//! order.
//!
//! This crate is pure: it reads no clock, no randomness, no network, no disk
//! and no database. Equal input gives equal output, byte for byte.
//!
//! The way through it: [`read_srcinfo`] turns a `.SRCINFO` into a
//! [`SourcePackage`], a [`SourceIndex`] holds those of all default branches, a
//! [`ReleasedIndex`] those of the released repositories, and [`plan`] makes
//! build sets from both and some changes; [`prove`] checks
//! them once more, and [`proved_plan`] does both at once. [`resolve_installation`] says what
//! pacman would install from real packages.

mod broken;
mod index;
mod install;
mod names;
mod plan;
mod proof;
mod relation;
mod released;
mod source;
mod srcinfo;
mod version;

pub use broken::{MadePackages, broken_by_packages};
pub use index::{ReleasedIndex, SourceIndex};
pub use install::{InstallRequest, Uninstallable, resolve_installation};
pub use names::{Architecture, MAX_NAME_LENGTH, NameError, PkgBase, PkgName};
pub use plan::{
    Ambiguous, Because, Broken, BuildKey, BuildSet, Changed, ChangedBuild, ChangedOrder, Commits,
    Dependent, Difference, Edge, Estimate, FindingKind, Findings, Harm, Link, Pair, PkgrelMode,
    Plan, PlanError, PlanInput, PlanOptions, PlanWarning, PlannedBuild, Risk, Scope, SetDifference,
    Tangle, Unbuildable, UnbuildableReason, Unresolved, Via, Why, WhyNot, World, difference,
    findings, plan, tangles, why,
};
pub use proof::{Flaw, NoProvedPlan, prove, proved_plan};
pub use relation::{
    Comparison, Constraint, MAX_RELATION_NAME_LENGTH, Provision, Relation, RelationError,
};
pub use released::{ReleasedPackage, ReleasedRepository};
pub use source::{PerArchitecture, RelationKind, SourcePackage, SplitPackage};
pub use srcinfo::{MAX_SRCINFO_LENGTH, SrcinfoError, SrcinfoReading, SrcinfoWarning, read_srcinfo};
pub use version::{MAX_VERSION_LENGTH, Version, VersionError, vercmp};
