//! Writing another pkgrel into PKGBUILD and `.SRCINFO`, where that is safe.
//!
//! Pure functions from text to text. A PKGBUILD is a program; only one that sets its pkgrel in
//! exactly one plain line is touched, and the edited `.SRCINFO` must say exactly what the plan
//! was made with.

use buildbtw_graph::{SourcePackage, read_srcinfo};

/// What stands in the way of an edit. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The new pkgrel is none.
    #[error("`{0}` is not a pkgrel; it is a number such as 2 or 2.1")]
    NotAPkgrel(String),
    /// The file is not text.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// No line sets the pkgrel.
    #[error("no line of {0} sets the pkgrel")]
    Missing(&'static str),
    /// Several lines set the pkgrel.
    #[error("{file} sets the pkgrel in line {first} and again in line {second}")]
    Twice {
        /// The file.
        file: &'static str,
        /// The first line.
        first: usize,
        /// The second one.
        second: usize,
    },
    /// The pkgrel is not set to a plain number in a line of its own.
    #[error("line {line} of {file} is not plain: {text:?}")]
    NotPlain {
        /// The file.
        file: &'static str,
        /// The line's number.
        line: usize,
        /// The line.
        text: String,
    },
    /// The `.SRCINFO` cannot be read.
    #[error("{0}")]
    Srcinfo(String),
    /// The edited `.SRCINFO` does not say what it should.
    #[error("the .SRCINFO names its own version where it cannot be followed")]
    Differs,
}

/// How much of a line an error shows.
const SHOWN: usize = 80;

/// Whether a PKGBUILD defines pkgver(), in either form that bash(1) knows.
pub fn has_pkgver_function(pkgbuild: &str) -> bool {
    pkgbuild.lines().any(|line| {
        let line = line.trim_start();
        let named = line.strip_prefix("function").map_or(line, str::trim_start);
        let rest = named.strip_prefix("pkgver").map(str::trim_start);
        rest.is_some_and(|rest| {
            rest.starts_with('(') || (named.len() < line.len() && !rest.starts_with('='))
        })
    })
}

/// A PKGBUILD with another pkgrel. Quotes around the number are left out.
///
/// # Errors
///
/// When not exactly one line sets the pkgrel, or that line does more.
pub fn edit_pkgbuild(pkgbuild: &str, pkgrel: &str) -> Result<String, EditError> {
    const FILE: &str = "PKGBUILD";
    check(pkgrel)?;
    let mut found: Option<usize> = None;
    for (number, line) in pkgbuild.lines().enumerate() {
        if !sets(line, "pkgrel") {
            continue;
        }
        if let Some(first) = found {
            return Err(EditError::Twice {
                file: FILE,
                first: first + 1,
                second: number + 1,
            });
        }
        found = Some(number);
    }
    let number = found.ok_or(EditError::Missing(FILE))?;
    let mut edited = String::with_capacity(pkgbuild.len() + pkgrel.len());
    for (at, line) in pkgbuild.split_inclusive('\n').enumerate() {
        if at == number {
            let end = &line[line.trim_end_matches(['\n', '\r']).len()..];
            let rest = plain_rest(line.trim_end_matches(['\n', '\r'])).ok_or_else(|| {
                EditError::NotPlain {
                    file: FILE,
                    line: number + 1,
                    text: shown(line),
                }
            })?;
            edited.push_str("pkgrel=");
            edited.push_str(pkgrel);
            edited.push_str(rest);
            edited.push_str(end);
        } else {
            edited.push_str(line);
        }
    }
    Ok(edited)
}

/// A `.SRCINFO` with another pkgrel, and the same in the relations and provisions that name its
/// own packages in exactly this version.
///
/// # Errors
///
/// When the `.SRCINFO` cannot be read, or the result would not say what
/// [`SourcePackage::with_pkgrel`] says.
pub fn edit_srcinfo(srcinfo: &str, pkgrel: &str) -> Result<String, EditError> {
    const FILE: &str = ".SRCINFO";
    check(pkgrel)?;
    let read = |text: &str| {
        read_srcinfo(text)
            .map(|read| read.package)
            .map_err(|error| EditError::Srcinfo(error.to_string()))
    };
    let before = read(srcinfo)?;
    let after = before
        .with_pkgrel(pkgrel)
        .map_err(|error| EditError::Srcinfo(error.to_string()))?;
    let (old, new) = (before.version.to_string(), after.version.to_string());
    let own = own_names(&before);
    let mut edited = String::with_capacity(srcinfo.len() + 16);
    let mut first: Option<usize> = None;
    for (number, line) in srcinfo.split_inclusive('\n').enumerate() {
        let Some((field, value)) = line.split_once('=') else {
            edited.push_str(line);
            continue;
        };
        let name = field.trim();
        if name == "pkgrel" {
            if let Some(first) = first {
                return Err(EditError::Twice {
                    file: FILE,
                    first: first + 1,
                    second: number + 1,
                });
            }
            first = Some(number);
            edited.push_str(field);
            edited.push_str("= ");
            edited.push_str(pkgrel);
            edited.push_str(&line[line.trim_end().len()..]);
        } else if is_relation(name) && follows(name, value.trim(), &old, &own) {
            let kept = line.trim_end();
            let (text, reason) = split_reason(name, kept);
            edited.push_str(&text[..text.len() - old.len()]);
            edited.push_str(&new);
            edited.push_str(reason);
            edited.push_str(&line[kept.len()..]);
        } else {
            edited.push_str(line);
        }
    }
    if first.is_none() {
        return Err(EditError::Missing(FILE));
    }
    // The proof: what the build sees is what the plan was made with.
    if read(&edited)? == after {
        Ok(edited)
    } else {
        Err(EditError::Differs)
    }
}

