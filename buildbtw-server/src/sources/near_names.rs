//! Which names may have been meant.

use buildbtw_graph::{PkgBase, SourceIndex};

/// How many names are offered.
const OFFERED: usize = 3;

/// A hint for a package base that is not known.
pub(super) fn hint<'a>(
    wanted: &PkgBase,
    known: impl Iterator<Item = &'a PkgBase>,
    index: &SourceIndex,
) -> String {
    let wanted = wanted.as_str();
    let maker = index.iter().find(|source| {
        source
            .packages
            .iter()
            .any(|package| package.pkgname.as_str() == wanted)
    });
    if let Some(maker) = maker {
        return format!(
            "`{wanted}` is a package that the source repository `{}` makes",
            maker.pkgbase
        );
    }
    let near = near(wanted, known.map(PkgBase::as_str));
    if near.is_empty() {
        "`bbtw sources`, or Sources on the pages, lists all that are known; a repository that is put into the sources is noticed at once"
            .to_owned()
    } else {
        format!("there is: {}", near.join(", "))
    }
}

/// The names nearest to a wanted one, the nearest first.
fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let far = 1 + wanted.len() / 4;
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let distance = distance(wanted, name, far)?;
            Some((distance, name))
        })
        .collect();
    near.sort();
    near.truncate(OFFERED);
    near.into_iter().map(|(_, name)| name).collect()
}

/// How many letters are to be inserted, removed, replaced or swapped with their neighbour to get
/// from one text to the other; `None` above a limit.
fn distance(one: &str, other: &str, limit: usize) -> Option<usize> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = row[j] + usize::from(!a.eq_ignore_ascii_case(b));
            let mut best = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        if next.iter().all(|&cost| cost > limit) {
            return None;
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|&distance| distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("curl", "curl", 0),
            ("crul", "curl", 1),
            ("curl", "cur", 1),
            ("Curl", "curl", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other, 5), Some(expected), "{one} {other}");
            assert_eq!(distance(other, one, 5), Some(expected), "{other} {one}");
        }
        assert_eq!(distance("abc", "xyz", 2), None);
        assert_eq!(distance("a", "abcdef", 2), None);
    }

    #[test]
    fn the_nearest_come_first() {
        let names = ["openimageio", "openimagedenoise", "imageio", "openimagei"];
        assert_eq!(
            near("openimagio", names.into_iter()),
            ["openimageio", "openimagei"]
        );
        assert!(near("zzz", names.into_iter()).is_empty());
    }
}
