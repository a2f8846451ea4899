//! Receiving a package: written, digested, unpacked and checked in one pass while it comes in.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use buildbtw_api::ProblemType;
use buildbtw_repo::{
    FileNameError, PackageError, PackageFile, PackageFileName, ReadLimits, Sha256Digest,
    read_package_from,
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::store::Folders;
use crate::problems::HttpProblem;

/// How long an upload may pause. A worker that is cut off sends again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are still read of an upload that is refused anyway: one that sends and does not
/// listen would otherwise see a broken connection instead of the answer.
const COURTESY: u64 = 64 << 20;

/// Pieces on their way from the network to the disk.
const QUEUE: usize = 16;

/// Why a package was not received. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The file name is none of a package.
    #[error(transparent)]
    FileName(#[from] FileNameError),
    /// What should be a digest is none.
    #[error("the announced digest {0:?} is no SHA-256 in hexadecimal")]
    Digest(String),
    /// More bytes than a package may have.
    #[error("the package is larger than {limit} bytes, the limit of this server{}", length.map(|length| format!(": it has {length}")).unwrap_or_default())]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
        /// The bytes it would have, if that was announced.
        length: Option<u64>,
    },
    /// The connection ended, or stood still, in mid-upload.
    #[error("the upload broke off: {0}")]
    BrokenOff(String),
    /// The bytes are not those that were announced.
    #[error(
        "the package has digest {found}, not {expected} as announced: it was changed on its way"
    )]
    DigestMismatch {
        /// As announced.
        expected: Sha256Digest,
        /// As received.
        found: Sha256Digest,
    },
    /// The bytes are no package of that name.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// They cannot be stored.
    #[error("the package cannot be stored: {0}")]
    Io(#[from] io::Error),
}

impl From<ReceiveError> for HttpProblem {
    fn from(error: ReceiveError) -> Self {
        let detail = error.to_string();
        match error {
            ReceiveError::FileName(_) => Self::new(ProblemType::InvalidName, detail),
            ReceiveError::Digest(_) => Self::new(ProblemType::BadRequest, detail),
            ReceiveError::TooLarge { .. } => Self::new(ProblemType::TooLarge, detail)
                .hint("UPLOAD_LIMIT in the server's settings raises it"),
            ReceiveError::BrokenOff(_) | ReceiveError::DigestMismatch { .. } => {
                Self::new(ProblemType::BadRequest, detail).hint("send the package again")
            }
            ReceiveError::Package(_) => Self::new(ProblemType::UnexpectedPackage, detail),
            ReceiveError::Io(error) => error.into(),
        }
    }
}

/// What comes from the network.
enum Piece {
    Bytes(Bytes),
    /// The body was read to its end. Without this it broke off.
    End,
}

pub(super) async fn receive(
    folders: &Arc<Folders>,
    file_name: &str,
    expected_sha256: &str,
    body: Body,
) -> Result<PackageFile, ReceiveError> {
    let name: PackageFileName = file_name.parse()?;
    let expected: Sha256Digest = expected_sha256
        .parse()
        .map_err(|_| ReceiveError::Digest(expected_sha256.chars().take(100).collect()))?;
    let limit = folders.upload_limit;
    let announced = body.size_hint().lower();
    let mut upload = Upload {
        body: body.into_data_stream(),
        received: 0,
    };
    if announced > limit {
        upload.pass_over().await;
        return Err(ReceiveError::TooLarge {
            limit,
            length: Some(announced),
        });
    }
    let (sender, receiver) = mpsc::channel(QUEUE);
    let folders = Arc::clone(folders);
    let storing = tokio::task::spawn_blocking(move || store(&folders, &name, expected, receiver));
    let sent = upload.send(&sender, limit).await;
    drop(sender);
    let stored = storing
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into()));
    match (sent, stored) {
        // Whatever the reader says of a piece of a package: the reason is that there is no more.
        (Err(error), _) => {
            upload.pass_over().await;
            Err(error)
        }
        (Ok(()), Err(error)) => {
            upload.pass_over().await;
            Err(error)
        }
        (Ok(()), Ok(package)) => Ok(package),
    }
}

struct Upload {
    body: axum::body::BodyDataStream,
    received: u64,
}

impl Upload {
    /// The next bytes, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ReceiveError> {
        let next = tokio::time::timeout(PATIENCE, self.body.next()).await;
        let bytes = next
            .map_err(|_| {
                ReceiveError::BrokenOff(format!("nothing came for {} seconds", PATIENCE.as_secs()))
            })?
            .transpose()
            .map_err(|error| ReceiveError::BrokenOff(error.to_string()))?;
        self.received += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(bytes)
    }

    /// Hands on all bytes, until the end or until nobody wants them any more.
    async fn send(&mut self, to: &mpsc::Sender<Piece>, limit: u64) -> Result<(), ReceiveError> {
        while let Some(bytes) = self.next().await? {
            if self.received > limit {
                return Err(ReceiveError::TooLarge {
                    limit,
                    length: None,
                });
            }
            if to.send(Piece::Bytes(bytes)).await.is_err() {
                return Ok(());
            }
        }
        // If nobody listens any more, there is a reason, which is handed back.
        let _ = to.send(Piece::End).await;
        Ok(())
    }

    /// Reads on for a while without looking.
    async fn pass_over(&mut self) {
        let end = self.received.saturating_add(COURTESY);
        while self.received < end {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// Writes what comes in to a file, reads it as a package on the way, and keeps it. On any error the
/// file is removed.
fn store(
    folders: &Folders,
    name: &PackageFileName,
    expected: Sha256Digest,
    pieces: mpsc::Receiver<Piece>,
) -> Result<PackageFile, ReceiveError> {
    let upload = tempfile::NamedTempFile::new_in(&folders.incoming)?;
    let mut incoming = Incoming {
        pieces,
        current: Bytes::new(),
        ended: false,
        file: upload,
        failed: None,
    };
    let read = read_package_from(&mut incoming, name, &ReadLimits::PACKAGE);
    let found = match &read {
        Ok(package) => Some(package.sha256),
        // What cannot be read may just have been changed on its way, and the package be sound.
        Err(_) => incoming.digest_of_all().ok(),
    };
    if let Some(error) = incoming.failed {
        return Err(error.into());
    }
    if let Some(found) = found.filter(|found| *found != expected) {
        return Err(ReceiveError::DigestMismatch { expected, found });
    }
    let package = read?;
    folders.keep(incoming.file, &package.sha256)?;
    Ok(package)
}

/// The bytes of an upload, for a reader; each is written to the file before it is handed on.
struct Incoming {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
    file: tempfile::NamedTempFile,
    /// The file could not be written. A reader only says that reading failed.
    failed: Option<io::Error>,
}

impl Incoming {
    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.current).map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            kind.into()
        })
    }

    /// Takes what is still to come, and gives the digest of everything.
    fn digest_of_all(&mut self) -> io::Result<Sha256Digest> {
        io::copy(self, &mut io::sink())?;
        let mut digest = Sha256::new();
        let mut file = self.file.reopen()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Sha256Digest::from_bytes(digest.finalize().into())),
                count => digest.update(&buffer[..count]),
            }
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(bytes)) => {
                    self.current = bytes;
                    self.write()?;
                }
                Some(Piece::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}
