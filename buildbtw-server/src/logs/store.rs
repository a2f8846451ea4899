//! Which logs there are, and what may be done with each.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildbtw_api::RunId;
use jiff::Timestamp;
use tokio::sync::watch;

use super::packed::PackedLog;
use super::plain::{LogFiles, PlainLog};
use super::{LogError, Piece, Progress, index, packer};

/// Bytes that are read at once to find a line.
const SCAN: usize = 64 << 10;

/// The folder of the logs.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    limit: u64,
    /// Logs that are open, or closed and not compressed yet.
    open: Mutex<HashMap<RunId, Arc<Entry>>>,
    closed: Sender<RunId>,
}

impl Store {
    pub fn open(folder: PathBuf, limit: u64) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(&folder)?;
        let (sender, receiver) = mpsc::channel();
        let store = Arc::new(Self {
            folder,
            limit,
            open: Mutex::default(),
            closed: sender,
        });
        store.take_up_again()?;
        packer::start(Arc::downgrade(&store), receiver)?;
        Ok(store)
    }

    /// Removes what a crash left half, and has compressed what was closed before it.
    fn take_up_again(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            match extension {
                Some("part") => std::fs::remove_file(&path)?,
                Some("closed") => {
                    if let Some(run) = run_of(&path) {
                        self.pack_soon(run);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn files(&self, run: RunId) -> LogFiles {
        LogFiles {
            folder: self.folder.clone(),
            run,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run's log.
    pub fn entry(&self, run: RunId) -> io::Result<Arc<Entry>> {
        let mut open = self.lock();
        if let Some(entry) = open.get(&run) {
            return Ok(Arc::clone(entry));
        }
        let files = self.files(run);
        if let Some(packed) = PackedLog::open(files.packed())? {
            return Ok(Arc::new(Entry::new(files, Shape::Packed(packed))));
        }
        let log = PlainLog::load(files.clone(), self.limit)?;
        let entry = Arc::new(Entry::new(files, Shape::Plain(log)));
        open.insert(run, Arc::clone(&entry));
        Ok(entry)
    }

    /// The runs whose logs are not closed.
    pub fn left_open(&self) -> io::Result<Vec<RunId>> {
        let mut runs = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                runs.extend(run_of(&path).filter(|run| !self.files(*run).closed().exists()));
            }
        }
        Ok(runs)
    }

    /// Has a closed log compressed.
    pub fn pack_soon(&self, run: RunId) {
        // Without a thread that listens the log stays as it is until the next start.
        let _ = self.closed.send(run);
    }

    /// Compresses a closed log.
    pub fn pack(&self, run: RunId) -> io::Result<()> {
        let files = self.files(run);
        if files.packed().try_exists()? {
            // A crash came between: all that is left to do is to remove the rest.
            files.remove_plain()?;
            return Ok(());
        }
        let entry = self.entry(run)?;
        let plain = match &*entry.lock() {
            Shape::Plain(log) if log.closed => log.clone(),
            _ => return Ok(()),
        };
        // Nothing changes a closed log; readers go on meanwhile.
        let packed = PackedLog::write(&plain)?;
        *entry.lock() = Shape::Packed(packed);
        // Whoever asks from here on finds nothing but the packed files.
        files.remove_plain()?;
        self.lock().remove(&run);
        entry
            .progress
            .send_modify(|progress| progress.packed = true);
        Ok(())
    }
}

fn run_of(path: &std::path::Path) -> Option<RunId> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// A log as it lies on the disk.
#[derive(Debug)]
enum Shape {
    Plain(PlainLog),
    Packed(PackedLog),
}

/// A log.
#[derive(Debug)]
pub(super) struct Entry {
    files: LogFiles,
    shape: Mutex<Shape>,
    /// How far it has come.
    pub progress: watch::Sender<Progress>,
}

impl Entry {
    fn new(files: LogFiles, shape: Shape) -> Self {
        let progress = match &shape {
            Shape::Plain(log) => Progress {
                length: log.length(),
                closed: log.closed,
                packed: false,
            },
            Shape::Packed(log) => Progress {
                length: log.length(),
                closed: true,
                packed: true,
            },
        };
        Self {
            files,
            shape: Mutex::new(shape),
            progress: watch::Sender::new(progress),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shape> {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells followers how far an open log has come.
    fn tell(&self, log: &PlainLog) {
        let (length, closed) = (log.length(), log.closed);
        self.progress.send_if_modified(|progress| {
            let news = (progress.length, progress.closed) != (length, closed);
            (progress.length, progress.closed) = (length, closed);
            news
        });
    }

    pub fn append(&self, offset: u64, part: &[u8]) -> Result<u64, LogError> {
        let mut shape = self.lock();
        let Shape::Plain(log) = &mut *shape else {
            return Err(LogError::Closed);
        };
        if log.closed {
            return Err(LogError::Closed);
        }
        let length = log.length();
        let Some(known) = length.checked_sub(offset) else {
            return Err(LogError::Gap { length });
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let result = match part.get(known..) {
            Some(new) => log.append(new, crate::clock::now().as_microsecond()),
            None => Ok(()),
        };
        self.tell(log);
        result?;
        Ok(log.length())
    }

    pub fn note(&self, text: &str) -> Result<(), LogError> {
        let mut shape = self.lock();
        let Shape::Plain(log) = &mut *shape else {
            return Err(LogError::Closed);
        };
        if log.closed {
            return Err(LogError::Closed);
        }
        // Closed first: a part that came in between would be taken for the note's bytes.
        log.close()?;
        let last = log
            .length()
            .checked_sub(1)
            .map(|offset| log.read(offset, 1))
            .transpose()?
            .flatten();
        let new_line = if last.is_some_and(|piece| piece.bytes != b"\n") {
            "\n"
        } else {
            ""
        };
        let result = log.append(
            format!("{new_line}==> {text}\n").as_bytes(),
            crate::clock::now().as_microsecond(),
        );
        self.tell(log);
        Ok(result?)
    }

    pub fn close(&self) -> io::Result<()> {
        let mut shape = self.lock();
        let Shape::Plain(log) = &mut *shape else {
            return Ok(());
        };
        let marked = log.close();
        // Whatever the disk says, nobody is to wait for more.
        log.closed = true;
        self.tell(log);
        marked.and_then(|()| log.sync())
    }

    /// At most `max` bytes from an offset on, or from the first after it that was kept.
    pub fn piece(&self, offset: u64, max: usize) -> io::Result<Option<Piece>> {
        match &*self.lock() {
            Shape::Plain(log) => log.read(offset, max),
            Shape::Packed(log) => log.read(offset, max),
        }
    }

    fn index(&self) -> io::Result<Vec<index::Entry>> {
        index::read(&self.files.index(), self.progress.borrow().length)
    }

    pub fn line_start(&self, line: u64) -> io::Result<Option<u64>> {
        let entries = self.index()?;
        let Some(mut at) = entries[..entries.partition_point(|entry| entry.line <= line)]
            .last()
            .copied()
        else {
            return Ok(None);
        };
        while at.line < line {
            // Nothing is known of lines in a part that was left out.
            let Some(piece) = self
                .piece(at.offset, SCAN)?
                .filter(|piece| piece.start == at.offset)
            else {
                return Ok(None);
            };
            let missing = usize::try_from(line - at.line).unwrap_or(usize::MAX);
            let breaks = || {
                (1..)
                    .zip(&piece.bytes)
                    .filter(|(_, byte)| **byte == b'\n')
                    .map(|(position, _)| position)
            };
            if let Some(position) = breaks().nth(missing - 1) {
                let start: u64 = at.offset + position;
                return Ok((start < self.progress.borrow().length).then_some(start));
            }
            at.line += breaks().count() as u64;
            at.offset = piece.end();
        }
        let kept = self
            .piece(at.offset, 1)?
            .is_some_and(|piece| piece.start == at.offset);
        Ok(kept.then_some(at.offset))
    }

    /// The last line, counted from 0, that is known to begin at or before an offset, and where.
    pub fn known_line(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        let entries = self.index()?;
        let entry = entries[..entries.partition_point(|entry| entry.offset <= offset)].last();
        Ok(entry.map(|entry| (entry.line, entry.offset)))
    }

    pub fn received(&self, from: u64, to: u64) -> io::Result<Vec<(u64, Timestamp)>> {
        let entries = self.index()?;
        let first = entries.partition_point(|entry| entry.offset <= from);
        let last = entries.partition_point(|entry| entry.offset < to);
        let part = entries.get(first.saturating_sub(1)..last).unwrap_or(&[]);
        let at = |entry: &index::Entry| {
            Some((entry.offset, Timestamp::from_microsecond(entry.at).ok()?))
        };
        Ok(part.iter().filter_map(at).collect())
    }
}
