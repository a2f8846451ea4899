//! Watches: the operating system says which repositories to look at.
//!
//! Of a repository its own folder (`HEAD`, `packed-refs`) and `refs/heads` with all below are
//! watched, nothing else: a fresh repository has 17 folders, and the system's watches are few.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{Event, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::locate::{Entry, look_at};

/// Which entries of the folder of sources are to be looked at. Many events of one entry are one.
#[derive(Debug, Default)]
pub struct Noticed {
    what: Mutex<What>,
    /// Something was added.
    pub wake: Notify,
}

/// What was noticed since it was last asked for.
#[derive(Debug, Default)]
pub struct What {
    /// Entries of the folder of sources.
    pub entries: BTreeSet<OsString>,
    /// Events were lost, or the folder of sources itself changed.
    pub everything: bool,
}

impl Noticed {
    /// What was noticed since the last call.
    pub fn take(&self) -> What {
        std::mem::take(&mut *self.what.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, folder: &Path, event: notify::Result<Event>) {
        let mut what = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = match event {
            Ok(event) if event.need_rescan() => !std::mem::replace(&mut what.everything, true),
            // Our own reading opens files all the time.
            Ok(Event {
                kind: EventKind::Access(_),
                ..
            }) => false,
            Ok(event) => {
                let mut is_new = false;
                for path in &event.paths {
                    is_new |= match interesting(folder, path) {
                        Interest::Entry(entry) => what.entries.insert(entry.to_owned()),
                        Interest::Everything => !std::mem::replace(&mut what.everything, true),
                        Interest::None => false,
                    };
                }
                is_new
            }
            Err(error) => {
                tracing::warn!(%error, "watching the sources: everything is looked at again");
                !std::mem::replace(&mut what.everything, true)
            }
        };
        drop(what);
        if is_new {
            self.wake.notify_one();
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Interest<'a> {
    Entry(&'a OsStr),
    Everything,
    None,
}

/// Whether an event at a path can mean that references changed.
fn interesting<'a>(folder: &Path, path: &'a Path) -> Interest<'a> {
    let Ok(inside) = path.strip_prefix(folder) else {
        return Interest::None;
    };
    let mut parts = inside.components().map(|part| part.as_os_str());
    let Some(entry) = parts.next() else {
        return Interest::Everything;
    };
    let mut part = parts.next();
    if part.is_some_and(|part| part == ".git") {
        part = parts.next();
    }
    let of_references = part.is_none_or(|part| {
        ["HEAD", "packed-refs", "refs", "objects"]
            .iter()
            .any(|name| part == *name)
    });
    let is_lock = path.as_os_str().as_encoded_bytes().ends_with(b".lock");
    if of_references && !is_lock {
        Interest::Entry(entry)
    } else {
        Interest::None
    }
}

/// Whether an entry is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// It is, as a whole.
    Yes,
    /// It cannot be watched.
    No,
    /// There are no more watches, for others neither.
    Exhausted,
}

/// All watches.
pub struct Watches {
    folder: PathBuf,
    watcher: Option<RecommendedWatcher>,
    /// The watched folders with the device and inode they had: another folder may take the place.
    watched: HashMap<OsString, Vec<(PathBuf, Identity)>>,
    count: usize,
    limit: usize,
    told: bool,
}

type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path)
        .ok()
        .map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Watches {
    /// Begins to watch a folder of sources, with at most so many watches for its entries.
    pub fn begin(folder: &Path, limit: usize, noticed: Arc<Noticed>) -> Self {
        let at = folder.to_owned();
        let handler = move |event| noticed.add(&at, event);
        // Links are followed only where an entry of the folder itself is one.
        let config = notify::Config::default().with_follow_symlinks(false);
        let mut watches = Self {
            folder: folder.to_owned(),
            watcher: None,
            watched: HashMap::new(),
            count: 0,
            limit,
            told: false,
        };
        match RecommendedWatcher::new(handler, config) {
            Ok(mut watcher) => match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => watches.watcher = Some(watcher),
                Err(error) => watches.tell(&error.to_string()),
            },
            Err(error) => watches.tell(&error.to_string()),
        }
        watches
    }

    /// Whether new and vanished entries are noticed.
    pub fn sees_folder(&self) -> bool {
        self.watcher.is_some()
    }

    /// Whether an entry is watched.
    pub fn has(&self, entry: &OsStr) -> bool {
        self.watched.contains_key(entry)
    }

    /// Watches an entry as what it is now. What changes after this call is noticed, what changed
    /// before shows to whoever looks after it.
    pub fn follow(&mut self, entry: &OsStr) -> Watched {
        self.follow_through(entry, || {})
    }

    /// The same with something that happens after each look, before its watches begin.
    fn follow_through(&mut self, entry: &OsStr, mut meanwhile: impl FnMut()) -> Watched {
        let mut wants = wanted(&self.folder, entry, &look_at(&self.folder, entry));
        // While a repository is being made, there may be more to watch than a moment ago. What came before
        // the watches shows in another look, what comes after it in an event.
        for _ in 0..4 {
            meanwhile();
            let watched = self.watch(entry, &wants);
            let now = wanted(&self.folder, entry, &look_at(&self.folder, entry));
            if now == wants {
                return watched;
            }
            wants = now;
        }
        // It keeps changing: the next event, or sweep, will tell.
        Watched::No
    }

    fn watch(&mut self, entry: &OsStr, wanted: &[(PathBuf, RecursiveMode)]) -> Watched {
        let Some(watcher) = &mut self.watcher else {
            return Watched::No;
        };
        let identities: Vec<_> = wanted
            .iter()
            .filter_map(|(path, _)| Some((path.clone(), identity(path)?)))
            .collect();
        if self
            .watched
            .get(entry)
            .is_some_and(|watched| *watched == identities)
        {
            return Watched::Yes;
        }
        if let Some(old) = self.watched.remove(entry) {
            self.count -= old.len();
            for (path, _) in old {
                // It fails for a folder that is gone, whose watch went with it.
                let _ = watcher.unwatch(&path);
            }
        }
        if identities.is_empty() {
            return Watched::Yes;
        }
        if self.count + identities.len() > self.limit {
            self.tell("the limit of watches is reached");
            return Watched::Exhausted;
        }
        for (path, mode) in wanted {
            match watcher.watch(path, *mode) {
                Ok(()) => {}
                // It vanished meanwhile, which its parent's watch tells.
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    for (path, _) in wanted {
                        let _ = watcher.unwatch(path);
                    }
                    if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) {
                        self.tell("the system has no more watches; `sysctl fs.inotify.max_user_watches` shows its limit");
                        return Watched::Exhausted;
                    }
                    self.tell(&error.to_string());
                    return Watched::No;
                }
            }
        }
        self.count += identities.len();
        self.watched.insert(entry.to_owned(), identities);
        Watched::Yes
    }

    /// Says once that not everything is watched.
    fn tell(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                reason,
                "not all source repositories can be watched; the others are looked at every few seconds"
            );
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::PathNotFound => true,
        notify::ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The folders to watch for an entry.
