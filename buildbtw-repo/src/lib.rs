//! Pacman repositories: packages and dbs are read, db and files db written.
//!
//! Nothing here touches the network or a database. [`read_package`] reads a
//! package file in one pass; [`add_packages`] puts what was read into a
//! repository, whose dbs are lists of frames; [`read_db`] reads the dbs of
//! others.

mod compression;
mod content;
mod db;
mod desc;
mod digest;
mod file_name;
mod frames;
mod limits;
mod package;
mod pkginfo;
mod released;
mod repository;
mod tarball;
pub mod write;

pub use db::{DbError, WriteEntryError, read_db};
pub use desc::{DbEntry, DescError};
pub use digest::{DigestError, Md5Digest, Sha256Digest};
pub use file_name::{FileNameError, MAX_FILE_NAME_LENGTH, PackageFileName};
pub use frames::{ChangeError, END_FRAME, FRAME_SIZE, add_packages, remove_packages};
pub use limits::{LimitError, RATIO_FREE, ReadLimits};
pub use package::{PackageError, PackageFile, read_package, read_package_from};
pub use pkginfo::{PackageInfo, PkginfoError, read_pkginfo};
pub use released::{EntryError, read_released};
pub use repository::{FrameState, Frames, RepositoryChange, RepositoryState};
pub use tarball::TarError;
