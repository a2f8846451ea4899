//! What can be wrong with a plan.

use crate::names::{Architecture, PkgBase, PkgName};
use crate::plan::BuildKey;

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// An architecture that was asked for has no build set, or one has that was
    /// not asked for.
    #[error("the plan and what was asked for differ about architecture {0}")]
    Architecture(Architecture),
    /// A source that must be rebuilt is not.
    #[error("{pkgbase} must be rebuilt, but is not in the build set")]
    MissingBuild {
        /// The source.
        pkgbase: PkgBase,
    },
    /// A source is rebuilt for nothing.
    #[error("{pkgbase} is in the build set, but nothing says that it must be rebuilt")]
    ExtraBuild {
        /// The source.
        pkgbase: PkgBase,
    },
    /// A build stands twice in the set, or has a pass that cannot be.
    #[error("pass {} of {} is planned without a reason", .build.pass, .build.pkgbase)]
    ExtraPass {
        /// The build.
        build: BuildKey,
    },
    /// A build that gives something up is not done a second time, though two
    /// passes were asked for.
    #[error("{pkgbase} gives up needs and is not built a second time")]
    MissingPass {
        /// The source.
        pkgbase: PkgBase,
    },
    /// What a build says about itself does not follow from its source.
    #[error("the {what} of pass {} of {} does not follow from its source", .build.pass, .build.pkgbase)]
    WrongBuild {
        /// The build.
        build: BuildKey,
        /// The field in words.
        what: &'static str,
    },
    /// An edge names a build that is not in the set.
    #[error("{} and {} have an edge, but are not both in the build set", .before.pkgbase, .after.pkgbase)]
    EdgeOutside {
        /// The build that should come first.
        before: BuildKey,
        /// The build that should wait.
        after: BuildKey,
    },
    /// A build waits for something it does not install, and that does not
    /// install an earlier pass of it either.
    #[error("{} waits for {}, and neither installs the other", .after.pkgbase, .before.pkgbase)]
    EdgeWithoutReason {
        /// The build that comes first.
        before: BuildKey,
        /// The build that waits.
        after: BuildKey,
    },
    /// Builds wait for each other.
    #[error("these builds wait for each other: {}", names(.builds))]
    Cycle {
        /// The builds, each waiting for the one before it.
        builds: Vec<BuildKey>,
    },
    /// A build's wave is not the one after the last it waits for.
    #[error("{} is in wave {wave}, but belongs into wave {expected}", .build.pkgbase)]
    WrongWave {
        /// The build.
        build: BuildKey,
        /// The wave it has.
        wave: u32,
        /// The wave it belongs into.
        expected: u32,
    },
    /// The critical path or the number of waves is not that of the builds.
    #[error("{what} is not that of the builds")]
    WrongLength {
        /// What is wrong.
        what: &'static str,
    },
    /// A build installs a package of a member that comes later, undeclared.
    #[error("{} installs packages of {member}, which need not be built by then, and the plan does not say so", .build.pkgbase)]
    Stale {
        /// The build.
        build: BuildKey,
        /// The member whose released packages it may get.
        member: PkgBase,
    },
    /// A need is declared as given up, but there is no such need.
    #[error("{} gives up {member}, which it does not install", .build.pkgbase)]
    DroppedWithoutNeed {
        /// The build.
        build: BuildKey,
        /// The member that is given up.
        member: PkgBase,
    },
    /// A need is given up that could be met.
    #[error("{} gives up {member}, which could come before it", .build.pkgbase)]
    DroppedWithoutCycle {
        /// The build.
        build: BuildKey,
        /// The member that is given up.
        member: PkgBase,
    },
    /// A member that comes later is what a check is skipped for, undeclared.
    #[error("{} skips its check for {member}, which comes later, and the plan does not say so", .build.pkgbase)]
    SkippedUndeclared {
        /// The build.
        build: BuildKey,
        /// The member.
        member: PkgBase,
    },
    /// What a build finds depends on who is faster.
    #[error("{} may find either pass of {member}", .build.pkgbase)]
    EitherPass {
        /// The build.
        build: BuildKey,
        /// The member that is built twice.
        member: PkgBase,
    },
    /// A check is skipped for nothing.
    #[error("{pkgbase} skips its check, but no need of it is given up")]
    NocheckWithoutReason {
        /// The source.
        pkgbase: PkgBase,
    },
    /// Something cannot be installed, and the plan does not say so.
    #[error("{} cannot install {what}, and the plan does not say so", .build.pkgbase)]
    Missing {
        /// The build.
        build: BuildKey,
        /// The package or relation that is missing.
        what: String,
    },
    /// What is handed to pacman is not what makepkg would install.
    #[error("{} is to install {relation:?}, which its source does not say, or leaves it out", .build.pkgbase)]
    WrongInstall {
        /// The build.
        build: BuildKey,
        /// The relation.
        relation: String,
    },
    /// Two packages of an installation conflict, or are different targets of one
    /// name, and the plan does not say so.
    #[error("{} installs {one} and {other}, which conflict, and the plan does not say so", .build.pkgbase)]
    Conflict {
        /// The build.
        build: BuildKey,
        /// One package.
        one: PkgName,
        /// The other package.
        other: PkgName,
    },
    /// A build is called impossible for a conflict that is none.
    #[error("{} is called unbuildable for a conflict, but nothing in its installation conflicts", .build.pkgbase)]
    NoConflict {
        /// The build.
        build: BuildKey,
    },
}

fn names(builds: &[BuildKey]) -> String {
    let names: Vec<&str> = builds.iter().map(|build| build.pkgbase.as_str()).collect();
    names.join(", ")
}
