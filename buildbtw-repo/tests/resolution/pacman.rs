//! The real pacman, with a root, dbs and settings of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::cases::{Case, REPOSITORIES};

/// Packages as `repository name version`.
pub type Installed = BTreeSet<String>;

/// What pacman does with targets.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It would install these.
    Installs(Installed),
    /// There is no such target, or nothing satisfies what a package needs.
    Unsatisfied,
    /// A package is left out because of a conflict, and somebody needs it.
    Missed,
    /// Two targets lead to different packages of one name.
    Twice,
    /// Two packages conflict.
    Conflict,
}

/// A folder for pacman, and whether it must be made to believe it is root.
pub struct Pacman {
    folder: tempfile::TempDir,
    is_root: bool,
}

impl Pacman {
    /// Makes the folder; nothing is installed, and there are no dbs.
    pub fn new() -> Pacman {
        let folder = tempfile::tempdir().unwrap();
        for path in ["root", "db/local", "db/sync", "cache"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(folder.path().join("db/local/ALPM_DB_VERSION"), "9\n").unwrap();
        let mut conf =
            "[options]\nArchitecture = x86_64\nSigLevel = Never\nVerbosePkgLists\n".to_owned();
        for name in REPOSITORIES {
            // Nothing is ever downloaded: the packages are not there.
            conf.push_str(&format!("[{name}]\nServer = file:///nonexistent\n"));
        }
        fs::write(folder.path().join("pacman.conf"), conf).unwrap();
        let id = output(Command::new("id").arg("-u"));
        let is_root = id.stdout == b"0\n";
        Pacman { folder, is_root }
    }

    /// A path in its folder.
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs pacman.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        if program != "pacman" {
            command.arg("pacman");
        }
        for (option, path) in [
            ("--root", "root"),
            ("--dbpath", "db"),
            ("--config", "pacman.conf"),
            ("--cachedir", "cache"),
            ("--gpgdir", "gpg"),
            ("--hookdir", "hooks"),
            ("--logfile", "log"),
        ] {
            command.arg(option).arg(self.at(path));
        }
        output(command.arg("--noconfirm").args(arguments))
    }

    fn publish(&self, case: &Case) {
        for (name, db) in REPOSITORIES.iter().zip(case.dbs()) {
            fs::write(self.at(&format!("db/sync/{name}.db")), db).unwrap();
        }
    }

    /// What `pacman -Sp` says. It does not look at conflicts.
    pub fn resolve(&self, case: &Case) -> Answer {
        self.publish(case);
        let mut arguments = vec!["-Sp", "--print-format", "%r %n %v"];
        arguments.extend(case.targets.iter().map(String::as_str));
        let output = self.run("pacman", &arguments);
        match failure(&output) {
            None => Answer::Installs(text(&output.stdout).lines().map(str::to_owned).collect()),
            Some(answer) => answer,
        }
    }

    /// What `pacman -S` would install, up to the download, which fails.
    pub fn install(&self, case: &Case) -> Answer {
        self.publish(case);
        let mut arguments = vec!["-S"];
        arguments.extend(case.targets.iter().map(String::as_str));
        let program = if self.is_root { "pacman" } else { "fakeroot" };
        let output = self.run(program, &arguments);
        let stdout = text(&output.stdout);
        if !stdout.contains(":: Retrieving packages") {
            return failure(&output).unwrap();
        }
        // A table: `repository/name  version  sizes`.
        let rows = stdout.lines().filter_map(|line| {
            let (repository, rest) = line.split_once('/')?;
            let mut words = rest.split_whitespace();
            let row = (repository, words.next()?, words.next()?);
            REPOSITORIES
                .contains(&repository)
                .then(|| format!("{} {} {}", row.0, row.1, row.2))
        });
        let rows: Installed = rows.collect();
        assert!(!rows.is_empty(), "no table in {stdout}");
        Answer::Installs(rows)
    }
}

/// Why pacman refused, if it did; other reasons than those that are meant are
/// faults of the test.
fn failure(output: &Output) -> Option<Answer> {
    if output.status.success() {
        return None;
    }
    let stderr = text(&output.stderr);
    let unsatisfied = [
        "target not found",
        "unable to satisfy dependency",
        "could not satisfy",
    ];
    let left_out = "from target list because it conflicts with";
    if stderr.contains("conflicting dependencies") {
        Some(Answer::Conflict)
    } else if unsatisfied.iter().any(|words| stderr.contains(words)) {
        let left_out = stderr.contains(left_out);
        Some(if left_out {
            Answer::Missed
        } else {
            Answer::Unsatisfied
        })
    } else if stderr.contains("duplicate target") {
        Some(Answer::Twice)
    } else {
        panic!("pacman failed otherwise: {}{stderr}", text(&output.stdout));
    }
}

/// Runs a program, in English, with room for wide tables.
pub fn output(command: &mut Command) -> Output {
    let command = command.env("LC_ALL", "C").env("COLUMNS", "300");
    command.output().unwrap_or_else(|error| {
        panic!(
            "{command:?} cannot be run: {error}\n\
             these tests need pacman, vercmp and, unless they run as root, fakeroot; \
             ./bootstrap.sh installs them"
        )
    })
}

/// What a program wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
