//! The index beside a log: which line begins at which byte, and when it was received.
//!
//! It holds one entry for every 64 KiB or second of a log, so that a line is found after reading
//! little, and a time is known to the second. Entries have a fixed size; whatever a crash left
//! torn or missing is made again from the log itself.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a log between two entries, at the least.
const DISTANCE: u64 = 64 << 10;

/// Microseconds between two entries that are nearer to each other than [`DISTANCE`].
const INTERVAL: i64 = 1_000_000;

/// Bytes of one entry: three numbers of eight bytes, little-endian.
const ENTRY: usize = 24;

/// A line that begins where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line's number, from 0.
    pub line: u64,
    /// Its first byte.
    pub offset: u64,
    /// When it was received: microseconds since 1970.
    pub at: i64,
}

impl Entry {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |from: usize| {
            Some(u64::from_le_bytes(
                bytes.get(from..from + 8)?.try_into().ok()?,
            ))
        };
        Some(Self {
            line: number(0)?,
            offset: number(8)?,
            at: number(16)?.cast_signed(),
        })
    }

    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.line.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..].copy_from_slice(&self.at.to_le_bytes());
        bytes
    }
}

/// All entries of an index file, up to the first that cannot be right. `length` is the log's.
pub(super) fn read(path: &Path, length: u64) -> io::Result<Vec<Entry>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries: Vec<Entry> = Vec::with_capacity(bytes.len() / ENTRY);
    for entry in bytes.chunks_exact(ENTRY).map_while(Entry::from_bytes) {
        let follows = entries.last().is_none_or(|last| {
            entry.offset > last.offset && entry.line > last.line && entry.at >= last.at
        });
        if !follows || entry.offset >= length {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The index of a log that grows.
#[derive(Debug, Clone)]
pub(super) struct LineIndex {
    path: PathBuf,
    entries: u64,
    last: Option<Entry>,
    /// The line that the next byte belongs to, and where it begins.
    line: u64,
    line_start: u64,
    /// Where the next byte goes.
    end: u64,
}

impl LineIndex {
    /// The index of a log as it was left. It still has to see what the log has after
    /// [`LineIndex::end`].
    pub fn open(path: PathBuf, length: u64) -> io::Result<Self> {
        let entries = read(&path, length)?;
        let last = entries.last().copied();
        let from = last.map_or(0, |last| last.offset);
        Ok(Self {
            path,
            entries: entries.len() as u64,
            last,
            line: last.map_or(0, |last| last.line),
            line_start: from,
            end: from,
        })
    }

    /// The byte up to which lines are counted.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Passes over bytes that are not kept any more; how many lines they had is not known.
    pub fn skip_to(&mut self, offset: u64) {
        if offset > self.end {
            (self.end, self.line_start) = (offset, offset);
        }
    }

    /// Counts the lines of the bytes that come next, which were received at that time, and writes
    /// the entries that are due.
    ///
    /// An entry that cannot be written is left out: the one before it serves as well, only with
    /// more to read, and the log itself must go on.
    pub fn note(&mut self, part: &[u8], at: i64) {
        let at = self.last.map_or(at, |last| at.max(last.at));
        let mut new = Vec::new();
        let start = self.end;
        if self.line_start == start && !part.is_empty() {
            self.mark(at, &mut new);
        }
        for (position, _) in (1..).zip(part).filter(|(_, byte)| **byte == b'\n') {
            self.line += 1;
            self.line_start = start + position;
            // A line that begins after the part's end is received later.
            if self.line_start < start + part.len() as u64 {
                self.mark(at, &mut new);
            }
        }
        self.end = start + part.len() as u64;
        if new.is_empty() {
            return;
        }
        match self.write(&new) {
            Ok(()) => self.entries += (new.len() / ENTRY) as u64,
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "an index entry is left out")
            }
        }
    }

    /// Makes an entry for the current line, if one is due.
    fn mark(&mut self, at: i64, new: &mut Vec<u8>) {
        let due = self.last.is_none_or(|last| {
            self.line_start - last.offset >= DISTANCE
                || (at - last.at >= INTERVAL && self.line_start > last.offset)
        });
        if due {
            let entry = Entry {
                line: self.line,
                offset: self.line_start,
                at,
            };
            new.extend_from_slice(&entry.to_bytes());
            self.last = Some(entry);
        }
    }

    fn write(&self, new: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)?;
        file.write_all_at(new, self.entries * ENTRY as u64)
    }

    /// Makes the entries durable.
    pub fn sync(&self) -> io::Result<()> {
        if self.entries == 0 {
            return Ok(());
        }
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn an_entry_every_second_and_every_64_kib() {
        let folder = folder();
        let path = folder.path().join("index");
        let mut index = LineIndex::open(path.clone(), 0).unwrap();
        index.note(b"one\ntw", 10);
        index.note(b"o\nthree\n", 20);
        index.note(b"four\n", 10 + INTERVAL);
        let long = "x".repeat(1023) + "\n";
        index.note(long.repeat(65).as_bytes(), 11 + INTERVAL);
        let entries = read(&path, u64::MAX).unwrap();
        let expected = [
            Entry {
                line: 0,
                offset: 0,
                at: 10,
            },
            Entry {
                line: 3,
                offset: 14,
                at: 10 + INTERVAL,
            },
            Entry {
                line: 68,
                offset: 19 + 64 * 1024,
                at: 11 + INTERVAL,
            },
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn what_is_torn_is_not_believed_and_made_again() {
        let folder = folder();
        let path = folder.path().join("index");
        let mut index = LineIndex::open(path.clone(), 0).unwrap();
        for second in 0..4 {
            index.note(b"a line\n", second * INTERVAL);
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 4 * ENTRY);
        // Cut in the middle of an entry.
        std::fs::write(&path, &whole[..3 * ENTRY - 5]).unwrap();
        let mut index = LineIndex::open(path.clone(), 28).unwrap();
        assert_eq!((index.end(), index.line), (7, 1));
        index.note(b"a line\na line\na line\n", 9 * INTERVAL);
        let offsets: Vec<u64> = read(&path, 28)
            .unwrap()
            .iter()
            .map(|entry| entry.offset)
            .collect();
        assert_eq!(offsets, [0, 7, 14]);
        // Entries of bytes that the log does not have.
        assert_eq!(read(&path, 14).unwrap().len(), 2);
        // Rubbish.
        std::fs::write(&path, [0xff; 3 * ENTRY]).unwrap();
        assert_eq!(read(&path, 28).unwrap(), []);
    }
}
