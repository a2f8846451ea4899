//! Amounts as people write them: `8G`, `512 MiB`, `2h 30m`.

use std::time::Duration;

use jiff::SignedDuration;

/// The units of a size with their factor. A kilobyte is 1024 bytes here, however it is written:
/// a limit that is two percent larger than meant harms nobody, one that is smaller surprises.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1 << 40),
    ("tib", 1 << 40),
];

/// Reads a size in bytes: a whole number, with a unit or without.
///
/// # Errors
///
/// What is wrong with the text, for the person who wrote it.
pub fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    match (number.parse::<u64>(), factor) {
        (Ok(number), Some(factor)) => number
            .checked_mul(factor)
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| format!("`{text}` is zero or more than this machine can count")),
        _ => Err(format!(
            "`{text}` is not a size: write a whole number and a unit, for example 512M or 8G"
        )),
    }
}

/// Reads a length of time: seconds, or numbers with units.
///
/// # Errors
///
/// What is wrong with the text, for the person who wrote it.
pub fn time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let parsed = seconds.or_else(|| {
        let friendly = text.parse::<SignedDuration>().ok()?;
        Duration::try_from(friendly).ok()
    });
    match parsed {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err(format!(
            "`{text}` is not a length of time: write for example 90s, 45m or 2h 30m"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1", 1),
            ("512M", 512 << 20),
            ("8 GiB", 8 << 30),
            ("3kb", 3 << 10),
            ("2t", 2 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "G",
            "-1",
            "1.5G",
            "0",
            "8X",
            "99999999999T",
            "99999999999999999999999",
        ] {
            assert!(size(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("2h 30m", 9000), ("36h", 129_600)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "-5s", "soon", "1 parsec"] {
            assert!(time(text).is_err(), "{text:?} was taken");
        }
    }
}
