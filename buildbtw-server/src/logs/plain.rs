//! A log that grows: its head in one file, and beyond the limit its tail in a few that are used in
//! turn.
//!
//! Offsets are those of the whole log as it was sent, also for the tail, so that nobody has to
//! recount when the middle is left out. Files are opened for each access: a log that nobody works
//! on costs no file handle. What is in the files is what was received, whenever the server is
//! killed; nothing is kept in memory that could not be read again from them.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use buildbtw_api::RunId;

use super::Piece;
use super::index::LineIndex;

/// In how many files the tail is kept. The oldest makes room when a new one begins.
const SLOTS: usize = 4;

/// A file of the tail begins with the offset of its first byte, in eight bytes, little-endian.
const SEGMENT_HEADER: u64 = 8;

/// Bytes that are read at once to count lines.
const SCAN: usize = 256 << 10;

/// The files of one log.
#[derive(Debug, Clone)]
pub(super) struct LogFiles {
    /// The folder of the logs.
    pub folder: PathBuf,
    /// Whose log it is.
    pub run: RunId,
}

impl LogFiles {
    /// The log while it grows, or its head.
    pub fn head(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.run))
    }

    fn slot(&self, slot: usize) -> PathBuf {
        self.folder.join(format!("{}.tail-{slot}", self.run))
    }

    /// The line index.
    pub fn index(&self) -> PathBuf {
        self.folder.join(format!("{}.index", self.run))
    }

    /// Says that the log gets no more.
    pub fn closed(&self) -> PathBuf {
        self.folder.join(format!("{}.closed", self.run))
    }

    /// The log once it is closed and compressed.
    pub fn packed(&self) -> PathBuf {
        self.folder.join(format!("{}.zst", self.run))
    }

    /// The same while it is written.
    pub fn part(&self) -> PathBuf {
        self.folder.join(format!("{}.part", self.run))
    }

    /// Removes what is of no use once the log is compressed.
    pub fn remove_plain(&self) -> io::Result<()> {
        // The mark goes last: while it is there, the rest is known to be superfluous.
        let slots = (0..SLOTS).map(|slot| self.slot(slot));
        for path in slots.chain([self.head(), self.closed()]) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A part of the tail.
#[derive(Debug, Clone, Copy)]
struct Segment {
    slot: usize,
    start: u64,
    len: u64,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// A log that grows.
#[derive(Debug, Clone)]
pub(super) struct PlainLog {
    pub files: LogFiles,
    limit: u64,
    head: u64,
    tail: VecDeque<Segment>,
    index: LineIndex,
    /// Whether it gets no more.
    pub closed: bool,
}

impl PlainLog {
    /// The log as it lies on the disk; an empty one if there is none.
    ///
    /// `limit` is how many bytes are kept of a log: the first half of it and the last.
    pub fn load(files: LogFiles, limit: u64) -> io::Result<Self> {
        let head = match std::fs::metadata(files.head()) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let tail = read_tail(&files, head)?;
        let length = tail.back().map_or(head, Segment::end);
        let closed = files.closed().try_exists()?;
        let index = LineIndex::open(files.index(), length)?;
        let mut log = Self {
            files,
            limit,
            head,
            tail,
            index,
            closed,
        };
        log.complete_index()?;
        Ok(log)
    }

    /// Bytes of the whole log, those left out included.
    pub fn length(&self) -> u64 {
        self.tail.back().map_or(self.head, Segment::end)
    }

    /// Counts the lines that a crash kept out of the index. When they came is no longer known;
    /// the file's time is the nearest there is.
    fn complete_index(&mut self) -> io::Result<()> {
        if self.index.end() >= self.length() {
            return Ok(());
        }
        let modified =
            std::fs::metadata(self.files.head()).and_then(|metadata| metadata.modified())?;
        let at = jiff::Timestamp::try_from(modified).map_or(0, jiff::Timestamp::as_microsecond);
        while let Some(piece) = self.read(self.index.end(), SCAN)? {
            self.index.skip_to(piece.start);
            self.index.note(&piece.bytes, at);
        }
        Ok(())
    }

    /// Adds bytes to the end, received at that time (microseconds since 1970).
    ///
    /// # Errors
    ///
    /// When they cannot be written, say because the disk is full. Some of them may have been: the
    /// length says how many.
    pub fn append(&mut self, part: &[u8], at: i64) -> io::Result<()> {
        let mut rest = part;
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(written) => {
                    self.index.note(&rest[..written], at);
                    rest = &rest[written..];
                }
                Err(error) => {
                    // What is in the files decides, not what was meant to be.
                    *self = Self::load(self.files.clone(), self.limit)?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes as much as fits into the current file.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let head_room = (self.limit / 2).saturating_sub(self.head);
        if self.tail.is_empty() && head_room > 0 {
            let count = fitting(bytes, head_room);
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.files.head())?;
            file.write_all_at(&bytes[..count], self.head)?;
            self.head += count as u64;
            return Ok(count);
        }
        let size = (self.limit / 2 / SLOTS as u64).max(1);
        if self.tail.back().is_none_or(|last| last.len >= size) {
            self.begin_segment()?;
        }
        let last = self.tail.back_mut().expect("a segment was begun just now");
        let count = fitting(bytes, size - last.len);
        let file = OpenOptions::new()
            .write(true)
            .open(self.files.slot(last.slot))?;
        file.write_all_at(&bytes[..count], SEGMENT_HEADER + last.len)?;
        last.len += count as u64;
        Ok(count)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let start = self.length();
        let free = (0..SLOTS).find(|slot| self.tail.iter().all(|segment| segment.slot != *slot));
        let slot = match free {
            Some(slot) => slot,
            None => self.tail.pop_front().map_or(0, |oldest| oldest.slot),
        };
        let file = File::create(self.files.slot(slot))?;
        file.write_all_at(&start.to_le_bytes(), 0)?;
        self.tail.push_back(Segment {
            slot,
            start,
            len: 0,
        });
        Ok(())
    }

    /// At most `max` bytes from an offset on, or from the first after it that was kept. `None` at
    /// the end.
    pub fn read(&self, offset: u64, max: usize) -> io::Result<Option<Piece>> {
        if offset < self.head {
            let count = max.min(usize::try_from(self.head - offset).unwrap_or(max));
            let mut bytes = vec![0; count];
            File::open(self.files.head())?.read_exact_at(&mut bytes, offset)?;
            return Ok(Some(Piece {
                start: offset,
                bytes,
            }));
        }
        let Some(segment) = self.tail.iter().find(|segment| offset < segment.end()) else {
            return Ok(None);
        };
        let start = offset.max(segment.start);
        let count = max.min(usize::try_from(segment.end() - start).unwrap_or(max));
        let mut bytes = vec![0; count];
        File::open(self.files.slot(segment.slot))?
            .read_exact_at(&mut bytes, SEGMENT_HEADER + (start - segment.start))?;
        Ok(Some(Piece { start, bytes }))
    }

    /// Marks the log as closed, also for the time after a crash.
    pub fn close(&mut self) -> io::Result<()> {
        if !self.closed {
            File::create(self.files.closed())?;
            self.closed = true;
        }
        Ok(())
    }

    /// Makes everything durable.
    pub fn sync(&self) -> io::Result<()> {
        if self.head > 0 {
            File::open(self.files.head())?.sync_all()?;
        }
        for segment in &self.tail {
            File::open(self.files.slot(segment.slot))?.sync_all()?;
        }
        self.index.sync()?;
        File::open(&self.files.folder)?.sync_all()
    }
}

fn fitting(bytes: &[u8], room: u64) -> usize {
    bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// The segments that are on the disk: of those that follow each other without a gap, the newest.
fn read_tail(files: &LogFiles, head: u64) -> io::Result<VecDeque<Segment>> {
    let mut found = Vec::new();
    for slot in 0..SLOTS {
        let file = match File::open(files.slot(slot)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let Some(len) = file.metadata()?.len().checked_sub(SEGMENT_HEADER) else {
            continue;
        };
        let mut start = [0; 8];
        file.read_exact_at(&mut start, 0)?;
        found.push(Segment {
            slot,
            start: u64::from_le_bytes(start),
            len,
        });
    }
    found.sort_by_key(|segment| segment.start);
    let mut tail: VecDeque<Segment> = VecDeque::new();
    for segment in found {
        if segment.start < head || segment.start.checked_add(segment.len).is_none() {
            continue;
        }
        if tail.back().is_some_and(|last| last.end() != segment.start) {
            tail.clear();
        }
        tail.push_back(segment);
    }
    Ok(tail)
}
