//! Changing a running namespace.

use buildbtw_api::changing::ChosenChangeset;
use buildbtw_api::{Changeset, NamespaceName};
use clap::Args;

/// `bbtw add`
#[derive(Debug, Args)]
#[command(after_help = "\
Makes a new iteration. What is built already from an equal input is taken over,
and what is being built and stays the same goes on. The plan is shown first;
one of more than 100 builds is only begun after a question, or with --yes.

Example:
  bbtw add qt-6.9 qt6-tools/6.9 qt6-svg/6.9")]
pub struct Add {
    /// The namespace
    pub namespace: NamespaceName,
    /// What you changed: package base and branch, tag or commit, as in `openimageio/main`
    #[arg(required = true, value_name = "CHANGESET")]
    pub changesets: Vec<Changeset>,
    /// Begin without asking, however large the plan is
    #[arg(long, short)]
    pub yes: bool,
}

/// `bbtw remove`
#[derive(Debug, Args)]
#[command(after_help = "\
Makes a new iteration without them. A package that is still rebuilt, because it
depends on another change, is then built from its default branch.

Examples:
  bbtw remove qt-6.9 qt6-tools
  bbtw remove qt-6.9 qt6-tools/6.9 qt6-svg/6.9")]
pub struct Remove {
    /// The namespace
    pub namespace: NamespaceName,
    /// The changesets: package bases, with their branch or without
    #[arg(required = true, value_name = "CHANGESET")]
    pub changesets: Vec<ChosenChangeset>,
}

/// `bbtw update`
#[derive(Debug, Args)]
#[command(after_help = "\
A new iteration that a commit makes leaves base repositories and the dependents
that it had as they are; new dependents join it. This takes the newest of them, in a new iteration, if there is any.
`bbtw show` says which dependents have newer commits. Newer base repositories
give every build another input, so that all are built.

Example:
  bbtw update openimageio")]
pub struct Update {
    /// The namespace
    pub namespace: NamespaceName,
}

/// `bbtw rebuild`
#[derive(Debug, Args)]
#[command(after_help = "\
Makes a new iteration of the same changesets, dependents and base repositories.
What is built already from an equal input is taken over, unless --no-reuse is
given. Only failures are built again by `bbtw retry`, in the same iteration.

Examples:
  bbtw rebuild openimageio
  bbtw rebuild openimageio --no-reuse")]
pub struct Rebuild {
    /// The namespace
    pub namespace: NamespaceName,
    /// Build everything, also what was built before from an equal input
    #[arg(long)]
    pub no_reuse: bool,
}
