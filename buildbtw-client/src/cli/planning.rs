//! What to rebuild, and how: of the commands that plan.

use std::path::PathBuf;

use buildbtw_api::namespaces::BaseRepository;
use buildbtw_api::{BuildPlace, Changeset, NamespaceName};
use buildbtw_graph::{Architecture, PkgBase, Relation};
use clap::{Args, ValueEnum};

/// What to rebuild, and how.
#[derive(Debug, Args)]
pub struct Planning {
    /// What you changed: package base and branch, tag or commit, as in `openimageio/main`
    #[arg(required = true, value_name = "CHANGESET")]
    pub changesets: Vec<Changeset>,
    /// Which dependents to rebuild: transitive (all), direct, or none
    #[arg(long, value_enum, default_value = "transitive", value_name = "SCOPE")]
    #[arg(hide_possible_values = true)]
    pub scope: Scope,
    /// Relations besides run-time ones that make a dependent: makedepends, checkdepends
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "KINDS",
        hide_possible_values = true
    )]
    pub via: Vec<Via>,
    /// The pkgrel of rebuilt packages: the next one (bump), or the one they have (keep)
    #[arg(
        long,
        value_enum,
        default_value = "bump",
        value_name = "bump|keep",
        hide_possible_values = true
    )]
    pub pkgrel: Pkgrel,
    /// How often to build what sits in a cycle of build-time needs: 1 or 2
    #[arg(long, default_value = "1", value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub passes: u8,
    /// Leave out a need that nobody has released yet, instead of giving the build up
    #[arg(long)]
    pub bootstrap: bool,
    /// A base repository, `name=URL` or `namespace:NAME`, in place of the server's own; may be
    /// repeated, in order. `none`: there is nothing released
    #[arg(long, value_name = "SPEC")]
    pub base: Vec<Base>,
    /// Build everything, also what was built before from an equal input
    #[arg(long)]
    pub no_reuse: bool,
}

/// Which dependents are rebuilt.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Scope {
    /// Dependents, and their dependents, and so on.
    Transitive,
    /// Only those that depend on what changed.
    Direct,
    /// Only what changed.
    None,
}

/// Which relations make a dependent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// Those at run time, which always do.
    Depends,
    /// Those that are needed to build.
    Makedepends,
    /// Those that are needed to check.
    Checkdepends,
}

/// What happens to the pkgrel.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Pkgrel {
    /// The next one, where that version is released already.
    Bump,
    /// As it stands in the source.
    Keep,
}

/// A value of `--base`.
#[derive(Debug, Clone)]
pub enum Base {
    /// The word `none`: an empty list.
    None,
    /// A base repository.
    Repository(BaseRepository),
}

impl std::str::FromStr for Base {
    type Err = buildbtw_api::namespaces::BaseRepositoryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Repository),
        }
    }
}

/// `bbtw new`
#[derive(Debug, Args)]
#[command(after_help = "\
The plan is shown first. One of more than 100 builds is only begun after a
question, or with --yes.

Examples:
  bbtw new openimageio/main
  bbtw new --name qt-6.9 qt6-base/6.9 qt6-declarative/6.9
  bbtw new --scope none --base none --bootstrap --name base a/main b/main c/main")]
pub struct New {
    /// The namespace's name; without it, that of the first changeset's package
    #[arg(long)]
    pub name: Option<NamespaceName>,
    /// What to rebuild, and how.
    #[command(flatten)]
    pub planning: Planning,
    /// Who builds: workers that ask for builds (workers), or runners of GitLab, each build as a pipeline
    /// (gitlab); without it, as the server is set up
    #[arg(long, value_name = "workers|gitlab")]
    pub on: Option<BuildPlace>,
    /// Begin without asking, however large the plan is
    #[arg(long, short)]
    pub yes: bool,
}

/// `bbtw plan`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw plan openimageio/main
  bbtw plan --full --via makedepends,checkdepends openimageio/main
  bbtw plan --json openimageio/main | jq '.architectures.x86_64.builds | length'
  bbtw plan --dot openimageio/main | dot -Tsvg > plan.svg
  bbtw plan --srcinfo-dir tree --changed-dir changed openimageio/main")]
pub struct Plan {
    /// What to rebuild, and how.
    #[command(flatten)]
    pub planning: Planning,
    /// Where to plan without a server.
    #[command(flatten)]
    pub tree: Tree,
    /// List every build, by waves, and everything that was noticed
    #[arg(long)]
    pub full: bool,
    /// Print the order as a graph in the language of Graphviz; needs given up are dashed
    #[arg(long, conflicts_with_all = ["full", "json"])]
    pub dot: bool,
}

/// Where to plan without a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Without a server")]
pub struct Tree {
    /// Plan with the folders <pkgbase>/.SRCINFO in this one, which also stand for what is released
    /// (with --bootstrap nothing does); a file repos.tsv beside them (pkgbase, repository) gives the order of repositories
    #[arg(long, value_name = "DIR", conflicts_with = "base")]
    pub srcinfo_dir: Option<PathBuf>,
    /// The changed .SRCINFO files, in folders of the same shape; what is not there counts as it is
    #[arg(long, value_name = "DIR", requires = "srcinfo_dir")]
    pub changed_dir: Option<PathBuf>,
    /// The architectures to plan for, the primary one first
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "x86_64",
        requires = "srcinfo_dir"
    )]
    pub architecture: Vec<Architecture>,
    /// What is installed for every build without being named; `--implicit=` is nothing
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "base-devel",
        requires = "srcinfo_dir",
        value_parser = implicit
    )]
    pub implicit: Vec<Implicit>,
}

/// A package that is installed for every build; `None` for an empty word.
#[derive(Debug, Clone)]
pub struct Implicit(pub Option<Relation>);

fn implicit(text: &str) -> Result<Implicit, buildbtw_graph::RelationError> {
    match text {
        "" => Ok(Implicit(None)),
        _ => text.parse().map(|relation| Implicit(Some(relation))),
    }
}

/// `bbtw why`
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the shortest chain of relations from a change to the package; for a
package that would not be rebuilt, what keeps it out.

Examples:
  bbtw why openimageio/main blender
  bbtw why --scope direct curl/main python
  bbtw why --srcinfo-dir tree openimageio/main blender")]
pub struct Why {
    /// What to rebuild, and how.
    #[command(flatten)]
    pub planning: Planning,
    /// The package base that is asked about
    pub pkgbase: PkgBase,
    /// Where to plan without a server.
    #[command(flatten)]
    pub tree: Tree,
}
