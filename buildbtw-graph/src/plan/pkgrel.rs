//! Which pkgrel a build gets.
//!
//! A repository never gets two packages of one name and version, so what is
//! rebuilt needs another pkgrel: the next integer, as devtools has it. The
//! first of two passes gets a sub-pkgrel just below the second one's, so that
//! pacman takes the second for the newer.

use std::cmp::Ordering;

use super::options::PkgrelMode;
use crate::version::{Version, vercmp};

/// What was decided about a source's pkgrel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pkgrel {
    /// It stays as the source has it.
    Keep,
    /// It becomes another one.
    Become(String),
    /// It stays, though that version cannot be released: why.
    Doubtful(String),
}

/// Decides about the pkgrel of a source, given the released versions.
pub(super) fn decide(source: &Version, released: &[&Version], mode: PkgrelMode) -> Pkgrel {
    let newest = released.iter().copied().max_by(|a, b| a.compare(b));
    let Some(newest) = newest.filter(|_| mode == PkgrelMode::Bump) else {
        return Pkgrel::Keep;
    };
    if newest.compare(source) == Ordering::Less {
        return Pkgrel::Keep;
    }
    let same = || vercmp(&without_pkgrel(newest), &without_pkgrel(source)) == Ordering::Equal;
    if newest != source && !same() {
        return Pkgrel::Doubtful(format!(
            "version {newest} is released, which is newer than the source's {source}; \
             bring the source up to date"
        ));
    }
    let whole = |version: &Version| version.pkgrel().and_then(whole_part).unwrap_or(0);
    match whole(newest).max(whole(source)).checked_add(1) {
        Some(next) => Pkgrel::Become(next.to_string()),
        None => Pkgrel::Doubtful(format!("the pkgrel of {newest} cannot be counted up")),
    }
}

fn without_pkgrel(version: &Version) -> String {
    format!("{}:{}", version.epoch().unwrap_or("0"), version.pkgver())
}

fn whole_part(pkgrel: &str) -> Option<u64> {
    pkgrel.split('.').next()?.parse().ok()
}

/// The pkgrel of the first of two passes, when the second one has `last`.
/// It lies below `last` and above every released version of that pkgver.
pub(super) fn first_pass(last: &str, released: &[&Version], source: &Version) -> String {
    let (whole, part) = match last.split_once('.') {
        Some((whole, part)) => (whole.parse().unwrap_or(0u64), part.parse().unwrap_or(0u64)),
        None => (last.parse().unwrap_or(0), 0),
    };
    // 3.2 follows 3.1; 4 follows 3.1, or 3.(n+1) when 3.n is released.
    if part > 0 {
        return format!("{whole}.{}", part - 1);
    }
    let below = whole.saturating_sub(1);
    let taken = released
        .iter()
        .filter(|version| {
            vercmp(&without_pkgrel(version), &without_pkgrel(source)) == Ordering::Equal
        })
        .filter_map(|version| version.pkgrel()?.split_once('.'))
        .filter(|(whole, _)| whole.parse() == Ok(below))
        .filter_map(|(_, part)| part.parse::<u64>().ok())
        .max();
    format!("{below}.{}", taken.unwrap_or(0).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn decided(source: &str, released: &[&str]) -> Pkgrel {
        let released: Vec<Version> = released.iter().map(|text| version(text)).collect();
        let released: Vec<&Version> = released.iter().collect();
        decide(&version(source), &released, PkgrelMode::Bump)
    }

    #[test]
    fn only_a_released_version_is_bumped() {
        assert_eq!(decided("1.0-1", &[]), Pkgrel::Keep);
        assert_eq!(decided("1.1-1", &["1.0-4"]), Pkgrel::Keep);
        assert_eq!(decided("1.0-5", &["1.0-4"]), Pkgrel::Keep);
        assert_eq!(decided("1.0-4", &["1.0-4"]), Pkgrel::Become("5".into()));
        assert_eq!(
            decided("1:1.0-1", &["1:1.0-4.1"]),
            Pkgrel::Become("5".into())
        );
        assert_eq!(decided("1.0-1.1", &["1.0-1.1"]), Pkgrel::Become("2".into()));
        assert!(matches!(
            decided("1.0-1", &["1:0.9-1"]),
            Pkgrel::Doubtful(_)
        ));
        let kept = decide(&version("1-1"), &[&version("1-1")], PkgrelMode::Keep);
        assert_eq!(kept, Pkgrel::Keep);
    }

    #[test]
    fn the_first_pass_lies_between_released_and_second() {
        for (last, released) in [
            ("4", "1.0-3"),
            ("4", "1.0-3.1"),
            ("1", "0.9-7"),
            ("3.2", "1.0-3"),
        ] {
            let first = first_pass(last, &[&version(released)], &version("1.0-1"));
            let (first, last) = (format!("1.0-{first}"), format!("1.0-{last}"));
            assert_eq!(vercmp(&first, &last), Ordering::Less, "{first} {last}");
            assert_eq!(
                vercmp(released, &first),
                Ordering::Less,
                "{released} {first}"
            );
        }
    }
}
