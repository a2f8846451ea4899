//! The token, which is to be seen by GitLab alone.

use std::fmt;

/// A token. It is never shown: neither by `Debug` nor in what GitLab says.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// From what a file or the environment holds; `None` if that is nothing, or no header can carry it.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// What is sent.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// A text of others without the token, should it stand in there.
    pub(super) fn remove_from(&self, text: &str) -> String {
        text.replace(&self.0, "[token]")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_shown() {
        let token = Token::new(" glpat-secret\n").unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_eq!(token.remove_from("no glpat-secret here"), "no [token] here");
        for text in ["", " \n", "two words", "caf\u{e9}"] {
            assert_eq!(Token::new(text), None);
        }
    }
}
