//! A second, small reader of `.SRCINFO` files, line by line.
//!
//! It knows only what decides about order, and shares no code with the planner, whose plans are
//! checked with it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::version::compare;

/// The architecture that is looked at.
pub const ARCHITECTURE: &str = "x86_64";

/// A relation: a name, with or without a comparison with a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The text as written.
    pub text: String,
    /// The name that is wanted.
    pub name: String,
    /// `<`, `<=`, `=`, `>=` or `>`, and the version that is compared with.
    pub constraint: Option<(String, String)>,
}

impl Wanted {
    /// Reads a relation, such as `foo>=1:2`.
    pub fn new(text: &str) -> Self {
        let at = text.find(['<', '=', '>']).unwrap_or(text.len());
        let (name, rest) = text.split_at(at);
        let version = rest.trim_start_matches(['<', '=', '>']);
        let sign = &rest[..rest.len() - version.len()];
        let constraint = (!sign.is_empty()).then(|| (sign.to_owned(), version.to_owned()));
        Self {
            text: text.to_owned(),
            name: name.to_owned(),
            constraint,
        }
    }

    /// Whether a version will do.
    pub fn accepts(&self, version: &str) -> bool {
        let Some((sign, limit)) = &self.constraint else {
            return true;
        };
        let order = compare(version, limit);
        match order {
            Ordering::Less => sign.contains('<'),
            Ordering::Equal => sign.contains('='),
            Ordering::Greater => sign.contains('>'),
        }
    }
}

/// A package that a source makes, with what it inherits from the pkgbase section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub pkgname: String,
    /// Its run-time dependencies.
    pub depends: Vec<Wanted>,
    /// What it provides: a name, and perhaps a version.
    pub provides: Vec<(String, Option<String>)>,
}

/// What decides about order in one `.SRCINFO`, for [`ARCHITECTURE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub pkgbase: String,
    /// `[epoch:]pkgver-pkgrel`.
    pub version: String,
    /// `depends` of the pkgbase section.
    pub depends: Vec<Wanted>,
    /// `makedepends`.
    pub makedepends: Vec<Wanted>,
    /// `checkdepends`.
    pub checkdepends: Vec<Wanted>,
    /// The packages it makes; none where it is not built for the architecture.
    pub packages: Vec<Made>,
}

/// The lines of a section: each key with its values, in order. A key without a value is there, and
/// has none.
type Section = BTreeMap<String, Vec<String>>;

/// Reads a `.SRCINFO`.
///
/// # Panics
///
/// When it has no `pkgbase` or no version.
pub fn read(text: &str) -> Source {
    let mut base = Section::new();
    let mut sections: Vec<(String, Section)> = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key == "pkgname" {
            sections.push((value.to_owned(), Section::new()));
            continue;
        }
        let section = sections
            .last_mut()
            .map_or(&mut base, |(_, section)| section);
        let values = section.entry(key.to_owned()).or_default();
        if !value.is_empty() {
            values.push(value.to_owned());
        }
    }
    let first = |key: &str| base.get(key).and_then(|values| values.first());
    let pkgbase = first("pkgbase").unwrap_or_else(|| panic!("no pkgbase in {text:?}"));
    let (Some(pkgver), Some(pkgrel)) = (first("pkgver"), first("pkgrel")) else {
        panic!("{pkgbase} has no version");
    };
    let epoch = first("epoch")
        .map(|epoch| format!("{epoch}:"))
        .unwrap_or_default();
    let none = Section::new();
    let packages = sections
        .iter()
        .filter(|_| is_for_here(&base, &none))
        .filter(|(_, section)| is_for_here(&base, section))
        .map(|(pkgname, section)| Made {
            pkgname: pkgname.clone(),
            depends: wanted(&base, section, "depends"),
            provides: values(&base, section, "provides")
                .iter()
                .map(|text| provision(text))
                .collect(),
        })
        .collect();
    Source {
        pkgbase: pkgbase.clone(),
        version: format!("{epoch}{pkgver}-{pkgrel}"),
        depends: wanted(&base, &none, "depends"),
        makedepends: wanted(&base, &none, "makedepends"),
        checkdepends: wanted(&base, &none, "checkdepends"),
        packages,
    }
}

