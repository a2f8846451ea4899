//! Sources that are opened on repositories made by the real git.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use buildbtw_graph::PkgBase;
use buildbtw_server::config::Config;
use buildbtw_server::db::Db;
use buildbtw_server::sources::{SourceChange, SourceError, Sources};
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Nothing here takes that long; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub folder: TempDir,
    pub config: Config,
}

/// Sources that are open; closed when dropped.
pub struct Open {
    pub sources: Sources,
    pub changes: broadcast::Receiver<SourceChange>,
    pub db: Db,
    pub shutdown: CancellationToken,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["sources", "data", "elsewhere"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let config = Config::for_folders(folder.path().join("data"), folder.path().join("sources"));
        Self { folder, config }
    }

    pub fn path(&self, entry: &str) -> PathBuf {
        self.config.sources_dir.join(entry)
    }

    /// A repository with a work tree and one commit on `main`.
    pub fn repository(&self, pkgbase: &str) -> PathBuf {
        make(&self.path(pkgbase), pkgbase)
    }

    pub async fn open(&self) -> Open {
        self.open_with_watches(usize::MAX).await
    }

    pub async fn open_with_watches(&self, watches: usize) -> Open {
        let shutdown = CancellationToken::new();
        let db = Db::open(None, &self.config.data_dir).await.unwrap();
        let sources = Sources::open(&self.config, db.clone(), shutdown.clone())
            .await
            .unwrap();
        sources.keep_up(watches);
        let mut in_sync = sources.in_sync();
        tokio::time::timeout(PATIENCE, in_sync.wait_for(|in_sync| *in_sync))
            .await
            .unwrap()
            .unwrap();
        // The changes that the first reading was are not of interest.
        let changes = sources.subscribe();
        Open {
            sources,
            changes,
            db,
            shutdown,
        }
    }
}

impl Open {
    /// Waits until something is so; looked at after every change that is told.
    pub async fn until(&mut self, what: &str, so: impl Fn(&Sources) -> bool) -> Duration {
        let started = Instant::now();
        while !so(&self.sources) {
            match tokio::time::timeout(PATIENCE, self.changes.recv()).await {
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                other => panic!("{what}: {other:?}"),
            }
        }
        started.elapsed()
    }

    pub async fn resolve(&self, changeset: &str) -> Result<String, SourceError> {
        Ok(self
            .sources
            .resolve(&changeset.parse().unwrap())
            .await?
            .commit
            .commit)
    }

    pub fn version(&self, pkgbase: &str) -> Option<String> {
        version(&self.sources, pkgbase)
    }

    pub fn problem(&self, pkgbase: &str) -> Option<String> {
        self.sources
            .heads()
            .repository(&name(pkgbase))
            .and_then(|repository| repository.problem.clone())
    }
}

pub fn name(text: &str) -> PkgBase {
    text.parse().unwrap()
}

pub fn version(sources: &Sources, pkgbase: &str) -> Option<String> {
    sources
        .index()
        .get(&name(pkgbase))
        .map(|package| package.version.to_string())
}

/// What the references of a repository were when it was read.
pub fn fingerprint(sources: &Sources, pkgbase: &str) -> String {
    sources
        .heads()
        .repository(&name(pkgbase))
        .unwrap()
        .fingerprint
        .as_ref()
        .unwrap()
        .as_str()
        .to_owned()
}

pub fn git(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(path)
        .env_remove("GIT_DIR")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@example.org")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@example.org")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "git {arguments:?} in {}: {error}",
        path.display()
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn srcinfo(pkgbase: &str, version: &str) -> String {
    format!(
        "pkgbase = {pkgbase}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n\npkgname = {pkgbase}\n"
    )
}

pub fn make(path: &Path, pkgbase: &str) -> PathBuf {
    std::fs::create_dir_all(path).unwrap();
    git(path, &["init", "--quiet", "--initial-branch=main"]);
    commit(path, pkgbase, "1");
    path.to_owned()
}

/// Commits a package of that version and hands back the commit.
pub fn commit(path: &Path, pkgbase: &str, version: &str) -> String {
    let pkgbuild = format!("pkgname={pkgbase}\npkgver={version}\npkgrel=1\narch=(x86_64)\n");
    std::fs::write(path.join("PKGBUILD"), pkgbuild).unwrap();
    commit_srcinfo(path, srcinfo(pkgbase, version).as_bytes())
}

pub fn commit_srcinfo(path: &Path, text: &[u8]) -> String {
    std::fs::write(path.join(".SRCINFO"), text).unwrap();
    git(path, &["add", "--all"]);
    git(
        path,
        &["commit", "--quiet", "--allow-empty", "--message", "x"],
    );
    git(path, &["rev-parse", "HEAD"])
}
