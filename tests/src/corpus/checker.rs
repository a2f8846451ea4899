//! Checks a plan against the `.SRCINFO` texts it was made from.
//!
//! What must hold of every build x of a build set (one pass, released is what the default branches
//! say):
//!
//! - whatever member is in x's installation comes before x, or the plan says that it does not: the
//!   pair is dropped;
//! - a dropped pair is one of x's installation, and putting it back would close a cycle; for the
//!   check's own needs, x skips its check, and running it would close one;
//! - x waits for nothing that it does not install;
//! - nobody who depends at run time on what is rebuilt is missing, and nobody else is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::distribution::{Distribution, Members, Reach};
use super::plan::BuildSet;
use super::srcinfo::Wanted;

/// What the plan was asked for.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The pkgbases of the changesets.
    pub changed: &'a [&'a str],
    /// How far the build set reaches.
    pub reach: Reach,
    /// What is installed for every build.
    pub implicit: &'a [&'a str],
}

/// How much was checked, so that a test can see that there was something to check.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Builds.
    pub builds: usize,
    /// Pairs of a build and a member of its installation.
    pub installed: usize,
    /// Such pairs that the order does not name itself, but implies.
    pub implied: usize,
    /// Pairs that were given up, by kind.
    pub dropped: BTreeMap<String, usize>,
    /// Builds that skip their check.
    pub nocheck: usize,
}

/// Checks a build set.
///
/// # Errors
///
/// All that is wrong with it, a sentence each.
pub fn check(
    distribution: &Distribution,
    asked: &Asked<'_>,
    set: &BuildSet,
) -> Result<Checked, Vec<String>> {
    let mut checker = Checker::new(distribution, asked, set);
    checker.members();
    checker.edges();
    if let Some(line) = checker.line() {
        checker.waves(&line);
        checker.builds(&line);
    }
    if checker.wrong.is_empty() {
        Ok(checker.checked)
    } else {
        Err(checker.wrong)
    }
}

struct Checker<'a> {
    distribution: &'a Distribution,
    asked: &'a Asked<'a>,
    set: &'a BuildSet,
    implicit: Vec<Wanted>,
    /// The builds' names, and their numbers here.
    names: Vec<&'a str>,
    numbers: HashMap<&'a str, usize>,
    members: Members,
    /// What each build waits for by the undropped edges.
    direct: Vec<BTreeSet<usize>>,
    /// What each build does not wait for, with the kind.
    dropped: Vec<BTreeMap<usize, &'a str>>,
    checked: Checked,
    wrong: Vec<String>,
}

impl<'a> Checker<'a> {
    fn new(distribution: &'a Distribution, asked: &'a Asked<'a>, set: &'a BuildSet) -> Self {
        let names: Vec<&str> = set.builds.keys().map(String::as_str).collect();
        let count = names.len();
        Self {
            distribution,
            asked,
            set,
            implicit: asked
                .implicit
                .iter()
                .map(|text| Wanted::new(text))
                .collect(),
            numbers: names
                .iter()
                .enumerate()
                .map(|(number, name)| (*name, number))
                .collect(),
            names,
            members: Members::new(),
            direct: vec![BTreeSet::new(); count],
            dropped: vec![BTreeMap::new(); count],
            checked: Checked {
                builds: count,
                ..Checked::default()
            },
            wrong: Vec::new(),
        }
    }

    fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Who is in the set, and who should be.
    fn members(&mut self) {
        let distribution = self.distribution;
        let number = |name: &&str| distribution.number(name);
        let changed: Vec<usize> = self.asked.changed.iter().filter_map(number).collect();
        let (least, most) = distribution.dependents(&changed, self.asked.reach);
        self.members = self
            .names
            .iter()
            .filter_map(|name| distribution.number(name))
            .collect();
        let name = |number: &usize| &distribution.sources()[*number].pkgbase;
        for missing in least.difference(&self.members) {
            self.wrong.push(format!(
                "{} depends on what is rebuilt and is missing",
                name(missing)
            ));
        }
        for extra in self.members.difference(&most) {
            self.wrong.push(format!(
                "{} is rebuilt, and nothing it depends on is",
                name(extra)
            ));
        }
        for (name, build) in &self.set.builds {
            let Some(number) = distribution.number(name) else {
                self.wrong.push(format!("{name} is no source"));
                continue;
            };
            let made = &distribution.sources()[number].packages;
            let mut made: Vec<&str> = made.iter().map(|made| made.pkgname.as_str()).collect();
            made.sort_unstable();
            if made.is_empty() || build.pkgnames != made {
                self.wrong
                    .push(format!("{name} makes {made:?}, not {:?}", build.pkgnames));
            }
        }
    }

