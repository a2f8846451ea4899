//! Where packages lie: `packages/<first two digits>/<sha256>` in the data folder, and `incoming`
//! for what is not whole yet.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use buildbtw_repo::{PackageFile, Sha256Digest};

use super::receive::{self, ReceiveError};

/// The packages of all namespaces, by digest. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Artifacts(Arc<Folders>);

#[derive(Debug)]
pub(super) struct Folders {
    packages: PathBuf,
    /// Where uploads are written first.
    pub incoming: PathBuf,
    /// Bytes that a package may have.
    pub upload_limit: u64,
}

impl Artifacts {
    /// Opens the packages in a data folder. Removes what was in mid-upload when the server was
    /// killed: it was never confirmed to anybody.
    ///
    /// # Errors
    ///
    /// When a folder cannot be made or read.
    pub fn open(data_dir: &Path, upload_limit: u64) -> io::Result<Self> {
        let folders = Folders {
            packages: data_dir.join("packages"),
            incoming: data_dir.join("incoming"),
            upload_limit,
        };
        std::fs::create_dir_all(&folders.packages)?;
        std::fs::create_dir_all(&folders.incoming)?;
        for entry in std::fs::read_dir(&folders.incoming)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self(Arc::new(folders)))
    }

    /// Receives a package. When this hands it back it is whole, checked and durable; if it fails,
    /// nothing is left of it. Receiving the same again does no harm.
    ///
    /// `expected_sha256` is its digest in hexadecimal, as its sender has it.
    ///
    /// # Errors
    ///
    /// When the name is not that of a package, the bytes are too many, other than announced, or no
    /// package of that name; and when they cannot be stored.
    pub async fn receive(
        &self,
        file_name: &str,
        expected_sha256: &str,
        body: Body,
    ) -> Result<PackageFile, ReceiveError> {
        receive::receive(&self.0, file_name, expected_sha256, body).await
    }

    /// Opens a package to be read.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub async fn open_package(&self, sha256: &Sha256Digest) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.0.path(sha256)).await
    }
}

impl Folders {
    fn path(&self, sha256: &Sha256Digest) -> PathBuf {
        let name = sha256.to_string();
        self.packages.join(&name[..2]).join(name)
    }

    /// Makes a whole and checked upload durable under its digest.
    pub fn keep(&self, upload: tempfile::NamedTempFile, sha256: &Sha256Digest) -> io::Result<()> {
        upload.as_file().sync_all()?;
        let path = self.path(sha256);
        let folder = path.parent().unwrap_or(&self.packages);
        match std::fs::create_dir(folder) {
            Ok(()) => File::open(&self.packages)?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        // Over an equal one, if there is one: that heals a file that was damaged on the disk.
        upload.persist(&path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}
