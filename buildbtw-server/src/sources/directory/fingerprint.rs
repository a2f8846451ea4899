//! Whether the references of a repository are still those that were read.
//!
//! There are two ways to look. The *fingerprint* is made of the contents of `HEAD`, `packed-refs`
//! and all loose references; it is stored, and equal ones mean equal references, whatever the
//! clocks and the file system's time stamps are worth. The *glance* is made of time stamps alone,
//! costs a few system calls and opens nothing; it is for the sweeps. git replaces files by renaming,
//! which changes the stamps of the file's folder. A glance that is younger than the coarsest
//! file system's clock does not count, so that a second change within one tick is not missed.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// The most loose references of one repository. `git pack-refs --all` packs them.
const MOST_LOOSE: usize = 20_000;

/// The largest file of packed references, in bytes: about a million of them.
const LARGEST_PACKED: u64 = 64 << 20;

/// The largest loose reference, in bytes: a name of a few hundred bytes or an id.
const LARGEST_LOOSE: u64 = 8 << 10;

/// How deep folders of references may lie.
const DEEPEST: usize = 32;

/// The coarsest clock of a file system that is in use has steps of two seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// What all references of a repository were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From its stored form. A text that never was one is unlike every fingerprint.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

/// Reads all references. `setting` is what else decides how a repository is read.
///
/// # Errors
///
/// When a file cannot be read, or there are more references than are taken.
pub fn fingerprint(git_dir: &Path, setting: Option<&str>) -> io::Result<Fingerprint> {
    let mut hash = Sha256::new();
    // The first word changes whenever this version reads repositories in another way.
    put(&mut hash, b"references 2");
    put(&mut hash, setting.unwrap_or_default().as_bytes());
    put(
        &mut hash,
        &content(&git_dir.join("HEAD"), LARGEST_LOOSE)?.unwrap_or_default(),
    );
    let packed = content(&git_dir.join("packed-refs"), LARGEST_PACKED)?.unwrap_or_default();
    put(&mut hash, &packed);
    let mut count = 0;
    loose(&git_dir.join("refs"), 0, &mut count, &mut hash)?;
    Ok(Fingerprint(hex::encode(hash.finalize())))
}

fn put(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

/// The loose references below a folder, in order.
fn loose(folder: &Path, depth: usize, count: &mut usize, hash: &mut Sha256) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!(
            "folders of references lie deeper than {DEEPEST} below refs"
        )));
    }
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        // git removes folders that became empty.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut entries: Vec<(OsString, bool)> = Vec::new();
    for entry in listing {
        let entry = entry?;
        if !entry.file_name().as_bytes().ends_with(b".lock") {
            entries.push((entry.file_name(), entry.file_type()?.is_dir()));
        }
    }
    entries.sort();
    *count += entries.len();
    if *count > MOST_LOOSE {
        return Err(io::Error::other(format!(
            "it has more than {MOST_LOOSE} loose references; run `git pack-refs --all` in it"
        )));
    }
    put(hash, b"folder");
    for (name, is_dir) in entries {
        let path = folder.join(&name);
        if is_dir {
            put(hash, name.as_bytes());
            loose(&path, depth + 1, count, hash)?;
        } else if let Some(content) = content(&path, LARGEST_LOOSE)? {
            put(hash, name.as_bytes());
            put(hash, &content);
        }
    }
    put(hash, b"end");
    Ok(())
}

/// The content of a file; `None` if there is none.
fn content(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!(
            "{} is larger than {limit} bytes",
            path.display()
        )));
    }
    Ok(Some(content))
}

/// What time stamps say about the references that are watched: `HEAD`, `packed-refs` and the
/// folders of `refs/heads`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    stamps: Vec<Stamp>,
    /// The folders below `refs/heads`, looked up when the glance was first taken.
    folders: Vec<PathBuf>,
}

type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

fn stamp(metadata: &Metadata) -> Stamp {
    let times = (
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    );
    Some((
        metadata.ino(),
        metadata.size(),
        times.0,
        times.1,
        times.2,
        times.3,
    ))
}

/// Takes a glance. `None` if something cannot be looked at, or has changed too short a time ago
/// for its time stamps to tell a further change. To be taken *before* the references are read.
pub fn glance(git_dir: &Path, now: SystemTime) -> Option<Glance> {
    let heads = git_dir.join("refs/heads");
    let mut folders = Vec::new();
    subfolders(&heads, 0, &mut folders).ok()?;
    take(git_dir, folders, now)
}

impl Glance {
    /// Whether another glance right now shows the same.
    pub fn is_unchanged(&self, git_dir: &Path, now: SystemTime) -> bool {
        take(git_dir, self.folders.clone(), now).is_some_and(|glance| glance.stamps == self.stamps)
    }
}

