//! Versions and their order, as vercmp(8) and libalpm have it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest version that is accepted, in bytes; versions become file names.
pub const MAX_VERSION_LENGTH: usize = 200;

/// A text that cannot be a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing was given.
    #[error("an empty version was given; write one, like 1.0-1")]
    Empty,
    /// Above [`MAX_VERSION_LENGTH`] bytes.
    #[error("a version of {length} bytes was given; {MAX_VERSION_LENGTH} are the limit")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A character that cannot stand in a version.
    #[error("version {text:?} contains {character:?}, which no version may")]
    BadCharacter {
        /// The refused text.
        text: String,
        /// The first character that is not allowed.
        character: char,
    },
}

/// A full version text, `[epoch:]pkgver[-pkgrel]`.
///
/// Two versions are equal (`==`) when their texts are; use
/// [`Version::compare`] for the order of vercmp, in which `1.0` and `01.0` are
/// the same.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Arc<str>);

impl Version {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The epoch, when the text names one.
    pub fn epoch(&self) -> Option<&str> {
        Parts::of(&self.0).epoch
    }

    /// The version without epoch and pkgrel.
    pub fn pkgver(&self) -> &str {
        Parts::of(&self.0).pkgver
    }

    /// What stands after the last `-`, when there is one.
    pub fn pkgrel(&self) -> Option<&str> {
        Parts::of(&self.0).pkgrel
    }

    /// The order of vercmp(8): see [`vercmp`].
    pub fn compare(&self, other: &Version) -> Ordering {
        vercmp(&self.0, &other.0)
    }

    /// The same epoch and pkgver with another pkgrel.
    ///
    /// # Errors
    ///
    /// When the pkgrel holds characters that no version may have.
    pub fn with_pkgrel(&self, pkgrel: &str) -> Result<Version, VersionError> {
        let parts = Parts::of(&self.0);
        match parts.epoch {
            Some(epoch) => [epoch, ":", parts.pkgver, "-", pkgrel].concat(),
            None => [parts.pkgver, "-", pkgrel].concat(),
        }
        .parse()
    }
}

/// What no version may have, beside blanks and control characters.
const REFUSED: &str = "/<>=";

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.is_empty() {
            return Err(VersionError::Empty);
        }
        if text.len() > MAX_VERSION_LENGTH {
            return Err(VersionError::TooLong { length: text.len() });
        }
        // Nearly all are plain, and thousands are read for a plan.
        let plain = |byte: u8| byte.is_ascii_graphic() && !REFUSED.as_bytes().contains(&byte);
        if text.bytes().all(plain) {
            return Ok(Self(text.into()));
        }
        let refused = |c: char| c.is_whitespace() || c.is_control() || REFUSED.contains(c);
        match text.chars().find(|&c| refused(c)) {
            None => Ok(Self(text.into())),
            Some(character) => Err(VersionError::BadCharacter {
                text: text.to_owned(),
                character,
            }),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.0.as_ref().to_owned()
    }
}

impl AsRef<str> for Version {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A version text taken apart the way libalpm does it.
struct Parts<'a> {
    epoch: Option<&'a str>,
    pkgver: &'a str,
    pkgrel: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        // Only leading digits (or nothing) before a ':' are an epoch.
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (epoch, rest) = match text.as_bytes().get(digits) {
            Some(b':') => (Some(&text[..digits]), &text[digits + 1..]),
            _ => (None, text),
        };
        match rest.rsplit_once('-') {
            Some((pkgver, pkgrel)) => Parts {
                epoch,
                pkgver,
                pkgrel: Some(pkgrel),
            },
            None => Parts {
                epoch,
                pkgver: rest,
                pkgrel: None,
            },
        }
    }
}

