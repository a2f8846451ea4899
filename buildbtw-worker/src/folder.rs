//! The folder of a program that carries out runs: a lock against a second program, one folder a run,
//! and a worker's id.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use buildbtw_api::{RunId, WorkerId};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another program works there.
    #[error("another program already works in {0}")]
    Taken(PathBuf),
    /// The file with the id holds something else.
    #[error(
        "{0} does not hold a worker's id\n  hint: remove it; the server will give this worker a new id"
    )]
    NoId(PathBuf),
    /// The system refused something.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { what, path, source }
}

/// The folder, locked as long as this value lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Holds the lock; the kernel gives it up when the process ends, however it ends.
    lock: File,
}

impl Folder {
    /// Takes possession of a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// When another program has it, or when it cannot be written.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("make", path))?;
        let path = path.canonicalize().map_err(io("find", path))?;
        // Sources and packages of others pass through here: nobody else has to see them.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
            .map_err(io("make private", &path))?;
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io("open", &lock_path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => FolderError::Taken(path.clone()),
            TryLockError::Error(source) => io("lock", &lock_path)(source),
        })?;
        let folder = Self { path, lock };
        let runs = folder.runs();
        std::fs::create_dir_all(&runs).map_err(io("make", &runs))?;
        Ok(folder)
    }

    /// Keeps the folder locked until this process ends, whatever becomes of this value. Threads that write
    /// files may outlive it, and whoever waits for the lock takes it that nobody writes any more.
    ///
    /// # Errors
    ///
    /// When there are too many open files.
    pub fn stay_locked(&self) -> Result<(), FolderError> {
        let lock = self.lock.try_clone().map_err(io("lock", &self.path))?;
        std::mem::forget(lock);
        Ok(())
    }

    /// Where the folder is; an absolute path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of all runs' folders.
    pub fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// The id that the server gave this worker, if it has one yet.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn id(&self) -> Result<Option<WorkerId>, FolderError> {
        let path = self.path.join("id");
        match std::fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(id) => Ok(Some(id)),
                Err(_) => Err(FolderError::NoId(path)),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read", &path)(error)),
        }
    }

    /// Keeps the id over restarts.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn keep_id(&self, id: WorkerId) -> Result<(), FolderError> {
        let path = self.path.join("id");
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            writeln!(file, "{id}")?;
            file.as_file().sync_all()?;
            // A rename, so that a crash leaves the old id or the new one and never half of one.
            file.persist(&path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(io("write", &path))
    }

    /// The folders of runs that are there: after a start, those that an earlier program left behind.
    fn run_folders(&self) -> Result<Vec<PathBuf>, FolderError> {
        let runs = self.runs();
        let entries = std::fs::read_dir(&runs).map_err(io("read", &runs))?;
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .map_err(io("read", &runs))
    }

    /// Removes what an earlier program in this folder had to leave when it was killed.
    ///
    /// # Errors
    ///
    /// When something stays.
    pub fn sweep(&self) -> Result<Swept, FolderError> {
        let folders = self.run_folders()?;
        let mut builds = 0;
        for path in &folders {
            // First what builds left, which may be more than files; then the files.
            builds += buildbtw_build::sweep(path)
                .map_err(io("clear away what earlier builds left in", path))?;
            std::fs::remove_dir_all(path).map_err(io("remove", path))?;
        }
        Ok(Swept {
            builds,
            runs: folders.len(),
        })
    }

    /// Makes the folder of a run.
    pub(crate) fn run(&self, run: RunId) -> std::io::Result<RunFolder> {
        let path = self.runs().join(run.to_string());
        let work = path.join("work");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&work)?;
        Ok(RunFolder { path })
    }
}

/// What was cleared away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Builds that had been killed together with all that watched over them.
    pub builds: usize,
    /// Folders of runs.
    pub runs: usize,
}

/// The folder of one run.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Where the source tarball is put.
    pub fn source(&self) -> PathBuf {
        self.path.join("source.tar")
    }

    /// Where the log is kept until the server has it.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the build is carried out.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Removes it with all that is in it. A failure is logged: the next start sweeps the rest.
    pub async fn remove(self) {
        let path = self.path.clone();
        let removal = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
        if let Ok(Err(error)) = removal {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the folder of a run");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_worker_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b");
        let first = Folder::open(&path).unwrap();
        assert!(matches!(Folder::open(&path), Err(FolderError::Taken(_))));
        drop(first);
        let second = Folder::open(&path).unwrap();
        second.stay_locked().unwrap();
        drop(second);
        assert!(matches!(Folder::open(&path), Err(FolderError::Taken(_))));
    }

    #[test]
    fn the_id_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        assert_eq!(folder.id().unwrap(), None);
        let id = WorkerId::generate();
        folder.keep_id(id).unwrap();
        assert_eq!(folder.id().unwrap(), Some(id));
        std::fs::write(scratch.path().join("id"), "rubbish").unwrap();
        assert!(matches!(folder.id(), Err(FolderError::NoId(_))));
    }

    #[test]
    fn what_an_earlier_worker_left_is_swept() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        assert_eq!(folder.sweep().unwrap().runs, 0);
        let run = folder.run(RunId::generate()).unwrap();
        std::fs::write(run.log(), "half a log").unwrap();
        assert_eq!(folder.sweep().unwrap(), Swept { builds: 0, runs: 1 });
        assert_eq!(std::fs::read_dir(folder.runs()).unwrap().count(), 0);
    }
}
