//! Source repositories for tests, made with the real git.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::output;

/// A git repository with a work tree.
#[derive(Debug, Clone)]
pub struct Repository {
    /// The work tree.
    pub path: PathBuf,
}

impl Repository {
    /// Makes a repository whose work tree is there already, with one commit on `main`.
    pub fn init(path: &Path) -> Self {
        let repository = Self {
            path: path.to_owned(),
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit("the beginning");
        repository
    }

    /// Runs git in it.
    pub fn git(&self, arguments: &[&str]) -> String {
        output(
            Command::new("git")
                .args(arguments)
                .current_dir(&self.path)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_SYSTEM", "/dev/null")
                .env("GIT_AUTHOR_NAME", "Test")
                .env("GIT_AUTHOR_EMAIL", "test@example.org")
                .env("GIT_COMMITTER_NAME", "Test")
                .env("GIT_COMMITTER_EMAIL", "test@example.org"),
        )
        .trim()
        .to_owned()
    }

    /// Writes a file of the work tree.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path.join(name), content).expect("the work tree can be written to");
    }

    /// A file of the work tree.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).expect("the file is in the work tree")
    }

    /// Commits everything and hands back the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Replaces text in some files and commits.
    pub fn edit(&self, files: &[&str], from: &str, to: &str) -> String {
        for file in files {
            let text = self.read(file);
            assert!(text.contains(from), "{file} does not contain {from:?}");
            self.write(file, &text.replace(from, to));
        }
        self.commit(&format!("{from} becomes {to}"))
    }
}
