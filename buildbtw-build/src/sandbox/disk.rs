//! How much a build has on its disk, and whether there is room left.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

/// A file system with less than this many bytes left counts as full: a program that asks for a
/// larger piece is refused although a little is left.
const FULL: u64 = 1 << 20;

/// The shortest time between two measurements.
pub const SHORTEST: Duration = Duration::from_millis(250);

/// A measurement may take up one part in so many of the time.
const SHARE: u32 = 20;

/// Bytes left to this process's user on the file system that holds a path.
pub fn free(path: &Path) -> Option<u64> {
    let system = statvfs(path).ok()?;
    let blocks = match nix::unistd::Uid::effective().is_root() {
        true => system.blocks_free(),
        false => system.blocks_available(),
    };
    Some(blocks.saturating_mul(system.fragment_size()))
}

/// Whether the file system that holds a path is full.
pub fn is_full(path: &Path) -> bool {
    free(path).is_some_and(|free| free < FULL)
}

/// Bytes that a tree takes up on its own file system: what is mounted into it, as the host's tools
/// are, counts elsewhere. What cannot be looked at counts nothing: the build may be removing it at
/// this moment.
pub fn usage(top: &Path) -> u64 {
    let Ok(device) = fs::symlink_metadata(top).map(|metadata| metadata.dev()) else {
        return 0;
    };
    let mut waiting = vec![top.to_owned()];
    let mut linked = HashSet::new();
    let mut total = 0;
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.dev() != device {
                continue;
            }
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else if metadata.nlink() > 1 && !linked.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            // The unit of this number is 512 bytes whatever the file system's blocks are: stat(2).
            total += metadata.blocks() * 512;
        }
    }
    total
}

/// Watches the files of a build for as long as this process lives, and notes when they are more than
/// they may be.
///
/// In a file system of their own the kernel keeps the limit, and a program that reaches it is refused;
/// then it is only noted, also if there is room again when the build has failed of it. Else `end` is
/// called, which has to end the build.
pub fn watch(
    top: PathBuf,
    limit: Option<u64>,
    over: Arc<AtomicBool>,
    end: impl Fn() + Send + 'static,
) {
    std::thread::spawn(move || {
        loop {
            let begin = Instant::now();
            match limit {
                None => over.fetch_or(is_full(&top), Ordering::SeqCst),
                Some(limit) if usage(&top) > limit => {
                    over.store(true, Ordering::SeqCst);
                    end();
                    true
                }
                Some(_) => false,
            };
            // A large tree takes long to go through; that must not cost the build much.
            std::thread::sleep(SHORTEST.max(begin.elapsed() * SHARE));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_once_a_file() {
        let scratch = tempfile::tempdir().unwrap();
        let before = usage(scratch.path());
        fs::create_dir(scratch.path().join("folder")).unwrap();
        let file = scratch.path().join("folder/file");
        fs::write(&file, vec![1; 1 << 20]).unwrap();
        fs::hard_link(&file, scratch.path().join("link")).unwrap();
        let sparse = fs::File::create(scratch.path().join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        fs::File::open(&file).unwrap().sync_all().unwrap();
        let after = usage(scratch.path()) - before;
        assert!((1 << 20..2 << 20).contains(&after), "{after}");
    }
}
