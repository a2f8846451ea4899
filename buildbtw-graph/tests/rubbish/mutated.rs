//! `.SRCINFO` files that were good once: bytes, lines and values of them are
//! changed, and what can still be read is planned and proved.
//!
//! `BUILDBTW_CORPUS` names a folder of real ones; without it, those that are
//! made up for the other tests are changed. `BUILDBTW_SEED` asks for other
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use buildbtw_graph::{
    Architecture, PlanInput, PlanOptions, ReleasedIndex, ReleasedPackage, ReleasedRepository,
    Scope, SourceIndex, SourcePackage, Via, plan, prove, read_srcinfo,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Numbers that look random and are the same every time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

const PIECES: [&str; 24] = [
    "\0",
    "\u{feff}",
    "\r\n",
    "\n\n",
    " = ",
    "=",
    "<",
    ">=99999999999999999999",
    "=1:0-0",
    "-",
    ":",
    "\t",
    "#",
    "é",
    "\u{202e}",
    "\nepoch = 18446744073709551616\n",
    "\npkgname = ",
    "\npkgbase = ",
    "\n\tdepends = \n",
    "\n\tarch = any\n",
    "\n\tarch = i686\n",
    "\n\tprovides = glibc\n",
    "\n\tconflicts = glibc\n",
    "\n\tcheckdepends_x86_64 = base-devel\n",
];

/// Files by the name of their folder, and those names.
struct Files {
    texts: BTreeMap<String, Vec<u8>>,
    names: Vec<String>,
}

impl Files {
    fn read() -> Files {
        let mut texts = BTreeMap::new();
        match std::env::var_os("BUILDBTW_CORPUS") {
            Some(folder) => {
                for entry in std::fs::read_dir(Path::new(&folder)).unwrap() {
                    let path = entry.unwrap().path();
                    if let Ok(text) = std::fs::read(path.join(".SRCINFO")) {
                        let name = path.file_name().unwrap().to_string_lossy();
                        texts.insert(name.into_owned(), text);
                    }
                }
                assert!(!texts.is_empty(), "there is no .SRCINFO in {folder:?}");
            }
            None => {
                println!("BUILDBTW_CORPUS names no folder: only made-up files are changed");
                let mut runner = TestRunner::deterministic();
                for number in 0..300 {
                    let text = super::text().new_tree(&mut runner).unwrap().current();
                    texts.insert(number.to_string(), text.into_bytes());
                }
            }
        }
        let names = texts.keys().cloned().collect();
        Files { texts, names }
    }

    /// Some files, mostly of packages that need each other.
    fn some(&self, numbers: &mut Numbers) -> Vec<Vec<u8>> {
        let mut chosen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = Vec::new();
        let most = 1 + numbers.below(12);
        while chosen.len() < most.min(self.names.len()) {
            let next = match open.is_empty() {
                true => self.names[numbers.below(self.names.len())].as_str(),
                false => open.swap_remove(numbers.below(open.len())),
            };
            if !chosen.insert(next) {
                continue;
            }
            let text = String::from_utf8_lossy(&self.texts[next]);
            let words = text.split(|c: char| c.is_whitespace() || "<>=".contains(c));
            let known = words.filter_map(|word| self.texts.get_key_value(word));
            open.extend(known.map(|(name, _)| name.as_str()));
        }
        chosen
            .iter()
            .map(|&name| self.texts[name].clone())
            .collect()
    }
}

/// Changes some bytes, lines or values.
fn mutate(text: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(text.len() + 1);
        let end = (at + numbers.below(40)).min(text.len());
        let piece = PIECES[numbers.below(PIECES.len())].as_bytes();
        match numbers.below(9) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, text[at..end].to_vec())),
            2 => drop(text.splice(at..end, piece.iter().copied())),
            3 => drop(text.splice(at..at, piece.iter().copied())),
            4 => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
            5 => {
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(200)).min(other.len());
                drop(text.splice(at..at, other[from..to].iter().copied()));
            }
            6 => drop(text.splice(at..at, piece.repeat(numbers.below(300)))),
            kind => {
                // Whole lines keep more of the file readable.
                let line = |bytes: &[u8], numbers: &mut Numbers| {
                    let lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
                    let line = lines.get(numbers.below(lines.len()));
                    line.map_or_else(Vec::new, |line| line.to_vec())
                };
                let line = line(if kind == 7 { other } else { text }, numbers);
                let lines = text.iter().take(at).rposition(|&b| b == b'\n');
                let start = lines.map_or(0, |at| at + 1);
                drop(text.splice(start..start, line));
            }
        }
    }
}

