//! What a plan is asked to do.

use serde::{Deserialize, Serialize};

use crate::names::Architecture;
use crate::relation::{Constraint, Relation};

/// How far the rebuild set reaches from the changed packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Dependents, and their dependents, and so on.
    #[default]
    Transitive,
    /// Only the dependents of what changed.
    Direct,
    /// Only what changed.
    None,
}

/// Which relations make a dependent, besides `depends`, which always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Via {
    /// Whoever names a rebuilt package in `makedepends` is rebuilt.
    pub makedepends: bool,
    /// Whoever names a rebuilt package in `checkdepends` is rebuilt.
    pub checkdepends: bool,
}

/// What happens to the pkgrel of what is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PkgrelMode {
    /// The next integer, where that version is released already.
    #[default]
    Bump,
    /// As it stands in the source.
    Keep,
}

/// The options of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanOptions {
    /// The architectures to plan for; the first is the primary one, on which
    /// packages for any architecture are built.
    pub architectures: Vec<Architecture>,
    /// How far the rebuild set reaches.
    pub scope: Scope,
    /// Which relations make a dependent.
    pub via: Via,
    /// What happens to the pkgrel.
    pub pkgrel: PkgrelMode,
    /// 1, or 2 to build what sits in a cycle once more, completely.
    pub passes: u8,
    /// How many rounds of improvement the order of large cycles gets: more
    /// take longer, and give up less. What sits in a cycle of up to
    /// [`Tangle::EXACT`](crate::Tangle::EXACT) builds is ordered as well as
    /// can be, with any number of rounds.
    pub rounds: usize,
    /// What is installed into every build root without being named.
    pub implicit: Vec<Relation>,
    /// Leave out a need that nobody has released yet, instead of calling the
    /// build impossible.
    pub bootstrap: bool,
    /// The build roots have the host's tools underneath: a need that nothing
    /// satisfies is taken to be on the host (and listed as a risk), and the
    /// implicit packages are not installed.
    pub host_tools: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        let primary = "x86_64".parse().expect("a constant, and a good name");
        let implicit = Relation {
            name: "base-devel".to_owned(),
            constraint: None::<Constraint>,
        };
        PlanOptions {
            architectures: vec![primary],
            scope: Scope::default(),
            via: Via::default(),
            pkgrel: PkgrelMode::default(),
            passes: 1,
            rounds: 3,
            implicit: vec![implicit],
            bootstrap: false,
            host_tools: false,
        }
    }
}
