//! Reading a `.SRCINFO`.
//!
//! alpm-srcinfo does the parsing. It refuses a whole file for one value that
//! it does not like, also in fields that planning never looks at; makepkg is
//! content with most of those. So a refused file is looked at line by line,
//! the lines that planning does not need and that are refused by themselves
//! are left out with a warning each, and the rest is read again.

mod convert;

use std::fmt::Display;

use alpm_srcinfo::SourceInfoV1;

use crate::names::NameError;
use crate::relation::RelationError;
use crate::source::SourcePackage;
use crate::version::VersionError;
use convert::convert;

/// Longest `.SRCINFO` that is read, in bytes. The longest real ones have a few
/// hundred kilobytes.
pub const MAX_SRCINFO_LENGTH: usize = 4 * 1024 * 1024;

/// Most packages that one source may make.
const MAX_PACKAGES: usize = 10_000;

/// Fields that planning has no use for, so that a bad value costs nothing.
/// Checksums are recognised by their ending.
const UNUSED_FIELDS: [&str; 9] = [
    "backup",
    "changelog",
    "install",
    "license",
    "noextract",
    "options",
    "source",
    "url",
    "validpgpkeys",
];

/// A `.SRCINFO` that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrcinfoReading {
    /// What it describes.
    pub package: SourcePackage,
    /// The lines that were left out.
    pub warnings: Vec<SrcinfoWarning>,
}

/// A line that was left out of the reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrcinfoWarning {
    /// The line's number; the first is 1.
    pub line: usize,
    /// The field's name.
    pub field: String,
    /// What is wrong with the line.
    pub message: String,
}

