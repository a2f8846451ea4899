//! Settings: from the command line, the environment and `.env`, in this order.

use std::net::IpAddr;
use std::path::PathBuf;

use buildbtw_api::amounts::size;
use buildbtw_api::namespaces::BaseRepository;
use buildbtw_api::runs::RootMode;
use buildbtw_graph::{Architecture, Relation};
use clap::{Parser, Subcommand};

use crate::dispatch::fleet::FleetConfig;
use crate::gitlab::Token;

/// The buildbtw server: plans rebuilds, hands them to workers, and serves the result.
///
/// Every setting can also be given in the environment or in a file `.env` in the folder where
/// the server starts; `.env.example` explains each.
#[derive(Debug, Clone, Parser)]
#[command(version, name = "buildbtw-server")]
pub struct Config {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The address to listen on. Other machines reach the server only if this is changed.
    #[arg(long, env = "INTERFACE", default_value = "127.0.0.1")]
    pub interface: IpAddr,

    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,

    /// The address under which people and workers reach the server, where a proxy stands before it.
    #[arg(long, env = "BASE_URL")]
    pub base_url: Option<String>,

    /// The folder for everything the server keeps: database, packages, logs, token.
    #[arg(long, env = "DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,

    /// The database; a file in the data folder unless given.
    #[arg(long, env = "DATABASE_URL")]
    pub database_url: Option<String>,

    /// The folder of source repositories: one git repository a package base, bare or not.
    #[arg(long, env = "SOURCES_DIR", default_value = "sources")]
    pub sources_dir: PathBuf,

    /// The branch that is planned with; `main`, else what HEAD names, unless given.
    #[arg(long, env = "DEFAULT_BRANCH")]
    pub default_branch: Option<String>,

    /// The GitLab that packages are read from, where GITLAB_PACKAGES_GROUP is set.
    #[arg(long, env = "GITLAB_DOMAIN", default_value = "gitlab.archlinux.org")]
    pub gitlab_domain: String,

    /// The group of the package repositories on GitLab; they are read from there instead of the
    /// folder where it is given.
    #[arg(long, env = "GITLAB_PACKAGES_GROUP")]
    pub gitlab_packages_group: Option<String>,

    /// GITLAB_TOKEN. It comes from the environment or `.env` alone: whoever may list processes
    /// sees command lines.
    #[arg(skip)]
    pub gitlab_token: Option<Token>,

    /// GITLAB_HOOK_SECRET, from the environment or `.env` alone as well.
    #[arg(skip)]
    pub gitlab_hook_secret: Option<HookSecret>,

    /// The base repositories in order: `name=https://mirror/$repo/os/$arch` or `namespace:NAME`,
    /// with `ARCHITECTURE/` in front where it is for one architecture only.
    #[arg(long, env = "BASE_REPOSITORIES", value_delimiter = ',')]
    pub base_repositories: Vec<BaseRepository>,

    /// Hosts of mirrors, besides those of BASE_REPOSITORIES, that people may name with `--base`.
    #[arg(long, env = "BASE_HOSTS", value_delimiter = ',')]
    pub base_hosts: Vec<String>,

