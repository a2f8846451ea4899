//! A Runner with the custom executor: its settings, and what it did for a job.
//!
//! It follows the Runner's source (19.4: `executors/custom`, `common/build.go`, `helpers/process`),
//! and differs from it where a test would wait in vain: GitLab's word reaches it at once, and not
//! with the next part of the job's log; and every time it waits is a setting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::program::Exit;
use super::{JobEnd, job};
use crate::FakeGitLab;

/// A program of `[runners.custom]`, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; `run` gets the script and the stage behind them.
    pub arguments: Vec<String>,
}

impl Exec {
    /// A program with arguments.
    pub fn new(program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
}

/// A `[[runners]]` of config.toml whose executor is `custom`.
#[derive(Debug, Clone)]
pub struct CustomRunner {
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// `config_exec`
    pub config: Option<Exec>,
    /// `prepare_exec`
    pub prepare: Option<Exec>,
    /// `run_exec`
    pub run: Exec,
    /// `cleanup_exec`
    pub cleanup: Option<Exec>,
    /// `config_exec_timeout`
    pub config_timeout: Duration,
    /// `prepare_exec_timeout`
    pub prepare_timeout: Duration,
    /// `cleanup_exec_timeout`
    pub cleanup_timeout: Duration,
    /// `graceful_kill_timeout`: from SIGTERM to SIGKILL.
    pub graceful_kill: Duration,
    /// `force_kill_timeout`: from SIGKILL until it gives up.
    pub force_kill: Duration,
    /// How long it waits between two attempts to prepare a job.
    pub retry_delay: Duration,
    /// How long it waits for an aborted stage before it cleans up regardless.
    pub abort_patience: Duration,
    /// The job's timeout.
    pub job_timeout: Duration,
    /// Says that the job's time is up, whatever has passed of it: no test has to wait for that.
    pub time_is_up: Arc<Notify>,
    /// The environment of the Runner's own process: nothing else is handed on from the test's.
    pub environment: Vec<(String, String)>,
    /// Variables of every job, beside those of its configuration: `environment` of config.toml, and
    /// what GitLab adds, such as secrets.
    pub variables: Vec<(String, String)>,
    /// Stages of a later Runner, which come after the script.
    pub future_stages: Vec<String>,
    /// What the stage of the script is called: `step_script` by the Runner's own plans.
    pub script_stage: String,
    /// What it says which exit code means a failed build, and which one a failed system.
    pub codes: (i32, i32),
    /// Where it makes its temporary folders.
    pub temporary: PathBuf,
}

impl CustomRunner {
    /// A Runner with the usual settings that calls one program for everything.
    pub fn new(program: impl Into<PathBuf>, temporary: impl Into<PathBuf>) -> Self {
        let program = program.into();
        let exec = |word| Exec::new(program.clone(), &[word]);
        Self {
            name: "runner".to_owned(),
            tags: vec!["buildbtw".to_owned()],
            config: Some(exec("config")),
            prepare: Some(exec("prepare")),
            run: exec("run"),
            cleanup: Some(exec("cleanup")),
            config_timeout: Duration::from_secs(3600),
            prepare_timeout: Duration::from_secs(3600),
            cleanup_timeout: Duration::from_secs(3600),
            graceful_kill: Duration::from_secs(600),
            force_kill: Duration::from_secs(10),
            retry_delay: Duration::from_secs(3),
            abort_patience: Duration::from_secs(300),
            job_timeout: Duration::from_secs(3600),
            time_is_up: Arc::default(),
            environment: Vec::new(),
            variables: Vec::new(),
            future_stages: Vec::new(),
            script_stage: "build_script".to_owned(),
            codes: (1, 2),
            temporary: temporary.into(),
        }
    }

    /// Takes the oldest job that fits and carries it out; nothing comes back where there is none. When
    /// `stop` comes to its end, the Runner is shut down: the job is aborted.
    pub async fn work(&self, fake: &FakeGitLab, stop: impl Future<Output = ()>) -> Option<Worked> {
        let tags: Vec<&str> = self.tags.iter().map(String::as_str).collect();
        let job = fake.take_job(&self.name, &tags)?;
        Some(job::carry_out(self, fake, &job, stop).await)
    }
}

/// What a Runner did for a job.
#[derive(Debug, Clone)]
pub struct Worked {
    /// The job.
    pub job: u64,
    /// Every call of a program, in the order of their beginnings.
    pub calls: Vec<Call>,
    /// What it wrote to its own log, which nobody sees on GitLab.
    pub own_log: String,
    /// How it told GitLab that the job ended.
    pub end: JobEnd,
}

impl Worked {
    /// The words for the calls: `config`, `prepare`, the stages, `cleanup`.
    pub fn words(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.word.as_str()).collect()
    }

    /// The last call with a word.
    pub fn call(&self, word: &str) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.word == word)
    }
}

/// A call of a program.
#[derive(Debug, Clone)]
pub struct Call {
    /// `config`, `prepare`, `cleanup`, or the stage.
    pub word: String,
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// The temporary folder in which it ran; it is gone when the job is over.
    pub folder: PathBuf,
    /// How long it took.
    pub took: Duration,
}
