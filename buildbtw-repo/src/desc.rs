//! One entry of a db: its fields, and their text as repo-add writes it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::digest::{Md5Digest, Sha256Digest};
use crate::package::PackageFile;

/// What a sync db says about one package.
///
/// Empty texts and lists stand for fields that are not there. The texts are
/// not checked: [`DbEntry::to_released`] does that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DbEntry {
    /// Name of the package file (`%FILENAME%`).
    pub file_name: String,
    /// The package's name (`%NAME%`).
    pub pkgname: String,
    /// The source it was built from (`%BASE%`).
    pub pkgbase: String,
    /// `[epoch:]pkgver-pkgrel` (`%VERSION%`).
    pub version: String,
    /// One line about it (`%DESC%`).
    pub pkgdesc: String,
    /// The groups it belongs to (`%GROUPS%`).
    pub groups: Vec<String>,
    /// Bytes of the package file (`%CSIZE%`).
    pub csize: Option<u64>,
    /// Bytes when installed (`%ISIZE%`).
    pub isize: Option<u64>,
    /// MD5 of the package file (`%MD5SUM%`).
    pub md5: Option<Md5Digest>,
    /// SHA-256 of the package file (`%SHA256SUM%`).
    pub sha256: Option<Sha256Digest>,
    /// Signature of the package file, in base64 (`%PGPSIG%`).
    pub pgpsig: String,
    /// Its home page (`%URL%`).
    pub url: String,
    /// Its licences (`%LICENSE%`).
    pub license: Vec<String>,
    /// The architecture it was built for, or `any` (`%ARCH%`).
    pub arch: String,
    /// When it was built, in seconds since 1970 (`%BUILDDATE%`).
    pub builddate: Option<u64>,
    /// Who built it (`%PACKAGER%`).
    pub packager: String,
    /// Packages it takes the place of (`%REPLACES%`).
    pub replaces: Vec<String>,
    /// What it cannot be installed beside (`%CONFLICTS%`).
    pub conflicts: Vec<String>,
    /// Names it provides besides its own (`%PROVIDES%`).
    pub provides: Vec<String>,
    /// Run-time dependencies (`%DEPENDS%`).
    pub depends: Vec<String>,
    /// Optional dependencies with their reasons (`%OPTDEPENDS%`).
    pub optdepends: Vec<String>,
    /// What was installed to build it (`%MAKEDEPENDS%`).
    pub makedepends: Vec<String>,
    /// What was installed to check it (`%CHECKDEPENDS%`).
    pub checkdepends: Vec<String>,
    /// Sections that have no field here, with their lines, in order.
    pub other: Vec<(String, Vec<String>)>,
    /// The paths the package installs; only a files db has them.
    pub files: Option<Vec<String>>,
}

