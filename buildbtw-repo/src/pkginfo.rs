//! `.PKGINFO`: what a package says about itself.
//!
//! The reader is as tolerant as pacman: unknown keys are kept, empty values
//! and keys that makepkg would always write may be missing. Only what a
//! repository cannot do without is required: a name, a version and an
//! architecture, each of them valid.

use std::fmt;

use buildbtw_graph::{Architecture, NameError, PkgBase, PkgName, Version, VersionError};
use serde::{Deserialize, Serialize};

/// The fields of a `.PKGINFO`.
///
/// The texts are as they were written, with runs of blanks made one, as
/// makepkg and repo-add do. After [`read_pkginfo`], `pkgname`, `pkgbase`,
/// `version` and `arch` are known to be valid.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackageInfo {
    /// The package's name.
    pub pkgname: String,
    /// The source it was built from; the pkgname where none is named.
    pub pkgbase: String,
    /// `[epoch:]pkgver-pkgrel` (the key is `pkgver`).
    pub version: String,
    /// One line about it; may be empty.
    pub pkgdesc: String,
    /// Its home page; may be empty.
    pub url: String,
    /// When it was built, in seconds since 1970; 0 where that is not known.
    pub builddate: u64,
    /// Who built it, `Name <mail>`; may be empty.
    pub packager: String,
    /// Bytes it has when installed (the key is `size`).
    pub isize: u64,
    /// The architecture it was built for, or `any`.
    pub arch: String,
    /// Its licences.
    pub license: Vec<String>,
    /// Packages it takes the place of.
    pub replaces: Vec<String>,
    /// The groups it belongs to (the key is `group`).
    pub groups: Vec<String>,
    /// What it cannot be installed beside (the key is `conflict`).
    pub conflicts: Vec<String>,
    /// Names it provides besides its own.
    pub provides: Vec<String>,
    /// Files that are kept when changed, without leading `/`.
    pub backup: Vec<String>,
    /// Run-time dependencies (the key is `depend`).
    pub depends: Vec<String>,
    /// Optional dependencies with their reasons (the key is `optdepend`).
    pub optdepends: Vec<String>,
    /// What is needed to build it (the key is `makedepend`).
    pub makedepends: Vec<String>,
    /// What is needed to check it (the key is `checkdepend`).
    pub checkdepends: Vec<String>,
    /// Every other line, as key and value, in order.
    pub other: Vec<(String, String)>,
}

/// A `.PKGINFO` that cannot stand in a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PkginfoError {
    /// A key without which no package can be published.
    #[error(".PKGINFO has no {key}")]
    Missing {
        /// The missing key.
        key: &'static str,
    },
    /// A name that is refused.
    #[error(".PKGINFO: {0}")]
    Name(#[from] NameError),
    /// A version that is refused.
    #[error(".PKGINFO: {0}")]
    Version(#[from] VersionError),
    /// A version that lacks the pkgrel, which file names need.
    #[error(".PKGINFO has version {version:?}, which must end with -<pkgrel>")]
    NoPkgrel {
        /// The version as it is written.
        version: String,
    },
    /// A number that is none.
    #[error(".PKGINFO has {key} = {value:?}, which is no number")]
    Number {
        /// The key.
        key: &'static str,
        /// What is written there, cut to a readable length.
        value: String,
    },
}

/// Reads the text of a `.PKGINFO`.
///
/// Lines are `key = value`; empty lines, comments (`#`) and lines without a
/// `=` are passed over, as pacman does. Where a key that has one value stands
/// twice, the last one counts, as for repo-add.
///
/// # Errors
///
/// When pkgname, pkgver or arch are missing or not valid, or when builddate or
/// size are no numbers.
pub fn read_pkginfo(text: &str) -> Result<PackageInfo, PkginfoError> {
    let mut info = PackageInfo::default();
    for line in text.lines() {
        let line = line.trim_ascii();
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim_ascii(), single_blanks(value));
        if line.starts_with('#') || value.is_empty() {
            continue;
        }
        match key {
            "pkgname" => info.pkgname = value,
            "pkgbase" => info.pkgbase = value,
            "pkgver" => info.version = value,
            "pkgdesc" => info.pkgdesc = value,
            "url" => info.url = value,
            "builddate" => info.builddate = number("builddate", &value)?,
            "packager" => info.packager = value,
            "size" => info.isize = number("size", &value)?,
            "arch" => info.arch = value,
            "license" => info.license.push(value),
            "replaces" => info.replaces.push(value),
            "group" => info.groups.push(value),
            "conflict" => info.conflicts.push(value),
            "provides" => info.provides.push(value),
            "backup" => info.backup.push(value),
            "depend" => info.depends.push(value),
            "optdepend" => info.optdepends.push(value),
            "makedepend" => info.makedepends.push(value),
            "checkdepend" => info.checkdepends.push(value),
            _ => info.other.push((key.to_owned(), value)),
        }
    }
    if info.pkgbase.is_empty() {
        info.pkgbase.clone_from(&info.pkgname);
    }
    info.check()?;
    Ok(info)
}

