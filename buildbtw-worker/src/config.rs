//! Settings: from the command line, the environment and `.env`, in this order.

use std::path::PathBuf;
use std::time::Duration;

use buildbtw_api::amounts::{size, time};
use buildbtw_api::runs::RootMode;
use buildbtw_build::{BuilderKind, Limits, Storage};
use buildbtw_worker::builder::Setup;
use clap::{Parser, ValueEnum};

/// What `--help` says at its end.
const AFTER_HELP: &str = "\
Examples:
  buildbtw-worker --server-url http://127.0.0.1:8080 --worker-token-file data/worker-token
  buildbtw-worker --builder fake --fake-rules rules.json     (packages without content, for trials)

Signals:
  SIGTERM, Ctrl-C  stop the builds, give the runs back to the server, end; a second one ends at once
  SIGUSR1          take no more runs and end when those that go on are over

Sizes are written like 512M or 8G, times like 90s, 45m or 2h 30m.";

/// The buildbtw worker: asks a server for runs and carries them out.
///
/// Every setting can also be given in the environment or in a file `.env` in the folder where
/// the worker starts; `.env.example` explains each. The worker only dials out: it needs no open
/// port, and it can be ended at any time; what it was building is then built elsewhere.
#[derive(Debug, Clone, Parser)]
#[command(version, name = "buildbtw-worker", after_help = AFTER_HELP)]
pub struct Config {
    /// The server's address.
    #[arg(long, env = "SERVER_URL", default_value = "http://127.0.0.1:8080")]
    pub server_url: String,

    /// The file with the workers' token, which nobody but its owner may read (mode 0600). The server
    /// makes one at its first start, in its data folder.
    #[arg(long, env = "WORKER_TOKEN_FILE", default_value = "data/worker-token")]
    pub worker_token_file: PathBuf,

    /// The name under which people see this worker; the machine's name unless given.
    #[arg(long, env = "WORKER_NAME")]
    pub worker_name: Option<String>,

    /// The folder of this worker, for its id and its builds; one worker a folder
    /// [default: buildbtw-worker in $XDG_STATE_HOME or ~/.local/state].
    #[arg(long, env = "WORKER_DIR")]
    pub worker_dir: Option<PathBuf>,

    /// How many runs are carried out at once.
    #[arg(long, env = "WORKER_SLOTS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub worker_slots: u32,

    /// Labels that builds may ask for, separated by commas.
    #[arg(long, env = "WORKER_LABELS", value_delimiter = ',')]
    pub worker_labels: Vec<String>,

    /// The architectures this worker builds for; the machine's own unless given.
    #[arg(long, env = "WORKER_ARCHITECTURES", value_delimiter = ',')]
    pub worker_architectures: Vec<String>,

    /// What builds.
    #[arg(long, env = "BUILDER", value_enum, default_value_t = BuilderName::Sandbox)]
    pub builder: BuilderName,

    /// Which root modes are offered; all that the builder can set up unless given.
    #[arg(long, env = "WORKER_ROOT_MODES", value_enum, value_delimiter = ',')]
    pub worker_root_modes: Vec<RootModeName>,

    /// How many jobs make is told to run at once in one build; as many as there are processors unless
    /// given.
    #[arg(long, env = "BUILD_JOBS", value_parser = clap::value_parser!(u32).range(1..))]
    pub build_jobs: Option<u32>,

    /// Where a build keeps its root, sources and packages. In memory they count as memory.
    #[arg(long, env = "BUILD_STORAGE", value_enum, default_value_t = StorageName::Disk)]
    pub build_storage: StorageName,

    /// For the fake builder: a file of rules by pkgbase (JSON), such as durations and failures.
    #[arg(long, env = "FAKE_RULES")]
    pub fake_rules: Option<PathBuf>,

    /// How long a build may take in all.
    #[arg(long, env = "BUILD_TIMEOUT", default_value = "8h", value_parser = time)]
    pub build_timeout: Duration,

    /// How long a build may write nothing to its log.
    #[arg(long, env = "SILENCE_TIMEOUT", default_value = "1h", value_parser = time)]
    pub silence_timeout: Duration,

