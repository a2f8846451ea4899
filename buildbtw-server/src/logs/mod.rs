//! Logs of runs: one append-only file each, with a line index beside it; compressed once closed.
//!
//! A log is addressed by the offsets of the whole log as its worker sent it. Of a log above the
//! limit the head and the tail are kept; whoever reads across the gap finds a line there that says
//! how much was left out. Since that line has no offsets of its own, a reader of such a log who was
//! cut off behind the gap may get some of it twice, but misses nothing.

mod index;
mod packed;
mod packer;
mod plain;
mod store;
mod stream;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use buildbtw_api::RunId;
use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use tokio::sync::watch;

use store::{Entry, Store};

/// The most bytes that [`Logs::read`] hands back.
pub const READ_MAX: u64 = 16 << 20;

/// The longest text of [`Logs::note`], in characters.
const NOTE_MAX: usize = 4_000;

/// Why a part of a log was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Something before it is missing.
    #[error(
        "the log has {length} bytes, and the part begins after them; send it again from byte {length}"
    )]
    Gap {
        /// Bytes that are there.
        length: u64,
    },
    /// The log gets no more.
    #[error("the log is closed: its run is over")]
    Closed,
    /// The disk.
    #[error("the log cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Its bytes, those left out included.
    pub length: u64,
    /// It gets no more.
    pub closed: bool,
    /// It is compressed.
    pub packed: bool,
}

/// Some bytes of a log, and where they begin.
#[derive(Debug)]
struct Piece {
    start: u64,
    bytes: Vec<u8>,
}

impl Piece {
    /// The offset after it.
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// What someone gets to see who reads from `offset` on.
    fn shown(self, offset: u64) -> Vec<u8> {
        if self.start <= offset {
            return self.bytes;
        }
        let left_out = self.start - offset;
        let mut shown =
            format!("\n[{left_out} bytes were left out here: the log is longer than its limit]\n")
                .into_bytes();
        shown.extend_from_slice(&self.bytes);
        shown
    }
}

/// The logs of all runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Store>);

impl Logs {
    /// Opens the logs in a data folder. Of each log `limit` bytes are kept: the first half of it
    /// and the last.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or read.
    pub fn open(data_dir: &Path, limit: u64) -> io::Result<Self> {
        Store::open(data_dir.join("logs"), limit).map(Self)
    }

    /// Adds a part that begins at an offset, and hands back the log's length. What is there
    /// already is passed over, so that a part may be sent again.
    ///
    /// # Errors
    ///
    /// When something before the part is missing, the log is closed, or the disk is full. Nothing
    /// that was taken before is lost.
    pub async fn append(&self, run: RunId, offset: u64, part: Bytes) -> Result<u64, LogError> {
        self.with(run, move |entry| Ok(entry.append(offset, &part)))
            .await?
    }

    /// Adds a line of the server's own and ends the log with it: parts that come later are
    /// refused, as their offsets would not fit any more.
    ///
    /// # Errors
    ///
    /// When the log is closed already, or the disk is full.
    pub async fn note(&self, run: RunId, text: &str) -> Result<(), LogError> {
        let text: String = text
            .chars()
            .take(NOTE_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.with(run, move |entry| Ok(entry.note(&text))).await?
    }

    /// Closes a log: it is durable when this is done, followers come to its end, and it is
    /// compressed in the background. Closing again does nothing.
    pub async fn close(&self, run: RunId) {
        let store = Arc::clone(&self.0);
        let closed = self
            .with(run, move |entry| {
                entry.close().map(|()| store.pack_soon(run))
            })
            .await;
        if let Err(error) = closed {
            tracing::warn!(%run, %error, "a log is not closed properly");
        }
    }

    /// Closes every log that is open but for those of these runs: after a crash, logs of runs that
    /// are over may have been left so.
    ///
    /// # Errors
    ///
    /// When the folder of the logs cannot be read.
    pub async fn close_all_but(&self, open: &HashSet<RunId>) -> io::Result<()> {
        let store = Arc::clone(&self.0);
        let left = blocking(move || store.left_open()).await?;
        for run in left {
            if !open.contains(&run) {
                self.close(run).await;
            }
        }
        Ok(())
    }

    /// At most `max` bytes (and never more than [`READ_MAX`]) from an offset on.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub async fn read(&self, run: RunId, offset: u64, max: u64) -> io::Result<Bytes> {
        let max = usize::try_from(max.min(READ_MAX)).unwrap_or(usize::MAX);
        self.with(run, move |entry| {
            let (mut bytes, mut next) = (Vec::new(), offset);
            while bytes.len() < max {
                let Some(piece) = entry.piece(next, max - bytes.len())? else {
                    break;
                };
                let end = piece.end();
                bytes.extend_from_slice(&piece.shown(next));
                next = end;
            }
            bytes.truncate(max);
            Ok(bytes.into())
        })
        .await
    }

    /// Bytes of a log, those left out included; 0 if there is none.
    pub async fn length(&self, run: RunId) -> u64 {
        match self
            .with(run, |entry| Ok(entry.progress.borrow().length))
            .await
        {
            Ok(length) => length,
            Err(error) => {
                tracing::warn!(%run, %error, "a log cannot be read");
                0
            }
        }
    }

    /// How far a log has come, for those who wait for more.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub async fn changed(&self, run: RunId) -> io::Result<watch::Receiver<Progress>> {
        self.with(run, |entry| Ok(entry.progress.subscribe())).await
    }

    /// A log from an offset on. With `follow` the stream goes on as the log grows, and ends when it
    /// is closed.
    pub fn stream(
        &self,
        run: RunId,
        offset: u64,
        follow: bool,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream::stream(self.clone(), run, offset, follow)
    }

    /// Where a line, counted from 0, begins; `None` if there is no such line or it was left out.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub async fn line_start(&self, run: RunId, line: u64) -> io::Result<Option<u64>> {
        self.with(run, move |entry| entry.line_start(line)).await
    }

    /// The last line, counted from 0, that is known to begin at or before an offset, and where it
    /// begins: a place from which lines can be counted without reading all that is before.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub async fn known_line(&self, run: RunId, offset: u64) -> io::Result<Option<(u64, u64)>> {
        self.with(run, move |entry| entry.known_line(offset)).await
    }

    /// When the bytes from one offset up to another were received, to the second: each time with
    /// the first byte from which on it holds, in order. The first of them may lie before `from`.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub async fn received(
        &self,
        run: RunId,
        from: u64,
        to: u64,
    ) -> io::Result<Vec<(u64, Timestamp)>> {
        self.with(run, move |entry| entry.received(from, to)).await
    }

    /// Works on a log, on a thread that may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        run: RunId,
        work: impl FnOnce(&Arc<Entry>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let store = Arc::clone(&self.0);
        blocking(move || work(&store.entry(run)?)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
