//! The command line: what can be asked, and the help that teaches it.

use std::path::PathBuf;

use buildbtw_api::namespaces::BaseRepository;
use buildbtw_api::{BuildStatus, Changeset, NamespaceName, RunId};
use buildbtw_graph::{Architecture, PkgBase, Relation};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// The server that is asked where nobody names another one.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

const EXAMPLES: &str = "\
Examples:
  bbtw plan openimageio/main         what would be rebuilt, and in which order
  bbtw new openimageio/main          rebuild it in a namespace of its own
  bbtw watch openimageio             follow the builds until they are done
  bbtw logs openimageio blender -f   read along while a package is built
  bbtw download openimageio          fetch the packages

Exit codes: 0 done, 1 something failed, 2 wrong usage, 3 (watch) called off.";

/// Rebuild Arch Linux packages and everything that depends on them.
///
/// A build namespace begins with one or more changesets, written `pkgbase/ref`: packages that
/// you changed on a branch. The server works out what must be rebuilt and in which order, has it
/// built, and publishes the packages as a pacman repository.
#[derive(Debug, Parser)]
#[command(name = "bbtw", version, after_help = EXAMPLES, max_term_width = 80)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The server's address [default: http://127.0.0.1:8080]
    #[arg(
        long,
        global = true,
        env = "SERVER_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub server_url: Option<String>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; NO_COLOR in the environment means never
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    #[arg(hide_possible_values = true)]
    pub color: Color,
}

/// When to use colours: `auto`, `always` or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that has them, unless NO_COLOR is set.
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a build namespace and begin to build it
    New(New),
    /// Show what would be rebuilt, without starting anything
    Plan(Plan),
    /// Say why a package would be rebuilt, or why not, without starting anything
    Why(Why),
    /// List the build namespaces, newest first
    List(List),
    /// Show a namespace with its builds, or one of its builds
    Show(Show),
    /// Say why a build is not running now, and what would start it
    Explain(Explain),
    /// Show what changed from one iteration of a namespace to another
    Diff(Diff),
    /// Follow the newest iteration of a namespace until it is done
    Watch(Watch),
    /// Print the log of a build
    Logs(Logs),
    /// Fetch the packages of a namespace
    Download(Download),
    /// Call a namespace off; what is built stays
    Cancel(OneNamespace),
    /// Hand out no more builds of a namespace for a while
    Pause(OneNamespace),
    /// Go on with a namespace that was paused or cancelled
    Resume(OneNamespace),
    /// Build failures of a namespace again
    Retry(Retry),
    /// Put a namespace away; its name is free again
    Archive(OneNamespace),
    /// List the package sources and what is wrong with them
    Sources(Sources),
    /// List the workers and what they build
    Workers,
    /// Print a completion script for a shell
    #[command(after_help = "\
Example, for bash:
  bbtw completions bash > ~/.local/share/bash-completion/completions/bbtw")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

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
    /// Plan with the folders <pkgbase>/.SRCINFO in this one, which also stand for what is released;
    /// a file repos.tsv beside them (pkgbase, repository) gives the order of repositories
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

/// `bbtw list`
#[derive(Debug, Args)]
pub struct List {
    /// Archived ones as well
    #[arg(long)]
    pub archived: bool,
    /// How many at most
    #[arg(long, default_value = "50", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// `bbtw show`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw show openimageio                   iterations and what needs attention
  bbtw show openimageio --all             every build
  bbtw show openimageio --status failed   only the builds in one status
  bbtw show openimageio blender           one build, its needs, runs and steps")]
pub struct Show {
    /// The namespace
    pub namespace: NamespaceName,
    /// The package base whose build to show
    pub pkgbase: Option<PkgBase>,
    /// The iteration; without it, the newest one that has builds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iteration: Option<u32>,
    /// List every build, however many there are
    #[arg(long, conflicts_with = "pkgbase")]
    pub all: bool,
    /// List only the builds in this status
    #[arg(long, conflicts_with = "pkgbase")]
    pub status: Option<BuildStatus>,
}

/// `bbtw explain`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  bbtw explain openimageio blender")]
pub struct Explain {
    /// The namespace
    pub namespace: NamespaceName,
    /// The package base whose build is asked about
    pub pkgbase: PkgBase,
    /// The iteration; without it, the newest one that has builds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iteration: Option<u32>,
}

/// `bbtw diff`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw diff openimageio                     the newest iteration and the one before
  bbtw diff openimageio --from 1 --to 4")]
pub struct Diff {
    /// The namespace
    pub namespace: NamespaceName,
    /// The earlier iteration; without it, the planned one before the later one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub from: Option<u32>,
    /// The later iteration; without it, the newest one that has builds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub to: Option<u32>,
}

/// `bbtw watch`
#[derive(Debug, Args)]
#[command(after_help = "\
Ends by itself when nothing more will happen. When a commit makes a newer
iteration, that one is followed. A server that goes away is waited for.

Exit codes:
  0  everything is built, reused or waived
  1  something failed or cannot be built, and nothing is running any more
  2  wrong usage
  3  the namespace was cancelled or archived")]
pub struct Watch {
    /// The namespace
    pub namespace: NamespaceName,
}

/// `bbtw logs`
#[derive(Debug, Args)]
#[command(after_help = "\
Into a file or a pipe the log goes as it is, byte for byte. On a terminal its
colours are kept, and everything else that a terminal would obey is made visible
instead.

Examples:
  bbtw logs openimageio blender
  bbtw logs openimageio blender -f
  bbtw logs openimageio blender --iteration 1 > blender.log")]
pub struct Logs {
    /// The namespace
    pub namespace: NamespaceName,
    /// The package base
    pub pkgbase: PkgBase,
    /// The architecture; only needed where it is built on several
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Architecture>,
    /// The iteration; without it, the newest one that has builds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iteration: Option<u32>,
    /// The pass; without it, the last one that has run
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub pass: Option<u8>,
    /// The run, as `bbtw show` names it; without it, the newest
    #[arg(long, value_name = "ID")]
    pub run: Option<RunId>,
    /// Go on until the run is over; wait for it to begin
    #[arg(long, short)]
    pub follow: bool,
}

/// `bbtw download`
#[derive(Debug, Args)]
#[command(after_help = "\
Every package is checked against the SHA-256 that the server names. What is
there already is not fetched again, so an interrupted download goes on where it
was.

Examples:
  bbtw download openimageio
  bbtw download openimageio --dir /srv/repo blender")]
pub struct Download {
    /// The namespace
    pub namespace: NamespaceName,
    /// Only the packages of these package bases
    #[arg(value_name = "PKGBASE")]
    pub pkgbases: Vec<PkgBase>,
    /// The iteration; without it, the newest one that has builds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iteration: Option<u32>,
    /// Only packages built for this architecture
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<Architecture>,
    /// The folder to put them in; without it, NAMESPACE/ITERATION
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// A command about one namespace.
#[derive(Debug, Args)]
pub struct OneNamespace {
    /// The namespace
    pub namespace: NamespaceName,
}

/// `bbtw retry`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw retry openimageio            everything that failed
  bbtw retry openimageio blender    only one package")]
pub struct Retry {
    /// The namespace
    pub namespace: NamespaceName,
    /// The package bases; without any, everything that failed
    #[arg(value_name = "PKGBASE")]
    pub pkgbases: Vec<PkgBase>,
    /// Also try builds that are known to be impossible
    #[arg(long)]
    pub force: bool,
}

/// `bbtw sources`
#[derive(Debug, Args)]
pub struct Sources {
    /// Only those with a problem or a warning
    #[arg(long)]
    pub problems: bool,
}
