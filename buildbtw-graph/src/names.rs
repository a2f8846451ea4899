//! Names of pkgbases, pkgnames and architectures, checked when they come in.
//!
//! The rules are those of makepkg's PKGBUILD lint (PKGBUILD(5), `pkgname` and
//! `arch`), plus a limit on the length: a name becomes a file name.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

/// Longest name that is accepted, in bytes. A package file name holds a name,
/// a version and an architecture, and file systems end at 255 bytes.
pub const MAX_NAME_LENGTH: usize = 200;

/// A text that cannot be the name of a package or an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("an empty {what} was given; write its name")]
    Empty {
        /// What the text was to name.
        what: &'static str,
    },
    /// Above [`MAX_NAME_LENGTH`] bytes.
    #[error("a {what} of {length} bytes was given; {MAX_NAME_LENGTH} are the limit")]
    TooLong {
        /// What the text was to name.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The first character would make it an option or a hidden file.
    #[error("{what} {text:?} begins with '-' or '.', which no {what} may")]
    BadStart {
        /// What the text was to name.
        what: &'static str,
        /// The refused text.
        text: String,
    },
    /// A character outside the allowed ones.
    #[error("{what} {text:?} contains {character:?}; allowed are {allowed}")]
    BadCharacter {
        /// What the text was to name.
        what: &'static str,
        /// The refused text.
        text: String,
        /// The first character that is not allowed.
        character: char,
        /// The allowed characters, in words.
        allowed: &'static str,
    },
}

fn check_package_name(what: &'static str, text: &str) -> Result<(), NameError> {
    check_length(what, text)?;
    if text.starts_with(['-', '.']) {
        return Err(NameError::BadStart {
            what,
            text: text.to_owned(),
        });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    match text.chars().find(|&c| !allowed(c)) {
        None => Ok(()),
        Some(character) => Err(NameError::BadCharacter {
            what,
            text: text.to_owned(),
            character,
            allowed: "ASCII letters, digits and @ . _ + -",
        }),
    }
}

fn check_architecture(what: &'static str, text: &str) -> Result<(), NameError> {
    check_length(what, text)?;
    match text
        .chars()
        .find(|&c| !(c.is_ascii_alphanumeric() || c == '_'))
    {
        None => Ok(()),
        Some(character) => Err(NameError::BadCharacter {
            what,
            text: text.to_owned(),
            character,
            allowed: "ASCII letters, digits and _",
        }),
    }
}

fn check_length(what: &'static str, text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty { what }),
        length if length > MAX_NAME_LENGTH => Err(NameError::TooLong { what, length }),
        _ => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:ident, $store:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check($what, text)?;
                Ok(Self($store(text)))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type! {
    /// The name of one package source: what is scheduled and built.
    PkgBase, "pkgbase", check_package_name, Arc::from
}

name_type! {
    /// The name of one package that a pkgbase makes: what is installed.
    PkgName, "pkgname", check_package_name, Arc::from
}

name_type! {
    /// A processor architecture as in PKGBUILD(5), or `any`.
    Architecture, "architecture", check_architecture, common_text
}

/// The text of an architecture. Nearly every package names one of two: they are kept once, so that
/// equal ones are mostly known without being read.
fn common_text(text: &str) -> Arc<str> {
    static COMMON: OnceLock<[Arc<str>; 2]> = OnceLock::new();
    let common = COMMON.get_or_init(|| ["any", "x86_64"].map(Arc::from));
    let known = common.iter().find(|known| &***known == text);
    known.map_or_else(|| text.into(), Arc::clone)
}

impl Architecture {
    /// The architecture of packages that run everywhere.
    pub fn any() -> Self {
        Self(common_text("any"))
    }

    /// Whether this is `any`.
    pub fn is_any(&self) -> bool {
        &*self.0 == "any"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_arch_uses() {
        for text in [
            "dvd+rw-tools",
            "libsigc++",
            "R",
            "0ad",
            "python-zope.interface",
            "_x@y",
        ] {
            assert_eq!(text.parse::<PkgName>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_paths_options_and_control_characters() {
        for text in ["", "../x", "a/b", "-x", ".x", "a\nb", "a b", "ä", "a\0"] {
            assert!(text.parse::<PkgBase>().is_err(), "{text:?} was accepted");
        }
        assert!("x".repeat(MAX_NAME_LENGTH + 1).parse::<PkgName>().is_err());
        assert!("x86-64".parse::<Architecture>().is_err());
    }
}
