//! The builders, and the one way to use them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use crate::fake::FakeRules;
use crate::report::{BuildEvent, BuildOutcome};
use crate::request::{BuildRequest, RootMode};

/// What carries out a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuilderKind {
    /// The real makepkg in a throw-away root, on any Linux with makepkg and pacman.
    #[default]
    Sandbox,
    /// Arch's devtools, on an Arch host.
    Devtools,
    /// The same in a virtual machine that is thrown away.
    Vmexec,
    /// Packages without content, in no time.
    Fake,
}

impl BuilderKind {
    /// Its name in settings and in what a worker offers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Devtools => "devtools",
            Self::Vmexec => "vmexec",
            Self::Fake => "fake",
        }
    }
}

/// Where a sandbox keeps its root, sources and packages while it builds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// In folders of the work folder. The disk limit is watched: a build that goes over it is
    /// ended within a few seconds.
    #[default]
    Disk,
    /// In memory (tmpfs). The kernel keeps the disk limit exactly, but files then count as
    /// memory, also for the memory limit.
    Memory,
}

/// A builder with its settings: the same for all builds of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Builder {
    /// Which one.
    pub kind: BuilderKind,
    /// Files and folders that no build may see, such as the worker's token and folder. Most of the
    /// host is out of sight anyway: this matters for what lies under `/usr` or `/etc`.
    pub hidden: Vec<PathBuf>,
    /// Where a sandbox keeps its files.
    pub storage: Storage,
    /// How many jobs make is told to run at once; as many as there are processors where not given.
    pub jobs: Option<u32>,
    /// How many processes and threads a build may have.
    pub processes: u64,
    /// Builds with a copy of makepkg's library from which the checks of PKGBUILD, package and
    /// configuration are taken out. It makes small builds four times as fast and is meant for tests.
    pub without_makepkg_lints: bool,
    /// For devtools, when the worker runs as root: the user that makepkg runs as.
    pub devtools_user: String,
    /// Rules of the fake builder.
    pub fake_rules: FakeRules,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            kind: BuilderKind::default(),
            hidden: Vec::new(),
            storage: Storage::default(),
            jobs: None,
            processes: 16_384,
            without_makepkg_lints: false,
            devtools_user: "nobody".to_owned(),
            fake_rules: FakeRules::default(),
        }
    }
}

impl Builder {
    /// A builder with the usual settings.
    pub fn new(kind: BuilderKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

/// What a builder can do on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The root modes it can set up.
    pub root_modes: Vec<RootMode>,
    /// What a person should know: how limits are kept, what is missing. One sentence each.
    pub remarks: Vec<String>,
}

/// Why a builder cannot be used on this machine, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Programs are missing.
    #[error("the {builder} builder needs {}\n  hint: {hint}", .programs.join(", "))]
    Missing {
        /// The builder.
        builder: &'static str,
        /// What was looked for and not found in PATH.
        programs: Vec<String>,
        /// How to get them.
        hint: String,
    },
    /// A trial showed that it does not work.
    #[error("the {builder} builder does not work on this machine: {reason}\n  hint: {hint}")]
    Trial {
        /// The builder.
        builder: &'static str,
        /// What went wrong.
        reason: String,
        /// What may help.
        hint: String,
    },
}

/// Carries out one build in a work folder that is empty or not there yet.
///
/// It never fails by itself: whatever happens is an outcome. The packages lie in the work folder
/// afterwards; everything else that the build needed is gone, however it ended. When `cancel` is
/// set, the build is asked to end and soon after made to.
pub async fn carry_out(
    builder: &Builder,
    request: &BuildRequest,
    work_dir: &Path,
    events: Sender<BuildEvent>,
    cancel: CancellationToken,
) -> BuildOutcome {
    if let Err(error) = request.check() {
        return BuildOutcome::infrastructure(format!("the build was not begun: {error}"));
    }
    match builder.kind {
        BuilderKind::Sandbox => {
            crate::sandbox::carry_out(builder, request, work_dir, events, cancel).await
        }
        BuilderKind::Devtools => {
            crate::devtools::carry_out(builder, request, work_dir, events, cancel).await
        }
        BuilderKind::Vmexec => {
            crate::vmexec::carry_out(builder, request, work_dir, events, cancel).await
        }
        BuilderKind::Fake => {
            crate::fake::carry_out(builder, request, work_dir, events, cancel).await
        }
    }
}

/// Finds out whether a builder works on this machine, by trying; `work_root` is where its builds
/// will be carried out.
///
/// # Errors
///
/// When it does not work, with what to do about it.
pub async fn probe(builder: &Builder, work_root: &Path) -> Result<Capabilities, ProbeError> {
    match builder.kind {
        BuilderKind::Sandbox => crate::sandbox::probe(builder, work_root).await,
        BuilderKind::Devtools => crate::devtools::probe(builder),
        BuilderKind::Vmexec => crate::vmexec::probe(),
        BuilderKind::Fake => Ok(Capabilities {
            root_modes: vec![RootMode::Packages, RootMode::Host],
            remarks: vec!["the packages have no content".to_owned()],
        }),
    }
}