/// Compares two full versions as vercmp(8) does.
///
/// Epochs first (a missing one is 0), then pkgver, then pkgrel; the pkgrel is
/// left out when one side has none. Numbers may have any number of digits, and
/// no input makes it panic.
pub fn vercmp(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (a, b) = (Parts::of(a), Parts::of(b));
    let epoch = |parts: &Parts<'_>| match parts.epoch {
        None | Some("") => "0".to_owned(),
        Some(epoch) => epoch.to_owned(),
    };
    let same_epoch = match (a.epoch, b.epoch) {
        (None, None) => Ordering::Equal,
        _ => compare_segments(epoch(&a).as_bytes(), epoch(&b).as_bytes()),
    };
    same_epoch
        .then_with(|| compare_segments(a.pkgver.as_bytes(), b.pkgver.as_bytes()))
        .then_with(|| match (a.pkgrel, b.pkgrel) {
            (Some(a), Some(b)) => compare_segments(a.as_bytes(), b.as_bytes()),
            _ => Ordering::Equal,
        })
}

/// Compares two texts without epoch and pkgrel, run by run: numbers beat
/// letters, letters at the end make a version older (`1.0rc1` < `1.0`), and
/// separators count only by how many stand in a row.
fn compare_segments(mut a: &[u8], mut b: &[u8]) -> Ordering {
    // Separators are only looked at while both texts go on: behind the end of
    // one text they make the other one newer (`1.0+git` > `1.0`).
    while !a.is_empty() && !b.is_empty() {
        let separators_a = leading(a, |c| !c.is_ascii_alphanumeric());
        let separators_b = leading(b, |c| !c.is_ascii_alphanumeric());
        a = &a[separators_a..];
        b = &b[separators_b..];
        let (Some(first), Some(_)) = (a.first(), b.first()) else {
            break;
        };
        if separators_a != separators_b {
            return separators_a.cmp(&separators_b);
        }
        let numeric = first.is_ascii_digit();
        let belongs = |c: u8| {
            if numeric {
                c.is_ascii_digit()
            } else {
                c.is_ascii_alphabetic()
            }
        };
        let (run_a, rest_a) = a.split_at(leading(a, belongs));
        let (run_b, rest_b) = b.split_at(leading(b, belongs));
        if run_b.is_empty() {
            // A number is newer than letters in the same place.
            return if numeric {
                Ordering::Greater
            } else {
                Ordering::Less
            };
        }
        let order = if numeric {
            compare_numbers(run_a, run_b)
        } else {
            run_a.cmp(run_b)
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    match (a.first(), b.first()) {
        (None, None) => Ordering::Equal,
        // Whoever has more is newer, unless what is left begins with a letter.
        (Some(c), _) if c.is_ascii_alphabetic() => Ordering::Less,
        (Some(_), _) => Ordering::Greater,
        (None, Some(c)) if c.is_ascii_alphabetic() => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
    }
}

fn leading(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|&&c| belongs(c)).count()
}

/// Compares runs of digits by value, however long they are.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let a = &a[leading(a, |c| c == b'0')..];
    let b = &b[leading(b, |c| c == b'0')..];
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_version_apart() {
        let version: Version = "1:2.0-a-3.1".parse().unwrap();
        assert_eq!(version.epoch(), Some("1"));
        assert_eq!(version.pkgver(), "2.0-a");
        assert_eq!(version.pkgrel(), Some("3.1"));
        assert_eq!(version.with_pkgrel("4").unwrap().as_str(), "1:2.0-a-4");
        let plain: Version = "x:1".parse().unwrap();
        assert_eq!(plain.epoch(), None);
        assert_eq!(plain.pkgver(), "x:1");
    }

    #[test]
    fn numbers_of_any_length() {
        let long = "9".repeat(100);
        assert_eq!(vercmp(&long, "1"), Ordering::Greater);
        assert_eq!(
            vercmp("99999999999999999999", "100000000000000000000"),
            Ordering::Less
        );
        assert_eq!(vercmp("99999999999999999999:1", "2"), Ordering::Greater);
    }

    #[test]
    fn refuses_what_no_version_may_have() {
        for text in ["", "1/2", "1 2", "1\n", "=1", "1<2"] {
            assert!(text.parse::<Version>().is_err(), "{text:?} was accepted");
        }
    }
}
