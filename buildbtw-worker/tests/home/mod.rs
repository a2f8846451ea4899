//! The real worker, as a process.

#![allow(dead_code, reason = "every test program uses another part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use crate::double::{PATIENCE, TOKEN};

/// The folder in which workers of one test live, with their token and rules.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// A fresh folder.
    pub fn new() -> Self {
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        home.write_token(0o600);
        home
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the token's file with certain permissions.
    pub fn write_token(&self, mode: u32) {
        let path = self.path().join("token");
        std::fs::write(&path, TOKEN).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The folder of runs of the worker.
    pub fn runs(&self) -> PathBuf {
        self.path().join("worker/runs")
    }

    /// The folders of runs that are there now.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        match std::fs::read_dir(self.runs()) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// What the workers of this folder wrote to standard error.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.path().join("stderr")).unwrap_or_default()
    }

    /// Waits until something can be seen in the folder. Files tell nobody that they changed, so
    /// this looks again and again.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(seen) = look(self) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(seen) => seen,
            Err(_) => panic!(
                "waited in vain for {what}; the worker said:\n{}",
                self.stderr()
            ),
        }
    }

    /// A worker's command line, with the fake builder and nothing of this process's environment.
    pub fn command(&self, server: &str, rules: &str) -> Command {
        let rules_path = self.path().join("rules.json");
        std::fs::write(&rules_path, rules).unwrap();
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path().join("stderr"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_buildbtw-worker"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SERVER_URL", server)
            .env("WORKER_TOKEN_FILE", self.path().join("token"))
            .env("WORKER_DIR", self.path().join("worker"))
            .env("WORKER_NAME", "trial-worker")
            .env("BUILDER", "fake")
            .env("FAKE_RULES", rules_path)
            .env("RUST_LOG", "info,buildbtw_worker=debug")
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .kill_on_drop(true);
        command
    }

    /// Starts a worker.
    pub fn start(&self, server: &str, rules: &str) -> Running {
        Running(self.command(server, rules).spawn().unwrap())
    }
}

/// A worker that runs. It is killed when the test ends.
pub struct Running(Child);

impl Running {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id().unwrap()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.0.wait())
            .await
            .expect("the worker did not end")
            .unwrap()
    }
}
