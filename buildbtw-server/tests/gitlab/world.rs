//! A fake GitLab with a project, and a client of it whose pauses take no time.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_server::gitlab::{GitLab, ProjectId, Settings, Time, Token};

pub const GROUP: &str = "archlinux/packaging/packages";

pub const TOKEN: &str = "glpat-0123456789abcdef";

pub const CI: &str = "spec:\n  inputs:\n    run:\n---\nworkflow:\n  name: run $[[ inputs.run ]]\nbuild:\n  tags: [buildbtw]\n  script: [build]\n";

/// A clock that stands still, but for the pauses that are made.
#[derive(Debug)]
pub struct TestTime {
    begun: Instant,
    pauses: Mutex<Vec<Duration>>,
}

impl TestTime {
    /// The pauses that were made.
    pub fn pauses(&self) -> Vec<Duration> {
        self.pauses.lock().unwrap().clone()
    }
}

impl Time for TestTime {
    fn now(&self) -> Instant {
        self.begun + self.pauses.lock().unwrap().iter().sum::<Duration>()
    }

    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.pauses.lock().unwrap().push(time);
        Box::pin(async {})
    }
}

pub struct World {
    pub fake: FakeGitLab,
    pub gitlab: GitLab,
    pub time: Arc<TestTime>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let fake = FakeGitLab::start().await.unwrap();
        fake.group(GROUP);
        fake.token(TOKEN, &[Scope::Api], Role::Maintainer);
        let time = Arc::new(TestTime {
            begun: Instant::now(),
            pauses: Mutex::default(),
        });
        let mut settings = Settings::new(fake.url().parse().unwrap(), Token::new(TOKEN).unwrap());
        settings.a_minute = 100_000;
        change(&mut settings);
        let gitlab = GitLab::new(settings, Arc::clone(&time) as Arc<dyn Time>).unwrap();
        Self { fake, gitlab, time }
    }

    /// A project with one commit.
    pub fn project(&self, name: &str) -> ProjectId {
        let id = self.fake.project(GROUP, name, name).unwrap();
        self.push(ProjectId(id), "main", name, "1");
        ProjectId(id)
    }

    pub fn push(&self, project: ProjectId, branch: &str, name: &str, version: &str) -> String {
        let files = [
            (".SRCINFO", NewFile::Text(srcinfo(name, version))),
            ("PKGBUILD", NewFile::Text(format!("pkgver={version}\n"))),
            (".gitlab-ci.yml", NewFile::Text(CI.to_owned())),
        ];
        self.fake.push(project.0, branch, "upgpkg", &files).unwrap()
    }
}

pub fn srcinfo(pkgbase: &str, version: &str) -> String {
    format!(
        "pkgbase = {pkgbase}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n\npkgname = {pkgbase}\n"
    )
}
