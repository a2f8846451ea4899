//! Numbers, times and texts of others as words on a terminal.

use buildbtw_api::runs::Outcome;
use jiff::{Timestamp, tz::TimeZone};
use unicode_width::UnicodeWidthStr;

/// A text from elsewhere without anything that a terminal would obey: control characters and
/// those that turn the direction of writing become `�`, line breaks become spaces.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() || is_direction(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Characters that change the direction in which the others are shown (Unicode TR 9), which can
/// make a line read as something that it is not.
pub fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// `1 build`, `2 builds`.
pub fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// A duration in its two largest units: `0.4 s`, `42 s`, `3 min 12 s`, `2 h 5 min`, `3 d 1 h`. Below ten seconds it has
/// tenths: most steps of a small build take less than one.
pub fn duration(milliseconds: i64) -> String {
    let tenths = milliseconds.max(0) / 100;
    match tenths {
        1..100 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => whole(tenths / 10),
    }
}

/// A duration in whole seconds, in its two largest units.
fn whole(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match () {
        () if days > 0 => pair(days, "d", hours % 24, "h"),
        () if hours > 0 => pair(hours, "h", minutes % 60, "min"),
        () if minutes > 0 => pair(minutes, "min", seconds % 60, "s"),
        () => format!("{seconds} s"),
    }
}

/// The time from one moment to another.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    duration(to.as_millisecond() - from.as_millisecond())
}

/// How long ago something was, in its largest unit only.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    let words = whole((now.as_millisecond() - then.as_millisecond()).max(0) / 1000);
    let mut parts = words.split(' ');
    match (parts.next(), parts.next()) {
        (Some("0"), _) => "now".to_owned(),
        (Some(number), Some(unit)) => format!("{number} {unit} ago"),
        _ => words,
    }
}

/// A moment in the user's own time zone: `2026-11-21 10:12:05 CET`.
pub fn moment(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S %Z")
        .to_string()
}

/// A size in the largest binary unit that leaves a number from 1 on: `512 B`, `3.4 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // A rounding error in the fourth digit is nobody's business.
    let mut number = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if number < 1023.95 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    format!("{number:.1} {unit}")
}

/// The first eight digits of a commit.
pub fn commit(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// How a run ended: its class, and the step in which it failed.
pub fn outcome(outcome: &Outcome) -> String {
    let step = outcome
        .failed_step
        .as_ref()
        .map(|step| format!(" in {step}"));
    format!("{}{}", outcome.class, step.unwrap_or_default())
}

/// Breaks a text into lines of at most `width` columns, at spaces only: a longer word has a line
/// of its own. A number and what it counts stay together.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match words.last_mut().filter(|last| is_number(last)) {
            Some(number) => {
                number.push(' ');
                number.push_str(word);
            }
            None => words.push(word.to_owned()),
        }
    }
    for word in &words {
        let needs = word.width();
        if used > 0 && used + 1 + needs > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += needs;
    }
    lines.push(line);
    lines
}

fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches('(');
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Names in a row: the first `most`, and how many there are besides.
pub fn some_of<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_cannot_command_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\u{202e}c\nd\u{9b}"), "a�[2Jb��c d�");
        assert_eq!(harmless("schön 語"), "schön 語");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = [
            0, 99, 400, 4_290, 9_999, 14_900, 60_000, 192_000, 7_500_000, 90_000_000,
        ]
        .map(duration);
        assert_eq!(
            shown,
            [
                "0 s",
                "0 s",
                "0.4 s",
                "4.2 s",
                "9.9 s",
                "14 s",
                "1 min",
                "3 min 12 s",
                "2 h 5 min",
                "1 d 1 h"
            ]
        );
        assert_eq!(duration(-5_000), "0 s", "clocks may differ");
    }

    #[test]
    fn sizes_never_read_as_1024_of_a_unit() {
        let shown = [0, 1023, 1024, 1_048_575, 1_048_576, 5_368_709_120].map(size);
        assert_eq!(
            shown,
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB"]
        );
    }

    #[test]
    fn lines_break_at_spaces_only() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("averylongword b", 4), ["averylongword", "b"]);
        assert_eq!(wrap("日本 語", 4), ["日本", "語"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some_of(&["a", "b"], 2), "a, b");
        assert_eq!(some_of(&["a", "b", "c"], 1), "a and 2 more");
    }
}
