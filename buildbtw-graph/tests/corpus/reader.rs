//! A tiny reader of `.SRCINFO` files and what pacman does with their content,
//! written for the checks alone: it shares nothing with the planner.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub type Fields = HashMap<String, Vec<String>>;

/// One package with what holds for it on x86_64.
pub struct Package {
    pub name: String,
    pub base: String,
    pub version: String,
    pub depends: Vec<String>,
    pub provides: Vec<String>,
}

/// One source.
pub struct Source {
    pub name: String,
    pub fields: Fields,
    pub packages: Vec<Package>,
}

fn lists(own: &Fields, base: &Fields, field: &str) -> Vec<String> {
    let mut values = Vec::new();
    for key in [field.to_owned(), format!("{field}_x86_64")] {
        let found = own
            .get(&key)
            .or_else(|| base.get(&key))
            .cloned()
            .unwrap_or_default();
        values.extend(found.into_iter().filter(|value| !value.is_empty()));
    }
    values
}

impl Source {
    pub fn list(&self, field: &str) -> Vec<String> {
        lists(&Fields::new(), &self.fields, field)
    }

    pub fn read(text: &str) -> Source {
        let mut name = String::new();
        let mut fields = Fields::new();
        let mut packages: Vec<(String, Fields)> = Vec::new();
        for line in text.lines() {
            let Some((key, value)) = line.trim().split_once('=') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            match key {
                "pkgbase" => name = value.to_owned(),
                "pkgname" => packages.push((value.to_owned(), Fields::new())),
                _ => {
                    let into = packages
                        .last_mut()
                        .map_or(&mut fields, |(_, fields)| fields);
                    into.entry(key.to_owned())
                        .or_default()
                        .push(value.to_owned());
                }
            }
        }
        let one = |key: &str| fields.get(key).map_or("", |values| &values[0]);
        let epoch = fields
            .get("epoch")
            .map_or(String::new(), |values| format!("{}:", values[0]));
        let version = format!("{epoch}{}-{}", one("pkgver"), one("pkgrel"));
        let here = |fields: &Fields, base: &Fields| {
            lists(fields, base, "arch")
                .iter()
                .any(|arch| arch == "any" || arch == "x86_64")
        };
        let made = packages
            .iter()
            .filter(|(_, own)| here(own, &fields) && here(&fields, &fields));
        let packages = made
            .map(|(package, own)| Package {
                name: package.clone(),
                base: name.clone(),
                version: version.clone(),
                depends: lists(own, &fields, "depends"),
                provides: lists(own, &fields, "provides"),
            })
            .collect();
        Source {
            name,
            fields,
            packages,
        }
    }
}

/// Splits `foo>=1` into its three parts.
pub fn parts(relation: &str) -> (&str, &str, &str) {
    match relation.find(['<', '>', '=']) {
        None => (relation, "", ""),
        Some(at) => {
            let rest = &relation[at..];
            let sign = rest.len() - rest.trim_start_matches(['<', '>', '=']).len();
            (&relation[..at], &rest[..sign], &rest[sign..])
        }
    }
}

/// Compares versions well enough for what real packages contain.
fn compare(a: &str, b: &str) -> Ordering {
    fn epoch(text: &str) -> (u64, &str) {
        text.split_once(':')
            .map_or((0, text), |(e, rest)| (e.parse().unwrap_or(0), rest))
    }
    fn tokens(text: &str) -> Vec<String> {
        let mut tokens: Vec<String> = Vec::new();
        let mut last = ' ';
        for c in text.chars() {
            let same = c.is_ascii_digit() == last.is_ascii_digit();
            if c.is_ascii_alphanumeric() {
                match tokens.last_mut() {
                    Some(token) if same && last.is_ascii_alphanumeric() => token.push(c),
                    _ => tokens.push(c.to_string()),
                }
            }
            last = c;
        }
        tokens
    }
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a), epoch(b));
    let split = |text: &str| match text.rsplit_once('-') {
        Some((version, release)) => (version.to_owned(), Some(release.to_owned())),
        None => (text.to_owned(), None),
    };
    let ((a, release_a), (b, release_b)) = (split(a), split(b));
    let by_tokens = |a: &str, b: &str| {
        let (a, b) = (tokens(a), tokens(b));
        for (x, y) in a.iter().zip(&b) {
            let order = match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Greater,
                (Err(_), Ok(_)) => Ordering::Less,
                (Err(_), Err(_)) => x.cmp(y),
            };
            if order.is_ne() {
                return order;
            }
        }
        let lettered = |rest: &[String]| rest[0].starts_with(|c: char| c.is_ascii_alphabetic());
        match (a.len(), b.len()) {
            (x, y) if x > y && lettered(&a[y..]) => Ordering::Less,
            (x, y) if x < y && lettered(&b[x..]) => Ordering::Greater,
            (x, y) => x.cmp(&y),
        }
    };
    let releases = || match (&release_a, &release_b) {
        (Some(a), Some(b)) => by_tokens(a, b),
        _ => Ordering::Equal,
    };
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| by_tokens(&a, &b))
        .then_with(releases)
}

fn fits(found: &str, sign: &str, wanted: &str) -> bool {
    let order = compare(found, wanted);
    match sign {
        "" => true,
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        "=" => order.is_eq(),
        ">=" => order.is_ge(),
        _ => order.is_gt(),
    }
}

/// All sources of a folder, found by name.
pub struct Tree {
    pub sources: BTreeMap<String, Source>,
    named: HashMap<String, Vec<(String, usize)>>,
    providing: HashMap<String, Vec<(String, usize)>>,
}

impl Tree {
    pub fn read(folder: &Path) -> Tree {
        let mut sources = BTreeMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            if let Ok(text) = std::fs::read_to_string(entry.unwrap().path().join(".SRCINFO")) {
                let source = Source::read(&text);
                sources.insert(source.name.clone(), source);
            }
        }
        let mut named: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        let mut providing: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        for source in sources.values() {
            for (at, package) in source.packages.iter().enumerate() {
                let place = (source.name.clone(), at);
                named
                    .entry(package.name.clone())
                    .or_default()
                    .push(place.clone());
                for provision in &package.provides {
                    let name = parts(provision).0.to_owned();
                    let list = providing.entry(name).or_default();
                    if !list.contains(&place) {
                        list.push(place.clone());
                    }
                }
            }
        }
        Tree {
            sources,
            named,
            providing,
        }
    }

    pub fn package(&self, (base, at): &(String, usize)) -> &Package {
        &self.sources[base].packages[*at]
    }

    /// The packages that satisfy a relation, the one that pacman takes first.
    pub fn resolve(&self, relation: &str) -> Vec<&(String, usize)> {
        let (name, sign, wanted) = parts(relation);
        let by_name = self.named.get(name).into_iter().flatten();
        let mut found: Vec<_> = by_name
            .filter(|p| fits(&self.package(p).version, sign, wanted))
            .collect();
        if found.is_empty() {
            let providing = self.providing.get(name).into_iter().flatten();
            found = providing
                .filter(|place| {
                    let package = self.package(place);
                    package.name != name
                        && package.provides.iter().any(|provision| {
                            let (provided, has, version) = parts(provision);
                            provided == name
                                && (sign.is_empty()
                                    || (!has.is_empty() && fits(version, sign, wanted))
                                    || (has.is_empty() && name.ends_with(".so")))
                        })
                })
                .collect();
        }
        found.sort_by_key(|place| {
            let package = self.package(place);
            (
                package.name.clone(),
                package.name != package.base,
                package.base.clone(),
            )
        });
        found
    }
}
