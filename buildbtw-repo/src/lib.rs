//! Pacman repositories: packages and dbs are read, db and files db written.
//!
//! Nothing here touches the network or a database. [`read_package`] reads a
//! package file in one pass.

mod compression;
mod content;
mod digest;
mod file_name;
mod limits;
mod package;
mod pkginfo;
mod tarball;
pub mod write;

pub use digest::{DigestError, Md5Digest, Sha256Digest};
pub use file_name::{FileNameError, MAX_FILE_NAME_LENGTH, PackageFileName};
pub use limits::{LimitError, RATIO_FREE, ReadLimits};
pub use package::{PackageError, PackageFile, read_package, read_package_from};
pub use pkginfo::{PackageInfo, PkginfoError, read_pkginfo};
pub use tarball::TarError;