    /// How much memory a build may take; not limited unless given. It is also the memory that the
    /// worker offers to builds that ask for some: unless given, that of the machine.
    #[arg(long, env = "MEMORY_LIMIT", value_parser = size)]
    pub memory_limit: Option<u64>,

    /// How much disk a build may take, sources and packages included.
    #[arg(long, env = "DISK_LIMIT", default_value = "20G", value_parser = size)]
    pub disk_limit: u64,

    /// How large a build's log may become.
    #[arg(long, env = "LOG_LIMIT", default_value = "200M", value_parser = size)]
    pub log_limit: u64,
}

/// What builds, as it is written in settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BuilderName {
    /// The real makepkg in a throw-away root, on any Linux with makepkg and pacman.
    Sandbox,
    /// Arch's devtools, on an Arch host.
    Devtools,
    /// Arch's devtools in a virtual machine that is thrown away.
    Vmexec,
    /// Packages without content, in no time: to try out the rest.
    Fake,
}

impl From<BuilderName> for BuilderKind {
    fn from(name: BuilderName) -> Self {
        match name {
            BuilderName::Sandbox => Self::Sandbox,
            BuilderName::Devtools => Self::Devtools,
            BuilderName::Vmexec => Self::Vmexec,
            BuilderName::Fake => Self::Fake,
        }
    }
}

/// Where builds keep their files, as it is written in settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageName {
    /// In the worker's folder.
    Disk,
    /// In memory.
    Memory,
}

impl From<StorageName> for Storage {
    fn from(name: StorageName) -> Self {
        match name {
            StorageName::Disk => Self::Disk,
            StorageName::Memory => Self::Memory,
        }
    }
}

/// A root mode, as it is written in settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RootModeName {
    /// Only installed packages.
    Packages,
    /// This machine's tools underneath, read-only.
    Host,
}

impl From<RootModeName> for RootMode {
    fn from(name: RootModeName) -> Self {
        match name {
            RootModeName::Packages => Self::Packages,
            RootModeName::Host => Self::Host,
        }
    }
}

impl Config {
    /// How this worker builds. No build may see the files and folders in `hidden`.
    pub fn setup(&self, hidden: Vec<PathBuf>) -> Setup {
        Setup {
            kind: self.builder.into(),
            storage: self.build_storage.into(),
            jobs: self.build_jobs,
            fake_rules: self.fake_rules.clone(),
            limits: Limits {
                time: self.build_timeout,
                silence: self.silence_timeout,
                memory: self.memory_limit,
                disk: self.disk_limit,
                log: self.log_limit,
            },
            slots: self.worker_slots,
            labels: self.worker_labels.clone(),
            architectures: self.worker_architectures.clone(),
            root_modes: self
                .worker_root_modes
                .iter()
                .map(|mode| RootMode::from(*mode))
                .collect(),
            hidden,
        }
    }

    /// The worker's folder. `None` when none is given and there is no home folder to put it in.
    pub fn folder(&self) -> Option<PathBuf> {
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        self.worker_dir.clone().or_else(|| {
            let state = absolute("XDG_STATE_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
            Some(state.join("buildbtw-worker"))
        })
    }

    /// The worker's name.
    pub fn name(&self) -> String {
        let given = self.worker_name.as_deref().map(str::trim);
        match given {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => buildbtw_worker::host_name().unwrap_or_else(|| "worker".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn limits_are_read_as_people_write_them() {
        let config = Config::parse_from([
            "buildbtw-worker",
            "--build-timeout",
            "2h 30m",
            "--memory-limit",
            "8G",
            "--disk-limit",
            "512 MiB",
        ]);
        assert_eq!(config.build_timeout, Duration::from_secs(9000));
        assert_eq!(config.memory_limit, Some(8 << 30));
        assert_eq!(config.disk_limit, 512 << 20);
        assert!(Config::try_parse_from(["buildbtw-worker", "--disk-limit", "much"]).is_err());
    }
}
