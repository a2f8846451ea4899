//! dbs: what is written is what repo-add would have written, and what the real
//! pacman reads; what others wrote is read.

use std::collections::BTreeMap;
use std::fs;

use buildbtw_repo::write::SYMLINK;
use buildbtw_repo::{
    DbEntry, END_FRAME, FRAME_SIZE, Md5Digest, PackageFile, PackageInfo, ReadLimits, Sha256Digest,
    read_db, read_released,
};
use proptest::prelude::*;

use crate::tools::{Pacman, Repository, info, make, output, shell};

/// Packages with every field, none, and odd ones.
fn odd_packages(folder: &std::path::Path) -> Vec<PackageFile> {
    let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let full = PackageInfo {
        pkgbase: "greet".to_owned(),
        pkgdesc: "Says  \"hello\" & 'bye' $(here) 100% = ok; süß".to_owned(),
        url: "https://example.org/?a=b&c=d".to_owned(),
        license: text(&["MIT", "custom: two words"]),
        replaces: text(&["oldgreet", "olgreet<2"]),
        groups: text(&["demo", "base"]),
        conflicts: text(&["oldgreet"]),
        provides: text(&["libgreet.so=1-64", "greetlib=1.0"]),
        backup: text(&["etc/greet.conf"]),
        depends: text(&["data>=1:0", "data<1:9"]),
        optdepends: text(&["data: for colours: all of them", "plain"]),
        makedepends: text(&["gcc"]),
        checkdepends: text(&["plain>1"]),
        other: vec![("xdata".to_owned(), "pkgtype=split".to_owned())],
        ..info("libgreet", "1:1.0-2")
    };
    let bare = PackageInfo {
        pkgdesc: String::new(),
        packager: String::new(),
        ..info("plain", "99999999999999999999-1")
    };
    let any = PackageInfo {
        arch: "any".to_owned(),
        pkgdesc: "%DEPENDS%".to_owned(),
        ..info("data", "1:3.0.a+b_c-1.1")
    };
    // A name of the greatest length, whose entry needs a long tar name.
    let long = info(&"long-name".repeat(20), "1.0.1.0.1.0.1.0-1");
    vec![
        make(
            folder,
            &full,
            &[
                ("usr/lib/libgreet.so.1", "elf", 0o755),
                ("usr/lib/libgreet.so", "libgreet.so.1", SYMLINK),
                ("usr/lib/systemd/dev\\x2ddisk.mount", "", 0o644),
                ("usr/share/süß/with blank", "", 0o644),
                ("etc/greet.conf", "", 0o600),
                (".INSTALL", "", 0o644),
            ],
        ),
        make(folder, &bare, &[]),
        make(folder, &any, &[("usr/share/data", "data", 0o644)]),
        make(folder, &long, &[("usr/bin/long", "", 0o755)]),
    ]
}

#[test]
fn entries_are_those_of_repo_add() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let packages = odd_packages(at);
    let mut repository = Repository::default();
    for package in &packages {
        repository.add(std::slice::from_ref(package));
    }
    fs::write(at.join("ours.db"), repository.db()).unwrap();
    fs::write(at.join("ours.files"), repository.files()).unwrap();
    for extension in ["zst", "gz", "xz", "bz2"] {
        shell(
            at,
            &format!("repo-add -q theirs.db.tar.{extension} *.pkg.tar.zst 2>&1"),
        );
        for db in ["db", "files"] {
            shell(
                at,
                &format!(
                    "rm -rf ours theirs; mkdir ours theirs
                     bsdtar -xf ours.{db} -C ours; bsdtar -xf theirs.{db} -C theirs
                     diff -r ours theirs
                     diff <(bsdtar -tf ours.{db} | sort) <(bsdtar -tf theirs.{db} | sort)"
                ),
            );
            // And what repo-add wrote is read as what was packed.
            let bytes = fs::read(at.join(format!("theirs.{db}"))).unwrap();
            let mut entries = read_db(&bytes, &ReadLimits::DB).unwrap();
            entries.sort_by(|a, b| a.pkgname.cmp(&b.pkgname));
            let mut expected: Vec<_> = packages.iter().map(DbEntry::from_package).collect();
            expected.sort_by(|a, b| a.pkgname.cmp(&b.pkgname));
            if db == "db" {
                expected.iter_mut().for_each(|entry| entry.files = None);
            }
            assert_eq!(entries, expected, "{extension} {db}");
        }
    }
}

#[test]
fn the_end_frame_is_the_end_of_a_tar() {
    assert_eq!(zstd::decode_all(END_FRAME).unwrap(), [0; 1024]);
    let empty = Repository::default();
    assert_eq!(empty.db(), END_FRAME);
    assert_eq!(empty.state.frames.db_len(), END_FRAME.len() as u64);
    assert_eq!(read_db(END_FRAME, &ReadLimits::DB).unwrap(), []);
    let pacman = Pacman::new();
    pacman.publish(&empty.db(), &empty.files());
    pacman.run(&["-Sy"]);
    assert_eq!(pacman.run(&["-Sl"]), "");
    pacman.run(&["-Fy"]);
}