/// The values of a key in a package's section, which take the place of the pkgbase section's
/// wherever the key stands there at all; then the same for the architecture's own key.
fn values(base: &Section, section: &Section, key: &str) -> Vec<String> {
    let own = format!("{key}_{ARCHITECTURE}");
    [key, own.as_str()]
        .into_iter()
        .filter_map(|key| section.get(key).or_else(|| base.get(key)))
        .flatten()
        .cloned()
        .collect()
}

fn wanted(base: &Section, section: &Section, key: &str) -> Vec<Wanted> {
    values(base, section, key)
        .iter()
        .map(|text| Wanted::new(text))
        .collect()
}

fn provision(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn is_for_here(base: &Section, section: &Section) -> bool {
    let architectures = section.get("arch").or_else(|| base.get("arch"));
    architectures
        .into_iter()
        .flatten()
        .any(|name| name == "any" || name == ARCHITECTURE)
}

#[cfg(test)]
mod tests {
    use super::{Wanted, read};

    fn texts(list: &[Wanted]) -> Vec<&str> {
        list.iter().map(|wanted| wanted.text.as_str()).collect()
    }

    #[test]
    fn packages_inherit_replace_and_clear() {
        let source = read(
            "# made by hand\npkgbase = foo\n\tpkgver = 1\n\tpkgrel = 2\n\tepoch = 3\n\tarch = x86_64\n\
             \tdepends = a\n\tdepends = b>=1\n\tdepends_x86_64 = c\n\tdepends_aarch64 = d\n\tmakedepends = e\n\
             \tcheckdepends_x86_64 = f\n\tprovides = bar=4\n\n\
             pkgname = foo\n\npkgname = foo-data\n\tarch = any\n\tdepends = \n\tprovides = \n\n\
             pkgname = foo-libs\n\tdepends = z\n\tdepends_x86_64 = \n\n\
             pkgname = foo-other\n\tarch = aarch64\n",
        );
        assert_eq!(
            (source.pkgbase.as_str(), source.version.as_str()),
            ("foo", "3:1-2")
        );
        assert_eq!(texts(&source.depends), ["a", "b>=1", "c"]);
        assert_eq!(texts(&source.makedepends), ["e"]);
        assert_eq!(texts(&source.checkdepends), ["f"]);
        let packages: Vec<_> = source
            .packages
            .iter()
            .map(|made| {
                (
                    made.pkgname.as_str(),
                    texts(&made.depends),
                    made.provides.len(),
                )
            })
            .collect();
        let expected = [
            ("foo", vec!["a", "b>=1", "c"], 1),
            ("foo-data", vec!["c"], 0),
            ("foo-libs", vec!["z"], 1),
        ];
        assert_eq!(packages, expected);
        assert_eq!(
            source.packages[0].provides,
            [("bar".to_owned(), Some("4".to_owned()))]
        );
    }

    #[test]
    fn what_is_for_another_architecture_makes_nothing() {
        let source = read(
            "pkgbase = foo\npkgver = 1\npkgrel = 1\narch = aarch64\npkgname = foo\narch = any\n",
        );
        assert_eq!(source.packages, []);
    }

    #[test]
    fn constraints_accept_versions() {
        let accepts = |relation: &str, version: &str| Wanted::new(relation).accepts(version);
        assert!(
            accepts("foo", "1-1")
                && accepts("foo>=1", "1-1")
                && accepts("foo<=1", "1-7")
                && accepts("foo=1", "1-2")
        );
        assert!(
            !accepts("foo>1", "1-1") && !accepts("foo<1:0", "1:1-1") && !accepts("foo=1-2", "1-1")
        );
    }
}
