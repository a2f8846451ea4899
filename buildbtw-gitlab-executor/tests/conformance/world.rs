//! A fake GitLab with a project, a double of the server, and a host with a Runner.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use buildbtw_api::RunId;
use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_fake_gitlab::runner::custom::{CustomRunner, Worked};
use serde_json::json;
use tempfile::TempDir;

use crate::double::{Double, PATIENCE, TOKEN, order, source};
use crate::leftovers;

const GROUP: &str = "archlinux/packaging/packages";

/// What the group's projects have as their CI configuration.
const CI: &str = "\
spec:
  inputs:
    run:
    server:
---
workflow:
  name: buildbtw $[[ inputs.run ]]
build:
  tags: [buildbtw]
  interruptible: true
  variables:
    GIT_STRATEGY: none
    BUILDBTW_RUN: $[[ inputs.run ]]
    BUILDBTW_SERVER: $[[ inputs.server ]]
  script:
    - echo this is not what is carried out
";

/// A secret among the job's variables.
pub const SECRET: &str = "a-secret-of-the-project";

pub struct World {
    pub server: Double,
    pub fake: FakeGitLab,
    folder: TempDir,
    project: u64,
    http: reqwest::Client,
}

impl World {
    /// A world whose host builds with the fake builder.
    pub async fn new(rules: &str) -> Self {
        Self::with_job(rules, "").await
    }

    /// The same, with more said of the job in its CI configuration.
    pub async fn with_job(rules: &str, more: &str) -> Self {
        let server = Double::start().await;
        let fake = FakeGitLab::start().await.unwrap();
        fake.group(GROUP);
        fake.token("glpat-maintainer", &[Scope::Api], Role::Maintainer);
        let project = fake.project(GROUP, "hello", "hello").unwrap();
        let files = [(".gitlab-ci.yml", NewFile::Text(format!("{CI}{more}")))];
        fake.push(project, "main", "upgpkg", &files).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let world = Self {
            server,
            fake,
            folder,
            project,
            http: reqwest::Client::new(),
        };
        std::fs::create_dir(world.path("tmp")).unwrap();
        std::fs::write(world.path("rules.json"), rules).unwrap();
        world.write_token(TOKEN, 0o600);
        world.write_host("fake", "");
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write_token(&self, token: &str, mode: u32) {
        let path = self.path("token");
        std::fs::write(&path, token).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Writes the host's configuration, with some lines more at its top.
    pub fn write_host(&self, builder: &str, more: &str) {
        let text = format!(
            "folder = {:?}\nname = \"runner-7\"\nbuilder = {builder:?}\nfake_rules = {:?}\n{more}\n\
             [[server]]\nurl = {:?}\ntoken_file = {:?}\n",
            self.path("executor"),
            self.path("rules.json"),
            self.server.url(),
            self.path("token"),
        );
        std::fs::write(self.path("executor.toml"), text).unwrap();
    }

    /// The environment of the Runner's own process.
    pub fn environment(&self) -> Vec<(String, String)> {
        let config = self.path("executor.toml").display().to_string();
        [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", self.folder.path().display().to_string()),
            ("BUILDBTW_EXECUTOR_CONFIG", config),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// A Runner on that host.
    pub fn runner(&self) -> CustomRunner {
        CustomRunner {
            environment: self.environment(),
            variables: vec![
                ("DEPLOY_SECRET".to_owned(), SECRET.to_owned()),
                ("LINES".to_owned(), "one\ntwo".to_owned()),
            ],
            retry_delay: Duration::from_millis(20),
            graceful_kill: Duration::from_secs(60),
            ..CustomRunner::new(
                env!("CARGO_BIN_EXE_buildbtw-gitlab-executor"),
                self.path("tmp"),
            )
        }
    }

    /// Makes a pipeline for a run, which waits for a Runner then.
    pub async fn pipeline(&self, run: &str, server: &str) {
        let url = format!(
            "{}/api/v4/projects/{}/pipeline",
            self.fake.url(),
            self.project
        );
        let request = self
            .http
            .post(url)
            .header("PRIVATE-TOKEN", "glpat-maintainer")
            .json(&json!({"ref": "main", "inputs": {"run": run, "server": server}}));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    }

    /// A run of a package that has a pipeline.
    pub async fn dispatched(&self, pkgbase: &str) -> RunId {
        let run = self.server.keep(order(pkgbase), source(pkgbase));
        self.pipeline(&run.to_string(), &self.server.url()).await;
        run
    }

    /// Has a Runner carry out the job that waits.
    pub async fn work(&self, runner: &CustomRunner) -> Worked {
        let working = runner.work(&self.fake, std::future::pending());
        let worked = tokio::time::timeout(PATIENCE, working).await;
        worked.expect("the job does not end").expect("no job waits")
    }

    /// A job's log on GitLab.
    pub fn trace(&self, job: u64) -> String {
        self.fake.job(job).unwrap().trace
    }

    /// Waits until something stands in the log of the only job.
    pub async fn until_traced(&self, words: &str) -> u64 {
        let mut changes = self.fake.shared().changes.subscribe();
        let waiting = async {
            loop {
                let job = {
                    let state = self.fake.state();
                    let found = state.jobs.values().find(|job| job.trace.contains(words));
                    found.map(|job| job.id)
                };
                match job {
                    Some(job) => return job,
                    None => changes.changed().await.unwrap(),
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("{words:?} never stood in the log"))
    }

    /// Cancels a job, as a person does on GitLab.
    pub async fn cancel(&self, job: u64, force: bool) {
        let url = format!(
            "{}/api/v4/projects/{}/jobs/{job}/cancel",
            self.fake.url(),
            self.project
        );
        let request = self
            .http
            .post(url)
            .header("PRIVATE-TOKEN", "glpat-maintainer")
            .json(&json!({ "force": force }));
        assert!(request.send().await.unwrap().status().is_success());
    }

    /// Calls the program by hand, as the Runner's user would.
    pub fn call(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_buildbtw-gitlab-executor"))
            .args(arguments)
            .env_clear()
            .envs(self.environment())
            .envs(environment.iter().copied())
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// No process, mount or file is left of any job.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let left = leftovers::of(self.folder.path(), &["executor/jobs", "tmp"]);
        assert!(left.is_empty(), "something is left of a job: {left:#?}");
    }
}
