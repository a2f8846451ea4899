//! The demo's packages on a fake GitLab, and Runners that carry jobs out with the real executor.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::hooks::Hook;
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_fake_gitlab::runner::custom::{CustomRunner, Worked};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::programs::program;
use crate::stage::Stage;

/// The group of the packages.
pub const GROUP: &str = "archlinux/packaging/packages";

/// The server's token.
pub const TOKEN: &str = "glpat-of-the-end-to-end-tests";

const SECRET: &str = "a secret of hooks";

/// A GitLab with packages and a fleet of Runners. Runners stop when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// The GitLab.
    pub gitlab: Arc<FakeGitLab>,
    sources: PathBuf,
    /// The packages by name and first commit.
    pub released: Vec<(String, String)>,
    runners: Vec<JoinHandle<()>>,
    worked: watch::Sender<Vec<Worked>>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for runner in &self.runners {
            runner.abort();
        }
    }
}

impl Fleet {
    /// A GitLab whose group has these packages of the demo, all of which use the CI configuration that
    /// operators are given.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub async fn with(packages: &[&str]) -> Self {
        let gitlab = FakeGitLab::start().await.expect("a GitLab can be made");
        gitlab.group(GROUP);
        gitlab.group("archlinux/packaging");
        gitlab.token(TOKEN, &[Scope::Api], Role::Maintainer);
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let template =
            std::fs::read(top.join("notes/gitlab-ci.yml")).expect("there is a CI configuration");
        let ci = gitlab
            .project("archlinux/packaging", "ci", "ci")
            .expect("a project can be made");
        let file = [("gitlab-ci.yml", NewFile::Bytes(template))];
        gitlab
            .push(ci, "main", "Add the configuration", &file)
            .expect("it can be pushed");
        let mut fleet = Self {
            gitlab: Arc::new(gitlab),
            released: Vec::new(),
            sources: top.join("demo/packages"),
            runners: Vec::new(),
            worked: watch::Sender::default(),
        };
        for package in packages {
            let project = fleet
                .gitlab
                .project(GROUP, package, package)
                .expect("a project can be made");
            let set = |project: &mut buildbtw_fake_gitlab::state::Project| {
                project.ci_config_path = Some("gitlab-ci.yml@archlinux/packaging/ci".to_owned());
            };
            fleet
                .gitlab
                .change_project(project, set)
                .expect("the project is there");
            let commit = fleet.push(package, "the beginning", |text| text);
            fleet.released.push(((*package).to_owned(), commit));
        }
        fleet
    }

    /// Pushes a demo package's files with a change in their texts; the commit comes back.
    ///
    /// # Panics
    ///
    /// When there is no such package.
    pub fn push(&self, package: &str, message: &str, change: impl Fn(String) -> String) -> String {
        let project = {
            let state = self.gitlab.state();
            let path = format!("{GROUP}/{package}");
            let found = state.project_by_path(&path);
            found.expect("the package has a project").id
        };
        let folder = self.sources.join(package);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).expect("the demo has the package") {
            let path = entry.expect("it can be read").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.expect("its name is text").to_owned();
            let bytes = std::fs::read(&path).expect("it can be read");
            let file = match String::from_utf8(bytes) {
                Ok(text) => NewFile::Text(change(text)),
                Err(error) => NewFile::Bytes(error.into_bytes()),
            };
            files.push((name, file));
        }
        let files: Vec<(&str, NewFile)> = files
            .iter()
            .map(|(name, file)| (name.as_str(), file.clone()))
            .collect();
        self.gitlab
            .push(project, "main", message, &files)
            .expect("it can be pushed")
    }

    /// A stage whose server follows this GitLab and has everything built there.
    pub fn stage(&self) -> Stage {
        Stage::new()
            .with("GITLAB_DOMAIN", &self.gitlab.url())
            .with("GITLAB_PACKAGES_GROUP", GROUP)
            .with("GITLAB_TOKEN", TOKEN)
            .with("GITLAB_HOOK_SECRET", SECRET)
            .with("RUN_BUILDS_ON_GITLAB", "true")
    }

    /// Has GitLab tell the stage's server of what happens.
    pub fn tell(&self, stage: &Stage) {
        self.gitlab.hook(Hook {
            url: format!("{}/api/v1/gitlab/hooks", stage.address()),
            token: Some(SECRET.to_owned()),
            push_events: true,
            repository_update_events: true,
            pipeline_events: true,
            job_events: true,
            ..Hook::default()
        });
    }

    /// Starts Runners on a host of their own that build for the stage's server.
    ///
    /// # Panics
    ///
    /// When the host cannot be set up.
    pub fn start_runners(&mut self, stage: &Stage, number: usize) {
        let host = Self::host(stage);
        std::fs::create_dir_all(host.join("tmp")).expect("folders can be made");
        let token = host.join("worker-token");
        std::fs::copy(stage.data().join("worker-token"), &token).expect("there is a token");
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600))
            .expect("it can be private");
        let config = host.join("executor.toml");
        let text = format!(
            "folder = {:?}\nname = \"runner-host\"\nbuilder = \"sandbox\"\n\n\
             [[server]]\nurl = {:?}\ntoken_file = {token:?}\n",
            host.join("jobs"),
            stage.address(),
        );
        std::fs::write(&config, text).expect("a file can be written");
        for number in 1..=number {
            let environment = [
                ("PATH", std::env::var("PATH").unwrap_or_default()),
                ("HOME", host.display().to_string()),
                ("BUILDBTW_EXECUTOR_CONFIG", config.display().to_string()),
            ];
            let runner = CustomRunner {
                name: format!("runner-{number}"),
                environment: environment
                    .map(|(name, value)| (name.to_owned(), value))
                    .to_vec(),
                graceful_kill: Duration::from_secs(60),
                ..CustomRunner::new(program("buildbtw-gitlab-executor"), host.join("tmp"))
            };
            let (gitlab, worked) = (Arc::clone(&self.gitlab), self.worked.clone());
            self.runners
                .push(tokio::spawn(serve(runner, gitlab, worked)));
        }
    }

    /// The host of the Runners.
    pub fn host(stage: &Stage) -> PathBuf {
        stage.path().join("runner-host")
    }

    /// Waits until a job says something.
    pub async fn said(&self, words: &str) {
        let mut changes = self.gitlab.shared().changes.subscribe();
        loop {
            let said = {
                let state = self.gitlab.state();
                state.jobs.values().any(|job| job.trace.contains(words))
            };
            if said {
                return;
            }
            // The sender lives as long as the GitLab.
            let _ = changes.changed().await;
        }
    }

    /// Waits until no job is open any more, and the Runners have cleaned up. A run is over before its job is.
    pub async fn jobs_over(&self) {
        let mut changes = self.gitlab.shared().changes.subscribe();
        let taken = loop {
            let (open, taken) = {
                let state = self.gitlab.state();
                let open = state.jobs.values().any(|job| !job.status.is_over());
                let taken = state.jobs.values().filter(|job| job.runner.is_some());
                (open, taken.count())
            };
            if !open {
                break taken;
            }
            // The sender lives as long as the GitLab.
            let _ = changes.changed().await;
        };
        let mut worked = self.worked.subscribe();
        // The sender lives as long as this value.
        let _ = worked.wait_for(|worked| worked.len() >= taken).await;
    }

    /// What the Runners have done so far.
    pub fn worked(&self) -> Vec<Worked> {
        self.worked.borrow().clone()
    }

    /// The logs of all jobs, for the message of a failed test.
    pub fn logs(&self) -> String {
        let state = self.gitlab.state();
        let jobs = state.jobs.values();
        jobs.map(|job| format!("--- job {} is {}\n{}\n", job.id, job.status, job.trace))
            .collect()
    }
}

/// Takes one job after the other, as soon as one waits.
async fn serve(runner: CustomRunner, gitlab: Arc<FakeGitLab>, worked: watch::Sender<Vec<Worked>>) {
    let mut changes = gitlab.shared().changes.subscribe();
    loop {
        // Taken before the look, so that a job that comes during it is not missed.
        changes.borrow_and_update();
        match runner.work(&gitlab, std::future::pending()).await {
            Some(done) => worked.send_modify(|worked| worked.push(done)),
            // The sender lives as long as the GitLab.
            None => {
                let _ = changes.changed().await;
            }
        }
    }
}