/// Makes runs of blanks one and cuts those at both ends. Only ASCII ones: what
/// else counts as a blank depends on the locale of whoever reads, and a
/// no-break space in a description is there on purpose.
fn single_blanks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let blank = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    for word in text.split(blank).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn number(key: &'static str, value: &str) -> Result<u64, PkginfoError> {
    value.parse().map_err(|_| PkginfoError::Number {
        key,
        value: value.chars().take(100).collect(),
    })
}

impl PackageInfo {
    /// Whether names, version and architecture are such as a repository can
    /// hold.
    ///
    /// # Errors
    ///
    /// The first that is not.
    pub fn check(&self) -> Result<(), PkginfoError> {
        for (key, value) in [
            ("pkgname", &self.pkgname),
            ("pkgver", &self.version),
            ("arch", &self.arch),
        ] {
            if value.is_empty() {
                return Err(PkginfoError::Missing { key });
            }
        }
        self.pkgname.parse::<PkgName>()?;
        self.pkgbase.parse::<PkgBase>()?;
        self.arch.parse::<Architecture>()?;
        if self.version.parse::<Version>()?.pkgrel().is_none() {
            return Err(PkginfoError::NoPkgrel {
                version: self.version.clone(),
            });
        }
        Ok(())
    }

    /// The value of a key that has no field here, such as `xdata`.
    pub fn other(&self, key: &str) -> Option<&str> {
        self.other
            .iter()
            .find(|(other, _)| other == key)
            .map(|(_, value)| value.as_str())
    }
}

/// The text of a `.PKGINFO`, keys in makepkg's order.
impl fmt::Display for PackageInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (builddate, isize) = (self.builddate.to_string(), self.isize.to_string());
        for (key, value) in [
            ("pkgname", &self.pkgname),
            ("pkgbase", &self.pkgbase),
            ("pkgver", &self.version),
            ("pkgdesc", &self.pkgdesc),
            ("url", &self.url),
            ("builddate", &builddate),
            ("packager", &self.packager),
            ("size", &isize),
            ("arch", &self.arch),
        ] {
            if !value.is_empty() {
                writeln!(f, "{key} = {}", single_blanks(value))?;
            }
        }
        for (key, values) in [
            ("license", &self.license),
            ("replaces", &self.replaces),
            ("group", &self.groups),
            ("conflict", &self.conflicts),
            ("provides", &self.provides),
            ("backup", &self.backup),
            ("depend", &self.depends),
            ("optdepend", &self.optdepends),
            ("makedepend", &self.makedepends),
            ("checkdepend", &self.checkdepends),
        ] {
            for value in values {
                writeln!(f, "{key} = {}", single_blanks(value))?;
            }
        }
        for (key, value) in &self.other {
            writeln!(f, "{} = {}", single_blanks(key), single_blanks(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIRED: &str = "pkgname = a\npkgver = 1-1\narch = any\n";

    #[test]
    fn reads_what_makepkg_writes() {
        let info = read_pkginfo(
            "# Generated by makepkg 6.0.2\n# using fakeroot version 1.31\n\
             pkgname = libgreet\npkgbase = greet\npkgver = 1:1.0-2\n\
             pkgdesc = Says  a = b \nurl = \nbuilddate = 1700000000\n\
             packager = Unknown Packager\nsize = 12\narch = x86_64\n\
             license = MIT\nlicense = custom:x y\nprovides = libgreet.so=1-64\n\
             optdepend = foo: for  bar\nxdata = pkgtype=split\nbroken line\n\n",
        )
        .unwrap();
        assert_eq!(info.pkgname, "libgreet");
        assert_eq!(info.pkgbase, "greet");
        assert_eq!(info.version, "1:1.0-2");
        assert_eq!(info.pkgdesc, "Says a = b");
        assert_eq!(info.url, "");
        assert_eq!(info.packager, "Unknown Packager");
        assert_eq!((info.builddate, info.isize), (1_700_000_000, 12));
        assert_eq!(info.license, ["MIT", "custom:x y"]);
        assert_eq!(info.provides, ["libgreet.so=1-64"]);
        assert_eq!(info.optdepends, ["foo: for bar"]);
        assert_eq!(info.other("xdata"), Some("pkgtype=split"));
        assert_eq!(read_pkginfo(&info.to_string()).unwrap(), info);
    }

    #[test]
    fn a_missing_pkgbase_is_the_pkgname() {
        assert_eq!(read_pkginfo(REQUIRED).unwrap().pkgbase, "a");
    }

    #[test]
    fn says_what_is_wrong() {
        for (more, message) in [
            ("pkgname = ../a", "pkgname \"../a\" begins with '-' or '.'"),
            ("pkgver = 1/2-1", "version \"1/2-1\" contains '/'"),
            ("pkgver = 1", "must end with -<pkgrel>"),
            ("arch = x86/64", "contains '/'"),
            ("size = lots", "size = \"lots\", which is no number"),
            ("builddate = -1", "which is no number"),
            ("size = 99999999999999999999", "which is no number"),
        ] {
            let error = read_pkginfo(&format!("{REQUIRED}{more}\n")).unwrap_err();
            assert!(error.to_string().contains(message), "{more}: {error}");
        }
        for key in ["pkgname", "pkgver", "arch"] {
            let text = REQUIRED.replace(key, "x");
            assert_eq!(
                read_pkginfo(&text).unwrap_err().to_string(),
                format!(".PKGINFO has no {key}")
            );
        }
    }
}
