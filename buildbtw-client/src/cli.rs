//! The command line: what can be asked, and the help that teaches it.

mod changing;
mod operating;
mod planning;

use std::path::PathBuf;

use buildbtw_api::{BuildStatus, NamespaceName, RunId};
use buildbtw_graph::{Architecture, PkgBase};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use changing::{Add, Rebuild, Remove, Update};
pub use operating::{Mode, Priority, WorkerChange, Workers};
pub use planning::{Base, New, Pkgrel, Plan, Planning, Scope, Tree, Via, Why};

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
    // The environment is read where this is used: clap would show `--server-url` in the usage of every mistake.
    /// The server's address, also SERVER_URL [default: http://127.0.0.1:8080]
    #[arg(long, global = true, value_name = "URL")]
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
    #[command(alias = "status")]
    Show(Show),
    /// Say why a build is not running now, what would start it, and why it was built once more
    Explain(Explain),
    /// Show what changed from one iteration of a namespace to another
    Diff(Diff),
    /// Follow the newest iteration of a namespace until it is done
    Watch(Watch),
    /// Print the log of a build
    Logs(Logs),
    /// Fetch the packages of a namespace
    Download(Download),
    /// Add changesets to a namespace
    Add(Add),
    /// Take changesets out of a namespace
    Remove(Remove),
    /// Take newer commits of dependents and newer base repositories
    Update(Update),
    /// Build a namespace once more, in a new iteration
    Rebuild(Rebuild),
    /// Call a namespace off; what is built stays
    #[command(after_help = "\
What is being built is stopped, and new commits make no more iterations.

Example:
  bbtw cancel openimageio")]
    Cancel(OneNamespace),
    /// Hand out no more builds of a namespace for a while
    #[command(after_help = "\
What is being built goes on.

Example:
  bbtw pause openimageio")]
    Pause(OneNamespace),
    /// Go on with a namespace that was paused or cancelled
    #[command(after_help = "\
If its changesets moved meanwhile, it goes on with a new iteration.

Example:
  bbtw resume openimageio")]
    Resume(OneNamespace),
    /// Build failures of a namespace again
    Retry(Retry),
    /// Leave builds out: what waits for them goes on with the released packages
    Waive(Waive),
    /// Put a namespace away; its name is free again
    Archive(Archive),
    /// List the package sources and what is wrong with them
    Sources(Sources),
    /// List the workers and what they build, or change whether one gets runs
    Workers(Workers),
    /// Give a namespace a larger share of the workers for a time
    Priority(Priority),
    /// Show whether the server hands out runs, or change it
    Mode(Mode),
    /// Print a completion script for a shell
    #[command(after_help = "\
Example, for bash:
  bbtw completions bash > ~/.local/share/bash-completion/completions/bbtw")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `bbtw list`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw list
  bbtw list --archived                            those that were put away, too
  bbtw list --json | jq -r '.[].name'             for scripts

A name that is taken again leads to the newer namespace; the older one is shown
by `bbtw show NAME --iteration N`.")]
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
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
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
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
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
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
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
there already is not fetched again, and an interrupted download goes on where it
was, also in the middle of a package (a hidden file that ends in .part).

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
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
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

/// `bbtw archive`
#[derive(Debug, Args)]
#[command(after_help = "\
What is archived cannot be gone on with: one that is still worked on is only
put away after a question, or with --yes. Its repository stays readable.

Example:
  bbtw archive openimageio")]
pub struct Archive {
    /// The namespace
    pub namespace: NamespaceName,
    /// Do not ask, even if it is still worked on
    #[arg(long, short)]
    pub yes: bool,
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

/// `bbtw waive`
#[derive(Debug, Args)]
#[command(after_help = "\
It holds in later iterations too, while the source stays at the same commit.

Examples:
  bbtw waive openimageio blender --reason 'fails with gcc 16, upstream knows'
  bbtw waive openimageio blender --undo    build it after all")]
pub struct Waive {
    /// The namespace
    pub namespace: NamespaceName,
    /// The package bases
    #[arg(required = true, value_name = "PKGBASE")]
    pub pkgbases: Vec<PkgBase>,
    /// Why, for those who look at it later
    #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
    pub reason: Option<String>,
    /// Take it back: build them after all
    #[arg(long, conflicts_with = "reason")]
    pub undo: bool,
}

/// `bbtw sources`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bbtw sources                all of them
  bbtw sources --problems     what keeps a package from being planned")]
pub struct Sources {
    /// Only those with a problem or a warning
    #[arg(long)]
    pub problems: bool,
}