    /// The architectures that are built for; the first one also builds `any` packages.
    #[arg(
        long,
        env = "ARCHITECTURES",
        value_delimiter = ',',
        default_value = "x86_64"
    )]
    pub architectures: Vec<Architecture>,

    /// What is installed for every build (in root mode `packages`).
    #[arg(
        long,
        env = "IMPLICIT_PACKAGES",
        value_delimiter = ',',
        default_value = "base-devel"
    )]
    pub implicit_packages: Vec<Relation>,

    /// What lies under the installed packages during a build: `packages` (nothing) or `host` (the
    /// worker's own tools, read-only).
    #[arg(long, env = "ROOT_MODE", default_value = "host", value_parser = root_mode)]
    pub root_mode: RootMode,

    /// Whether workers may make packages without content (`BUILDER=fake`). They get runs like all others, and whoever
    /// installs what they make has nothing.
    #[arg(long, env = "FAKE_WORKERS", default_value_t = false, action = clap::ArgAction::Set)]
    pub fake_workers: bool,

    /// The file with the workers' token; made in the data folder at the first start unless given.
    #[arg(long, env = "WORKER_TOKEN_FILE")]
    pub worker_token_file: Option<PathBuf>,

    /// How long a worker may be silent before its runs are given to others, in seconds.
    #[arg(long, env = "LEASE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub lease_seconds: u32,

    /// How often a run that the machinery failed is tried in all.
    #[arg(long, env = "INFRASTRUCTURE_TRIES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub infrastructure_tries: u32,

    /// A file of hints: which packages need a worker with a label or much memory.
    #[arg(long, env = "HINTS_FILE")]
    pub hints_file: Option<PathBuf>,

    /// PACKAGER of packages whose namespace has no owner.
    #[arg(
        long,
        env = "PACKAGER",
        default_value = "buildbtw <buildbtw@localhost.invalid>"
    )]
    pub packager: String,

    /// The largest package that is taken from a worker, such as 512M or 8G.
    #[arg(long, env = "UPLOAD_LIMIT", default_value = "8G", value_parser = size)]
    pub upload_limit: u64,

    /// The largest log that is kept of a run; of a larger one, head and tail are kept.
    #[arg(long, env = "LOG_LIMIT", default_value = "200M", value_parser = size)]
    pub log_limit: u64,

    /// Pipelines on GitLab.
    #[command(flatten)]
    pub fleet: FleetConfig,

    /// Where tokio-console may attach, such as 127.0.0.1:6669; nowhere unless given.
    #[arg(long, env = "TOKIO_CONSOLE")]
    pub tokio_console: Option<std::net::SocketAddr>,
}

/// What the program does instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show which projects of the group have another CI configuration than GITLAB_PACKAGES_CI_CONFIG
    /// says, and change them if that is wanted.
    CiConfig {
        /// Change them; without it, what would change is shown.
        #[arg(long)]
        apply: bool,
    },
    /// Look whether the GitLab of the settings can be followed and built on, and say how to mend what is not.
    Doctor,
}

/// What GitLab's hooks are recognised by: never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(pub String);

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HookSecret(..)")
    }
}

fn root_mode(text: &str) -> Result<RootMode, String> {
    match text {
        "packages" => Ok(RootMode::Packages),
        "host" => Ok(RootMode::Host),
        _ => Err("write `packages` or `host`".to_owned()),
    }
}

impl Config {
    /// The settings of the command line and the environment.
    pub fn from_surroundings() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self {
            gitlab_token: variable("GITLAB_TOKEN").and_then(|text| Token::new(&text)),
            gitlab_hook_secret: variable("GITLAB_HOOK_SECRET")
                .filter(|text| !text.trim().is_empty())
                .map(HookSecret),
            ..Self::parse()
        }
    }

    /// The settings that a server has when nothing is given but its folders.
    pub fn for_folders(data_dir: impl Into<PathBuf>, sources_dir: impl Into<PathBuf>) -> Self {
        // Nothing here comes from the environment: tests must not depend on the machine.
        Self {
            command: None,
            interface: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            base_url: None,
            data_dir: data_dir.into(),
            database_url: None,
            sources_dir: sources_dir.into(),
            default_branch: None,
            gitlab_domain: "gitlab.example.org".to_owned(),
            gitlab_packages_group: None,
            gitlab_token: None,
            gitlab_hook_secret: None,
            base_repositories: Vec::new(),
            base_hosts: Vec::new(),
            architectures: vec!["x86_64".parse().expect("x86_64 is an architecture")],
            implicit_packages: vec!["base-devel".parse().expect("base-devel is a relation")],
            root_mode: RootMode::Host,
            fake_workers: true,
            worker_token_file: None,
            lease_seconds: 60,
            infrastructure_tries: 5,
            hints_file: None,
            packager: "buildbtw <buildbtw@localhost.invalid>".to_owned(),
            upload_limit: 8 << 30,
            log_limit: 200 << 20,
            fleet: FleetConfig::default(),
            tokio_console: None,
        }
    }
}