#[test]
fn pacman_reads_installs_searches_and_upgrades() {
    let pacman = Pacman::new();
    let mut repository = Repository::default();
    // Nothing is taken in twice, so these fill several frames.
    for number in 0..4 {
        let file = format!("usr/share/fill{number}/{}", "x".repeat(100));
        let paths: Vec<_> = (0..3000).map(|n| format!("{file}{n}")).collect();
        let files: Vec<_> = paths
            .iter()
            .map(|path| (path.as_str(), "", 0o644))
            .collect();
        let fill = info(&format!("fill{number}"), "1-1");
        repository.add(&[make(&pacman.repo(), &fill, &files)]);
    }
    repository.add(&odd_packages(&pacman.repo()));
    assert!(repository.state.frames.0.len() > 1);
    pacman.publish(&repository.db(), &repository.files());

    pacman.run(&["-Sy"]);
    let listing = pacman.run(&["-Sl", "test"]);
    assert_eq!(listing.lines().count(), 8, "{listing}");
    assert!(listing.contains("test libgreet 1:1.0-2\n"), "{listing}");
    let shown = pacman.run(&["-Si", "libgreet"]);
    for expected in [
        "Description     : Says \"hello\" & 'bye' $(here) 100% = ok; süß",
        "Provides        : libgreet.so=1-64  greetlib=1.0",
        "Depends On      : data>=1:0  data<1:9",
        "Optional Deps   : data: for colours: all of them",
        "Conflicts With  : oldgreet",
        "Groups          : demo  base",
        "Packager        : Test <test@example.org>",
    ] {
        assert!(shown.contains(expected), "{expected}:\n{shown}");
    }
    let data = pacman.run(&["-Si", "data"]);
    assert!(data.contains("Description     : %DEPENDS%"), "{data}");
    assert!(data.contains("Depends On      : None"), "{data}");

    pacman.run(&["-S", "libgreet", "libgreet.so=1-64"]);
    let root = pacman.folder.path().join("root");
    assert_eq!(fs::read(root.join("usr/lib/libgreet.so")).unwrap(), b"elf");
    assert_eq!(pacman.run(&["-Qq"]), "data\nlibgreet\n");
    pacman.run(&["-Qk", "libgreet", "data"]);
    pacman.run(&["-Fy"]);
    let found = pacman.run(&["-F", "/usr/bin/long"]);
    assert!(found.contains("owned by test/long-name"), "{found}");

    // The next generation, with another size and a new file.
    let newer = info("data", "1:4.0-2");
    let newer = make(
        &pacman.repo(),
        &newer,
        &[("usr/share/data", "newer", 0o644)],
    );
    repository.add(&[newer]);
    pacman.publish(&repository.db(), &repository.files());
    assert_eq!(repository.state.packages.len(), 8);
    pacman.run(&["-Syyu"]);
    assert_eq!(fs::read(root.join("usr/share/data")).unwrap(), b"newer");
}

#[test]
fn pacman_refuses_a_package_with_other_bytes() {
    let pacman = Pacman::new();
    let mut repository = Repository::default();
    let package = make(
        &pacman.repo(),
        &info("a", "1-1"),
        &[("usr/a", "one", 0o644)],
    );
    repository.add(std::slice::from_ref(&package));
    pacman.publish(&repository.db(), &repository.files());
    let path = pacman.repo().join(&package.file_name);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let result = output(&mut pacman.command(&["-Sy", "a"]));
    let message = String::from_utf8_lossy(&result.stderr).into_owned();
    assert!(!result.status.success());
    assert!(message.contains("checksum"), "{message}");
}

/// A package that was never a file, with some KiB of paths.
fn imagined(pkgname: &str, version: u32, kib: usize) -> PackageFile {
    let info = info(pkgname, &format!("{version}-1"));
    PackageFile {
        file_name: format!("{pkgname}-{version}-1-x86_64.pkg.tar.zst"),
        size: 1,
        sha256: Sha256Digest::of(pkgname.as_bytes()),
        md5: Md5Digest::from_bytes([7; 16]),
        content_digest: Sha256Digest::of(b""),
        files: (0..kib * 4).map(|n| format!("usr/{n:0>250}/")).collect(),
        info,
    }
}

