//! Running the real tools.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use buildbtw_repo::write::{package_file_name, write_package};
use buildbtw_repo::{
    Frames, PackageFile, PackageInfo, ReadLimits, RepositoryChange, RepositoryState, Sha256Digest,
    add_packages, read_package, remove_packages,
};

/// Runs a command that must succeed; gives its stdout.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command; whether it succeeded is for the caller to judge.
pub fn output(command: &mut Command) -> Output {
    command
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"))
}

/// A shell line in a folder; must succeed.
pub fn shell(folder: &Path, line: &str) -> String {
    run(Command::new("bash")
        .args(["-euo", "pipefail", "-c", line])
        .current_dir(folder))
}

/// The least that a package says about itself.
pub fn info(pkgname: &str, version: &str) -> PackageInfo {
    PackageInfo {
        pkgname: pkgname.to_owned(),
        pkgbase: pkgname.to_owned(),
        version: version.to_owned(),
        pkgdesc: format!("{pkgname} for a test"),
        packager: "Test <test@example.org>".to_owned(),
        builddate: 1_700_000_000,
        arch: "x86_64".to_owned(),
        ..PackageInfo::default()
    }
}

/// Frames by digest, as a server would keep them, and the repository's state.
#[derive(Default)]
pub struct Repository {
    pub state: RepositoryState,
    pub frames: HashMap<Sha256Digest, Vec<u8>>,
    /// Bytes of frames that the last change asked for, and that it wrote.
    pub loaded: usize,
    pub written: usize,
}

impl Repository {
    pub fn add(&mut self, packages: &[PackageFile]) {
        let (frames, mut loaded) = (&self.frames, 0);
        let load = |digest: &Sha256Digest| {
            let bytes = frames.get(digest).cloned().ok_or("unknown frame")?;
            loaded += bytes.len();
            Ok::<_, &str>(bytes)
        };
        let names = packages.iter().map(|package| &*package.info.pkgname);
        let change = add_packages(&self.part(names), load, packages).unwrap();
        self.loaded = loaded;
        let load = |digest: &Sha256Digest| frames.get(digest).cloned().ok_or("unknown frame");
        assert_eq!(add_packages(&self.state, load, packages).unwrap(), change);
        self.take(change);
    }

    pub fn remove(&mut self, pkgname: &str) {
        let frames = &self.frames;
        let load = |digest: &Sha256Digest| frames.get(digest).cloned().ok_or("unknown frame");
        let names = BTreeSet::from([pkgname.parse().unwrap()]);
        let part = self.part([pkgname].into_iter());
        let change = remove_packages(&part, load, &names).unwrap();
        assert_eq!(remove_packages(&self.state, load, &names).unwrap(), change);
        self.take(change);
    }

    /// The part of the repository that a change of these packages touches.
    fn part<'a>(&self, names: impl Iterator<Item = &'a str>) -> RepositoryState {
        let known = names.filter_map(|name| self.state.packages.get_key_value(name));
        let packages: BTreeMap<_, _> = known.map(|(name, place)| (name.clone(), *place)).collect();
        let touched = |place: &u32| packages.values().any(|other| other == place);
        let all = &self.state.frames.0;
        let others = all.keys().rev().filter(|place| !touched(place));
        let last: Vec<&u32> = others.take(2).collect();
        let frames = all.iter();
        let frames = frames.filter(|(place, _)| touched(place) || last.contains(place));
        RepositoryState {
            frames: Frames(frames.map(|(place, frame)| (*place, *frame)).collect()),
            packages,
        }
    }

    fn take(&mut self, change: RepositoryChange) {
        let state = change.applied_to(&self.state);
        self.written = change.new_frames.iter().map(|(_, bytes)| bytes.len()).sum();
        for (digest, bytes) in change.new_frames {
            assert_eq!(Sha256Digest::of(&bytes), digest);
            self.frames.insert(digest, bytes);
        }
        self.state = state;
    }

    pub fn db(&self) -> Vec<u8> {
        let load = |digest: &Sha256Digest| self.frames.get(digest).cloned().ok_or("unknown frame");
        self.state.frames.db_bytes(load).unwrap()
    }

    pub fn files(&self) -> Vec<u8> {
        let load = |digest: &Sha256Digest| self.frames.get(digest).cloned().ok_or("unknown frame");
        self.state.frames.files_bytes(load).unwrap()
    }
}

/// The real pacman, with a root of its own and one repository in a folder.
pub struct Pacman {
    pub folder: tempfile::TempDir,
}

impl Pacman {
    /// The repository is named `test`; its db is not there yet.
    pub fn new() -> Pacman {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir_all(at.join("root/var/lib/pacman")).unwrap();
        fs::create_dir(at.join("repo")).unwrap();
        let conf = format!(
            "[options]\nArchitecture = x86_64\nSigLevel = Never\n\
             [test]\nServer = file://{}/repo\n",
            at.display()
        );
        fs::write(at.join("pacman.conf"), conf).unwrap();
        Pacman { folder }
    }

    pub fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    pub fn publish(&self, db: &[u8], files: &[u8]) {
        fs::write(self.repo().join("test.db"), db).unwrap();
        fs::write(self.repo().join("test.files"), files).unwrap();
    }

    /// Runs pacman; must succeed. As root it runs as it is, else in fakeroot.
    pub fn run(&self, arguments: &[&str]) -> String {
        run(&mut self.command(arguments))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let at = |path: &str| self.folder.path().join(path);
        let is_root = run(Command::new("id").arg("-u")).trim() == "0";
        let mut command = if is_root {
            Command::new("pacman")
        } else {
            let mut command = Command::new("fakeroot");
            command.arg("pacman");
            command
        };
        command
            .arg("--root")
            .arg(at("root"))
            .arg("--dbpath")
            .arg(at("root/var/lib/pacman"))
            .arg("--cachedir")
            .arg(at("cache"))
            .arg("--logfile")
            .arg(at("log"))
            .arg("--hookdir")
            .arg(at("hooks"))
            .arg("--config")
            .arg(at("pacman.conf"))
            .arg("--noconfirm")
            .args(arguments);
        command
    }
}

/// Writes a package into a folder and reads it back.
pub fn make(folder: &Path, info: &PackageInfo, files: &[(&str, &str, u32)]) -> PackageFile {
    let path = folder.join(package_file_name(info).unwrap().to_string());
    write_package(&path, info, files).unwrap();
    read_package(&path, &ReadLimits::PACKAGE).unwrap()
}