/// A desc or files text that cannot be read, or not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescError {
    /// A number that is none.
    #[error("%{section}% is {value:?}, which is no number")]
    Number {
        /// The section.
        section: &'static str,
        /// What is written there, cut to a readable length.
        value: String,
    },
    /// A digest that is none.
    #[error("%{section}% is no digest: {reason}")]
    Digest {
        /// The section.
        section: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A text of several lines, which would be read as several values.
    #[error("%{section}% would have several lines: {value:?}")]
    SeveralLines {
        /// The section.
        section: String,
        /// The value, cut to a readable length.
        value: String,
    },
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

impl DbEntry {
    /// The entry that repo-add would make of a package, with its files.
    pub fn from_package(package: &PackageFile) -> DbEntry {
        let info = package.info.clone();
        DbEntry {
            file_name: package.file_name.clone(),
            pkgname: info.pkgname,
            pkgbase: info.pkgbase,
            version: info.version,
            pkgdesc: info.pkgdesc,
            groups: info.groups,
            csize: Some(package.size),
            isize: Some(info.isize),
            md5: Some(package.md5),
            sha256: Some(package.sha256),
            pgpsig: String::new(),
            url: info.url,
            license: info.license,
            arch: info.arch,
            builddate: Some(info.builddate),
            packager: info.packager,
            replaces: info.replaces,
            conflicts: info.conflicts,
            provides: info.provides,
            depends: info.depends,
            optdepends: info.optdepends,
            makedepends: info.makedepends,
            checkdepends: info.checkdepends,
            other: Vec::new(),
            files: Some(package.files.clone()),
        }
    }

    /// Name of the entry's folder in a db, `<pkgname>-<version>`.
    pub fn folder(&self) -> String {
        format!("{}-{}", self.pkgname, self.version)
    }

    /// Takes over what a desc text says.
    ///
    /// A section is a line `%NAME%` and the lines up to the next empty one,
    /// whatever they look like; that is how pacman reads them, so a
    /// description `%DEPENDS%` is a description. Lines outside of sections are
    /// passed over.
    pub(crate) fn read_desc(&mut self, text: &str) -> Result<(), DescError> {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(section) = section_name(line) else {
                continue;
            };
            let values = lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
            self.set(section, values)?;
        }
        Ok(())
    }

    fn set(&mut self, section: &str, values: Vec<String>) -> Result<(), DescError> {
        let single = || values.first().cloned().unwrap_or_default();
        match section {
            "FILENAME" => self.file_name = single(),
            "NAME" => self.pkgname = single(),
            "BASE" => self.pkgbase = single(),
            "VERSION" => self.version = single(),
            "DESC" => self.pkgdesc = single(),
            "GROUPS" => self.groups = values,
            "CSIZE" => self.csize = number("CSIZE", &single())?,
            "ISIZE" => self.isize = number("ISIZE", &single())?,
            "MD5SUM" => self.md5 = digest("MD5SUM", &single())?,
            "SHA256SUM" => self.sha256 = digest("SHA256SUM", &single())?,
            "PGPSIG" => self.pgpsig = single(),
            "URL" => self.url = single(),
            "LICENSE" => self.license = values,
            "ARCH" => self.arch = single(),
            "BUILDDATE" => self.builddate = number("BUILDDATE", &single())?,
            "PACKAGER" => self.packager = single(),
            "REPLACES" => self.replaces = values,
            "CONFLICTS" => self.conflicts = values,
            "PROVIDES" => self.provides = values,
            "DEPENDS" => self.depends = values,
            "OPTDEPENDS" => self.optdepends = values,
            "MAKEDEPENDS" => self.makedepends = values,
            "CHECKDEPENDS" => self.checkdepends = values,
            "FILES" => self.files = Some(values),
            _ => self.other.push((section.to_owned(), values)),
        }
        Ok(())
    }

    /// The text of the entry's `desc`, as repo-add writes it.
    ///
    /// # Errors
    ///
    /// When a value has several lines.
    pub fn desc_text(&self) -> Result<String, DescError> {
        let mut out = String::with_capacity(1024);
        let text = std::slice::from_ref::<String>;
        let number = |number: Option<u64>| number.map(|n| n.to_string()).into_iter().collect();
        let (csize, isize): (Vec<_>, Vec<_>) = (number(self.csize), number(self.isize));
        let builddate: Vec<_> = number(self.builddate);
        let md5: Vec<_> = self
            .md5
            .map(|digest| digest.to_string())
            .into_iter()
            .collect();
        let sha256: Vec<_> = self
            .sha256
            .map(|digest| digest.to_string())
            .into_iter()
            .collect();
        for (section, values) in [
            ("FILENAME", text(&self.file_name)),
            ("NAME", text(&self.pkgname)),
            ("BASE", text(&self.pkgbase)),
            ("VERSION", text(&self.version)),
            ("DESC", text(&self.pkgdesc)),
            ("GROUPS", &self.groups),
            ("CSIZE", &csize),
            ("ISIZE", &isize),
            ("MD5SUM", &md5),
            ("SHA256SUM", &sha256),
            ("PGPSIG", text(&self.pgpsig)),
            ("URL", text(&self.url)),
            ("LICENSE", &self.license),
            ("ARCH", text(&self.arch)),
            ("BUILDDATE", &builddate),
            ("PACKAGER", text(&self.packager)),
            ("REPLACES", &self.replaces),
            ("CONFLICTS", &self.conflicts),
            ("PROVIDES", &self.provides),
            ("DEPENDS", &self.depends),
            ("OPTDEPENDS", &self.optdepends),
            ("MAKEDEPENDS", &self.makedepends),
            ("CHECKDEPENDS", &self.checkdepends),
        ] {
            write_section(&mut out, section, values)?;
        }
        for (section, values) in &self.other {
            write_section(&mut out, section, values)?;
        }
        Ok(out)
    }

    /// The text of the entry's `files`, as repo-add writes it.
    ///
    /// # Errors
    ///
    /// When a path has several lines.
    pub fn files_text(&self) -> Result<String, DescError> {
        let files = self.files.as_deref().unwrap_or_default();
        let mut out = String::with_capacity(16 + files.iter().map(|f| f.len() + 1).sum::<usize>());
        out.push_str("%FILES%\n");
        for path in files.iter().filter(|path| !path.is_empty()) {
            write_value(&mut out, "FILES", path)?;
        }
        Ok(out)
    }
}

