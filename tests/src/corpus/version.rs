//! Comparing versions as vercmp(8) does, a second time: the checker shares no code with the
//! planner.

use std::cmp::Ordering;

/// Compares two versions `[epoch:]pkgver[-pkgrel]`. Where one has no pkgrel, neither's counts.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_epoch, a_version, a_release) = split(a);
    let (b_epoch, b_version, b_release) = split(b);
    let release = || match (a_release, b_release) {
        (Some(a), Some(b)) => compare_part(a, b),
        _ => Ordering::Equal,
    };
    compare_part(a_epoch, b_epoch)
        .then_with(|| compare_part(a_version, b_version))
        .then_with(release)
}

/// Epoch, version and release of a version.
fn split(text: &str) -> (&str, &str, Option<&str>) {
    let is_epoch = |epoch: &str| epoch.bytes().all(|byte| byte.is_ascii_digit());
    let (epoch, rest) = match text.split_once(':') {
        Some((epoch, rest)) if is_epoch(epoch) => {
            (if epoch.is_empty() { "0" } else { epoch }, rest)
        }
        _ => ("0", text),
    };
    match rest.rsplit_once('-') {
        Some((version, release)) => (epoch, version, Some(release)),
        None => (epoch, rest, None),
    }
}

/// Compares what stands between epoch and pkgrel: runs of digits as numbers, runs of letters as
/// text, and whatever lies between only separates.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    loop {
        if a.is_empty() || b.is_empty() {
            return compare_ends(a, b);
        }
        let (a_rest, b_rest) = (skip_separators(a), skip_separators(b));
        if a_rest.is_empty() || b_rest.is_empty() {
            return compare_ends(a_rest, b_rest);
        }
        let separators = (a.len() - a_rest.len()).cmp(&(b.len() - b_rest.len()));
        if separators.is_ne() {
            return separators;
        }
        let digits = a_rest.starts_with(|c: char| c.is_ascii_digit());
        let (a_run, b_run);
        (a_run, a) = take_run(a_rest, digits);
        (b_run, b) = take_run(b_rest, digits);
        if b_run.is_empty() {
            // A number is newer than a word.
            return if digits {
                Ordering::Greater
            } else {
                Ordering::Less
            };
        }
        let order = if digits {
            let (a, b) = (a_run.trim_start_matches('0'), b_run.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            a_run.cmp(b_run)
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
}

fn take_run(text: &str, digits: bool) -> (&str, &str) {
    let of_run = |c: char| {
        if digits {
            c.is_ascii_digit()
        } else {
            c.is_ascii_alphabetic()
        }
    };
    text.split_at(text.find(|c: char| !of_run(c)).unwrap_or(text.len()))
}

/// What is left of one decides: a word makes it older (1.0rc1 comes before 1.0), else it is newer.
fn compare_ends(a: &str, b: &str) -> Ordering {
    let is_word = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => {
            if is_word(b) {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        _ => {
            if is_word(a) {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;
    use std::process::Command;

    use super::compare;
    use crate::corpus::seeded::Seeded;
    use crate::programs::output;

    /// What the real vercmp says.
    fn vercmp(a: &str, b: &str) -> Ordering {
        let said = output(Command::new("vercmp").args([a, b]));
        said.trim()
            .parse::<i32>()
            .expect("vercmp prints a number")
            .cmp(&0)
    }

    #[test]
    fn versions_compare_as_the_real_vercmp_compares_them() {
        let mut seeded = Seeded::new(7);
        let pieces = [
            "1", "2", "10", "01", "0", "a", "rc", "beta", ".", "..", "_", "+", "~", "-1", "-2",
            "1:", "3:",
        ];
        let mut text = || {
            let count = 1 + seeded.below(5);
            (0..count)
                .map(|_| *seeded.pick(&pieces))
                .collect::<String>()
        };
        let mut seen = [0; 3];
        for _ in 0..400 {
            let (a, b) = (format!("1{}", text()), format!("1{}", text()));
            let expected = vercmp(&a, &b);
            assert_eq!(compare(&a, &b), expected, "{a} {b}");
            seen[usize::from(expected.is_ge()) + usize::from(expected.is_gt())] += 1;
        }
        assert!(
            seen.iter().all(|&count| count > 0),
            "older, equal and newer must all come up: {seen:?}"
        );
    }
}
