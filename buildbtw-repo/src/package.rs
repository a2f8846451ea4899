//! Reading a package file: its digests, its `.PKGINFO` and its list of files,
//! in one pass over its bytes.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::content::{ContentDigest, pkginfo_digest};
use crate::digest::{Md5Digest, Sha256Digest};
use crate::file_name::{FileNameError, PackageFileName};
use crate::limits::{PackedBytes, ReadLimits};
use crate::pkginfo::{PackageInfo, PkginfoError, read_pkginfo};
use crate::tarball::{Members, TarError};

/// Everything a repository needs to know of one package file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFile {
    /// Its `.PKGINFO`.
    pub info: PackageInfo,
    /// Its file name; after [`read_package`], that of a [`PackageFileName`].
    pub file_name: String,
    /// Bytes of the file.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256Digest,
    /// MD5 of the file, for old readers of the db.
    pub md5: Md5Digest,
    /// Digest of what it contains, whenever it was built: equal for packages
    /// that differ only in build date, `.BUILDINFO`, `.MTREE`, file times and
    /// compression.
    pub content_digest: Sha256Digest,
    /// The paths it installs, sorted, as a files db lists them: directories
    /// end with `/`, backslashes and control characters are escaped.
    pub files: Vec<String>,
}

impl PackageFile {
    /// The file name, known to be a safe one that agrees with `.PKGINFO`.
    ///
    /// # Errors
    ///
    /// When it is not, as a value that came from elsewhere than
    /// [`read_package`] may have it.
    pub fn checked_name(&self) -> Result<PackageFileName, PackageError> {
        let name: PackageFileName = self.file_name.parse()?;
        check_name(&name, &self.info)?;
        Ok(name)
    }
}

/// A package file that is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The file cannot be opened.
    #[error("package {file_name} cannot be opened: {source}")]
    Open {
        /// The file's name.
        file_name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Its name is not that of a package.
    #[error(transparent)]
    FileName(#[from] FileNameError),
    /// It is no archive, damaged, or too large.
    #[error("package {file_name} is refused: {source}")]
    Archive {
        /// The file's name.
        file_name: String,
        /// What is wrong.
        source: TarError,
    },
    /// An entry that would be installed outside of the root.
    #[error("package {file_name} is refused: its entry {path:?} leads out of the root")]
    UnsafePath {
        /// The file's name.
        file_name: String,
        /// The entry's path.
        path: String,
    },
    /// No `.PKGINFO`.
    #[error("{file_name} is no package: it has no .PKGINFO")]
    NoPkginfo {
        /// The file's name.
        file_name: String,
    },
    /// More than one `.PKGINFO`, of which readers would choose differently.
    #[error("package {file_name} is refused: it has several .PKGINFO")]
    SeveralPkginfo {
        /// The file's name.
        file_name: String,
    },
    /// A `.PKGINFO` that cannot stand in a repository.
    #[error("package {file_name} is refused: {source}")]
    Pkginfo {
        /// The file's name.
        file_name: String,
        /// What is wrong.
        source: PkginfoError,
    },
    /// The file's name says something else than its `.PKGINFO`.
    #[error(
        "package {file_name} says in .PKGINFO that it is {inside}; name and content must agree"
    )]
    Mismatch {
        /// The file's name.
        file_name: String,
        /// Name, version and architecture from `.PKGINFO`.
        inside: String,
    },
}

/// Reads a package file. Its file name is the last part of `path`.
///
/// # Errors
///
/// When the file cannot be read, is no package, is above a limit, or when
/// its name and its content disagree.
pub fn read_package(path: &Path, limits: &ReadLimits) -> Result<PackageFile, PackageError> {
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: PackageFileName = file_name.parse()?;
    let file = File::open(path).map_err(|source| PackageError::Open {
        file_name: file_name.into_owned(),
        source,
    })?;
    read_package_from(file, &name, limits)
}

