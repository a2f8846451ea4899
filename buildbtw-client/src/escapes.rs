//! Logs on a terminal. A log holds whatever a build prints, and so whatever somebody put into a
//! package: it may colour its lines, and nothing else. What a terminal would obey is shown instead
//! of being sent.

use crate::words::is_direction;

/// The longest colour sequence that is passed on. Real ones are shorter than 20 characters.
const COLOUR_MAX: usize = 64;

/// What of a sequence has been seen.
#[derive(Debug, Default)]
enum Seen {
    /// Nothing: plain text.
    #[default]
    Text,
    /// The escape character.
    Escape,
    /// The beginning of a control sequence, and its parameters so far.
    Sequence(String),
}

/// Makes a log fit for a terminal, part by part. A part may end anywhere, in the middle of a
/// character or sequence too.
#[derive(Debug)]
pub struct Filter {
    colours: bool,
    coloured: bool,
    seen: Seen,
    returned: bool,
    bytes: Vec<u8>,
}

impl Filter {
    /// A filter that keeps colours, or drops them as well.
    pub fn new(colours: bool) -> Self {
        Self {
            colours,
            coloured: false,
            seen: Seen::Text,
            returned: false,
            bytes: Vec::new(),
        }
    }

    /// The text to print for the next part of a log.
    pub fn feed(&mut self, part: &[u8]) -> String {
        self.bytes.extend_from_slice(part);
        let bytes = std::mem::take(&mut self.bytes);
        let mut out = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text(text, &mut out);
                    return out;
                }
                Err(error) => {
                    let (valid, bad) = rest.split_at(error.valid_up_to());
                    // Valid up to there, so this is no replacement of anything.
                    self.text(&String::from_utf8_lossy(valid), &mut out);
                    let Some(length) = error.error_len() else {
                        self.bytes = bad.to_vec();
                        return out;
                    };
                    self.character(char::REPLACEMENT_CHARACTER, &mut out);
                    rest = &bad[length..];
                }
            }
        }
    }

    /// The text to print at the end: what was held back, and the end of all colours.
    pub fn finish(mut self) -> String {
        let mut out = String::new();
        if !self.bytes.is_empty() {
            self.character(char::REPLACEMENT_CHARACTER, &mut out);
        }
        self.give_up(&mut out);
        if self.returned {
            out.push('\n');
        }
        if self.coloured {
            out.push_str("\u{1b}[0m");
        }
        out
    }

    fn text(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.character(c, out);
        }
    }

    fn character(&mut self, c: char, out: &mut String) {
        match &mut self.seen {
            Seen::Text => self.plain(c, out),
            Seen::Escape if c == '[' => self.seen = Seen::Sequence(String::new()),
            Seen::Escape => {
                self.give_up(out);
                self.plain(c, out);
            }
            Seen::Sequence(parameters) => match c {
                'm' => {
                    if self.colours {
                        out.push_str("\u{1b}[");
                        out.push_str(parameters);
                        out.push('m');
                        self.coloured = true;
                    }
                    self.seen = Seen::Text;
                }
                '0'..='9' | ';' | ':' if parameters.len() < COLOUR_MAX => parameters.push(c),
                _ => {
                    self.give_up(out);
                    self.plain(c, out);
                }
            },
        }
    }

    /// Shows a sequence that is no colour.
    fn give_up(&mut self, out: &mut String) {
        match std::mem::take(&mut self.seen) {
            Seen::Text => {}
            Seen::Escape => out.push_str("^["),
            Seen::Sequence(parameters) => {
                out.push_str("^[[");
                out.push_str(&parameters);
            }
        }
    }

    fn plain(&mut self, c: char, out: &mut String) {
        if c == '\r' {
            // Going back to the beginning of a line would let it be written over: what was there
            // stays, and the rest comes below.
            self.returned = true;
            return;
        }
        if std::mem::take(&mut self.returned) && c != '\n' {
            out.push('\n');
        }
        match c {
            '\u{1b}' => self.seen = Seen::Escape,
            '\n' | '\t' => out.push(c),
            '\0'..='\u{1f}' | '\u{7f}' => {
                out.push('^');
                out.push(char::from((c as u8) ^ 0x40));
            }
            '\u{80}'..='\u{9f}' => out.push_str(&format!("<{:x}>", u32::from(c))),
            c if is_direction(c) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(text: &[u8], colours: bool) -> String {
        let mut filter = Filter::new(colours);
        let mut out = filter.feed(text);
        out.push_str(&filter.finish());
        out
    }

    #[test]
    fn colours_stay_and_end_with_the_log() {
        assert_eq!(
            filtered(b"\x1b[1;31merror\x1b[m plain", true),
            "\u{1b}[1;31merror\u{1b}[m plain\u{1b}[0m"
        );
        assert_eq!(
            filtered(b"\x1b[1;31merror\x1b[m plain", false),
            "error plain"
        );
    }

    #[test]
    fn everything_else_is_shown_and_not_obeyed() {
        for (log, shown) in [
            (&b"\x1b[2Jgone?"[..], "^[[2Jgone?"),
            (b"\x1b]0;title\x07", "^[]0;title^G"),
            (b"\x1b]8;;http://x\x1b\\link", "^[]8;;http://x^[\\link"),
            (b"\x1b[>4;2m", "^[[>4;2m"),
            (b"\x1b[?1049h", "^[[?1049h"),
            (b"\x1bc", "^[c"),
            (b"a\x08b\x7f", "a^Hb^?"),
            ("\u{9b}2J".as_bytes(), "<9b>2J"),
            ("a\u{202e}b".as_bytes(), "a�b"),
            (b"\x1b\x1b[31", "^[^[[31"),
            (b"\xff\xfe", "��"),
        ] {
            assert_eq!(filtered(log, true), shown);
        }
    }

    #[test]
    fn a_line_cannot_be_written_over() {
        assert_eq!(filtered(b"10%\r20%\r\nend\r\r\n", true), "10%\n20%\nend\n");
        assert_eq!(filtered(b"10%\r", true), "10%\n");
    }

    #[test]
    fn parts_may_end_anywhere() {
        let log = "\u{1b}[1;32m==> ü漢\u{1b}[0m\r\n\u{1b}[2Kx\u{9b}".as_bytes();
        let whole = filtered(log, true);
        for cut in 0..=log.len() {
            let mut filter = Filter::new(true);
            let mut out = filter.feed(&log[..cut]);
            out.push_str(&filter.feed(&log[cut..]));
            out.push_str(&filter.finish());
            assert_eq!(out, whole, "cut at byte {cut}");
        }
    }

    #[test]
    fn an_endless_sequence_is_not_held_back() {
        let log = format!("\u{1b}[{}", "1;".repeat(1000));
        assert_eq!(
            filtered(log.as_bytes(), true),
            format!("^{}", &log.replace('\u{1b}', "["))
        );
    }
}
