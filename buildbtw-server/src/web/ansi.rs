//! Text from a log as HTML: colours of a terminal become classes, everything else that commands a
//! terminal or turns the direction of writing is shown harmlessly or left out.

use std::borrow::Cow;

/// What the text looks like at a place: SGR of ECMA-48, as far as build tools use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Look {
    /// 0 to 15 as a terminal numbers them, plus 1; 0 is the usual colour.
    colour: u8,
    bold: bool,
    faint: bool,
    underlined: bool,
}

/// Turns one line after the other into HTML; a colour goes on until it is reset.
#[derive(Debug, Default)]
pub struct Painter {
    look: Look,
}

/// A line as it is shown.
#[derive(Debug, Default)]
pub struct Painted {
    /// As HTML.
    pub html: String,
    /// What can be read of it, without markup.
    pub plain: String,
}

impl Painted {
    fn show(&mut self, c: char) {
        self.plain.push(c);
        match c {
            '&' => self.html.push_str("&amp;"),
            '<' => self.html.push_str("&lt;"),
            '>' => self.html.push_str("&gt;"),
            '"' => self.html.push_str("&quot;"),
            c => self.html.push(c),
        }
    }
}

impl Painter {
    /// A line, without its end.
    pub fn line(&mut self, text: &str) -> Painted {
        let mut painted = Painted {
            html: String::with_capacity(text.len() + 16),
            plain: String::with_capacity(text.len()),
        };
        // Programs that draw progress bars return to the begin of the line; what is drawn last stays.
        let text = text.trim_end_matches('\r');
        let text = text.rsplit('\r').next().unwrap_or(text);
        let mut open = self.begin(&mut painted.html);
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\u{1b}' => match rest.next() {
                    Some('[') => {
                        let mut parameters = String::new();
                        let mut last = None;
                        for c in rest.by_ref() {
                            if ('\u{40}'..='\u{7e}').contains(&c) {
                                last = Some(c);
                                break;
                            }
                            parameters.push(c);
                        }
                        if last == Some('m') {
                            let before = self.look;
                            self.select(&parameters);
                            if before != self.look {
                                if open {
                                    painted.html.push_str("</span>");
                                }
                                open = self.begin(&mut painted.html);
                            }
                        }
                    }
                    // A title or a link: up to BEL or ESC \.
                    Some(']') => {
                        while let Some(c) = rest.next() {
                            if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                                break;
                            }
                        }
                    }
                    _ => {}
                },
                c if turns_writing(c) => painted.show('\u{fffd}'),
                c if c.is_control() && c != '\t' => {}
                c => painted.show(c),
            }
        }
        if open {
            painted.html.push_str("</span>");
        }
        painted
    }

    fn begin(&self, html: &mut String) -> bool {
        if self.look == Look::default() {
            return false;
        }
        let Look {
            colour,
            bold,
            faint,
            underlined,
        } = self.look;
        let mut classes = Vec::new();
        if colour > 0 {
            classes.push(format!("c{}", colour - 1));
        }
        for (is_so, class) in [(bold, "b"), (faint, "f"), (underlined, "u")] {
            if is_so {
                classes.push(class.to_owned());
            }
        }
        html.push_str("<span class=\"");
        html.push_str(&classes.join(" "));
        html.push_str("\">");
        true
    }

    fn select(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|number| match number {
            "" => Some(0),
            number => number.parse::<u16>().ok(),
        });
        while let Some(number) = numbers.next() {
            match number {
                Some(0) => self.look = Look::default(),
                Some(1) => self.look.bold = true,
                Some(2) => self.look.faint = true,
                Some(4) => self.look.underlined = true,
                Some(22) => (self.look.bold, self.look.faint) = (false, false),
                Some(24) => self.look.underlined = false,
                Some(number @ 30..=37) => self.look.colour = (number - 30) as u8 + 1,
                Some(number @ 90..=97) => self.look.colour = (number - 90) as u8 + 9,
                Some(39) => self.look.colour = 0,
                // A colour out of 256 or by its parts: of the first sixteen there are names.
                Some(38) | Some(48) => match numbers.next() {
                    Some(Some(5)) => {
                        let colour = numbers.next().flatten().unwrap_or(0);
                        if number == Some(38) {
                            self.look.colour = if colour < 16 { colour as u8 + 1 } else { 0 };
                        }
                    }
                    Some(Some(2)) => {
                        numbers.nth(2);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// What can be read of a line, without its end: as [`Painter::line`] says, but without painting.
pub fn readable(text: &str) -> Cow<'_, str> {
    let text = text.trim_end_matches('\n');
    let plain = |byte: u8| (b' '..0x7f).contains(&byte) || byte == b'\t';
    match text.bytes().all(plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(Painter::default().line(text).plain),
    }
}

/// Marks that change the direction in which text is written (Unicode Standard Annex 9): in a log they
/// could only make it read otherwise than it is.
fn turns_writing(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a line tells of an error, as makepkg, the usual tools and test suites tell it: the line as
/// it is read, without escapes and markup.
pub fn tells_error(line: &str) -> bool {
    let line = line.trim_start();
    let marks = [
        "==> ERROR:",
        "error:",
        "fatal error:",
        "ERROR:",
        "FAILED:",
        "FAIL:",
        "not ok ",
        "FATAL:",
    ];
    marks.iter().any(|mark| line.starts_with(mark))
        || [
            ": error:",
            ": fatal error:",
            ": undefined reference to",
            " Error ",
            ": error[",
        ]
        .iter()
        .any(|mark| line.contains(mark))
        || (line.starts_with("make") && line.contains("***"))
        || line.starts_with("error[")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(lines: &[&str]) -> Vec<String> {
        let mut painter = Painter::default();
        lines.iter().map(|line| painter.line(line).html).collect()
    }

    #[test]
    fn colours_become_classes_and_go_on_over_lines() {
        assert_eq!(
            painted(&[
                "\u{1b}[1;31mred",
                "still\u{1b}[0m plain",
                "\u{1b}[38;5;12mblue\u{1b}[m"
            ]),
            [
                "<span class=\"c1 b\">red</span>",
                "<span class=\"c1 b\">still</span> plain",
                "<span class=\"c12\">blue</span>",
            ]
        );
    }

    #[test]
    fn nothing_in_a_log_does_anything() {
        assert_eq!(
            painted(&[
                "<script>alert(\"&\")</script>",
                "\u{1b}]0;title\u{7}x\u{1b}]8;;http://e\u{1b}\\y\u{1b}[2J\u{1b}[",
                "a\u{202e}b\u{0}\u{7}\u{9b}",
                "10 %\r20 %\r",
                "\u{1b}[38;2;1;2;3mt\u{1b}[48;5;1mu",
            ]),
            [
                "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;",
                "xy",
                "a\u{fffd}b",
                "20 %",
                "tu",
            ]
        );
    }

    #[test]
    fn what_is_read_of_a_line_has_no_markup() {
        let line = "\u{1b}[1m==> \u{1b}[31mERROR:\u{1b}[0m <a> & \"b\"";
        assert_eq!(
            Painter::default().line(line).plain,
            "==> ERROR: <a> & \"b\""
        );
        assert_eq!(readable(line), "==> ERROR: <a> & \"b\"");
        assert_eq!(readable("10 %\r20 %\r\n"), "20 %");
        assert!(matches!(readable("<a> & b\n"), Cow::Borrowed("<a> & b")));
    }

    #[test]
    fn errors_are_told_from_talk() {
        for line in [
            "==> ERROR: A failure occurred in build().",
            "main.c:3:5: error: expected ';'",
            "make[1]: *** [Makefile:10: all] Error 2",
            "error[E0308]: mismatched types",
            "error: target not found: x",
            "FAIL: nobody was greeted",
            "not ok 3 - it greets",
        ] {
            assert!(tells_error(line), "{line}");
        }
        for line in ["checking for strerror... yes", "  CC error.o", "0 errors"] {
            assert!(!tells_error(line), "{line}");
        }
    }
}
