//! The file names of packages: what they say, and which are refused.

use std::fmt;
use std::str::FromStr;

use buildbtw_graph::{Architecture, NameError, PkgName, Version, VersionError};
use serde::{Deserialize, Serialize};

/// Longest package file name, in bytes: file systems end at 255, and a `.sig`
/// may have to stand beside it.
pub const MAX_FILE_NAME_LENGTH: usize = 250;

/// What may follow `.pkg` in the name of a package.
const EXTENSIONS: [&str; 5] = ["tar.zst", "tar.gz", "tar.xz", "tar.bz2", "tar"];

/// A text that cannot be the file name of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Above [`MAX_FILE_NAME_LENGTH`] bytes.
    #[error("a package file name of {length} bytes; {MAX_FILE_NAME_LENGTH} are the limit")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A path separator, a control character, or a start that hides the file
    /// or makes it an option.
    #[error(
        "{text:?} is no safe file name: no '/', no control characters, no '.' or '-' at the start"
    )]
    Unsafe {
        /// The refused text, cut to a readable length.
        text: String,
    },
    /// Not of the form that makepkg gives package files.
    #[error(
        "{text:?} is no package file name; expected \
         <pkgname>-<version>-<pkgrel>-<architecture>.pkg.tar[.zst|.gz|.xz|.bz2]"
    )]
    Form {
        /// The refused text.
        text: String,
    },
    /// The part that names the package or the architecture is refused.
    #[error("package file name {text:?}: {source}")]
    Name {
        /// The refused text.
        text: String,
        /// What is wrong with the name.
        source: NameError,
    },
    /// The part that is the version is refused.
    #[error("package file name {text:?}: {source}")]
    Version {
        /// The refused text.
        text: String,
        /// What is wrong with the version.
        source: VersionError,
    },
}

/// `<pkgname>-<version>-<pkgrel>-<architecture>.pkg.tar[.<compression>]`: the
/// name that makepkg gives a package. Every value of this type is safe to use
/// as a file name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageFileName {
    pkgname: PkgName,
    version: Version,
    architecture: Architecture,
    extension: &'static str,
}

impl PackageFileName {
    /// The file name of a package that is compressed with zstd.
    ///
    /// # Errors
    ///
    /// When the version has no pkgrel, or the name would become too long.
    pub fn zst(
        pkgname: &PkgName,
        version: &Version,
        architecture: &Architecture,
    ) -> Result<Self, FileNameError> {
        format!("{pkgname}-{version}-{architecture}.pkg.tar.zst").parse()
    }

    /// The package's name.
    pub fn pkgname(&self) -> &PkgName {
        &self.pkgname
    }

    /// `[epoch:]pkgver-pkgrel`.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The architecture, or `any`.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What follows `.pkg.`: `tar`, or `tar.` and the compression.
    pub fn extension(&self) -> &str {
        self.extension
    }
}

impl FromStr for PackageFileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        if text.len() > MAX_FILE_NAME_LENGTH {
            return Err(FileNameError::TooLong { length: text.len() });
        }
        if text.starts_with(['.', '-']) || text.contains(|c: char| c == '/' || c.is_control()) {
            return Err(FileNameError::Unsafe {
                text: text.to_owned(),
            });
        }
        let form = || FileNameError::Form {
            text: text.to_owned(),
        };
        let (stem, extension) = EXTENSIONS
            .iter()
            .find_map(|extension| {
                let stem = text.strip_suffix(extension)?.strip_suffix(".pkg.")?;
                Some((stem, *extension))
            })
            .ok_or_else(form)?;
        let (rest, architecture) = stem.rsplit_once('-').ok_or_else(form)?;
        let (before_pkgrel, _) = rest.rsplit_once('-').ok_or_else(form)?;
        let (pkgname, _) = before_pkgrel.rsplit_once('-').ok_or_else(form)?;
        let version = &rest[pkgname.len() + 1..];
        // An empty pkgver or pkgrel.
        if version.starts_with('-') || version.ends_with('-') {
            return Err(form());
        }
        let bad_name = |source| FileNameError::Name {
            text: text.to_owned(),
            source,
        };
        Ok(Self {
            pkgname: pkgname.parse().map_err(bad_name)?,
            version: version.parse().map_err(|source| FileNameError::Version {
                text: text.to_owned(),
                source,
            })?,
            architecture: architecture.parse().map_err(bad_name)?,
            extension,
        })
    }
}

impl TryFrom<String> for PackageFileName {
    type Error = FileNameError;

    fn try_from(text: String) -> Result<Self, FileNameError> {
        text.parse()
    }
}

impl From<PackageFileName> for String {
    fn from(name: PackageFileName) -> String {
        name.to_string()
    }
}

impl fmt::Display for PackageFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pkgname,
            version,
            architecture,
            extension,
        } = self;
        write!(f, "{pkgname}-{version}-{architecture}.pkg.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_apart() {
        let text = "gtk-doc-x-1:2.0_a+b-3.1-x86_64.pkg.tar.zst";
        let name: PackageFileName = text.parse().unwrap();
        assert_eq!(name.pkgname().as_str(), "gtk-doc-x");
        assert_eq!(name.version().as_str(), "1:2.0_a+b-3.1");
        assert_eq!(name.architecture().as_str(), "x86_64");
        assert_eq!(name.extension(), "tar.zst");
        assert_eq!(name.to_string(), text);
        for extension in EXTENSIONS {
            let text = format!("a-1-1-any.pkg.{extension}");
            assert_eq!(text.parse::<PackageFileName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_could_leave_the_folder_or_is_no_package() {
        for text in [
            "",
            "../a-1-1-any.pkg.tar.zst",
            "a/../b-1-1-any.pkg.tar.zst",
            "/a-1-1-any.pkg.tar.zst",
            ".a-1-1-any.pkg.tar.zst",
            "-a-1-1-any.pkg.tar.zst",
            "a-1-1-any.pkg.tar.zst\n",
            "a\0-1-1-any.pkg.tar.zst",
            "a-1-1-any.pkg.tar.zst.sig",
            "a-1-1-any.pkg.tar.lz4",
            "a-1-any.pkg.tar.zst",
            "a--1-any.pkg.tar.zst",
            "a-1--any.pkg.tar.zst",
            "a-1-1-.pkg.tar.zst",
            "-1-1-any.pkg.tar.zst",
            "a-1-1-x86-64.tar.zst",
            "a-1-1-any.pkgXtar.zst",
            "ä-1-1-any.pkg.tar.zst",
            "a-1>2-1-any.pkg.tar.zst",
        ] {
            assert!(text.parse::<PackageFileName>().is_err(), "{text:?}");
        }
        let long = format!("{}-1-1-any.pkg.tar.zst", "a".repeat(240));
        assert!(matches!(
            long.parse::<PackageFileName>(),
            Err(FileNameError::TooLong { .. })
        ));
    }
}