fn section_name(line: &str) -> Option<&str> {
    line.strip_prefix('%')?
        .strip_suffix('%')
        .filter(|name| !name.is_empty())
}

fn number(section: &'static str, value: &str) -> Result<Option<u64>, DescError> {
    if value.is_empty() {
        return Ok(None);
    }
    match value.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(DescError::Number {
            section,
            value: shortened(value),
        }),
    }
}

fn digest<T>(section: &'static str, value: &str) -> Result<Option<T>, DescError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|error| DescError::Digest {
        section,
        reason: T::Err::to_string(&error),
    })
}

fn write_section(out: &mut String, section: &str, values: &[String]) -> Result<(), DescError> {
    // An empty value would end the section for whoever reads it.
    let mut values = values.iter().filter(|value| !value.is_empty()).peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "%{section}%");
    for value in values {
        write_value(out, section, value)?;
    }
    out.push('\n');
    Ok(())
}

fn write_value(out: &mut String, section: &str, value: &str) -> Result<(), DescError> {
    if value.contains(['\n', '\r']) {
        return Err(DescError::SeveralLines {
            section: section.to_owned(),
            value: shortened(value),
        });
    }
    out.push_str(value);
    out.push('\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DbEntry, DescError> {
        let mut entry = DbEntry::default();
        entry.read_desc(text)?;
        Ok(entry)
    }

    #[test]
    fn reads_sections_as_pacman_does() {
        let entry = read(
            "rubbish\n%NAME%\na\n\n%DESC%\n%DEPENDS%\n\n%DEPENDS%\nb\nc>=1\n\n\
             %NEW%\nx\ny\n\n%ISIZE%\n\n%LICENSE%\nMIT",
        )
        .unwrap();
        assert_eq!(entry.pkgname, "a");
        assert_eq!(entry.pkgdesc, "%DEPENDS%");
        assert_eq!(entry.depends, ["b", "c>=1"]);
        assert_eq!(entry.isize, None);
        assert_eq!(entry.license, ["MIT"]);
        let other = ("NEW".to_owned(), vec!["x".to_owned(), "y".to_owned()]);
        assert_eq!(entry.other, [other]);
        assert_eq!(read(&entry.desc_text().unwrap()).unwrap(), entry);
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |text| read(text).unwrap_err().to_string();
        assert!(message("%CSIZE%\n-1\n").contains("no number"));
        assert!(message("%CSIZE%\n99999999999999999999\n").contains("%CSIZE%"));
        assert!(message("%SHA256SUM%\nabc\n").contains("64 hexadecimal digits"));
    }

    #[test]
    fn no_value_can_become_a_section() {
        let entry = DbEntry {
            pkgname: "a".to_owned(),
            pkgdesc: "harmless\n\n%DEPENDS%\nevil".to_owned(),
            ..DbEntry::default()
        };
        assert!(entry.desc_text().is_err());
        let entry = DbEntry {
            files: Some(vec!["usr/\n%FILES%".to_owned()]),
            ..DbEntry::default()
        };
        assert!(entry.files_text().is_err());
        // An empty value would end its section early.
        let entry = DbEntry {
            depends: vec![String::new(), "b".to_owned()],
            ..DbEntry::default()
        };
        assert_eq!(entry.desc_text().unwrap(), "%DEPENDS%\nb\n\n");
    }
}