#[test]
fn adding_one_rewrites_one_frame() {
    let mut repository = Repository::default();
    for number in 0..60 {
        repository.add(&[imagined(&format!("p{number}"), 1, 100)]);
    }
    let mut closed = repository.state.frames.clone().0;
    assert!((14..=16).contains(&closed.len()), "{} frames", closed.len());
    let (last, _) = closed.pop_last().unwrap();
    repository.add(&[imagined("new", 1, 1)]);
    let after = &repository.state.frames.0;
    assert!(closed.iter().all(|(place, frame)| after[place] == *frame));
    // A replaced package is gone from the frame that had it.
    repository.add(&[imagined("p3", 2, 100)]);
    let after = &repository.state.frames.0;
    assert_ne!(after.get(&0), closed.get(&0));
    assert!(
        closed
            .iter()
            .skip(1)
            .all(|(place, frame)| after[place] == *frame)
    );
    assert!(repository.state.packages["p3"] >= last);
    let versions: Vec<_> = read_released("test", &repository.db(), &ReadLimits::DB)
        .unwrap()
        .packages
        .into_iter()
        .filter(|package| package.pkgname.as_str() == "p3")
        .map(|package| package.version.to_string())
        .collect();
    assert_eq!(versions, ["2-1"]);
}

#[test]
fn small_packages_one_by_one_cost_little_and_leave_few_frames() {
    let mut repository = Repository::default();
    let mut written = 0;
    for number in 0..400 {
        repository.add(&[imagined(&format!("p{number}"), 1, 3)]);
        written += repository.written;
    }
    let frames = &repository.state.frames.0;
    let total: u64 = frames.values().map(|frame| frame.unpacked).sum();
    assert!(
        frames.len() as u64 <= total / FRAME_SIZE + 3,
        "{}",
        frames.len()
    );
    let kept: u64 = frames
        .values()
        .map(|frame| frame.files_len + frame.db_len)
        .sum();
    // A frame that was written anew with each package would make it some fifty times.
    let times = written as u64 / kept;
    assert!(times < 20, "everything was written {times} times");
}

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(u8, u32, usize)>),
    Remove(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let package = (
        0..12u8,
        1..4u32,
        prop_oneof![0..4usize, 100..500usize, Just(1500)],
    );
    let step = prop_oneof![
        4 => prop::collection::vec(package, 1..5).prop_map(Step::Add),
        1 => (0..12u8).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is added, replaced and removed: the dbs hold exactly what they
    /// should, frames stay few, and no frame is missing.
    #[test]
    fn the_dbs_hold_what_was_put_in(steps in steps()) {
        let mut repository = Repository::default();
        let mut model = BTreeMap::new();
        // A package that does not go into what is left of the last frame closes it, however small that
        // frame is; and it stays small when such a package leaves again.
        let mut closed = 0;
        for step in steps {
            match step {
                Step::Add(packages) => {
                    closed += packages.iter().filter(|(.., kib)| *kib >= 300).count() as u64;
                    let packages: BTreeMap<_, _> = packages
                        .into_iter()
                        .map(|(name, version, kib)| (name, imagined(&format!("p{name}"), version, kib)))
                        .collect();
                    let added: Vec<_> = packages.values().cloned().collect();
                    model.extend(packages);
                    repository.add(&added);
                }
                Step::Remove(name) => {
                    model.remove(&name);
                    repository.remove(&format!("p{name}"));
                }
            }
            let by_name = |mut entries: Vec<DbEntry>| {
                entries.sort_by(|a, b| a.pkgname.cmp(&b.pkgname));
                entries
            };
            let files = repository.files();
            prop_assert_eq!(files.len() as u64, repository.state.frames.files_len());
            let files = by_name(read_db(&files, &ReadLimits::DB).unwrap());
            let mut expected = by_name(model.values().map(DbEntry::from_package).collect());
            prop_assert!(files == expected, "the files db differs");
            let db = repository.db();
            prop_assert_eq!(db.len() as u64, repository.state.frames.db_len());
            let db = by_name(read_db(&db, &ReadLimits::DB).unwrap());
            expected.iter_mut().for_each(|entry| entry.files = None);
            prop_assert_eq!(db, expected);

            let frames = &repository.state.frames.0;
            let total: u64 = frames.values().map(|frame| frame.unpacked).sum();
            let most = 3 * total / FRAME_SIZE + 2 + closed;
            prop_assert!(frames.len() as u64 <= most, "{} frames for {total}", frames.len());
            // Each package lies where it is said to lie, and no frame is without one.
            let mut places = BTreeMap::new();
            for (place, frame) in frames {
                let bytes = [&*repository.frames[&frame.db_digest], END_FRAME].concat();
                let entries = read_db(&bytes, &ReadLimits::DB).unwrap();
                prop_assert!(!entries.is_empty());
                places.extend(entries.into_iter().map(|entry| (entry.pkgname.parse().unwrap(), *place)));
            }
            prop_assert_eq!(&places, &repository.state.packages);
        }
    }
}
