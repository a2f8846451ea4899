//! The real pacman, with a root and settings of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{Finished, run};

/// A scratch root that pacman installs into.
#[derive(Debug)]
pub struct Root {
    /// The root.
    pub path: PathBuf,
    config: PathBuf,
}

impl Root {
    /// An empty root in a folder, with repositories in order.
    pub fn new(folder: &Path, repositories: &[(&str, &str)]) -> Self {
        let path = folder.join("root");
        std::fs::create_dir_all(path.join("var/lib/pacman")).expect("folders can be made");
        let config = folder.join("pacman.conf");
        let mut text = "[options]\nArchitecture = x86_64\nSigLevel = Never\n".to_owned();
        for (name, server) in repositories {
            text.push_str(&format!("[{name}]\nServer = {server}\n"));
        }
        std::fs::write(&config, text).expect("a file can be written");
        Self { path, config }
    }

    /// Runs pacman on the root; as an ordinary user through fakeroot.
    pub fn pacman(&self, arguments: &[&str]) -> Finished {
        let mut command = if nix::unistd::geteuid().is_root() {
            Command::new("pacman")
        } else {
            let mut command = Command::new("fakeroot");
            command.arg("pacman");
            command
        };
        let inside = |name: &str| self.path.join(name);
        run(command
            .arg("--root")
            .arg(&self.path)
            .arg("--dbpath")
            .arg(inside("var/lib/pacman"))
            .arg("--cachedir")
            .arg(inside("cache"))
            .arg("--logfile")
            .arg(inside("pacman.log"))
            .arg("--hookdir")
            .arg(inside("hooks"))
            .arg("--config")
            .arg(&self.config)
            .arg("--noconfirm")
            .args(arguments)
            .env("LC_ALL", "C"))
    }

    /// Runs pacman, which must end well, and hands back what it printed.
    pub fn pacman_ok(&self, arguments: &[&str]) -> String {
        let finished = self.pacman(arguments);
        assert_eq!(
            finished.code,
            Some(0),
            "pacman {arguments:?}\n{}\n{}",
            finished.stdout,
            finished.stderr
        );
        finished.stdout
    }
}
