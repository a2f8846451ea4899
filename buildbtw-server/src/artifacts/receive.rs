//! Taking packages in: every byte is counted and hashed on its way to the disk, and what is not a
//! package of that name and digest never gets a place among the others.

use std::io;
use std::path::PathBuf;

use axum::body::Body;
use buildbtw_api::ProblemType;
use buildbtw_repo::{PackageError, PackageFile, PackageFileName, ReadLimits, Sha256Digest, read_package_from};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::Artifacts;
use crate::problems::HttpProblem;

/// Why a package was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The file name is not that of a package.
    #[error("`{name}` is not the file name of a package: {reason}")]
    FileName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The digest is none.
    #[error("`{0}` is not a SHA-256 in hexadecimal")]
    Digest(String),
    /// There are more bytes than may be.
    #[error("a package has at most {limit} bytes here{}", .length.map_or_else(String::new, |length| format!(", and this one has {length}")))]
    TooLarge {
        /// The limit.
        limit: u64,
        /// How many there are, if that was said.
        length: Option<u64>,
    },
    /// The connection broke.
    #[error("the upload broke off: {0}")]
    BrokenOff(String),
    /// The bytes are not those that were announced.
    #[error("the bytes that arrived have SHA-256 {found}, not {announced}")]
    OtherBytes {
        /// The digest that was announced.
        announced: String,
        /// The digest of what came.
        found: String,
    },
    /// It is no package, or its metadata contradicts its name.
    #[error("{name} is not taken: {source}")]
    NotAPackage {
        /// The file name.
        name: String,
        /// What is wrong with it.
        source: PackageError,
    },
    /// The metadata contradicts the name.
    #[error("{name} is not taken: by its metadata it should be called {expected}")]
    OtherName {
        /// The file name.
        name: String,
        /// The name that follows from the metadata.
        expected: String,
    },
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ReceiveError> for HttpProblem {
    fn from(error: ReceiveError) -> Self {
        let detail = error.to_string();
        match error {
            ReceiveError::FileName { .. } | ReceiveError::Digest(_) => Self::new(ProblemType::InvalidName, detail),
            ReceiveError::TooLarge { .. } => {
                Self::new(ProblemType::TooLarge, detail).hint("UPLOAD_LIMIT of the server sets the limit")
            }
            ReceiveError::BrokenOff(_) | ReceiveError::OtherBytes { .. } => {
                Self::new(ProblemType::BadRequest, detail).hint("send it again")
            }
            ReceiveError::NotAPackage { .. } | ReceiveError::OtherName { .. } => {
                Self::new(ProblemType::UnexpectedPackage, detail)
            }
            ReceiveError::Io(error) => error.into(),
        }
    }
}

impl Artifacts {
    /// Takes a package in. When this returns, its bytes are durable; sending the same one again
    /// does no harm. Of what is refused nothing stays.
    ///
    /// # Errors
    ///
    /// When name, size, digest or content are not right, or the disk is full.
    pub async fn receive(&self, file_name: &str, announced: &str, body: Body) -> Result<PackageFile, ReceiveError> {
        let parsed: PackageFileName = file_name.parse().map_err(|error| ReceiveError::FileName {
            name: file_name.to_owned(),
            reason: format!("{error}"),
        })?;
        let digest: Sha256Digest = announced.parse().map_err(|_| ReceiveError::Digest(announced.to_owned()))?;
        // Removed again when it is dropped, whatever happens below.
        let temporary = tempfile::Builder::new().suffix(".part").tempfile_in(&self.incoming)?;
        let (file, path) = temporary.into_parts();
        self.write(file, body).await?;
        let (target, name) = (self.path(&digest), file_name.to_owned());
        let limit = ReadLimits::PACKAGE;
        tokio::task::spawn_blocking(move || settle(path, target, &name, &parsed, &digest, &limit))
            .await
            .map_err(|error| ReceiveError::Io(io::Error::other(error)))?
    }

    async fn write(&self, file: std::fs::File, body: Body) -> Result<(), ReceiveError> {
        let mut file = tokio::fs::File::from_std(file);
        let mut length = 0_u64;
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| ReceiveError::BrokenOff(error.to_string()))?;
            length += part.len() as u64;
            if length > self.upload_limit {
                return Err(ReceiveError::TooLarge { limit: self.upload_limit, length: None });
            }
            file.write_all(&part).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        Ok(())
    }
}

/// Checks an upload and gives it its place.
fn settle(
    path: tempfile::TempPath,
    target: PathBuf,
    name: &str,
    parsed: &PackageFileName,
    digest: &Sha256Digest,
    limits: &ReadLimits,
) -> Result<PackageFile, ReceiveError> {
    let package = match read_package_from(std::fs::File::open(&path)?, parsed, limits) {
        Ok(package) => package,
        Err(source) => return Err(ReceiveError::NotAPackage { name: name.to_owned(), source }),
    };
    if package.sha256 != *digest {
        return Err(ReceiveError::OtherBytes { announced: digest.to_string(), found: package.sha256.to_string() });
    }
    let info = &package.info;
    let fits = parsed.pkgname().as_ref() == info.pkgname
        && parsed.version().to_string() == info.version
        && parsed.architecture().as_ref() == info.arch;
    if !fits {
        let expected = format!("{}-{}-{}.{}", info.pkgname, info.version, info.arch, parsed.extension());
        return Err(ReceiveError::OtherName { name: name.to_owned(), expected });
    }
    let folder = target.parent().expect("the path of a digest has a folder");
    if !folder.exists() {
        std::fs::create_dir_all(folder)?;
        if let Some(above) = folder.parent() {
            std::fs::File::open(above)?.sync_all()?;
        }
    }
    path.persist(&target).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(package)
}
