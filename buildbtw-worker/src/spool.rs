//! A run's log on this machine's disk: written by the build, read by the sender, kept until the
//! run is over, so that neither a lost server nor a gap loses a byte.

use std::io::SeekFrom;
use std::path::Path;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::watch;

/// The writing end. Dropping it closes the log.
#[derive(Debug)]
pub struct Spool {
    file: File,
    length: watch::Sender<u64>,
}

/// The reading end.
#[derive(Debug)]
pub struct SpoolReader {
    file: File,
    length: watch::Receiver<u64>,
}

/// Makes the log's file.
pub async fn create(path: &Path) -> std::io::Result<(Spool, SpoolReader)> {
    let file = File::options()
        .write(true)
        .create_new(true)
        .open(path)
        .await?;
    let (sender, receiver) = watch::channel(0);
    let reader = SpoolReader {
        file: File::open(path).await?,
        length: receiver,
    };
    let spool = Spool {
        file,
        length: sender,
    };
    Ok((spool, reader))
}

impl Spool {
    /// Adds a part at the end; when this returns, a reader can have it.
    pub async fn append(&mut self, part: &[u8]) -> std::io::Result<()> {
        self.file.write_all(part).await?;
        // Tokio's files write behind; what is not flushed cannot be read yet.
        self.file.flush().await?;
        self.length
            .send_modify(|length| *length += part.len() as u64);
        Ok(())
    }
}

impl SpoolReader {
    /// Bytes in the log now.
    pub fn length(&mut self) -> u64 {
        *self.length.borrow_and_update()
    }

    /// Waits until there is more than [`Self::length`] said last; `false` when there will never be.
    pub async fn grows(&mut self) -> bool {
        self.length.changed().await.is_ok()
    }

    /// A part of the log from a byte on, at most `most` bytes and no more than are there.
    pub async fn read(&mut self, from: u64, most: u64) -> std::io::Result<Bytes> {
        let there = self.length.borrow().saturating_sub(from).min(most);
        let mut part = Vec::new();
        self.file.seek(SeekFrom::Start(from)).await?;
        (&mut self.file).take(there).read_to_end(&mut part).await?;
        Ok(part.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_appended_can_be_read_again_from_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, mut reader) = create(&folder.path().join("log")).await.unwrap();
        assert_eq!(reader.length(), 0);
        spool.append(b"one two ").await.unwrap();
        spool.append(b"three").await.unwrap();
        assert!(reader.grows().await);
        assert_eq!(reader.length(), 13);
        assert_eq!(reader.read(4, 100).await.unwrap(), &b"two three"[..]);
        assert_eq!(reader.read(0, 3).await.unwrap(), &b"one"[..]);
        assert_eq!(reader.read(13, 5).await.unwrap(), &b""[..]);
        assert_eq!(reader.read(99, 5).await.unwrap(), &b""[..]);
        drop(spool);
        assert!(!reader.grows().await);
    }
}