    /// What the edges name.
    fn edges(&mut self) {
        let set = self.set;
        for edge in &set.edges {
            let pair = format!("{} before {}", edge.before, edge.after);
            let number = |name: &str| self.numbers.get(name).copied();
            let (Some(before), Some(after)) = (number(&edge.before), number(&edge.after)) else {
                self.wrong(format!("{pair}: one of them is not built"));
                continue;
            };
            if before == after {
                self.wrong(format!("{pair}: no build waits for itself"));
                continue;
            }
            if edge
                .through
                .last()
                .is_none_or(|last| !set.builds[&edge.before].pkgnames.contains(last))
            {
                self.wrong(format!(
                    "{pair} goes through {:?} and does not end there",
                    edge.through
                ));
            }
            let start = Wanted::new(&edge.relation).name;
            if !self
                .relations(after, true)
                .iter()
                .any(|wanted| wanted.name == start)
            {
                self.wrong(format!(
                    "{pair} begins with {}, which that build does not want",
                    edge.relation
                ));
            }
            if edge.dropped {
                self.dropped[after].insert(before, &edge.kind);
                *self.checked.dropped.entry(edge.kind.clone()).or_default() += 1;
            } else {
                self.direct[after].insert(before);
            }
        }
    }

    /// The relations that a build begins its installation with.
    fn relations(&self, build: usize, check: bool) -> Vec<&Wanted> {
        let source = self
            .distribution
            .number(self.names[build])
            .map(|number| &self.distribution.sources()[number]);
        let Some(source) = source else {
            return Vec::new();
        };
        let check = if check { &source.checkdepends[..] } else { &[] };
        source
            .depends
            .iter()
            .chain(&source.makedepends)
            .chain(check)
            .chain(&self.implicit)
            .collect()
    }

    /// The builds so that each comes after all it waits for.
    fn line(&mut self) -> Option<Vec<usize>> {
        let mut open: Vec<usize> = self.direct.iter().map(BTreeSet::len).collect();
        let mut after = vec![Vec::new(); self.names.len()];
        for (build, direct) in self.direct.iter().enumerate() {
            for &before in direct {
                after[before].push(build);
            }
        }
        let mut line: Vec<usize> = (0..open.len()).filter(|&build| open[build] == 0).collect();
        let mut at = 0;
        while let Some(&build) = line.get(at) {
            at += 1;
            for &waiting in &after[build] {
                open[waiting] -= 1;
                if open[waiting] == 0 {
                    line.push(waiting);
                }
            }
        }
        if line.len() == self.names.len() {
            return Some(line);
        }
        let stuck: Vec<&str> = (0..open.len())
            .filter(|&build| open[build] > 0)
            .map(|build| self.names[build])
            .collect();
        self.wrong(format!(
            "the order has a cycle; these wait for each other, or for such: {stuck:?}"
        ));
        None
    }

    /// A build's wave is the first after the waves of all it waits for, and a longest chain has one
    /// build of each wave.
    fn waves(&mut self, line: &[usize]) {
        let mut waves = vec![0; line.len()];
        for &build in line {
            let last = self.direct[build]
                .iter()
                .map(|&before| waves[before])
                .max()
                .unwrap_or(0);
            waves[build] = last + 1;
            let said = self.set.builds[self.names[build]].wave;
            if said != waves[build] {
                self.wrong(format!(
                    "{} is in wave {said} instead of {}",
                    self.names[build], waves[build]
                ));
            }
        }
        let path = &self.set.critical_path;
        let numbers: Vec<Option<usize>> = path
            .iter()
            .map(|name| self.numbers.get(name.as_str()).copied())
            .collect();
        let chained = |pair: &[Option<usize>]| match pair {
            [Some(before), Some(after)] => self.direct[*after].contains(before),
            _ => false,
        };
        let most = waves.iter().copied().max().unwrap_or(0);
        let long = u64::try_from(path.len()).is_ok_and(|length| length == most);
        if self.set.waves != most || !long || !numbers.windows(2).all(chained) {
            self.wrong(format!(
                "{path:?} is no longest chain, or there are not {} waves",
                self.set.waves
            ));
        }
    }