fn take(git_dir: &Path, folders: Vec<PathBuf>, now: SystemTime) -> Option<Glance> {
    let fixed = [
        git_dir.join("HEAD"),
        git_dir.join("packed-refs"),
        git_dir.join("refs/heads"),
    ];
    let mut stamps = Vec::with_capacity(fixed.len() + folders.len());
    for path in fixed.iter().chain(&folders) {
        stamps.push(match std::fs::metadata(path) {
            Ok(metadata) => {
                let changed = metadata.modified().ok()?;
                // A stamp from the future, of a clock that is ahead, is young as well.
                if now.duration_since(changed).ok()? < SETTLED_AFTER {
                    return None;
                }
                stamp(&metadata)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return None,
        });
    }
    Some(Glance { stamps, folders })
}

fn subfolders(folder: &Path, depth: usize, into: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth > DEEPEST || into.len() > MOST_LOOSE {
        return Err(io::Error::other("too many folders of references"));
    }
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // A folder without subfolders has two links; most need not be listed. Some file systems do
    // not count links, and say one.
    if metadata.nlink() == 2 {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            into.push(entry.path());
            subfolders(&entry.path(), depth + 1, into)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("refs/heads/topic")).unwrap();
        std::fs::write(folder.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::write(folder.path().join("refs/heads/main"), "1111\n").unwrap();
        folder
    }

    fn later() -> SystemTime {
        SystemTime::now() + SETTLED_AFTER * 2
    }

    #[test]
    fn every_change_of_a_reference_shows_at_once() {
        let repository = repository();
        let path = repository.path();
        let mut seen = vec![fingerprint(path, None).unwrap()];
        let mut expect_new = |what: &str| {
            let now = fingerprint(path, None).unwrap();
            assert!(!seen.contains(&now), "{what} does not show");
            seen.push(now);
        };
        std::fs::write(path.join("refs/heads/main"), "2222\n").unwrap();
        expect_new("another commit of the same length");
        std::fs::write(path.join("refs/heads/topic/x"), "3333\n").unwrap();
        expect_new("a branch in a folder");
        std::fs::create_dir_all(path.join("refs/tags")).unwrap();
        std::fs::write(path.join("refs/tags/1"), "4444\n").unwrap();
        expect_new("a tag");
        std::fs::write(path.join("packed-refs"), "5555 refs/heads/other\n").unwrap();
        expect_new("packed references");
        std::fs::remove_file(path.join("refs/heads/main")).unwrap();
        expect_new("a removed branch");
        std::fs::write(path.join("HEAD"), "ref: refs/heads/topic/x\n").unwrap();
        expect_new("another HEAD");
    }

    #[test]
    fn locks_and_settings() {
        let repository = repository();
        let before = fingerprint(repository.path(), None).unwrap();
        std::fs::write(repository.path().join("refs/heads/main.lock"), "").unwrap();
        assert_eq!(fingerprint(repository.path(), None).unwrap(), before);
        assert_ne!(
            fingerprint(repository.path(), Some("trunk")).unwrap(),
            before
        );
    }

    #[test]
    fn a_name_cannot_pass_for_a_content() {
        let (one, two) = (repository(), repository());
        std::fs::write(one.path().join("refs/heads/a"), "b").unwrap();
        std::fs::write(two.path().join("refs/heads/ab"), "").unwrap();
        assert_ne!(
            fingerprint(one.path(), None).unwrap(),
            fingerprint(two.path(), None).unwrap()
        );
    }

    #[test]
    fn a_young_glance_does_not_count() {
        let repository = repository();
        assert_eq!(glance(repository.path(), SystemTime::now()), None);
        assert!(glance(repository.path(), later()).is_some());
        assert_eq!(glance(repository.path(), SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_glance_sees_what_git_does() {
        let repository = repository();
        let path = repository.path();
        let before = glance(path, later()).unwrap();
        assert!(before.is_unchanged(path, later()));
        let replace = |name: &str, content: &str| {
            std::fs::write(path.join("new"), content).unwrap();
            std::fs::rename(path.join("new"), path.join(name)).unwrap();
        };
        for name in [
            "refs/heads/main",
            "refs/heads/topic/x",
            "packed-refs",
            "HEAD",
        ] {
            let before = glance(path, later()).unwrap();
            replace(name, "6666\n");
            assert!(!before.is_unchanged(path, later()), "{name}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        let repository = repository();
        let path = repository.path();
        std::fs::write(
            path.join("refs/heads/main"),
            "x".repeat(LARGEST_LOOSE as usize + 1),
        )
        .unwrap();
        let error = fingerprint(path, None).unwrap_err().to_string();
        assert!(error.contains("refs/heads/main is larger"), "{error}");
    }
}