/// A `.SRCINFO` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SrcinfoError {
    /// Above [`MAX_SRCINFO_LENGTH`].
    #[error("the .SRCINFO has {length} bytes; {MAX_SRCINFO_LENGTH} are the limit")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// More packages than any source makes.
    #[error("the .SRCINFO has {count} packages; {MAX_PACKAGES} are the limit")]
    TooManyPackages {
        /// How many it has.
        count: usize,
    },
    /// Two packages of one name, of which only one could be published.
    #[error("the .SRCINFO has two packages named {pkgname}; name each once")]
    Twice {
        /// The name.
        pkgname: String,
    },
    /// Not the format, or a bad value in a field that planning needs.
    #[error("the .SRCINFO is not valid: {0}; write it anew with 'makepkg --printsrcinfo'")]
    Syntax(String),
    /// A name that no package or architecture can have.
    #[error("the .SRCINFO names something impossible: {0}")]
    Name(#[from] NameError),
    /// A version that no package can have.
    #[error("the .SRCINFO has an impossible version: {0}")]
    Version(#[from] VersionError),
    /// A relation that nothing can satisfy.
    #[error("the .SRCINFO has an impossible relation: {0}")]
    Relation(#[from] RelationError),
}

/// Reads the text of a `.SRCINFO`.
///
/// # Errors
///
/// When the text is too long, is not a `.SRCINFO`, or has a bad value in a
/// field that planning needs.
pub fn read_srcinfo(text: &str) -> Result<SrcinfoReading, SrcinfoError> {
    if text.len() > MAX_SRCINFO_LENGTH {
        return Err(SrcinfoError::TooLong { length: text.len() });
    }
    if text.trim().is_empty() {
        return Err(SrcinfoError::Syntax("it is empty".to_owned()));
    }
    let (info, warnings) = match SourceInfoV1::from_string(text) {
        Ok(info) => (info, Vec::new()),
        Err(_) => read_without_bad_lines(text)?,
    };
    Ok(SrcinfoReading {
        package: convert(&info)?,
        warnings,
    })
}

/// Leaves out the lines that alpm-srcinfo refuses by themselves.
fn read_without_bad_lines(text: &str) -> Result<(SourceInfoV1, Vec<SrcinfoWarning>), SrcinfoError> {
    let mut warnings = Vec::new();
    let mut kept = String::with_capacity(text.len() + 16);
    // The number that each line that is kept has in the file.
    let mut numbers = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(field) = unused_field(line)
            && let Err(error) = SourceInfoV1::from_string(&document_of(line))
        {
            warnings.push(SrcinfoWarning {
                line: number + 1,
                field: field.to_owned(),
                message: format!(
                    "left out, planning does not need it: {:?} ({})",
                    shortened(line.trim()),
                    last_line(&said(&error))
                ),
            });
            continue;
        }
        numbers.push(number + 1);
        kept.push_str(line.trim_end());
        // An editor that cuts blanks at line ends also cuts the one after the
        // '=' of a cleared list.
        if line.trim_end().ends_with(" =") {
            kept.push(' ');
        }
        kept.push('\n');
    }
    match SourceInfoV1::from_string(&kept) {
        Ok(info) => Ok((info, warnings)),
        Err(error) => Err(SrcinfoError::Syntax(in_a_line(&said(&error), &numbers))),
    }
}

/// What alpm-srcinfo says of a text, which is in colour where the program writes to a terminal.
fn said(error: &impl Display) -> String {
    anstream::adapter::strip_str(&error.to_string()).to_string()
}

/// alpm-srcinfo draws the place over several lines, with an arrow below the one that it means, and
/// what it expected behind the arrow. In a list, and in a terminal, a sentence says more.
fn in_a_line(message: &str, numbers: &[usize]) -> String {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let what = lines.iter().find_map(|line| line.strip_prefix("error: "));
    let arrow = lines.iter().enumerate().find_map(|(at, line)| {
        let pointed = line.strip_prefix('|')?.trim_start().strip_prefix('^')?;
        Some((at.checked_sub(1)?, pointed.trim_start_matches('^').trim()))
    });
    let place = arrow.and_then(|(at, expected)| {
        let (number, text) = lines[at].split_once('|')?;
        let number: usize = number.trim().parse().ok()?;
        let number = number.checked_sub(1).and_then(|at| numbers.get(at))?;
        Some((number, text.trim(), expected))
    });
    match (what, place) {
        (Some(what), Some((number, text, ""))) => {
            format!("{what} in line {number}, `{}`", shortened(text))
        }
        (Some(what), Some((number, text, expected))) => {
            // All keywords that there are help nobody to find the line.
            format!(
                "{what} in line {number}, `{}`: {}",
                shortened(text),
                shortened(expected)
            )
        }
        // Of a single line no number is drawn.
        (Some(what), None) => {
            let drawn = lines
                .iter()
                .map(|line| line.trim_start_matches(['|', '^', ' ']));
            let expected = drawn.into_iter().find(|line| line.starts_with("expected "));
            expected.map_or_else(
                || what.to_owned(),
                |expected| format!("{what}: {}", shortened(expected)),
            )
        }
        // Another version of it may draw otherwise.
        _ => {
            let drawn = lines.iter().map(|line| line.trim_matches(['|', '^', ' ']));
            let said: Vec<&str> = drawn.filter(|line| !line.is_empty()).collect();
            said.join(", ")
        }
    }
}

/// The name of the field a line sets, if planning has no use for it.
fn unused_field(line: &str) -> Option<&str> {
    let (field, _) = line.split_once('=')?;
    let field = field.trim();
    let plain = field.split('_').next().unwrap_or(field);
    (UNUSED_FIELDS.contains(&plain) || plain.ends_with("sums")).then_some(field)
}

/// The smallest `.SRCINFO` with one line in it.
fn document_of(line: &str) -> String {
    let line = line.trim();
    format!("pkgbase = a\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = any\n\t{line}\n\npkgname = a\n")
}

fn shortened(line: &str) -> String {
    const LIMIT: usize = 120;
    match line.char_indices().nth(LIMIT) {
        None => line.to_owned(),
        Some((at, _)) => format!("{}...", &line[..at]),
    }
}

/// alpm-srcinfo's messages draw the place and end with the reason.
fn last_line(message: &str) -> &str {
    message
        .lines()
        .map(|line| line.trim().trim_start_matches("= "))
        .rfind(|line| !line.is_empty())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Architecture;
    use crate::relation::Relation;
    use crate::source::PerArchitecture;

    #[test]
    fn a_name_is_given_once() {
        let twice = format!("{SPLIT}\npkgname = greet\n");
        let error = read_srcinfo(&twice).unwrap_err();
        assert!(
            error.to_string().contains("two packages named greet"),
            "{error}"
        );
    }

    const SPLIT: &str = "\
pkgbase = greet
\tpkgver = 1.0
\tpkgrel = 2
\tepoch = 1
\turl = https://greet.example
\tarch = x86_64
\tarch = aarch64
\tmakedepends = meson>=1.0
\tmakedepends_x86_64 = nasm
\tcheckdepends = python
\tdepends = glibc
\tdepends_x86_64 = lib32-glibc
\tprovides = libgreet.so
\tsource = greet.tar.gz

pkgname = greet

pkgname = greet-data
\tarch = any
\tdepends = 
\tdepends_x86_64 = 
\tprovides = greet-files=1.0
\toptdepends = python>=1:3: for the examples

pkgname = greet-extra
\tdepends = greet=1:1.0-2
\tdepends = libz.so=1-64
";

    fn texts(list: &PerArchitecture<Relation>, on: &str) -> Vec<String> {
        list.on(&on.parse().unwrap())
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn reads_overrides_and_architectures() {
        let reading = read_srcinfo(SPLIT).unwrap();
        assert!(reading.warnings.is_empty());
        let source = reading.package;
        assert_eq!(source.version.as_str(), "1:1.0-2");
        assert_eq!(texts(&source.makedepends, "x86_64"), ["meson>=1.0", "nasm"]);
        assert_eq!(texts(&source.makedepends, "aarch64"), ["meson>=1.0"]);
        let [greet, data, extra] = &source.packages[..] else {
            panic!("three packages");
        };
        assert_eq!(texts(&greet.depends, "x86_64"), ["glibc", "lib32-glibc"]);
        assert_eq!(texts(&data.depends, "x86_64"), [""; 0]);
        assert_eq!(data.provides.every[0].to_string(), "greet-files=1.0");
        assert_eq!(data.optdepends.every[0].to_string(), "python>=1:3");
        assert_eq!(data.architectures, [Architecture::any()]);
        assert_eq!(
            texts(&extra.depends, "x86_64"),
            ["greet=1:1.0-2", "libz.so=1-64", "lib32-glibc"]
        );
        assert!(!source.is_any_only());
        assert!(source.builds_on(&"aarch64".parse().unwrap()));
        assert!(!source.builds_on(&"riscv64".parse().unwrap()));
    }

    #[test]
    fn a_bumped_pkgrel_takes_exact_relations_along() {
        let source = read_srcinfo(SPLIT).unwrap().package;
        let bumped = source.with_pkgrel("3").unwrap();
        assert_eq!(bumped.version.as_str(), "1:1.0-3");
        assert_eq!(
            texts(&bumped.packages[2].depends, "aarch64"),
            ["greet=1:1.0-3", "libz.so=1-64"]
        );
    }

    #[test]
    fn leaves_out_bad_lines_that_planning_does_not_need() {
        let text = SPLIT
            .replace("source = greet.tar.gz", "source = /files/greet.tar.gz")
            .replace("https://greet.example", "not a url");
        let reading = read_srcinfo(&text).unwrap();
        assert_eq!(reading.package, read_srcinfo(SPLIT).unwrap().package);
        let found: Vec<_> = reading
            .warnings
            .iter()
            .map(|warning| (warning.line, warning.field.as_str()))
            .collect();
        assert_eq!(found, [(5, "url"), (14, "source")]);
    }

    #[test]
    fn reads_files_whose_line_ends_were_trimmed() {
        let trimmed: String = SPLIT
            .lines()
            .map(|line| format!("{}\r\n", line.trim_end()))
            .collect();
        let reading = read_srcinfo(&trimmed).unwrap();
        assert_eq!(reading.package, read_srcinfo(SPLIT).unwrap().package);
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line_with_its_place() {
        let said = |text: &str| read_srcinfo(text).unwrap_err().to_string();
        assert_eq!(
            said(
                "pkgbase = a\n\turl = x y\n\tpkgver = 1\n\tpkgrel = x y\n\tarch = any\n\npkgname = a\n"
            ),
            "the .SRCINFO is not valid: invalid package release in line 4, `pkgrel = x y`: expected positive \
             decimal integer; write it anew with 'makepkg --printsrcinfo'"
        );
        assert_eq!(
            said("garbage = = =\npkgbase = x\n"),
            "the .SRCINFO is not valid: invalid pkgbase section header in line 1, `garbage = = =`: expected \
             'pkgbase'; write it anew with 'makepkg --printsrcinfo'"
        );
        assert_eq!(
            said("\n"),
            "the .SRCINFO is not valid: it is empty; write it anew with 'makepkg --printsrcinfo'"
        );
        assert_eq!(
            said("garbage\n"),
            "the .SRCINFO is not valid: invalid pkgbase section header: expected 'pkgbase'; write it anew \
             with 'makepkg --printsrcinfo'"
        );
        assert!(
            !said("pkgbase = a\n").contains('\n'),
            "{}",
            said("pkgbase = a\n")
        );
    }

    #[test]
    fn refuses_rubbish_with_a_message() {
        for text in [
            "",
            "rubbish",
            "pkgbase = a\n",
            "\0\u{1}\u{2}",
            "pkgname = a",
        ] {
            let error = read_srcinfo(text).unwrap_err();
            assert!(matches!(error, SrcinfoError::Syntax(_)), "{error}");
        }
        let error = read_srcinfo(&SPLIT.replace("pkgname = greet-data", "pkgname = ../data"));
        assert!(error.is_err());
        let error = read_srcinfo(&"#".repeat(MAX_SRCINFO_LENGTH + 1)).unwrap_err();
        assert!(matches!(error, SrcinfoError::TooLong { .. }));
    }
}
