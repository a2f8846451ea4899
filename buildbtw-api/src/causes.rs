//! An error with its causes as one text for people.

use std::error::Error;

/// An error's text, and behind it that of each of its causes which is not said in it already: many an error quotes
/// its cause, so that the whole chain would say it twice.
///
/// ```
/// # use buildbtw_api::causes::in_words;
/// let quoting = std::io::Error::other("a: No such file");
/// assert_eq!(in_words(&quoting), "a: No such file");
/// ```
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            // A hint is the last thing that is said.
            match text.find("\n  hint: ") {
                Some(hint) => text.insert_str(hint, &format!(": {said}")),
                None => text.push_str(&format!(": {said}")),
            }
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer { text, source }
    }

    #[test]
    fn nothing_is_said_twice_and_the_hint_comes_last() {
        let said = |texts: &[&'static str]| in_words(&layers(texts));
        assert_eq!(said(&["it fails", "why"]), "it fails: why");
        assert_eq!(
            said(&["it fails: why", "why", "really"]),
            "it fails: why: really"
        );
        assert_eq!(
            said(&["no token\n  hint: copy it", "No such file"]),
            "no token: No such file\n  hint: copy it"
        );
    }
}
