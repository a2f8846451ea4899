//! Adds one package to a repository of 5,000 packages with 200 files each, and
//! makes the bytes of the new db and files db; beside the real repo-add.
//!
//! `cargo bench -p buildbtw-repo`. Without `--bench` (as `cargo test --benches`
//! runs it) it does the same with few packages, to see that it works.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use buildbtw_repo::write::{package_bytes, package_file_name, write_package};
use buildbtw_repo::{
    FRAME_SIZE, PackageFile, PackageInfo, ReadLimits, RepositoryState, Sha256Digest, add_packages,
    read_package, read_package_from, read_released,
};

/// What one addition may take, with all that the server adds to it.
const BUDGET: Duration = Duration::from_millis(60);

type Frames = HashMap<Sha256Digest, Vec<u8>>;

fn main() {
    let whole = std::env::args().any(|argument| argument == "--bench");
    let (size, rounds, oracle_rounds) = if whole { (5000, 300, 2) } else { (50, 3, 1) };

    let packages: Vec<_> = (0..size + 2 * rounds).map(imagined).collect();
    let mut frames = Frames::new();
    let mut state = RepositoryState::default();
    let start = Instant::now();
    add(&mut state, &mut frames, &packages[..size]);
    println!(
        "{size} packages of 200 files: {} frames of up to {} KiB, db {} KiB, files db {} KiB; \
         from nothing in {:.0?}",
        state.frames.0.len(),
        FRAME_SIZE / 1024,
        state.frames.db_len() / 1024,
        state.frames.files_len() / 1024,
        start.elapsed(),
    );
    let (db, files) = bytes(&state, &frames);
    println!(
        "the same in one frame each: db {} KiB, files db {} KiB\n",
        zstd::encode_all(&*zstd::decode_all(&*db).unwrap(), 3)
            .unwrap()
            .len()
            / 1024,
        zstd::encode_all(&*zstd::decode_all(&*files).unwrap(), 3)
            .unwrap()
            .len()
            / 1024,
    );

    let mut times = Times::default();
    let mut one_by_one = state.clone();
    for package in &packages[size..size + rounds] {
        measured(&mut times, &mut one_by_one, &mut frames, package);
    }
    let ours = times.print("one more");
    let mut times = Times::default();
    for number in 0..rounds {
        let mut package = packages[number * 7 % size].clone();
        package.info.version = "2-1".to_owned();
        package.file_name = package_file_name(&package.info).unwrap().to_string();
        measured(&mut times, &mut one_by_one, &mut frames, &package);
    }
    times.print("one in place of an older one");
    for batch in packages[size + rounds..].chunks(50).take(1) {
        let start = Instant::now();
        add(&mut state.clone(), &mut frames, batch);
        let count = u32::try_from(batch.len()).unwrap();
        println!("{count} at once: {:.2?} each", start.elapsed() / count);
    }
    reading(&packages[size]);
    let start = Instant::now();
    black_box(read_released("test", &db, &ReadLimits::DB).unwrap());
    println!("the db read for planning in {:.2?}", start.elapsed());

    let theirs = repo_add(&db, &files, oracle_rounds);
    println!(
        "\nrepo-add, the same repository and package: {theirs:.0?}; {:.0} times as long",
        theirs.as_secs_f64() / ours.as_secs_f64()
    );
    if whole {
        assert!(ours < BUDGET, "{ours:?} is over the budget of {BUDGET:?}");
    }
}

/// Parts of an addition.
#[derive(Default)]
struct Times {
    change: Vec<Duration>,
    bytes: Vec<Duration>,
    all: Vec<Duration>,
}

impl Times {
    /// Gives the median of the whole.
    fn print(&mut self, what: &str) -> Duration {
        let quantile = |times: &mut Vec<Duration>, percent: usize| {
            times.sort_unstable();
            times[(times.len() - 1) * percent / 100]
        };
        println!(
            "{what}: {:.2?} (p95 {:.2?}): frames {:.2?}, joining both {:.2?}",
            quantile(&mut self.all, 50),
            quantile(&mut self.all, 95),
            quantile(&mut self.change, 50),
            quantile(&mut self.bytes, 50),
        );
        quantile(&mut self.all, 50)
    }
}

fn measured(
    times: &mut Times,
    state: &mut RepositoryState,
    frames: &mut Frames,
    package: &PackageFile,
) {
    let start = Instant::now();
    add(state, frames, std::slice::from_ref(package));
    times.change.push(start.elapsed());
    let next = Instant::now();
    black_box(bytes(state, frames));
    times.bytes.push(next.elapsed());
    times.all.push(start.elapsed());
}