    /// What each build installs against what it waits for.
    fn builds(&mut self, line: &[usize]) {
        let before = closure(&self.direct, line);
        for build in 0..self.names.len() {
            self.build(build, &before);
        }
    }

    fn build(&mut self, build: usize, before: &[Row]) {
        let (distribution, set, name) = (self.distribution, self.set, self.names[build]);
        let Some(source) = distribution.number(name) else {
            return;
        };
        let planned = &set.builds[name];
        let installed = |checker: &Self, check: bool| -> BTreeSet<usize> {
            let relations = checker.relations(build, check);
            let members = distribution.installed_members(source, &relations, &checker.members);
            members
                .iter()
                .map(|&member| checker.numbers[distribution.sources()[member].pkgbase.as_str()])
                .collect()
        };
        let full = installed(self, true);
        let needed = if planned.nocheck {
            installed(self, false)
        } else {
            full.clone()
        };
        let dropped = std::mem::take(&mut self.dropped[build]);
        for &member in &needed {
            let (waits, given_up) = (
                before[build].contains(member),
                dropped.contains_key(&member),
            );
            if !waits && !given_up {
                self.wrong(format!(
                    "{name} installs {}, which may come later",
                    self.names[member]
                ));
            }
            self.checked.implied += usize::from(waits && !self.direct[build].contains(&member));
        }
        self.checked.installed += needed.len();
        for (&member, &kind) in &dropped {
            let later = self.names[member];
            if !full.contains(&member) {
                self.wrong(format!(
                    "{later} is dropped for {name}, which does not install it"
                ));
            }
            if before[build].contains(member) {
                self.wrong(format!("{later} is dropped for {name}, which waits for it"));
            }
            let needless = match kind {
                "checkdepends" => !planned.nocheck,
                _ => !before[member].contains(build),
            };
            if needless {
                self.wrong(format!(
                    "{later} ({kind}) is dropped for {name} without need"
                ));
            }
        }
        let waits_for = self.direct[build].clone();
        for before in waits_for.difference(&needed) {
            self.wrong(format!(
                "{name} waits for {}, which it does not install",
                self.names[*before]
            ));
        }
        if planned.nocheck {
            self.checked.nocheck += 1;
            if !full
                .difference(&needed)
                .any(|&member| before[member].contains(build))
            {
                self.wrong(format!("{name} skips its check without need"));
            }
        }
        self.install(build);
    }

    /// Every relation that something satisfies is handed to pacman; every other one is reported.
    fn install(&mut self, build: usize) {
        let (distribution, set, name) = (self.distribution, self.set, self.names[build]);
        let planned = &set.builds[name];
        let handed: BTreeSet<String> = planned
            .install
            .iter()
            .map(|text| Wanted::new(text).name)
            .collect();
        let mut wrong = Vec::new();
        for wanted in self.relations(build, !planned.nocheck) {
            let implicit = self.implicit.contains(wanted);
            if distribution.satisfying(wanted).is_empty() && !implicit {
                if !set
                    .unresolved
                    .contains(&(name.to_owned(), wanted.text.clone()))
                {
                    wrong.push(format!(
                        "{name} wants {}, which nothing satisfies, and nobody says so",
                        wanted.text
                    ));
                }
            } else if !planned.unbuildable && !handed.contains(&wanted.name) {
                wrong.push(format!("{} is not installed for {name}", wanted.text));
            }
        }
        self.wrong.extend(wrong);
    }
}

/// A set of builds, a bit each.
#[derive(Debug, Clone)]
struct Row(Vec<u64>);

impl Row {
    fn contains(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }
}

/// All that each build waits for, directly or not.
fn closure(direct: &[BTreeSet<usize>], line: &[usize]) -> Vec<Row> {
    let mut rows = vec![Row(vec![0; direct.len().div_ceil(64)]); direct.len()];
    for &build in line {
        let mut row = rows[build].clone();
        for &before in &direct[build] {
            row.0[before / 64] |= 1 << (before % 64);
            row.0
                .iter_mut()
                .zip(&rows[before].0)
                .for_each(|(bits, more)| *bits |= more);
        }
        rows[build] = row;
    }
    rows
}
