//! The workers' token: read from a file that nobody else can read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longer than any token; a larger file is something else.
const LONGEST: u64 = 4096;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error(
        "cannot read the token file {path}: {source}\n  hint: {}",
        unreadable_hint(source)
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read or change the file.
    #[error(
        "others on this machine can read or change the token file {path} (mode {mode:04o})\n  \
         hint: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is something else in the file.
    #[error(
        "the token file {path} {what}\n  hint: it must hold the server's token and nothing else, on one line"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What to do about a file that cannot be read.
fn unreadable_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "let the file, and the way to it, be this user's own, with mode 0600"
        }
        _ => {
            "the server makes one at its first start (`worker-token` in its data folder); copy it here"
        }
    }
}

/// Reads the token.
///
/// # Errors
///
/// When the file cannot be read, when anybody but its owner has any right to it, or when it
/// does not hold one token.
pub fn read(path: &Path) -> Result<String, TokenError> {
    let unreadable = |source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let malformed = |what| TokenError::Malformed {
        path: path.to_owned(),
        what,
    };
    let file = File::open(path).map_err(unreadable)?;
    // The opened file is asked, not the path: what is checked is what is read.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(malformed("is not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST {
        return Err(malformed("is too large for a token"));
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed("is not text"))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(malformed("is empty"));
    }
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(malformed("holds more than one word"));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn a_private_file_with_one_word_is_a_token() {
        let (_folder, path) = file("s3cret\n", 0o600);
        assert_eq!(read(&path).unwrap(), "s3cret");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_the_mending_is_named() {
        for mode in [0o640, 0o604, 0o620, 0o666] {
            let (_folder, path) = file("s3cret", mode);
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("{mode:04o}")), "{message}");
            assert!(
                message.contains(&format!("chmod 600 {}", path.display())),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "\n", "two words", "a\nb", "t\u{fc}r", &"x".repeat(5000)] {
            let (_folder, path) = file(text, 0o600);
            assert!(
                matches!(read(&path), Err(TokenError::Malformed { .. })),
                "{text:?} was taken"
            );
        }
        assert!(matches!(
            read(Path::new("/dev/null")),
            Err(TokenError::Malformed { .. })
        ));
    }
}
