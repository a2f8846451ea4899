//! The builder: chosen, tried out, and what it can do is offered to the server.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use buildbtw_api::runs::RootMode;
use buildbtw_api::workers::WorkerOffer;
use buildbtw_build::{Builder, BuilderKind, Capabilities, FakeRules, Limits};
use sha2::{Digest, Sha256};

use crate::config::{BuilderName, Config};
use crate::folder::Folder;
use crate::order;

/// What one build may take.
pub fn limits(config: &Config) -> Limits {
    Limits {
        time: config.build_timeout,
        silence: config.silence_timeout,
        memory: config.memory_limit,
        disk: config.disk_limit,
        log: config.log_limit,
    }
}

/// Clears away what an earlier worker left, tries the builder out, and says what to offer.
/// `settings` is the file with the settings, if there is one.
///
/// # Errors
///
/// When this machine cannot build in the way that is wanted, with what to do about it.
pub async fn prepare(
    config: &Config,
    folder: &Folder,
    settings: Option<&Path>,
) -> anyhow::Result<(Builder, WorkerOffer)> {
    sweep(folder).await?;
    let mut hidden = vec![folder.path().to_owned()];
    for path in [Some(config.worker_token_file.as_path()), settings] {
        // Nothing is where no file is; whoever made one there later would be no build of ours.
        hidden.extend(path.and_then(|path| path.canonicalize().ok()));
    }
    let kind = BuilderKind::from(config.builder);
    let builder = Builder {
        hidden,
        jobs: config.build_jobs,
        storage: config.build_storage.into(),
        fake_rules: fake_rules(config)?,
        ..Builder::new(kind)
    };
    let capabilities = buildbtw_build::probe(&builder, &folder.runs())
        .await
        .context("cannot build on this machine")?;
    for remark in &capabilities.remarks {
        tracing::info!(builder = kind.as_str(), "{remark}");
    }
    let offer = WorkerOffer {
        architectures: architectures(config)
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .context("cannot offer an architecture; WORKER_ARCHITECTURES names others")?,
        slots: config.worker_slots,
        memory: config.memory_limit.or_else(machine_memory),
        labels: not_empty(&config.worker_labels),
        builder: kind.as_str().to_owned(),
        configuration: configuration(config)?,
        root_modes: root_modes(config, &capabilities)?,
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

/// Removes what an earlier worker in this folder had to leave when it was killed.
async fn sweep(folder: &Folder) -> anyhow::Result<()> {
    let folders = folder.run_folders()?;
    // First what builds left, which may be more than files; then the files.
    let builds = tokio::task::spawn_blocking(move || {
        folders.iter().try_fold(0, |swept, run| {
            buildbtw_build::sweep(run).map(|builds| swept + builds)
        })
    });
    let builds = builds
        .await?
        .context("cannot clear away what an earlier worker's builds left")?;
    let runs = folder.sweep()?;
    if builds > 0 || runs > 0 {
        tracing::info!(builds, runs, "cleared away what an earlier worker left");
    }
    Ok(())
}

/// The rules of the fake builder.
fn fake_rules(config: &Config) -> anyhow::Result<FakeRules> {
    let Some(path) = &config.fake_rules else {
        return Ok(FakeRules::default());
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the rules in {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "{} does not hold rules of the fake builder (for example {{\"libgreet\": {{\"duration_ms\": 500}}}})",
            path.display()
        )
    })
}

/// A digest of the settings that shape packages, so that the server takes packages over only from
/// builders with equal ones: the rules of the fake builder, or the machine's makepkg.conf(5).
fn configuration(config: &Config) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = match config.builder {
        BuilderName::Fake => config.fake_rules.iter().cloned().collect(),
        BuilderName::Sandbox | BuilderName::Devtools => {
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
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// The architectures to offer: those of the settings, or this machine's by pacman's name.
fn architectures(config: &Config) -> Vec<String> {
    let given = not_empty(&config.worker_architectures);
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
fn root_modes(config: &Config, capabilities: &Capabilities) -> anyhow::Result<Vec<RootMode>> {
    let possible: Vec<RootMode> = capabilities
        .root_modes
        .iter()
        .map(|mode| order::offered(*mode))
        .collect();
    if config.worker_root_modes.is_empty() {
        return Ok(possible);
    }
    let mut wanted = Vec::new();
    for name in &config.worker_root_modes {
        let mode = RootMode::from(*name);
        if !possible.contains(&mode) {
            bail!(
                "the {} builder cannot set up root mode {name:?} on this machine\n  \
                 hint: leave WORKER_ROOT_MODES out to offer what it can set up",
                BuilderKind::from(config.builder).as_str()
            );
        }
        wanted.push(mode);
    }
    Ok(wanted)
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
