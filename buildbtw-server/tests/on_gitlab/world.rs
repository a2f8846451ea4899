//! A fake GitLab with a group, and sources that are opened on it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::faults::SeenRequest;
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_graph::PkgBase;
use buildbtw_server::config::{Config, HookSecret};
use buildbtw_server::db::Db;
use buildbtw_server::gitlab::{GitLab, Settings, Time, Token};
use buildbtw_server::sources::{SourceChange, Sources};
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub const GROUP: &str = "archlinux/packaging/packages";

pub const TOKEN: &str = "glpat-0123456789abcdef";

pub const SECRET: &str = "a secret of hooks";

/// Nothing here takes that long; a test that waits longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A clock on which pauses take no time.
#[derive(Debug)]
struct NoPauses(Instant, Mutex<Duration>);

impl Time for NoPauses {
    fn now(&self) -> Instant {
        self.0 + *self.1.lock().unwrap()
    }

    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        *self.1.lock().unwrap() += time;
        Box::pin(tokio::task::yield_now())
    }
}

pub struct World {
    pub fake: FakeGitLab,
    _folder: TempDir,
    pub config: Config,
    /// How long GitLab may be silent, if not as usual.
    pub silence: Option<Duration>,
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
    pub async fn new() -> Self {
        let fake = FakeGitLab::start().await.unwrap();
        fake.group(GROUP);
        fake.token(TOKEN, &[Scope::ReadApi], Role::Reporter);
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mut config = Config::for_folders(data, folder.path().join("none"));
        config.gitlab_domain = fake.url();
        config.gitlab_packages_group = Some(GROUP.to_owned());
        config.gitlab_token = Token::new(TOKEN);
        config.gitlab_hook_secret = Some(HookSecret(SECRET.to_owned()));
        Self {
            fake,
            _folder: folder,
            config,
            silence: None,
        }
    }

    /// A project with one commit on `main`.
    pub fn project(&self, name: &str) -> u64 {
        let path = buildbtw_server::gitlab::path_of(name);
        let id = self.fake.project(GROUP, name, &path).unwrap();
        self.push(id, name, "1");
        id
    }

    /// A commit on `main`.
    pub fn push(&self, project: u64, name: &str, version: &str) -> String {
        self.push_to(project, "main", name, version)
    }

    pub fn push_to(&self, project: u64, branch: &str, name: &str, version: &str) -> String {
        let pkgbuild = format!("pkgname={name}\npkgver={version}\npkgrel=1\narch=(x86_64)\n");
        let files = [
            (".SRCINFO", NewFile::Text(srcinfo(name, version))),
            ("PKGBUILD", NewFile::Text(pkgbuild)),
        ];
        self.fake.push(project, branch, "upgpkg", &files).unwrap()
    }

    /// Opens the sources without reading anything.
    pub async fn open_only(&self) -> Open {
        let shutdown = CancellationToken::new();
        let db = Db::open(None, &self.config.data_dir).await.unwrap();
        let client = self.client();
        let sources = Sources::open_with_client(&self.config, client, db.clone(), shutdown.clone())
            .await
            .unwrap();
        Open {
            changes: sources.subscribe(),
            sources,
            db,
            shutdown,
        }
    }

    /// A client whose pauses take no time.
    pub fn client(&self) -> GitLab {
        let mut settings = Settings::new(
            self.fake.url().parse().unwrap(),
            self.config.gitlab_token.clone().unwrap(),
        );
        settings.a_minute = 1_000_000;
        settings.silence = self.silence.unwrap_or(settings.silence);
        let time = Arc::new(NoPauses(Instant::now(), Mutex::default()));
        GitLab::new(settings, time).unwrap()
    }

    /// Opens the sources, and waits until they are read.
    pub async fn open(&self) -> Open {
        let open = self.open_only().await;
        open.read().await;
        open
    }

    /// What was asked of GraphQL and REST so far, and forgets it.
    pub fn asked(&self) -> Vec<SeenRequest> {
        let asked = self.fake.requests();
        self.fake.faults().forget();
        asked
    }
}

impl Open {
    /// Begins to read, and waits until that is over.
    pub async fn read(&self) {
        self.sources.keep_up(0);
        let mut in_sync = self.sources.in_sync();
        tokio::time::timeout(PATIENCE, in_sync.wait_for(|in_sync| *in_sync))
            .await
            .unwrap()
            .unwrap();
    }

    /// Ends everything, as a kill would.
    pub async fn kill(self) {
        self.shutdown.cancel();
        self.db.close().await;
    }

    /// Waits until something is so; looked at after every change that is told.
    pub async fn until(&mut self, what: &str, so: impl Fn(&Sources) -> bool) {
        while !so(&self.sources) {
            match tokio::time::timeout(PATIENCE, self.changes.recv()).await {
                Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
                other => panic!("{what}: {other:?}"),
            }
        }
    }

    pub async fn poll(&self) {
        self.sources.gitlab().unwrap().poll().await.unwrap();
    }

    pub async fn sweep(&self) {
        self.sources.gitlab().unwrap().sweep().await.unwrap();
    }

    pub fn version(&self, pkgbase: &str) -> Option<String> {
        version(&self.sources, pkgbase)
    }

    pub fn names(&self) -> Vec<String> {
        let heads = self.sources.heads();
        let names = heads.repositories().map(|one| one.pkgbase.to_string());
        names.collect()
    }

    pub fn problem(&self, pkgbase: &str) -> Option<String> {
        let heads = self.sources.heads();
        heads.repository(&name(pkgbase))?.problem.clone()
    }
}

pub fn name(text: &str) -> PkgBase {
    text.parse().unwrap()
}

pub fn version(sources: &Sources, pkgbase: &str) -> Option<String> {
    let index = sources.index();
    index
        .get(&name(pkgbase))
        .map(|package| package.version.to_string())
}

pub fn srcinfo(pkgbase: &str, version: &str) -> String {
    format!(
        "pkgbase = {pkgbase}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n\npkgname = {pkgbase}\n"
    )
}
