//! What builds left behind that were killed together with everything that watched over them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::sandbox::{CGROUP_PREFIX, SANDBOX, remove_group, remove_tree};

/// How deep below the root the work folders of builds are looked for.
const DEEPEST: usize = 4;

/// Clears away what builds under `work_root` left when they were killed together with their
/// supervisors, and hands back how many there were. Builds that go on are left alone, whoever
/// carries them out.
///
/// # Errors
///
/// When something cannot be removed.
pub fn sweep(work_root: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for sandbox in sandboxes(work_root)? {
        swept += usize::from(clear(&sandbox)?);
    }
    Ok(swept)
}

/// Whether a build under `work_root` goes on, or is being cleared away by its supervisor.
///
/// # Errors
///
/// When that cannot be found out.
pub fn goes_on(work_root: &Path) -> io::Result<bool> {
    for sandbox in sandboxes(work_root)? {
        match fs::File::open(sandbox.join("lock")) {
            Ok(lock) if lock.try_lock().is_err() => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The folders of sandboxes under a folder.
fn sandboxes(work_root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![(work_root.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // A build that goes on may remove its folders at this moment.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name() == SANDBOX {
                found.push(entry.path());
            } else if depth < DEEPEST {
                waiting.push((entry.path(), depth + 1));
            }
        }
    }
    Ok(found)
}

/// Removes the files and control groups of one sandbox, unless its supervisor still has it; says
/// whether there was one.
pub(crate) fn clear(sandbox: &Path) -> io::Result<bool> {
    let lock_path = sandbox.join("lock");
    match fs::File::options().read(true).write(true).open(&lock_path) {
        Ok(lock) => {
            if lock.try_lock().is_err() {
                return Ok(false);
            }
            let groups = fs::read_to_string(&lock_path)?;
            for group in groups.lines().map(Path::new) {
                let name = group.file_name().and_then(|name| name.to_str());
                // Only what cannot be anybody else's, whatever the file says.
                if name.is_some_and(|name| name.starts_with(CGROUP_PREFIX)) {
                    remove_group(group)?;
                }
            }
        }
        // It was killed before it made the lock, or while it removed everything.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if !sandbox.try_exists()? {
                return Ok(false);
            }
        }
        Err(error) => return Err(error),
    }
    remove_tree(sandbox)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let scratch = tempfile::tempdir().unwrap();
        let made = |name: &str| {
            let sandbox = scratch.path().join(name).join("work").join(SANDBOX);
            fs::create_dir_all(sandbox.join("store/root")).unwrap();
            fs::write(sandbox.join("lock"), "/proc/not-ours\n").unwrap();
            sandbox
        };
        let (dead, alive) = (made("dead"), made("alive"));
        let lock = fs::File::open(alive.join("lock")).unwrap();
        lock.lock().unwrap();
        assert!(goes_on(scratch.path()).unwrap());
        assert_eq!(sweep(scratch.path()).unwrap(), 1);
        assert!(!dead.exists());
        assert!(alive.exists());
        drop(lock);
        assert!(!goes_on(scratch.path()).unwrap());
        assert_eq!(sweep(scratch.path()).unwrap(), 1);
        assert_eq!(sweep(&scratch.path().join("nothing")).unwrap(), 0);
    }
}