/// The packages of sources as they would be released.
fn released(sources: &[SourcePackage], on: &Architecture) -> ReleasedIndex {
    let mut packages = Vec::new();
    for source in sources {
        packages.extend(source.pkgnames(on).map(|package| ReleasedPackage {
            pkgname: package.pkgname.clone(),
            pkgbase: source.pkgbase.clone(),
            version: source.version.clone(),
            architecture: on.clone(),
            depends: package.depends.on(on).cloned().collect(),
            makedepends: source.makedepends.on(on).cloned().collect(),
            checkdepends: source.checkdepends.on(on).cloned().collect(),
            provides: package.provides.on(on).cloned().collect(),
            conflicts: package.conflicts.on(on).cloned().collect(),
            replaces: Vec::new(),
            groups: Vec::new(),
            optdepends: Vec::new(),
        }));
    }
    let half = packages.split_off(packages.len() / 2);
    let repository = |name: &str, packages| {
        let name = name.to_owned();
        Arc::new(ReleasedRepository { name, packages })
    };
    ReleasedIndex::new(vec![
        repository("core", packages),
        repository("extra", half),
    ])
}

fn options(numbers: &mut Numbers) -> PlanOptions {
    let scopes = [Scope::Transitive, Scope::Direct, Scope::None];
    let mut options = PlanOptions {
        scope: scopes[numbers.below(3)],
        via: Via {
            makedepends: numbers.one_in(2),
            checkdepends: numbers.one_in(2),
        },
        passes: 1 + numbers.below(2) as u8,
        bootstrap: numbers.one_in(3),
        host_tools: numbers.one_in(4),
        ..PlanOptions::default()
    };
    if numbers.one_in(4) {
        options.architectures.push("i686".parse().unwrap());
    }
    options
}

/// Names the case when something panics.
struct Names(u64);

impl Drop for Names {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was BUILDBTW_SEED={} with BUILDBTW_CASES=1", self.0);
        }
    }
}

/// Reads, plans and proves; answers how many files could be read.
fn check(files: &Files, seed: u64) -> usize {
    let _names = Names(seed);
    let numbers = &mut Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let good = files.some(numbers);
    let mut texts = good.clone();
    for text in &mut texts {
        if numbers.one_in(2) {
            let other = &good[numbers.below(good.len())];
            mutate(text, other, numbers);
        }
    }
    let read = |texts: &[Vec<u8>]| -> Vec<SourcePackage> {
        let readings = texts
            .iter()
            .map(|text| read_srcinfo(&String::from_utf8_lossy(text)));
        readings.flatten().map(|reading| reading.package).collect()
    };
    let (before, after) = (read(&good), read(&texts));
    let options = options(numbers);
    // What a mutation calls like another one takes its place.
    let mut changes: Vec<SourcePackage> = Vec::new();
    let mut index: SourceIndex = before.iter().cloned().collect();
    for source in &after {
        if changes.iter().any(|known| known.pkgbase == source.pkgbase) {
            continue;
        }
        match numbers.below(3) {
            0 => {
                index = index
                    .iter()
                    .map(|s| SourcePackage::clone(s))
                    .chain([source.clone()])
                    .collect()
            }
            _ => changes.push(source.clone()),
        }
    }
    let mut stored = BTreeMap::new();
    if numbers.one_in(2) {
        for on in &options.architectures {
            stored.insert(on.clone(), Arc::new(released(&before, on)));
        }
    }
    let input = PlanInput {
        sources: &index,
        released: &stored,
        changes: &changes,
        options: &options,
    };
    let made = plan(&input).unwrap();
    if let Err(flaws) = prove(&input, &made) {
        panic!("the plan is not proved: {flaws:#?}");
    }
    after.len()
}

#[test]
fn what_can_be_read_is_planned_and_proved() {
    let files = Files::read();
    let seed = std::env::var("BUILDBTW_SEED").ok();
    let seed: u64 = seed.map_or(0, |text| text.parse().unwrap());
    let cases = u64::from(super::cases());
    let sizes = (0..cases).map(|case| check(&files, seed.wrapping_add(case)));
    let good: usize = sizes.sum();
    println!("{good} files could be read in {cases} cases");
    assert!(
        cases < 100 || good as u64 > cases,
        "only {good} files can be read"
    );
}
