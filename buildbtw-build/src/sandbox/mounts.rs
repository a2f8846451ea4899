//! Mounts, with errors that say what was tried.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

/// What was tried in setting up a sandbox, and what the system said.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct SetupError {
    /// What was tried.
    pub what: String,
    /// What the system said.
    pub source: io::Error,
}

/// Says what was tried, for `map_err`.
pub fn trying<E: Into<io::Error>>(what: impl fmt::Display) -> impl FnOnce(E) -> SetupError {
    move |source| SetupError {
        what: what.to_string(),
        source: source.into(),
    }
}

const NONE: Option<&str> = None;

/// Keeps mounts of this namespace to it, and those of others out.
pub fn keep_to_ourselves() -> Result<(), SetupError> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(trying("make the mounts private"))
}

/// Makes a file or folder appear at another place, too; `all` with everything mounted below it.
pub fn bind(from: &Path, to: &Path, all: bool) -> Result<(), SetupError> {
    let deep = if all {
        MsFlags::MS_REC
    } else {
        MsFlags::empty()
    };
    mount(Some(from), to, NONE, MsFlags::MS_BIND | deep, NONE).map_err(trying(format!(
        "mount {} on {}",
        from.display(),
        to.display()
    )))
}

/// Mounts a file system that needs no device.
pub fn special(kind: &str, to: &Path, flags: MsFlags, options: &str) -> Result<(), SetupError> {
    mount(Some(kind), to, Some(kind), flags, Some(options)).map_err(trying(format!(
        "mount a {kind} ({options}) on {}",
        to.display()
    )))
}

/// Lays folders one over another, the first on top; nothing can be written there.
pub fn overlay(layers: &[PathBuf], to: &Path, as_root: bool) -> Result<(), SetupError> {
    let mut options = "lowerdir=".to_owned();
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            options.push(':');
        }
        for character in layer.to_string_lossy().chars() {
            // What separates layers and options is written with a backslash.
            if matches!(character, ':' | ',' | '\\') {
                options.push('\\');
            }
            options.push(character);
        }
    }
    if !as_root {
        options.push_str(",userxattr");
    }
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    mount(
        Some("overlay"),
        to,
        Some("overlay"),
        flags,
        Some(options.as_str()),
    )
    .map_err(trying(format!(
        "mount an overlay ({options}) on {}",
        to.display()
    )))
}

/// Makes one mount read-only, not those below it.
pub fn make_read_only(path: &Path) -> Result<(), SetupError> {
    let what = || trying(format!("make {} read-only", path.display()));
    let now = statvfs(path).map_err(what())?.flags();
    // The kernel refuses to take away what the mount had when it came from an outer namespace.
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for (has, keep) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if now.contains(has) {
            flags |= keep;
        }
    }
    mount(NONE, path, NONE, flags, NONE).map_err(what())
}
