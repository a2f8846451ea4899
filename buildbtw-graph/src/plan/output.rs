//! What a plan says: builds, their order, and everything a person should know
//! before anything is built. The JSON form is what `bbtw plan --json` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::{Architecture, PkgBase, PkgName};
use crate::source::RelationKind;
use crate::version::Version;

/// A finished plan. All lists are sorted, and equal input gives an equal plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// One build set for each architecture that was asked for.
    pub architectures: BTreeMap<Architecture, BuildSet>,
    /// What was strange but did not stop the planning.
    pub warnings: Vec<PlanWarning>,
}

/// Something strange that did not stop the planning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanWarning {
    /// The package source concerned; `None` when it concerns the whole plan.
    pub pkgbase: Option<PkgBase>,
    /// What is strange and what to do about it.
    pub message: String,
}

/// The builds of one architecture with their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSet {
    /// What is built, sorted by pkgbase and pass.
    pub builds: Vec<PlannedBuild>,
    /// Which build waits for which. Undropped edges leave out what others
    /// imply; dropped ones are complete. Sorted by `after`, then `before`.
    pub edges: Vec<Edge>,
    /// Relations that were satisfied before the change and are no longer.
    pub broken: Vec<Broken>,
    /// Relations that nothing satisfied, before or after.
    pub unresolved: Vec<Unresolved>,
    /// Relations that more than one package satisfies.
    pub ambiguous: Vec<Ambiguous>,
    /// What a build installs that may not be what its packager expects.
    pub risks: Vec<Risk>,
    /// One longest chain of builds that wait for each other, first to last: by their number, or by what it takes where
    /// whoever passed the plan on knows that.
    pub critical_path: Vec<BuildKey>,
    /// The number of waves; the first wave is number 1.
    pub waves: u32,
    /// How long it is expected to take. The planner does not know: whoever has seen such builds run
    /// says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// How long a build set is expected to take, by what its builds took before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// The longest chain of builds that wait for each other, in milliseconds: it takes no less, with
    /// any number of workers.
    pub longest_path_ms: u64,
    /// All builds one after the other, in milliseconds.
    pub work_ms: u64,
    /// How many of its builds never ran; they count as the median of those that did.
    pub unknown: u32,
    /// How many builds the workers that are there carry out at once.
    pub slots: u32,
}

impl Estimate {
    /// The least time in which those workers can do it, in milliseconds: the longer of the longest
    /// chain and each slot's share of the work (Graham 1966). `None` where there is no worker.
    pub fn at_least_ms(&self) -> Option<u64> {
        let share = self.work_ms.checked_div(self.slots.into())?;
        Some(share.max(self.longest_path_ms))
    }
}

/// What names a build inside a build set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BuildKey {
    /// The source that is built.
    pub pkgbase: PkgBase,
    /// 1, or 2 when the build is done a second time.
    pub pass: u8,
}

/// One build of a build set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedBuild {
    /// The source that is built.
    pub pkgbase: PkgBase,
    /// 1, or 2 when the build is done a second time.
    pub pass: u8,
    /// The version it makes (unless pkgver() changes it).
    pub version: Version,
    /// The pkgrel to write into PKGBUILD and `.SRCINFO`; `None` leaves them.
    pub pkgrel: Option<String>,
    /// All it waits for lies in waves of a lower number; the first is 1.
    pub wave: u32,
    /// Whether check() is skipped, because what it needs waits for this build.
    pub nocheck: bool,
    /// The packages it makes on this architecture.
    pub pkgnames: Vec<PkgName>,
    /// For a source whose packages are for any architecture, outside the
    /// primary one: the architecture whose build serves here too.
    pub refers_to: Option<Architecture>,
    /// Why it is in the set.
    pub because: Because,
    /// Why it cannot be built, when that is known.
    pub unbuildable: Option<Unbuildable>,
    /// The relations to hand to pacman before the build.
    pub install: Vec<String>,
    /// Provisions that are taken as installed: needs that were left out.
    pub assumed: Vec<String>,
}

