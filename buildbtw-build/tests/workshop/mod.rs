//! A workshop for tests that build for real: small sources, repositories that are served, builds by
//! root and by an ordinary user, and a look around afterwards.

// Every test program uses its own part of it.
#![allow(dead_code, unused_imports)]
// A test that cannot go on should say where.
#![allow(clippy::unwrap_used)]

mod base;
mod machine;
mod repository;
mod source;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use buildbtw_build::{
    BuildOutcome, BuildRequest, Builder, InstalledPackage, Limits, NetworkMode, OutcomeClass,
    RootMode, StepEvent,
};
use serde::Deserialize;

pub use base::write_base_devel;
pub use machine::{forget_processes, processes_of};
pub use repository::{Repository, package};
pub use source::Source;

/// Who carries a build out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The user who runs the tests, if that is root.
    Root,
    /// A user without any rights: nobody if the tests are run by root, else whoever runs them.
    Ordinary,
}

/// Everybody as whom a build can be carried out here.
pub fn everybody() -> Vec<Who> {
    match nix::unistd::geteuid().is_root() {
        true => vec![Who::Root, Who::Ordinary],
        false => vec![Who::Ordinary],
    }
}

const NOBODY: u32 = 65_534;

/// A folder of its own for one test and one user.
pub struct Workshop {
    pub who: Who,
    folder: tempfile::TempDir,
    pub builder: Builder,
}

/// What came of a build.
#[derive(Debug)]
pub struct Run {
    pub outcome: BuildOutcome,
    pub log: String,
    pub steps: Vec<StepEvent>,
    pub installed: Option<Vec<InstalledPackage>>,
}

/// A line that the program writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Step(StepEvent),
    Installed(Vec<InstalledPackage>),
    Outcome(BuildOutcome),
}

