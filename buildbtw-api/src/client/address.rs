//! The address of a server, as people write it.

use url::Url;

use super::ClientError;

/// Reads the address of a server.
///
/// # Errors
///
/// When it is none of http or https, with what is wrong with it.
pub(super) fn read(text: &str) -> Result<Url, ClientError> {
    let bad = |reason: String| ClientError::Address {
        text: text.to_owned(),
        reason,
    };
    let url: Url = match text.parse() {
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Err(bad("it does not begin with http:// or https://".to_owned()));
        }
        parsed => parsed.map_err(|error: url::ParseError| bad(error.to_string()))?,
    };
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) => Ok(url),
        // `localhost:8080` reads as a scheme and a path.
        _ if !text.contains("://") => {
            Err(bad("it does not begin with http:// or https://".to_owned()))
        }
        ("http" | "https", None) => Err(bad("it names no host".to_owned())),
        (scheme, _) => Err(bad(format!("{scheme}:// is not spoken here"))),
    }
}