fn check(pkgrel: &str) -> Result<(), EditError> {
    if is_number(pkgrel) {
        Ok(())
    } else {
        Err(EditError::NotAPkgrel(pkgrel.to_owned()))
    }
}

/// `digits[.digits]`, as makepkg demands.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| {
        !text.is_empty() && text.len() <= 20 && text.bytes().all(|c| c.is_ascii_digit())
    };
    match text.split_once('.') {
        Some((before, after)) => digits(before) && digits(after),
        None => digits(text),
    }
}

/// What follows the number in a line that does nothing but set the pkgrel: blanks and a comment.
fn plain_rest(line: &str) -> Option<&str> {
    let value = line.strip_prefix("pkgrel=")?;
    let (number, rest) = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split_once(quote)?,
        _ => value.split_at(
            value
                .find(|c: char| !(c.is_ascii_digit() || c == '.'))
                .unwrap_or(value.len()),
        ),
    };
    let ends = rest.trim().is_empty()
        || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
    (is_number(number) && ends).then_some(rest)
}

/// Whether a line may set a variable: better once too often than once too rarely.
pub(super) fn sets(line: &str, name: &str) -> bool {
    if line.trim_start().starts_with('#') {
        return false;
    }
    line.match_indices(name).any(|(at, _)| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| is_word(c) || c == '$' || c == '{') {
            return false;
        }
        let after = line[at + name.len()..].trim_start_matches([' ', '\t']);
        let directly = &line[at + name.len()..];
        // `pkgrel=`, `pkgrel+=`; `pkgrel = 1`, `pkgrel++` and the like inside of (( )).
        let assigned = ["=", "+=", "-=", "*=", "/=", "%=", "++", "--"]
            .iter()
            .any(|op| directly.starts_with(op))
            || (line.contains("((")
                && ["=", "+=", "-=", "++", "--"]
                    .iter()
                    .any(|op| after.starts_with(op)))
            || line[..at].ends_with("++")
            || line[..at].ends_with("--");
        // `read pkgrel`, `printf -v pkgrel`, `unset pkgrel`, `local pkgrel`.
        let named = line[..at].split([' ', '\t', ';']).any(|word| {
            [
                "read", "-v", "unset", "local", "declare", "typeset", "mapfile", "eval",
            ]
            .contains(&word)
        });
        assigned || named
    })
}

fn shown(line: &str) -> String {
    line.trim_end().chars().take(SHOWN).collect()
}

fn own_names(package: &SourcePackage) -> Vec<String> {
    let mut names = Vec::new();
    for split in &package.packages {
        names.push(split.pkgname.to_string());
        names.extend(split.provides.all().map(|provision| provision.name.clone()));
    }
    names
}