impl Workshop {
    pub fn new(who: Who) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("workshop-")
            .tempdir()
            .unwrap();
        // The ordinary user has to be able to walk here, and user 0 of a sandbox, too.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let workshop = Self {
            who,
            folder,
            builder: Builder {
                without_makepkg_lints: true,
                ..Builder::default()
            },
        };
        let place = workshop.path("builds");
        std::fs::create_dir(&place).unwrap();
        workshop.give(&place);
        // A copy that everybody may execute, wherever the target folder lies.
        let program = workshop.path("buildbtw-build");
        std::fs::copy(env!("CARGO_BIN_EXE_buildbtw-build"), &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where builds are carried out.
    pub fn builds(&self) -> PathBuf {
        self.path("builds")
    }

    /// Makes a file or folder that of the user who builds.
    pub fn give(&self, path: &Path) {
        if nix::unistd::geteuid().is_root() && self.who == Who::Ordinary {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// A request to build a source, with nothing to install.
    pub fn request(&self, source: &Source) -> BuildRequest {
        let archive = self.path(&format!("{}.tar", source.pkgbase));
        source.pack(&archive);
        BuildRequest {
            pkgbase: source.pkgbase.clone(),
            architecture: "x86_64".into(),
            source: archive,
            // The folder's name is nowhere else: by it, processes of this build are found.
            packager: format!("{} <tests@example.org>", self.marker()),
            source_date_epoch: 1_700_000_000,
            check: true,
            pass: 1,
            root_mode: RootMode::Host,
            network: NetworkMode::Sources,
            repositories: Vec::new(),
            install: Vec::new(),
            assumed: Vec::new(),
            expected: None,
            limits: Limits::default(),
            pkgnames: source.pkgnames.clone(),
            makepkg_conf: None,
            fake: None,
        }
    }

    /// A word that every process of this workshop's builds has in its environment or command line.
    pub fn marker(&self) -> String {
        let name = self.folder.path().file_name().unwrap();
        name.to_str().unwrap().to_owned()
    }

    /// The program, as the user who builds.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.path("buildbtw-build"));
        command.current_dir(self.builds());
        if nix::unistd::geteuid().is_root() && self.who == Who::Ordinary {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Starts a build in the folder `name`.
    pub fn start(&self, request: &BuildRequest, name: &str) -> Building {
        self.start_with(request, name, |_| self.command())
    }

    /// The same, with another command in front of the program's arguments.
    pub fn start_with(
        &self,
        request: &BuildRequest,
        name: &str,
        command: impl FnOnce(&Path) -> Command,
    ) -> Building {
        let builder = self.path("builder.json");
        std::fs::write(&builder, serde_json::to_vec(&self.builder).unwrap()).unwrap();
        let mut command = command(&self.path("buildbtw-build"));
        command
            .arg("--builder")
            .arg(builder)
            .args(["run", "-"])
            .arg(self.builds().join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(&serde_json::to_vec(request).unwrap())
            .unwrap();
        drop(input);
        Building::listen(child)
    }

    /// Carries out a build and looks whether it left anything.
    pub fn build(&self, request: &BuildRequest) -> Run {
        let run = self.start(request, "build").finish();
        self.assert_nothing_left("build");
        run
    }

    /// No process, no mount, and no file but the packages.
    pub fn assert_nothing_left(&self, name: &str) {
        // Whoever clears up says so a moment before it is gone itself.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !processes_of(&self.marker()).is_empty() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(processes_of(&self.marker()), Vec::<String>::new());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&self.marker()), "{mounts}");
        let work = self.builds().join(name);
        let left: Vec<_> = match std::fs::read_dir(&work) {
            Ok(entries) => entries
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name != "packages")
                .collect(),
            Err(_) => Vec::new(),
        };
        assert!(left.is_empty(), "{left:?}");
    }

    /// The bytes of a file in a package.
    pub fn read_packaged(&self, package: &Path, file: &str) -> String {
        let output = Command::new("bsdtar")
            .arg("-xOf")
            .arg(self.builds().join(package))
            .arg(file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A build that goes on.
pub struct Building {
    pub child: Child,
    lines: std::thread::JoinHandle<String>,
    log: mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Building {
    fn listen(mut child: Child) -> Self {
        let (sender, log) = mpsc::channel();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                match stderr.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) if sender.send(line).is_err() => break,
                    Ok(_) => {}
                }
            }
        });
        let mut stdout = child.stdout.take().unwrap();
        let lines = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            child,
            lines,
            log,
            text: String::new(),
        }
    }

    /// Waits until the log has a line with this text.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            let line = self.log.recv();
            let line = line.unwrap_or_else(|_| panic!("no {text:?} in the log:\n{}", self.text));
            let line = String::from_utf8_lossy(&line);
            self.text.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    /// The build's program as a process number.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Waits until it has ended, however that is; hands back what it said so far.
    pub fn end(mut self) -> (std::process::ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.lines.join().unwrap())
    }

    /// Waits for the outcome.
    pub fn finish(mut self) -> Run {
        let lines = self.lines.join().unwrap();
        let status = self.child.wait().unwrap();
        while let Ok(line) = self.log.recv() {
            self.text.push_str(&String::from_utf8_lossy(&line));
        }
        let (mut steps, mut installed, mut outcome) = (Vec::new(), None, None);
        for line in lines.lines() {
            match serde_json::from_str(line).unwrap() {
                Line::Step(step) => steps.push(step),
                Line::Installed(packages) => installed = Some(packages),
                Line::Outcome(it) => outcome = Some(it),
            }
        }
        let Some(outcome) = outcome else {
            panic!("no outcome, {status}:\n{}", self.text);
        };
        Run {
            outcome,
            log: self.text,
            steps,
            installed,
        }
    }
}

impl Run {
    /// Checks the class, and shows the whole story if it is another one.
    pub fn expect(self, class: OutcomeClass) -> Self {
        assert_eq!(
            self.outcome.class, class,
            "{:#?}\n{}",
            self.outcome, self.log
        );
        self
    }

    /// Checks that the outcome's message has all these words.
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(
                self.outcome.message.contains(word),
                "no {word:?} in {:?}\n{}",
                self.outcome.message,
                self.log
            );
        }
        self
    }

    /// The names of the steps in order, with an exclamation mark after the one that failed.
    pub fn step_names(&self) -> Vec<String> {
        let ended = self
            .steps
            .iter()
            .filter_map(|step| Some((step, step.result?)));
        ended
            .map(|(step, result)| match result.succeeded() {
                true => step.name.clone(),
                false => format!("{}!", step.name),
            })
            .collect()
    }
}