fn add(state: &mut RepositoryState, frames: &mut Frames, packages: &[PackageFile]) {
    let load = |digest: &Sha256Digest| frames.get(digest).cloned().ok_or("unknown frame");
    let change = add_packages(state, load, packages).unwrap();
    *state = change.applied_to(state);
    frames.extend(change.new_frames);
}

fn bytes(state: &RepositoryState, frames: &Frames) -> (Vec<u8>, Vec<u8>) {
    let load = |digest: &Sha256Digest| frames.get(digest).cloned().ok_or("unknown frame");
    (
        state.frames.db_bytes(load).unwrap(),
        state.frames.files_bytes(load).unwrap(),
    )
}

fn reading(package: &PackageFile) {
    let paths = package.files.iter().filter(|path| !path.ends_with('/'));
    let files: Vec<_> = paths.map(|path| (path, path.as_bytes(), 0o644)).collect();
    let start = Instant::now();
    let bytes = package_bytes(&package.info, &files).unwrap();
    let written = start.elapsed();
    let name = package_file_name(&package.info).unwrap();
    let start = Instant::now();
    black_box(read_package_from(&*bytes, &name, &ReadLimits::PACKAGE).unwrap());
    println!(
        "a package of 200 small files: written in {written:.2?}, read in {:.2?}",
        start.elapsed()
    );
}

/// The best of some runs of the real repo-add.
fn repo_add(db: &[u8], files: &[u8], rounds: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let package = imagined(999_999);
    let paths: Vec<_> = package.files.iter().map(|path| (path, "", 0o644)).collect();
    let paths: Vec<_> = paths
        .into_iter()
        .filter(|(path, ..)| !path.ends_with('/'))
        .collect();
    let file = folder.path().join(&package.file_name);
    write_package(&file, &package.info, &paths).unwrap();
    read_package(&file, &ReadLimits::PACKAGE).unwrap();
    let run = |_| {
        write(folder.path(), "test.db.tar.zst", db);
        write(folder.path(), "test.files.tar.zst", files);
        let start = Instant::now();
        let output = Command::new("repo-add")
            .args(["-q", "test.db.tar.zst", &package.file_name])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        start.elapsed()
    };
    (0..rounds).map(run).min().unwrap()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).unwrap();
}

/// A package with a desc of about one KiB and 200 paths, in which as much
/// repeats as in real ones.
fn imagined(number: usize) -> PackageFile {
    let mut random = Random(number as u64 + 1);
    let pkgname = format!("{}-{number}", random.word());
    let texts = |random: &mut Random, count: usize, version: &str| -> Vec<String> {
        (0..count).map(|_| random.word() + version).collect()
    };
    let info = PackageInfo {
        pkgbase: pkgname.clone(),
        version: format!("{}.{}-1", random.below(20), random.below(100)),
        pkgdesc: texts(&mut random, 8, "").join(" "),
        url: format!("https://example.org/{pkgname}"),
        builddate: 1_700_000_000 + random.below(10_000_000),
        packager: "Some Packager <packager@example.org>".to_owned(),
        isize: random.below(1 << 24),
        arch: "x86_64".to_owned(),
        license: vec!["GPL-2.0-or-later".to_owned()],
        depends: texts(&mut random, 12, ""),
        optdepends: texts(&mut random, 3, ": for something"),
        makedepends: texts(&mut random, 6, ">=1.0"),
        provides: texts(&mut random, 2, "=1-64"),
        pkgname,
        ..PackageInfo::default()
    };
    let mut files = vec!["usr/".to_owned(), "usr/share/".to_owned()];
    let mut folder = String::new();
    while files.len() < 200 {
        if files.len() % 12 == 2 {
            folder = format!("usr/share/{}/{}/", info.pkgname, random.word());
            files.push(folder.clone());
        }
        files.push(format!("{folder}{}_{}.h", random.word(), random.word()));
    }
    files.sort();
    files.dedup();
    PackageFile {
        file_name: package_file_name(&info).unwrap().to_string(),
        size: random.below(1 << 22),
        sha256: Sha256Digest::of(info.pkgname.as_bytes()),
        md5: "d41d8cd98f00b204e9800998ecf8427e".parse().unwrap(),
        content_digest: Sha256Digest::of(info.pkgname.as_bytes()),
        info,
        files,
    }
}

/// Numbers that look random and are the same in each run (a xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        for _ in 0..3 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
        }
        (self.0 >> 11) % limit
    }

    /// One of some thousand words, the early ones more often.
    fn word(&mut self) -> String {
        const PARTS: [&str; 16] = [
            "lib", "core", "net", "io", "data", "gtk", "py", "view", "conf", "util", "text", "ssl",
            "image", "base", "proto", "x",
        ];
        let count = 1 + self.below(3);
        (0..count)
            .map(|_| PARTS[self.below(16).min(self.below(16)) as usize])
            .collect()
    }
}
