//! What a builder tells while it builds, and how a build ends.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What happens while a build is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// The next bytes of the log: standard output and standard error of everything, in order.
    Log(Bytes),
    /// A step began or ended.
    Step(StepEvent),
    /// The dependencies are installed: these.
    Installed(Vec<InstalledPackage>),
}

/// A step that began, or one that ended. Both name the same `name` and `started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEvent {
    /// `source`, `dependencies`, `sources`, `prepare`, `build`, `check` or `package`.
    pub name: String,
    /// When it began, counted from the start of the build.
    pub started: Duration,
    /// When it ended; `None` while it goes on.
    pub ended: Option<Duration>,
    /// How it ended.
    pub result: Option<StepResult>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// It did what it was for.
    Succeeded,
    /// It did not.
    Failed,
}

impl StepResult {
    /// Whether the step did what it was for.
    pub fn succeeded(self) -> bool {
        self == Self::Succeeded
    }
}

/// A package that was installed for a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// The package's name.
    pub pkgname: String,
    /// Its full version.
    pub version: String,
    /// SHA-256 of the package file in hexadecimal, where the builder saw the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Whose business the end of a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// All packages were made.
    Success,
    /// The package's own: its PKGBUILD, its build, its tests, or a limit on memory, disk or log.
    Package,
    /// The sources could not be fetched or are not what the PKGBUILD says.
    Sources,
    /// What the build needs could not be installed, or is not what was expected.
    Dependencies,
    /// The build took too long or was silent for too long.
    Timeout,
    /// This machine's: nothing is said about the package.
    Infrastructure,
    /// The build was asked to end.
    Cancelled,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOutcome {
    /// Whose business it is.
    pub class: OutcomeClass,
    /// The exit code of makepkg, where it ran to an end.
    pub exit_code: Option<i32>,
    /// The step in which the build ended, unless all went well.
    pub failed_step: Option<String>,
    /// What happened, in words.
    pub message: String,
    /// The packages that were made. They lie in the build's work folder and are the caller's.
    pub packages: Vec<PathBuf>,
    /// What was installed to build.
    pub installed: Vec<InstalledPackage>,
}

impl BuildOutcome {
    /// An end without packages.
    pub fn failure(class: OutcomeClass, message: impl Into<String>) -> Self {
        Self {
            class,
            exit_code: None,
            failed_step: None,
            message: message.into(),
            packages: Vec::new(),
            installed: Vec::new(),
        }
    }

    /// An end that is this machine's business.
    pub fn infrastructure(message: impl Into<String>) -> Self {
        Self::failure(OutcomeClass::Infrastructure, message)
    }
}
