//! The folders of jobs on this host: one a job, named by its number, locked as long as its run is
//! carried out.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use buildbtw_worker::folder::Folder;

use crate::host::Host;

/// The name of the lock in a job's folder.
const LOCK: &str = "lock";

/// A folder that nobody holds and nobody touched for so long belongs to a job that is over: its host
/// was switched off, or its Runner killed, before it could be cleaned up.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// The folder of all jobs.
pub fn all(host: &Host) -> PathBuf {
    host.folder.join("jobs")
}

/// The folder of one job.
pub fn of(host: &Host, job: u64) -> PathBuf {
    all(host).join(job.to_string())
}

/// The lock in a job's folder.
pub fn lock(folder: &Path) -> PathBuf {
    folder.join(LOCK)
}

/// Whether somebody holds a job's folder.
///
/// # Errors
///
/// When that cannot be found out.
pub fn is_held(folder: &Path) -> std::io::Result<bool> {
    let lock = match File::options().write(true).open(lock(folder)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the folder of a job that nobody holds, with what its builds left.
///
/// # Errors
///
/// When something stays.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    let folder = Folder::open(path)?;
    folder.sweep()?;
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes the folders of jobs that nobody cleaned up after.
pub fn remove_abandoned(host: &Host) {
    let Ok(entries) = fs::read_dir(all(host)) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_abandoned(&path, SystemTime::now()) {
            match remove(&path) {
                Ok(()) => println!("removed {}, which a job before had left", path.display()),
                // Not this job's business; the next one tries again.
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
    }
}

fn is_abandoned(folder: &Path, now: SystemTime) -> bool {
    let is_job = folder
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.parse::<u64>().is_ok());
    let touched = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let touched = touched(&lock(folder)).or_else(|_| touched(folder));
    is_job
        && touched.is_ok_and(|touched| {
            now.duration_since(touched)
                .is_ok_and(|since| since > ABANDONED)
        })
        && is_held(folder).is_ok_and(|held| !held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_or_touched_is_abandoned() {
        let scratch = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + 2 * ABANDONED;
        let (held, left) = (scratch.path().join("1"), scratch.path().join("2"));
        let folder = Folder::open(&held).unwrap();
        drop(Folder::open(&left).unwrap());
        let other = scratch.path().join("not-a-job");
        fs::create_dir(&other).unwrap();
        assert!(!is_abandoned(&left, SystemTime::now()), "it is fresh");
        assert!(is_abandoned(&left, later));
        assert!(!is_abandoned(&held, later));
        assert!(!is_abandoned(&other, later));
        remove(&left).unwrap();
        assert!(!left.exists());
        assert!(remove(&held).is_err());
        drop(folder);
        assert!(is_abandoned(&held, later));
    }
}
