//! Small repositories and targets, drawn at random, and made smaller again
//! when pacman disagrees about them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use buildbtw_graph::{Relation, ReleasedIndex};
use buildbtw_repo::{
    Md5Digest, PackageFile, PackageInfo, ReadLimits, RepositoryState, Sha256Digest, add_packages,
    read_released,
};

use crate::numbers::Numbers;

/// The repositories, in the order of pacman.conf.
pub const REPOSITORIES: [&str; 2] = ["first", "second"];

const PACKAGES: [&str; 8] = ["aa", "ab", "ba", "bb", "ca", "cb", "da", "db"];
const VIRTUALS: [&str; 2] = ["virta", "virtb"];
const SONAMES: [&str; 2] = ["liba.so", "libb.so"];
const GROUPS: [&str; 2] = ["groupa", "groupb"];
const VERSIONS: [&str; 7] = ["1-1", "1-2", "2-1", "1.5-1.1", "1:1-1", "1:0.9-2", "2rc1-1"];
const CONSTRAINTS: [&str; 17] = [
    ">=1", ">=1-1", ">=0:1", ">=1-2", "=1", "=1-1", "=2", "=1:1", "<2", "<1:1", "<=1", "<=1:1-1",
    ">1", ">1-1", ">1:0.9", "=1.5", ">=2rc",
];
const OF_SONAMES: [&str; 7] = ["", "=1-64", "=2-64", "=1-32", "=1", ">=1", "<2"];

/// What is asked of a case besides its packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With groups among the targets, but no conflicts, which `-Sp` ignores.
    Resolution,
    /// With conflicts.
    Conflicts,
}

/// Repositories and what is to be installed from them.
#[derive(Clone)]
pub struct Case {
    pub repositories: [Vec<PackageInfo>; 2],
    pub targets: Vec<String>,
}

impl Case {
    /// The case of a seed.
    pub fn draw(seed: u64, kind: Kind) -> Case {
        let numbers = &mut Numbers::new(seed);
        let mut repository = |share: usize| -> Vec<PackageInfo> {
            let there = PACKAGES.iter().filter(|_| numbers.chance(share));
            let there: Vec<&str> = there.copied().collect();
            let packages = there.into_iter().map(|name| package(numbers, name, kind));
            packages.collect()
        };
        let repositories = [repository(45), repository(95)];
        let mut targets = vec![target(numbers, kind)];
        targets.extend(numbers.some(2, |numbers| target(numbers, kind)));
        Case {
            repositories,
            targets,
        }
    }

    /// The sync db of each repository.
    pub fn dbs(&self) -> [Vec<u8>; 2] {
        self.repositories.each_ref().map(|packages| db(packages))
    }

    /// What the product reads from the very same dbs.
    pub fn index(&self) -> ReleasedIndex {
        let dbs = self.dbs();
        let read = REPOSITORIES.iter().zip(&dbs);
        let read = read.map(|(name, db)| read_released(name, db, &ReadLimits::DB).unwrap());
        ReleasedIndex::new(read.map(Arc::new).collect())
    }

    /// The targets as relations.
    pub fn relations(&self) -> Vec<Relation> {
        let read = self.targets.iter().map(|text| text.parse().unwrap());
        read.collect()
    }

    /// Everything that is gone from a case in one step towards less.
    fn smaller(&self) -> Vec<Case> {
        let mut all = Vec::new();
        let mut without = |change: &mut dyn FnMut(&mut Case)| {
            let mut case = self.clone();
            change(&mut case);
            all.push(case);
        };
        for (number, packages) in self.repositories.iter().enumerate() {
            for (at, package) in packages.iter().enumerate() {
                without(&mut |case| drop(case.repositories[number].remove(at)));
                for (list, texts) in lists(&mut package.clone()).into_iter().enumerate() {
                    for text in 0..texts.len() {
                        without(&mut |case| {
                            let package = &mut case.repositories[number][at];
                            lists(package)[list].remove(text);
                        });
                    }
                }
            }
        }
        if self.targets.len() > 1 {
            for at in 0..self.targets.len() {
                without(&mut |case| drop(case.targets.remove(at)));
            }
        }
        all
    }

