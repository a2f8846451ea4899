//! Carries out one build: source tree, isolated root, makepkg, log, packages.
//!
//! [`carry_out`] is the one way in. It takes a [`BuildRequest`], tells what happens as
//! [`BuildEvent`]s, and hands back a [`BuildOutcome`] with the packages. Which [`Builder`] does
//! the work is a setting.
//!
//! Every program that builds calls [`enter_if_supervisor`] as the first thing in `main`: the
//! sandbox consists of the same program, executed anew.

mod builder;
mod devtools;
mod fake;
mod made;
mod programs;
mod report;
mod request;
mod sandbox;
mod sweep;
mod vmexec;

pub use builder::{Builder, BuilderKind, Capabilities, ProbeError, Storage, carry_out, probe};
pub use fake::{FakeFailure, FakeRule, FakeRules};
pub use report::{BuildEvent, BuildOutcome, InstalledPackage, OutcomeClass, StepEvent, StepResult};
pub use request::{
    BuildRequest, ExpectedPackage, Limits, NetworkMode, Repository, RequestError, RootMode,
};
pub use sandbox::enter_if_supervisor;
pub use sweep::{goes_on, sweep};