/// Reads a package from its bytes, under a file name that is known otherwise.
///
/// # Errors
///
/// As [`read_package`].
pub fn read_package_from(
    source: impl Read,
    file_name: &PackageFileName,
    limits: &ReadLimits,
) -> Result<PackageFile, PackageError> {
    let mut source = Hashing::new(source);
    let archive_error = |source| PackageError::Archive {
        file_name: file_name.to_string(),
        source,
    };
    let Contents {
        pkginfo,
        content_digest,
        mut files,
    } = read_contents(&mut source, file_name, limits)?;
    let (size, sha256, md5) = source
        .finish()
        .map_err(|error| archive_error(error.into()))?;
    let Some(pkginfo) = pkginfo else {
        return Err(PackageError::NoPkginfo {
            file_name: file_name.to_string(),
        });
    };
    let info = read_pkginfo(&pkginfo).map_err(|source| PackageError::Pkginfo {
        file_name: file_name.to_string(),
        source,
    })?;
    check_name(file_name, &info)?;
    // The order of repo-add: by bytes, each path once.
    files.sort_unstable();
    files.dedup();
    Ok(PackageFile {
        info,
        file_name: file_name.to_string(),
        size,
        sha256,
        md5,
        content_digest,
        files,
    })
}

/// What stands inside of a package.
struct Contents {
    pkginfo: Option<String>,
    content_digest: Sha256Digest,
    files: Vec<String>,
}

fn read_contents<R: Read>(
    source: &mut Hashing<R>,
    file_name: &PackageFileName,
    limits: &ReadLimits,
) -> Result<Contents, PackageError> {
    let archive_error = |source: TarError| PackageError::Archive {
        file_name: file_name.to_string(),
        source,
    };
    let packed = source.count.clone();
    let mut members = Members::new(source, packed, limits).map_err(archive_error)?;
    let mut pkginfo = None;
    let mut content = ContentDigest::default();
    let mut files = Vec::new();
    while let Some(member) = members.next().map_err(archive_error)? {
        if !stays_inside(&member.path) {
            return Err(PackageError::UnsafePath {
                file_name: file_name.to_string(),
                path: member.listed_path(),
            });
        }
        let digest = if member.path == b".PKGINFO" && member.is_file() {
            if pkginfo.is_some() {
                return Err(PackageError::SeveralPkginfo {
                    file_name: file_name.to_string(),
                });
            }
            let bytes = members.text(&member).map_err(archive_error)?;
            // A description in another encoding is no reason to refuse it;
            // what matters (names, versions) is ASCII and checked as such.
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let digest = pkginfo_digest(&text);
            pkginfo = Some(text);
            digest
        } else {
            let mut digest = Sha256::new();
            io::copy(&mut members.content(), &mut HashWriter(&mut digest))
                .map_err(|error| archive_error(error.into()))?;
            Sha256Digest::from_bytes(digest.finalize().into())
        };
        content.add(&member, digest);
        // pacman installs nothing that begins with a dot in the root.
        if !member.path.starts_with(b".") {
            files.push(member.listed_path());
        }
    }
    members.finish().map_err(archive_error)?;
    Ok(Contents {
        pkginfo,
        content_digest: content.finish(),
        files,
    })
}

fn stays_inside(path: &[u8]) -> bool {
    !path.is_empty()
        && !path.starts_with(b"/")
        && !path.contains(&0)
        && path.split(|&byte| byte == b'/').all(|part| part != b"..")
}

fn check_name(name: &PackageFileName, info: &PackageInfo) -> Result<(), PackageError> {
    let agrees = name.pkgname().as_str() == info.pkgname
        && name.version().as_str() == info.version
        && name.architecture().as_str() == info.arch;
    if agrees {
        return Ok(());
    }
    Err(PackageError::Mismatch {
        file_name: name.to_string(),
        inside: format!("{}-{}-{}", info.pkgname, info.version, info.arch),
    })
}

/// Digests all bytes that are read through it.
struct Hashing<R> {
    inner: R,
    sha256: Sha256,
    md5: Md5,
    count: PackedBytes,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            sha256: Sha256::new(),
            md5: Md5::new(),
            count: Rc::new(Cell::new(0)),
        }
    }

    /// Reads what is left; then gives size and digests.
    fn finish(mut self) -> io::Result<(u64, Sha256Digest, Md5Digest)> {
        io::copy(&mut self, &mut io::sink())?;
        let sha256 = Sha256Digest::from_bytes(self.sha256.finalize().into());
        let md5 = Md5Digest::from_bytes(self.md5.finalize().into());
        Ok((self.count.get(), sha256, md5))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        self.md5.update(&buffer[..count]);
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