fn wanted(folder: &Path, entry: &OsStr, is: &Entry) -> Vec<(PathBuf, RecursiveMode)> {
    match is {
        Entry::Repository(found) => {
            let heads = found.git_dir.join("refs/heads");
            let references = if heads.is_dir() {
                (heads, RecursiveMode::Recursive)
            } else {
                (found.git_dir.join("refs"), RecursiveMode::NonRecursive)
            };
            vec![
                (found.git_dir.clone(), RecursiveMode::NonRecursive),
                references,
            ]
        }
        Entry::Folder => {
            let path = folder.join(entry);
            let inner = path.join(".git");
            let mut wanted = vec![(path, RecursiveMode::NonRecursive)];
            if inner.is_dir() {
                wanted.push((inner, RecursiveMode::NonRecursive));
            }
            wanted
        }
        Entry::Refused(_) | Entry::Other => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository is made in steps, and each of them may come just before its watch.
    #[test]
    fn what_comes_between_a_look_and_its_watch_is_watched_too() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join("lib/.git");
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        let mut watches = Watches::begin(folder.path(), 100, Arc::default());
        let paths = |watches: &Watches| -> Vec<PathBuf> {
            let watched = watches.watched[OsStr::new("lib")].iter();
            watched.map(|(path, _)| path.clone()).collect()
        };
        let begun = watches.follow_through(OsStr::new("lib"), || {
            let _ = std::fs::create_dir(&git);
        });
        assert_eq!(begun, Watched::Yes);
        assert_eq!(paths(&watches), [folder.path().join("lib"), git.clone()]);
        for part in ["objects", "refs"] {
            std::fs::create_dir(git.join(part)).unwrap();
        }
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let made = watches.follow_through(OsStr::new("lib"), || {
            let _ = std::fs::create_dir(git.join("refs/heads"));
        });
        assert_eq!(made, Watched::Yes);
        assert_eq!(paths(&watches), [git.clone(), git.join("refs/heads")]);
    }

    #[test]
    fn only_references_are_of_interest() {
        let folder = Path::new("/sources");
        for path in [
            "/sources/foo",
            "/sources/foo/.git",
            "/sources/foo/.git/HEAD",
            "/sources/foo/.git/packed-refs",
            "/sources/foo/.git/refs/heads/main",
            "/sources/foo.git/refs/heads/a/b",
        ] {
            assert!(
                matches!(interesting(folder, Path::new(path)), Interest::Entry(_)),
                "{path}"
            );
        }
        for path in [
            "/elsewhere/foo",
            "/sources/foo/.git/index",
            "/sources/foo/.git/COMMIT_EDITMSG",
            "/sources/foo/.git/HEAD.lock",
            "/sources/foo/.git/refs/heads/main.lock",
            "/sources/foo/src",
        ] {
            assert_eq!(
                interesting(folder, Path::new(path)),
                Interest::None,
                "{path}"
            );
        }
        assert_eq!(interesting(folder, folder), Interest::Everything);
    }
}
