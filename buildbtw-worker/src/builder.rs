//! The builder: tried out, and what it can do is offered to the server.

use std::path::{Path, PathBuf};

use buildbtw_api::runs::RootMode;
use buildbtw_api::workers::WorkerOffer;
use buildbtw_build::{Builder, BuilderKind, Capabilities, FakeRules, Limits, ProbeError, Storage};
use sha2::{Digest, Sha256};

use crate::order;

/// How a program builds, by its settings.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What builds.
    pub kind: BuilderKind,
    /// Where builds keep their files.
    pub storage: Storage,
    /// How many jobs make is told to run at once in one build.
    pub jobs: Option<u32>,
    /// For the fake builder: a file of rules by pkgbase (JSON).
    pub fake_rules: Option<PathBuf>,
    /// What one build may take.
    pub limits: Limits,
    /// How many runs are carried out at once.
    pub slots: u32,
    /// Labels that builds may ask for.
    pub labels: Vec<String>,
    /// The architectures to build for; this machine's own where there are none.
    pub architectures: Vec<String>,
    /// The root modes to offer; all that the builder can set up where there are none.
    pub root_modes: Vec<RootMode>,
    /// Files and folders that no build may see.
    pub hidden: Vec<PathBuf>,
}

/// Why a program cannot build in the way that is wanted, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The builder does not work on this machine.
    #[error("cannot build on this machine: {0}")]
    Probe(#[from] ProbeError),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The rules of the fake builder are something else.
    #[error(
        "{path} does not hold rules of the fake builder (for example {{\"libgreet\": {{\"duration_ms\": 500}}}}): {source}"
    )]
    Rules {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The architecture that is to be offered is no name of one.
    #[error(
        "cannot offer the architecture {name:?}: {reason}\n  hint: name others in the settings"
    )]
    Architecture {
        /// What was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The builder cannot set up the root mode that is to be offered.
    #[error(
        "the {builder} builder cannot set up root mode {mode:?} on this machine\n  \
         hint: name no root modes in the settings, to offer what it can set up"
    )]
    RootMode {
        /// The builder.
        builder: &'static str,
        /// The root mode.
        mode: RootMode,
    },
}

/// Tries the builder out, and says what to offer. `work_root` is where builds will be carried out.
///
/// # Errors
///
/// When this machine cannot build in the way that is wanted, with what to do about it.
pub async fn prepare(
    setup: &Setup,
    work_root: &Path,
) -> Result<(Builder, WorkerOffer), SetupError> {
    let kind = setup.kind;
    let builder = Builder {
        hidden: setup.hidden.clone(),
        jobs: setup.jobs,
        storage: setup.storage,
        fake_rules: fake_rules(setup)?,
        ..Builder::new(kind)
    };
    let capabilities = buildbtw_build::probe(&builder, work_root).await?;
    for remark in &capabilities.remarks {
        tracing::info!(builder = kind.as_str(), "{remark}");
    }
    let offer = WorkerOffer {
        architectures: architectures(setup)
            .into_iter()
            .map(|name| {
                name.parse().map_err(|error| SetupError::Architecture {
                    reason: format!("{error}"),
                    name,
                })
            })
            .collect::<Result<_, _>>()?,
        slots: setup.slots,
        memory: setup.limits.memory.or_else(machine_memory),
        labels: not_empty(&setup.labels),
        builder: kind.as_str().to_owned(),
        configuration: configuration(setup)?,
        root_modes: root_modes(setup, &capabilities)?,
    };
    Ok((builder, offer))
}

/// The memory of this machine, or of the control group that the worker runs in where that allows less.
fn machine_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let total = total_memory(&read("/proc/meminfo")?)?;
    let allowed = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    Some(allowed.map_or(total, |allowed: u64| total.min(allowed)))
}

/// The whole memory by proc_meminfo(5), in bytes.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The rules of the fake builder.
fn fake_rules(setup: &Setup) -> Result<FakeRules, SetupError> {
    let Some(path) = &setup.fake_rules else {
        return Ok(FakeRules::default());
    };
    let text = std::fs::read_to_string(path).map_err(unreadable(path))?;
    serde_json::from_str(&text).map_err(|source| SetupError::Rules {
        path: path.clone(),
        source,
    })
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> SetupError {
    let path = path.to_owned();
    move |source| SetupError::Unreadable { path, source }
}

/// A digest of the settings that shape packages, so that the server takes packages over only from
/// builders with equal ones: the rules of the fake builder, or the machine's makepkg.conf(5).
fn configuration(setup: &Setup) -> Result<String, SetupError> {
    let mut files: Vec<PathBuf> = match setup.kind {
        BuilderKind::Fake => setup.fake_rules.iter().cloned().collect(),
        BuilderKind::Sandbox | BuilderKind::Devtools | BuilderKind::Vmexec => {
            let more = std::fs::read_dir("/etc/makepkg.conf.d")
                .into_iter()
                .flatten();
            let more = more.filter_map(|entry| Some(entry.ok()?.path()));
            std::iter::once(PathBuf::from("/etc/makepkg.conf"))
                .chain(more)
                .collect()
        }
    };
    files.sort();
    let mut digest = Sha256::new();
    for path in files {
        match std::fs::read(&path) {
            Ok(bytes) => digest.update(bytes),
            // A machine without it builds with makepkg's own settings.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path)(error)),
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// The architectures to offer: those of the settings, or this machine's.
fn architectures(setup: &Setup) -> Vec<String> {
    let given = not_empty(&setup.architectures);
    if !given.is_empty() {
        return given;
    }
    let own = match std::env::consts::ARCH {
        "x86" => "i686",
        "arm" => "armv7h",
        "loongarch64" => "loong64",
        other => other,
    };
    vec![own.to_owned()]
}

/// A list without its empty words: a setting that is there but empty is one empty word.
fn not_empty(words: &[String]) -> Vec<String> {
    let words = words.iter().map(|word| word.trim());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The root modes to offer: what the builder can do, unless the settings want less.
fn root_modes(setup: &Setup, capabilities: &Capabilities) -> Result<Vec<RootMode>, SetupError> {
    let possible: Vec<RootMode> = capabilities
        .root_modes
        .iter()
        .map(|mode| order::offered(*mode))
        .collect();
    if setup.root_modes.is_empty() {
        return Ok(possible);
    }
    match setup
        .root_modes
        .iter()
        .find(|mode| !possible.contains(mode))
    {
        None => Ok(setup.root_modes.clone()),
        Some(mode) => Err(SetupError::RootMode {
            builder: setup.kind.as_str(),
            mode: *mode,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        let text = "MemTotal:       16312312 kB\nMemFree:          123456 kB\n";
        assert_eq!(total_memory(text), Some(16_312_312 * 1024));
        assert_eq!(total_memory("MemFree: 1 kB\n"), None);
    }
}
