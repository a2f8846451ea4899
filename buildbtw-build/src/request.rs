//! What is to be built, in which root, within which limits.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fake::FakeRule;

/// One build, with all that a builder has to know of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// The package base.
    pub pkgbase: String,
    /// The architecture that is built for, as pacman names it. Never `any`.
    pub architecture: String,
    /// A tar archive (plain, gzip or zstd) of the source tree. PKGBUILD lies at the top or in the
    /// only folder there.
    pub source: PathBuf,
    /// PACKAGER of makepkg.conf(5), `Name <mail>`.
    pub packager: String,
    /// SOURCE_DATE_EPOCH: seconds since 1970.
    pub source_date_epoch: u64,
    /// Whether check() runs.
    pub check: bool,
    /// The pass, 1 or 2.
    pub pass: u8,
    /// What lies underneath the installed packages.
    pub root_mode: RootMode,
    /// Which steps may use the network.
    pub network: NetworkMode,
    /// The repositories, in the order of pacman.conf(5).
    pub repositories: Vec<Repository>,
    /// What pacman is asked to install: relations such as `libfoo>=2` or `libfoo.so=2-64`.
    pub install: Vec<String>,
    /// Relations that count as met without a package.
    pub assumed: Vec<String>,
    /// What has to be installed afterwards, and nothing else; not compared where it is not given.
    #[serde(default)]
    pub expected: Option<Vec<ExpectedPackage>>,
    /// What the build may take.
    #[serde(default)]
    pub limits: Limits,
    /// The packages that are to be made.
    pub pkgnames: Vec<String>,
    /// The text of makepkg.conf(5) to build with, instead of the root's own in root mode
    /// `packages` and of this crate's in root mode `host`.
    #[serde(default)]
    pub makepkg_conf: Option<String>,
    /// For the fake builder: how this build is to go. It comes before the builder's own rules.
    #[serde(default)]
    pub fake: Option<FakeRule>,
}

/// What lies underneath the installed packages during a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootMode {
    /// Only installed packages.
    Packages,
    /// The host's own tools, read-only.
    Host,
}

/// Which steps of a build may use the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// Only the step that fetches the sources.
    #[default]
    Sources,
    /// That, and prepare().
    Prepare,
    /// Every step.
    All,
}

/// A pacman repository of a build's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name in pacman.conf(5).
    pub name: String,
    /// Its `Server`; pacman replaces `$repo` and `$arch` in it.
    pub server: String,
    /// Its `SigLevel`. Signatures are not looked at where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig_level: Option<String>,
}

/// A package that has to be installed for a build, and just so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedPackage {
    /// The package's name.
    pub pkgname: String,
    /// Its full version.
    pub version: String,
    /// SHA-256 of the package file in hexadecimal; not compared where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The repository it comes from.
    pub repository: String,
}

/// What one build may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The whole build, from its source to its packages.
    #[serde(rename = "time_ms", with = "milliseconds")]
    pub time: Duration,
    /// The longest time in which the build writes nothing to its log.
    #[serde(rename = "silence_ms", with = "milliseconds")]
    pub silence: Duration,
    /// Bytes of memory. Without a limit a build may take what there is.
    pub memory: Option<u64>,
    /// Bytes on the disk: root, sources and packages together.
    pub disk: u64,
    /// Bytes of log.
    pub log: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(8 * 60 * 60),
            silence: Duration::from_secs(60 * 60),
            memory: None,
            disk: 20 << 30,
            log: 200 << 20,
        }
    }
}

/// Durations as whole milliseconds, the form in which a person can write a request by hand.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Why a request cannot be carried out by any builder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A name that would end up in a path or a command line is not a name.
    #[error("{what} {value:?} is not a valid name")]
    Name {
        /// Which one.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// A text that goes into a line of a configuration file has more than one line.
    #[error("{what} {value:?} does not fit on one line")]
    Line {
        /// Which one.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// Two repositories of one name would overwrite each other's db.
    #[error("the repository {0} is given twice; pacman keeps one db a name")]
    RepositoryTwice(String),
    /// Something to install or assume that pacman would take for an option.
    #[error("{0:?} is no relation that pacman could be asked for")]
    Relation(String),
}

fn is_name(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    !value.is_empty()
        && value.len() <= 255
        && value.chars().all(allowed)
        && !value.starts_with(['-', '.'])
}

fn is_line(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

impl BuildRequest {
    /// Checks everything that will stand in a path, a command line or a configuration file.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), RequestError> {
        let name = |what, value: &str| match is_name(value) {
            true => Ok(()),
            false => Err(RequestError::Name {
                what,
                value: value.to_owned(),
            }),
        };
        let line = |what, value: &str| match is_line(value) {
            true => Ok(()),
            false => Err(RequestError::Line {
                what,
                value: value.to_owned(),
            }),
        };
        name("the pkgbase", &self.pkgbase)?;
        name("the architecture", &self.architecture)?;
        for pkgname in &self.pkgnames {
            name("the pkgname", pkgname)?;
        }
        line("the packager", &self.packager)?;
        for (index, repository) in self.repositories.iter().enumerate() {
            name("the repository", &repository.name)?;
            line("the server", &repository.server)?;
            line(
                "the SigLevel",
                repository.sig_level.as_deref().unwrap_or_default(),
            )?;
            let before = &self.repositories[..index];
            if repository.name == "options" || repository.name == "local" {
                return Err(RequestError::Name {
                    what: "the repository",
                    value: repository.name.clone(),
                });
            }
            if before.iter().any(|other| other.name == repository.name) {
                return Err(RequestError::RepositoryTwice(repository.name.clone()));
            }
        }
        for relation in self.install.iter().chain(&self.assumed) {
            let first = relation.chars().next();
            if !first.is_some_and(|c| c.is_ascii_alphanumeric() || "@_+".contains(c))
                || !relation.chars().all(|c| c.is_ascii_graphic())
                || relation.contains('/')
            {
                return Err(RequestError::Relation(relation.clone()));
            }
        }
        Ok(())
    }
}