impl PlannedBuild {
    /// What names this build inside its build set.
    pub fn key(&self) -> BuildKey {
        BuildKey {
            pkgbase: self.pkgbase.clone(),
            pass: self.pass,
        }
    }
}

/// Why a build is in the set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Because {
    /// A changeset names it.
    Changed(Changed),
    /// One of its packages depends on something that is rebuilt, or has a
    /// relation that something else satisfies since the change.
    Dependent(Dependent),
}

impl Because {
    /// A changeset names it.
    pub fn changed() -> Self {
        Because::Changed(Changed::Changed)
    }
}

/// The word that stands for [`Because::Changed`] in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Changed {
    /// A changeset names the package.
    Changed,
}

/// The relation that brought a build into the set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependent {
    /// The package source that is rebuilt and that the relation leads to.
    pub of: PkgBase,
    /// The dependent's package that has the relation; for a relation of its
    /// pkgbase section the first package it makes.
    pub pkgname: PkgName,
    /// The relation's text.
    pub relation: String,
    /// Where the relation stands.
    pub world: World,
}

/// Where something was read: in a `.SRCINFO` or in a released repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// The default branches with the changes on top.
    Sources,
    /// The released repositories.
    Released,
}

/// Why a build cannot be done, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbuildable {
    /// The kind of obstacle.
    pub reason: UnbuildableReason,
    /// What stands in the way and what to do, in a sentence.
    pub hint: String,
}

/// The kinds of obstacles that are known before anything is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnbuildableReason {
    /// The change leaves one of its needs unsatisfied.
    Broken,
    /// Nothing satisfies one of its needs.
    Unresolved,
    /// It needs packages that nobody has released and that wait for it.
    Cycle,
    /// Two packages of its installation conflict, or have one name.
    Conflict,
}

/// A build that another one waits for, or should wait for.
///
/// A second pass also waits for builds that must find the first one. Where it
/// does not install what they make, the chain is theirs: it begins in
/// `before`'s pkgbase section and ends with a package that `after` makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// The build that comes first.
    pub before: BuildKey,
    /// The build that waits.
    pub after: BuildKey,
    /// The list of `after`'s pkgbase section that starts the chain.
    pub kind: RelationKind,
    /// The relation that starts the chain.
    pub relation: String,
    /// The packages installed on the way; the last one is made by `before`.
    pub through: Vec<PkgName>,
    /// The need is given up to break a cycle: `after` is built with the
    /// released package of `before`, or without it.
    pub dropped: bool,
}

/// A relation that was satisfied before the change and is no longer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Broken {
    /// The source that has the relation.
    pub pkgbase: PkgBase,
    /// Its package that has the relation; `None` for the pkgbase section.
    pub pkgname: Option<PkgName>,
    /// The list the relation stands in.
    pub kind: RelationKind,
    /// The relation's text.
    pub relation: String,
    /// What satisfied it before, and what is there now.
    pub reason: String,
}

/// A relation that nothing satisfies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unresolved {
    /// The source that has the relation.
    pub pkgbase: PkgBase,
    /// The relation's text.
    pub relation: String,
    /// The list the relation stands in.
    pub kind: RelationKind,
}

/// A relation that more than one package satisfies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ambiguous {
    /// The source that has the relation.
    pub pkgbase: PkgBase,
    /// The relation's text.
    pub relation: String,
    /// The package that pacman would take.
    pub chosen: PkgName,
    /// All packages that would do, the chosen one first.
    pub candidates: Vec<PkgName>,
}

/// Something a build installs that may not be what its packager expects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Risk {
    /// The source whose build it is.
    pub pkgbase: PkgBase,
    /// The package or relation concerned.
    pub installs: String,
    /// Why it is a risk.
    pub reason: String,
}