fn is_relation(field: &str) -> bool {
    let lists = [
        "depends",
        "makedepends",
        "checkdepends",
        "optdepends",
        "provides",
        "conflicts",
        "replaces",
    ];
    lists.iter().any(|list| {
        field
            .strip_prefix(list)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// An optional dependency and its reason, which begins at the first `: `.
fn split_reason<'a>(field: &str, text: &'a str) -> (&'a str, &'a str) {
    let at = if field.starts_with("optdepends") {
        text.find(": ")
    } else {
        None
    };
    text.split_at(at.unwrap_or(text.len()))
}

/// Whether a relation names one of the own packages in exactly the old version.
fn follows(field: &str, value: &str, old: &str, own: &[String]) -> bool {
    let (relation, _) = split_reason(field, value);
    let Some(at) = relation.find(['<', '>', '=']) else {
        return false;
    };
    let (name, rest) = relation.split_at(at);
    rest.trim_start_matches(['<', '>', '=']) == old && own.iter().any(|one| one == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_is_edited_and_nothing_else() {
        let pkgbuild = "# pkgrel=9\npkgname=a\npkgver=1\npkgrel=1\nprepare() {\n  echo $pkgrel ${pkgrel} x-$pkgver-$pkgrel\n}\n";
        let edited = edit_pkgbuild(pkgbuild, "2.1").unwrap();
        assert_eq!(edited, pkgbuild.replace("\npkgrel=1\n", "\npkgrel=2.1\n"));
    }

    #[test]
    fn quotes_comments_and_line_ends() {
        for (line, edited) in [
            ("pkgrel='1'", "pkgrel=2"),
            ("pkgrel=\"1.5\"", "pkgrel=2"),
            ("pkgrel=1 # bumped", "pkgrel=2 # bumped"),
            ("pkgrel=1 \t", "pkgrel=2 \t"),
            ("pkgrel=1\r\npkgver=1\r\n", "pkgrel=2\r\npkgver=1\r\n"),
            ("pkgver=1\npkgrel=10", "pkgver=1\npkgrel=2"),
        ] {
            assert_eq!(edit_pkgbuild(line, "2").as_deref(), Ok(edited), "{line:?}");
        }
    }

    #[test]
    fn what_is_not_plain_is_named_with_its_line() {
        for line in [
            "pkgrel=$_rel",
            "pkgrel=1; pkgver=2",
            "pkgrel=1a",
            "pkgrel=",
            "pkgrel=1#x",
            "pkgrel='1\"",
            "  pkgrel=1",
            "export pkgrel=1",
            "pkgrel+=1",
            "((pkgrel++))",
            "(( pkgrel = 2 ))",
            "[[ $x ]] && pkgrel=2",
            "printf -v pkgrel %s 2",
            "read pkgrel",
        ] {
            let error = edit_pkgbuild(&format!("pkgname=a\n{line}\n"), "2").unwrap_err();
            assert!(
                matches!(error, EditError::NotPlain { line: 2, .. }),
                "{line:?}: {error}"
            );
        }
    }

    #[test]
    fn one_line_it_must_be() {
        let twice =
            edit_pkgbuild("pkgrel=1\npkgver=1\nif x; then pkgrel=3; fi\n", "2").unwrap_err();
        assert_eq!(
            twice,
            EditError::Twice {
                file: "PKGBUILD",
                first: 1,
                second: 3
            }
        );
        assert_eq!(
            edit_pkgbuild("_pkgrel=1\nmy_pkgrel=2\n", "2"),
            Err(EditError::Missing("PKGBUILD"))
        );
        for pkgrel in ["", "1.", ".1", "1.2.3", "1\nrm", "-1", "x"] {
            assert!(
                matches!(
                    edit_pkgbuild("pkgrel=1\n", pkgrel),
                    Err(EditError::NotAPkgrel(_))
                ),
                "{pkgrel:?}"
            );
        }
    }

    const SRCINFO: &str = "pkgbase = foo\n\tpkgdesc = it\n\tpkgver = 1.0\n\tpkgrel = 3\n\tepoch = 2\n\tarch = x86_64\n\
        \tmakedepends = other=2:1.0-3\n\tdepends = bar>=2:1.0-3\n\npkgname = foo\n\tdepends = foo-libs=2:1.0-3\n\
        \tprovides = foo-api=2:1.0-3\n\tprovides = libfoo.so\n\toptdepends = foo-docs=2:1.0-3: the manual, 2:1.0-3\n\n\
        pkgname = foo-libs\n\tdepends = glibc\n\tconflicts_x86_64 = foo<2:1.0-3\n\npkgname = foo-docs\n";

    #[test]
    fn own_versions_follow_the_pkgrel() {
        let edited = edit_srcinfo(SRCINFO, "4").unwrap();
        assert!(edited.contains("\tpkgrel = 4\n"));
        assert!(edited.contains("\tdepends = foo-libs=2:1.0-4\n"));
        assert!(edited.contains("\tprovides = foo-api=2:1.0-4\n"));
        assert!(edited.contains("\tconflicts_x86_64 = foo<2:1.0-4\n"));
        assert!(
            edited.contains("\toptdepends = foo-docs=2:1.0-4: the manual, 2:1.0-3\n"),
            "{edited}"
        );
        assert!(
            edited.contains("\tmakedepends = other=2:1.0-3\n"),
            "another's version is not ours"
        );
        assert!(edited.contains("\tdepends = bar>=2:1.0-3\n"));
        assert_eq!(edit_srcinfo(&edited, "3").unwrap(), SRCINFO);
    }

    #[test]
    fn a_broken_srcinfo_is_refused() {
        assert!(matches!(
            edit_srcinfo("rubbish", "2"),
            Err(EditError::Srcinfo(_))
        ));
        let twice = SRCINFO.replace("\tpkgrel = 3\n", "\tpkgrel = 3\n\tpkgrel = 4\n");
        assert!(edit_srcinfo(&twice, "5").is_err());
    }
}
