//! Writing a package without makepkg: for builders that make up their
//! packages, and for tests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::file_name::{FileNameError, PackageFileName};
use crate::pkginfo::{PackageInfo, PkginfoError};

/// The bits of a mode that say what an entry is, as in inode(7).
const TYPE: u32 = 0o170_000;
/// A regular file.
const REGULAR: u32 = 0o100_000;
/// A symbolic link; its bytes are its target.
pub const SYMLINK: u32 = 0o120_000;
/// A directory; its bytes are not looked at.
pub const DIRECTORY: u32 = 0o040_000;

/// As repo-add and makepkg have it: the default level of zstd.
const LEVEL: i32 = 3;

/// A package that was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A field that no package can have.
    #[error("package {pkgname:?} cannot be written: {source}")]
    Pkginfo {
        /// Its name, as given.
        pkgname: String,
        /// What is wrong.
        source: PkginfoError,
    },
    /// Name, version and architecture make no file name.
    #[error(transparent)]
    FileName(#[from] FileNameError),
    /// A path that is absolute, leads out of the root, or hides a file of
    /// pacman's.
    #[error("package {pkgname:?} cannot hold {path:?}: paths are relative, without '..'")]
    Path {
        /// The package.
        pkgname: String,
        /// The refused path.
        path: String,
    },
    /// A path that is given twice.
    #[error("package {pkgname:?} has {path:?} twice")]
    Twice {
        /// The package.
        pkgname: String,
        /// The path.
        path: String,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Writes a package, compressed with zstd, to `path`.
///
/// `files` are path, bytes and mode of each entry. A mode without type bits is
/// that of a regular file; with [`SYMLINK`] the bytes are the target, with
/// [`DIRECTORY`] they are not looked at. Missing parent directories are added
/// with mode 755. Of metadata, `.PKGINFO` is made from `info`; `.BUILDINFO`,
/// `.INSTALL`, `.CHANGELOG` and `.MTREE` may be given as files. An `isize` of 0
/// is replaced by the size of the files. Everything belongs to root and has the
/// build date as its time, so equal input gives equal bytes.
///
/// The file appears whole or not at all: it is written beside `path` and
/// renamed.
///
/// # Errors
///
/// When a field or path is not valid, or the file cannot be written.
pub fn write_package<P: AsRef<str>, B: AsRef<[u8]>>(
    path: &Path,
    info: &PackageInfo,
    files: &[(P, B, u32)],
) -> Result<(), WriteError> {
    let io_error = |source| WriteError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = package_bytes(info, files)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.part"));
    let written = File::create(&part)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // What is left of it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    written.map_err(io_error)
}

/// The bytes of a package: see [`write_package`].
///
/// # Errors
///
/// When a field or path is not valid.
pub fn package_bytes<P: AsRef<str>, B: AsRef<[u8]>>(
    info: &PackageInfo,
    files: &[(P, B, u32)],
) -> Result<Vec<u8>, WriteError> {
    let mut info = info.clone();
    if info.pkgbase.is_empty() {
        info.pkgbase.clone_from(&info.pkgname);
    }
    info.check().map_err(|source| WriteError::Pkginfo {
        pkgname: info.pkgname.clone(),
        source,
    })?;
    let entries = entries(&info.pkgname, files)?;
    if info.isize == 0 {
        info.isize = entries
            .iter()
            .filter(|(path, entry)| !path.starts_with('.') && entry.mode & TYPE == REGULAR)
            .map(|(_, entry)| entry.bytes.len() as u64)
            .sum();
    }
    let pkginfo = info.to_string();
    let first = Entry {
        bytes: pkginfo.as_bytes(),
        mode: REGULAR | 0o644,
    };
    archive(&first, &entries, info.builddate).map_err(|source| WriteError::Io {
        path: PathBuf::from(&info.pkgname),
        source,
    })
}

/// The file name that makepkg would give a package with this `.PKGINFO`.
///
/// # Errors
///
/// When name, version or architecture are not valid.
pub fn package_file_name(info: &PackageInfo) -> Result<PackageFileName, FileNameError> {
    let (pkgname, version, arch) = (&info.pkgname, &info.version, &info.arch);
    format!("{pkgname}-{version}-{arch}.pkg.tar.zst").parse()
}

struct Entry<'a> {
    bytes: &'a [u8],
    /// Type and permission bits.
    mode: u32,
}

/// The entries by path (directories without their `/`), parents included.
fn entries<'a, P: AsRef<str>, B: AsRef<[u8]>>(
    pkgname: &str,
    files: &'a [(P, B, u32)],
) -> Result<BTreeMap<&'a str, Entry<'a>>, WriteError> {
    let mut entries = BTreeMap::new();
    for (path, bytes, mode) in files {
        let path = path.as_ref();
        let mode = if mode & TYPE == 0 {
            mode | REGULAR
        } else {
            *mode
        };
        let known = matches!(path, ".BUILDINFO" | ".INSTALL" | ".CHANGELOG" | ".MTREE");
        let path = path.strip_suffix('/').unwrap_or(path);
        let plain = !path.starts_with('.')
            && !path.contains('\0')
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !known && !plain {
            return Err(WriteError::Path {
                pkgname: pkgname.to_owned(),
                path: path.to_owned(),
            });
        }
        let bytes = if mode & TYPE == DIRECTORY {
            &[]
        } else {
            bytes.as_ref()
        };
        if entries.insert(path, Entry { bytes, mode }).is_some() {
            return Err(WriteError::Twice {
                pkgname: pkgname.to_owned(),
                path: path.to_owned(),
            });
        }
    }
    for (path, _, _) in files {
        let mut path = path.as_ref();
        while let Some((parent, _)) = path.rsplit_once('/') {
            entries.entry(parent).or_insert(Entry {
                bytes: &[],
                mode: DIRECTORY | 0o755,
            });
            path = parent;
        }
    }
    Ok(entries)
}

fn archive(
    pkginfo: &Entry<'_>,
    entries: &BTreeMap<&str, Entry<'_>>,
    mtime: u64,
) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut tar = tar::Builder::new(encoder);
    append(&mut tar, ".PKGINFO", pkginfo, mtime)?;
    for (path, entry) in entries {
        append(&mut tar, path, entry, mtime)?;
    }
    tar.into_inner()?.finish()
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    entry: &Entry<'_>,
    mtime: u64,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode & 0o7777);
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_size(0);
    match entry.mode & TYPE {
        DIRECTORY => {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), io::empty())
        }
        SYMLINK => {
            header.set_entry_type(tar::EntryType::Symlink);
            let target = String::from_utf8_lossy(entry.bytes);
            tar.append_link(&mut header, path, target.as_ref())
        }
        _ => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(entry.bytes.len() as u64);
            tar.append_data(&mut header, path, entry.bytes)
        }
    }
}
