//! Reading a log to its end, or to the end of its run.

use std::io;
use std::sync::Arc;

use buildbtw_api::RunId;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use tokio::sync::watch;

use super::store::Entry;
use super::{Logs, Progress, blocking};

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A reader of one log.
struct Reader {
    entry: Arc<Entry>,
    progress: watch::Receiver<Progress>,
    next: u64,
}

pub(super) fn stream(
    logs: Logs,
    run: RunId,
    offset: u64,
    follow: bool,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    try_unfold(None::<Reader>, move |reader| {
        let logs = logs.clone();
        async move {
            let mut reader = match reader {
                Some(reader) => reader,
                None => {
                    let entry = logs.with(run, |entry| Ok(Arc::clone(entry))).await?;
                    Reader {
                        progress: entry.progress.subscribe(),
                        entry,
                        next: offset,
                    }
                }
            };
            loop {
                // Looked at before reading: what comes after that wakes the reader again.
                let progress = *reader.progress.borrow_and_update();
                let (entry, next) = (Arc::clone(&reader.entry), reader.next);
                let piece = blocking(move || entry.piece(next, CHUNK)).await?;
                if let Some(piece) = piece {
                    reader.next = piece.end();
                    return Ok(Some((Bytes::from(piece.shown(next)), Some(reader))));
                }
                let over = !follow || progress.closed || reader.progress.changed().await.is_err();
                if over {
                    return Ok(None);
                }
            }
        }
    })
}
