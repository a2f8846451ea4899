//! Digests of files, as hexadecimal text outside and bytes inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {name} digest; it needs {digits} hexadecimal digits")]
pub struct DigestError {
    text: String,
    name: &'static str,
    digits: usize,
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $type:ident, $name:literal, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type([u8; $length]);

        impl $type {
            /// The digest with these bytes.
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The bytes of the digest.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = DigestError;

            /// Reads hexadecimal digits of either case.
            fn from_str(text: &str) -> Result<Self, DigestError> {
                let mut bytes = [0; $length];
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_) => Err(DigestError {
                        text: text.chars().take(100).collect(),
                        name: $name,
                        digits: 2 * $length,
                    }),
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = DigestError;

            fn try_from(text: String) -> Result<Self, DigestError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(digest: $type) -> String {
                hex::encode(digest.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
    };
}

digest_type! {
    /// A SHA-256 digest. Packages, frames and content are kept under it.
    Sha256Digest, "SHA-256", 32
}

digest_type! {
    /// An MD5 digest: old readers of dbs want it; nothing relies on it.
    Md5Digest, "MD5", 16
}

impl Sha256Digest {
    /// The digest of some bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let digest = Sha256Digest::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Sha256Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn refuses_what_is_no_digest() {
        for text in [
            "",
            "e3",
            "zz",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
        ] {
            assert!(text.parse::<Sha256Digest>().is_err(), "{text}");
        }
    }
}