    /// Fails the test with the smallest case that is still wrong, when this
    /// one is.
    pub fn must_agree(self, wrong: impl Fn(&Case) -> Option<String>) {
        let Some(mut reason) = wrong(&self) else {
            return;
        };
        let mut case = self;
        while let Some((less, why)) = case
            .smaller()
            .into_iter()
            .find_map(|less| wrong(&less).map(|why| (less, why)))
        {
            (case, reason) = (less, why);
        }
        panic!("{case}{reason}");
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, packages) in REPOSITORIES.iter().zip(&self.repositories) {
            for package in packages {
                write!(f, "{name}/{} {}", package.pkgname, package.version)?;
                let words = ["depends", "provides", "conflicts", "groups", "replaces"];
                for (word, texts) in words.iter().zip(lists(&mut package.clone())) {
                    if !texts.is_empty() {
                        write!(f, " {word} {}", texts.join(" "))?;
                    }
                }
                writeln!(f)?;
            }
        }
        writeln!(f, "targets: {}", self.targets.join(" "))
    }
}

fn lists(package: &mut PackageInfo) -> [&mut Vec<String>; 5] {
    [
        &mut package.depends,
        &mut package.provides,
        &mut package.conflicts,
        &mut package.groups,
        &mut package.replaces,
    ]
}

fn package(numbers: &mut Numbers, name: &str, kind: Kind) -> PackageInfo {
    let mut provides = numbers.some(3, provision);
    let mut conflicts = Vec::new();
    if kind == Kind::Conflicts && numbers.chance(45) {
        conflicts = numbers.some(2, relation);
        // As `foo-git` does for `foo`.
        if numbers.chance(40) {
            let other = numbers.pick(&PACKAGES);
            provides.push(other.to_owned());
            conflicts.push(other.to_owned());
        }
    }
    PackageInfo {
        pkgname: name.to_owned(),
        pkgbase: name.to_owned(),
        version: numbers.pick(&VERSIONS).to_owned(),
        arch: "x86_64".to_owned(),
        depends: numbers.some(2, relation),
        provides,
        conflicts,
        groups: numbers.some(1, |numbers| numbers.pick(&GROUPS).to_owned()),
        // pacman goes by these only when it updates.
        replaces: numbers.some(1, relation),
        ..PackageInfo::default()
    }
}

fn provision(numbers: &mut Numbers) -> String {
    match numbers.below(10) {
        0..3 => numbers.pick(&VIRTUALS).to_owned(),
        3..5 => format!("{}={}", numbers.pick(&VIRTUALS), numbers.pick(&VERSIONS)),
        5 => format!("{}=1", numbers.pick(&VIRTUALS)),
        6 => numbers.pick(&PACKAGES).to_owned(),
        7 => format!("{}={}", numbers.pick(&PACKAGES), numbers.pick(&VERSIONS)),
        8 => numbers.pick(&SONAMES).to_owned(),
        _ => format!("{}={}-64", numbers.pick(&SONAMES), 1 + numbers.below(2)),
    }
}

fn relation(numbers: &mut Numbers) -> String {
    let (name, constraints) = match numbers.below(10) {
        0..6 => (numbers.pick(&PACKAGES), &CONSTRAINTS[..]),
        6..8 => (numbers.pick(&VIRTUALS), &CONSTRAINTS[..]),
        _ => (numbers.pick(&SONAMES), &OF_SONAMES[..]),
    };
    if numbers.chance(20) {
        format!("{name}{}", numbers.pick(constraints))
    } else {
        name.to_owned()
    }
}

/// So many relations with and without constraints, each once.
pub fn any_relations(numbers: &mut Numbers, most: usize) -> BTreeSet<String> {
    (0..most).map(|_| relation(numbers)).collect()
}

fn target(numbers: &mut Numbers, kind: Kind) -> String {
    if kind == Kind::Resolution && numbers.chance(12) {
        return numbers.pick(&GROUPS).to_owned();
    }
    relation(numbers)
}

fn db(packages: &[PackageInfo]) -> Vec<u8> {
    let files: Vec<PackageFile> = packages.iter().map(file).collect();
    let nothing = RepositoryState::default();
    let none = |_: &Sha256Digest| Err("there is no frame yet");
    let change = add_packages(&nothing, none, &files).unwrap();
    let frames = &change.new_frames;
    let load = |digest: &Sha256Digest| {
        let frame = frames.iter().find(|(known, _)| known == digest);
        frame.map(|(_, bytes)| bytes.clone()).ok_or("unknown frame")
    };
    change.applied_to(&nothing).frames.db_bytes(load).unwrap()
}

fn file(info: &PackageInfo) -> PackageFile {
    let digest = Sha256Digest::of(info.pkgname.as_bytes());
    let file_name = buildbtw_repo::write::package_file_name(info).unwrap();
    PackageFile {
        info: info.clone(),
        file_name: file_name.to_string(),
        size: 1,
        sha256: digest,
        md5: "d41d8cd98f00b204e9800998ecf8427e"
            .parse::<Md5Digest>()
            .unwrap(),
        content_digest: digest,
        files: Vec::new(),
    }
}
