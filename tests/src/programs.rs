//! The programs under test, as processes that end with their owner.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The longest time that anything here may take.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// A program of the workspace, as the last `cargo build --workspace --bins` left it.
///
/// # Panics
///
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/debug/deps/test-1234 lies beside target/debug/program.
    let folder = test
        .ancestors()
        .nth(2)
        .expect("a test lies in target/debug/deps");
    let path = folder.join(name);
    let release = if folder.ends_with("release") {
        " --release"
    } else {
        ""
    };
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --workspace --bins{release}` first",
        path.display()
    );
    path
}

/// A running program. Dropping it kills it and what it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Process {
    /// Starts a program with its own environment only, in a session of its own.
    pub fn start(
        name: &str,
        arguments: &[&str],
        environment: &[(&str, String)],
        log: &Path,
    ) -> Self {
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log can be opened");
        let errors = output.try_clone().expect("the log can be opened twice");
        let mut command = Command::new(program(name));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", log.parent().expect("a log lies in a folder"))
            .env("RUST_BACKTRACE", "1")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(log.parent().expect("a log lies in a folder"))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let child = command.spawn().expect("the program starts");
        Self {
            child,
            log: log.to_owned(),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// kill -9, and nothing else: what it started is left to itself.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let _ = kill(self.pid(), Signal::SIGTERM);
        self.wait()
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the program can be waited for")
            {
                return status;
            }
            assert!(
                Instant::now() < end,
                "the program did not end; its log:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the program can be waited for")
            .is_none()
    }

    /// The memory it takes.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn memory(&self) -> Memory {
        let path = format!("/proc/{}/status", self.child.id());
        let status =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let bytes = |key: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            let kibibytes =
                line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kibibytes.unwrap_or_else(|| panic!("{path} says no {key}:\n{status}")) * 1024
        };
        Memory {
            resident: bytes("VmRSS"),
            peak: bytes("VmHWM"),
        }
    }

    /// How long processors have worked for it so far.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        // The name in brackets may contain anything; the fields behind it are numbers (proc(5)).
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        // Linux counts in hundredths of a second for everybody (USER_HZ).
        Duration::from_millis(ticks * 10)
    }

    /// What it has printed.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let _ = std::fs::File::open(&self.log).and_then(|mut file| file.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(-self.pid().as_raw()), Signal::SIGKILL);
        self.kill();
    }
}

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// What it takes now (VmRSS).
    pub resident: u64,
    /// The most that it ever took (VmHWM).
    pub peak: u64,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = |bytes: u64| bytes / (1 << 20);
        let (resident, peak) = (whole(self.resident), whole(self.peak));
        write!(f, "memory {resident} MiB, at most {peak} MiB")
    }
}

/// What a program that ran to its end left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Finished {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a program to its end, which must be a good one, and hands back what it printed.
pub fn output(command: &mut Command) -> String {
    let finished = run(command);
    assert_eq!(
        finished.code,
        Some(0),
        "{command:?}\n{}\n{}",
        finished.stdout,
        finished.stderr
    );
    finished.stdout
}
