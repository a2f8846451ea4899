//! How a Runner with the custom executor carries a job out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::custom::{Call, CustomRunner, Exec, Worked};
use super::ended::{Ended, end_of, listen};
use super::program::{Exit, Order, Sink, call};
use super::stages::{self, Dependency};
use super::{JobEnd, told};
use crate::pipelines::Job;
use crate::{FakeGitLab, Shared};

/// How often a job is prepared before it is given up.
const ATTEMPTS: u32 = 3;

/// Why a call failed, as the Runner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// The build's own, with the exit code of the job.
    Build(i32),
    /// The system's: these words stand in the job's log.
    System(String),
    /// Neither can be said.
    Unknown(String),
}

struct Carrying<'a> {
    runner: &'a CustomRunner,
    job: &'a Job,
    variables: Vec<(String, String)>,
    job_env: Vec<(String, String)>,
    dependencies: Vec<Dependency>,
    url: String,
    calls: Vec<Call>,
    own_log: String,
    ended: watch::Receiver<Option<Ended>>,
    trace: Sink,
    number: u32,
}

/// Carries a job out to its end, whatever that is, and tells GitLab.
pub async fn carry_out(
    runner: &CustomRunner,
    fake: &FakeGitLab,
    job: &Job,
    stop: impl Future<Output = ()>,
) -> Worked {
    let (sender, ended) = watch::channel(None);
    let shared = Arc::clone(fake.shared());
    let id = job.id;
    let trace: Sink = Arc::new(move |text| write(&shared, id, text));
    let mut carrying = Carrying {
        runner,
        job,
        variables: told::variables(runner, fake, job),
        job_env: Vec::new(),
        dependencies: stages::dependencies(&fake.state(), job),
        url: fake.url(),
        calls: Vec::new(),
        own_log: String::new(),
        ended,
        trace,
        number: 0,
    };
    let time_up = async {
        // Whichever is first.
        let _ = timeout(runner.job_timeout, runner.time_is_up.notified()).await;
    };
    let end = tokio::select! {
        end = carrying.conduct() => end,
        never = listen(fake, id, time_up, stop, sender) => match never {},
    };
    carrying.log(match &end {
        JobEnd::Success => "Job succeeded\n".to_owned(),
        JobEnd::ScriptFailure(code) => format!("ERROR: Job failed: exit status {code}\n"),
        JobEnd::Failure(reason) => format!("ERROR: Job failed ({reason})\n"),
        JobEnd::Canceled => "WARNING: Job canceled\n".to_owned(),
    });
    // The job was there, and nothing removes jobs.
    let _ = fake.end_job(id, &end);
    Worked {
        job: id,
        calls: carrying.calls,
        own_log: carrying.own_log,
        end,
    }
}

fn write(shared: &Shared, job: u64, text: &str) {
    if let Some(job) = shared.state().jobs.get_mut(&job) {
        job.trace.push_str(text);
    }
    shared.changes.send_modify(|change| *change += 1);
}

impl Carrying<'_> {
    fn log(&self, text: String) {
        (self.trace)(&text);
    }

    fn ended(&self) -> Option<Ended> {
        *self.ended.borrow()
    }

    async fn conduct(&mut self) -> JobEnd {
        self.log(format!(
            "Running with gitlab-runner 19.4.0\n  on {}\n",
            self.runner.name
        ));
        let mut attempt = 1;
        let folder = loop {
            let folder = match self.temporary() {
                Ok(folder) => folder,
                Err(error) => {
                    self.log(format!("ERROR: {error}\n"));
                    return JobEnd::Failure("runner_system_failure");
                }
            };
            let failure = match self.prepare(folder.path()).await {
                Ok(()) => break folder,
                Err(failure) => failure,
            };
            if let Some(ended) = self.ended() {
                self.clean_up(folder.path()).await;
                return end_of(ended);
            }
            match failure {
                Failure::Build(code) => {
                    self.clean_up(folder.path()).await;
                    return JobEnd::ScriptFailure(code);
                }
                Failure::System(words) | Failure::Unknown(words) => {
                    self.log(format!("ERROR: Preparation failed: {words}\n"));
                }
            }
            self.clean_up(folder.path()).await;
            if attempt == ATTEMPTS {
                return JobEnd::Failure("runner_system_failure");
            }
            attempt += 1;
            self.log(format!(
                "Will be retried in {:?} ...\n",
                self.runner.retry_delay
            ));
            sleep(self.runner.retry_delay).await;
        };
        let end = self.stages(folder.path()).await;
        self.clean_up(folder.path()).await;
        end
    }

    /// A fresh folder with the file that tells of the job.
    fn temporary(&self) -> std::io::Result<TempDir> {
        let folder = tempfile::Builder::new()
            .prefix("custom-executor")
            .tempdir_in(&self.runner.temporary)?;
        told::write_response(
            &folder.path().join("response.json"),
            self.job,
            &self.variables,
            &self.dependencies,
        )?;
        Ok(folder)
    }

    async fn prepare(&mut self, folder: &Path) -> Result<(), Failure> {
        let runner = self.runner;
        self.job_env.clear();
        if let Some(exec) = &runner.config {
            let errors = Some(Arc::clone(&self.trace));
            let limit = Some(runner.config_timeout);
            let done = self
                .call("config", exec, Vec::new(), folder, (None, errors), limit)
                .await;
            self.judge(&done, folder)?;
            self.configure(&done.stdout)?;
        }
        if let Some(exec) = &runner.prepare {
            let trace = || Some(Arc::clone(&self.trace));
            let sinks = (trace(), trace());
            let limit = Some(runner.prepare_timeout);
            let done = self
                .call("prepare", exec, Vec::new(), folder, sinks, limit)
                .await;
            self.judge(&done, folder)?;
        }
        Ok(())
    }

    /// Reads what `config` printed; the types of what it knows are checked strictly.
    fn configure(&mut self, text: &str) -> Result<(), Failure> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let wrong = |what: String| {
            Failure::System(format!("error while parsing JSON from config_exec: {what}"))
        };
        let said: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let Some(said) = said.as_object() else {
            return Err(wrong("it is no object".to_owned()));
        };
        for name in ["hostname", "builds_dir", "cache_dir", "shell"] {
            if said.get(name).is_some_and(|value| !value.is_string()) {
                return Err(wrong(format!("{name} is no string")));
            }
        }
        if said
            .get("builds_dir_is_shared")
            .is_some_and(|value| !value.is_boolean())
        {
            return Err(wrong("builds_dir_is_shared is no boolean".to_owned()));
        }
        for (name, value) in said
            .get("job_env")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let value = value.as_str();
            let value = value.ok_or_else(|| wrong(format!("job_env.{name} is no string")))?;
            self.job_env.push((name.clone(), value.to_owned()));
        }
        let driver = |key: &str| said.get("driver").and_then(|driver| driver[key].as_str());
        self.log(match (driver("name"), driver("version")) {
            (Some(name), Some(version)) => {
                format!("Using Custom executor with driver {name} {version}...\n")
            }
            _ => "Using Custom executor...\n".to_owned(),
        });
        Ok(())
    }

    async fn stages(&mut self, folder: &Path) -> JobEnd {
        let template = self.job.template.clone();
        let mut result = self.stage("prepare_script", folder).await;
        if result.is_ok() {
            result = self
                .tried("get_sources", "GET_SOURCES_ATTEMPTS", folder)
                .await;
        }
        for (stage, attempts) in stages::before(&template, &self.dependencies) {
            if result.is_ok() && self.ended().is_none() {
                result = self.tried(stage, attempts, folder).await;
            }
        }
        if result.is_ok() && self.ended().is_none() {
            let stage = self.runner.script_stage.clone();
            result = self.stage(&stage, folder).await;
        }
        if result.is_ok() && self.ended().is_none() && template.release {
            result = self.stage("step_release", folder).await;
        }
        // Only a cancel by a person leaves the stages after the script their turn.
        let goes_on = |carrying: &Self| matches!(carrying.ended(), None | Some(Ended::Cancelled));
        if !template.after_script.is_empty() && goes_on(self) {
            let status = match (&result, self.ended()) {
                (_, Some(_)) => "canceled",
                (Ok(()), None) => "success",
                (Err(_), None) => "failed",
            };
            let status = ("CI_JOB_STATUS".to_owned(), status.to_owned());
            self.variables.push(status);
            // How it ends does not count.
            let _ = self.stage("after_script", folder).await;
        }
        let succeeded = result.is_ok() && self.ended().is_none();
        let future = self.runner.future_stages.clone();
        let keeping = stages::keeping(&template, succeeded).into_iter();
        for stage in keeping.map(str::to_owned).chain(future) {
            if goes_on(self) {
                let done = self.stage(&stage, folder).await;
                result = result.and(done);
            }
        }
        if goes_on(self) {
            let _ = self.stage("cleanup_file_variables", folder).await;
        }
        match (self.ended(), result) {
            (Some(ended), _) => end_of(ended),
            (None, Ok(())) => JobEnd::Success,
            (None, Err(Failure::Build(code))) => JobEnd::ScriptFailure(code),
            (None, Err(Failure::System(words))) => {
                self.log(format!("ERROR: Job failed (system failure): {words}\n"));
                JobEnd::Failure("runner_system_failure")
            }
            (None, Err(Failure::Unknown(words))) => {
                self.log(format!("ERROR: Job failed: {words}\n"));
                JobEnd::Failure("unknown_failure")
            }
        }
    }

    /// A stage that is tried again when the system fails, as often as a variable says.
    async fn tried(&mut self, stage: &str, variable: &str, folder: &Path) -> Result<(), Failure> {
        let mut left = stages::attempts(&self.variables, variable);
        loop {
            left -= 1;
            match self.stage(stage, folder).await {
                Err(Failure::System(_)) if left > 0 && self.ended().is_none() => {
                    if stage == "get_sources" {
                        let _ = self.stage("clear_worktree", folder).await;
                    }
                }
                done => return done,
            }
        }
    }

    async fn stage(&mut self, stage: &str, folder: &Path) -> Result<(), Failure> {
        let script = self
            .script(stage, folder)
            .map_err(|error| Failure::System(error.to_string()))?;
        let exec = self.runner.run.clone();
        let trace = || Some(Arc::clone(&self.trace));
        let sinks = (trace(), trace());
        let more = vec![script.display().to_string(), stage.to_owned()];
        let done = self.call(stage, &exec, more, folder, sinks, None).await;
        self.judge(&done, folder)
    }

    /// The script of a stage, as the Runner generates it.
    fn script(&mut self, stage: &str, folder: &Path) -> std::io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        self.number += 1;
        let place = folder.join(format!("script{}", self.number));
        std::fs::create_dir(&place)?;
        let path = place.join("script");
        let text = match stage {
            stage if stage == self.runner.script_stage => {
                let lines = self.job.template.script.join("\n");
                format!("#!/usr/bin/env bash\nset -eo pipefail\n{lines}\n")
            }
            _ => stages::script(stage, self.job, &self.url, &self.dependencies),
        };
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
        Ok(path)
    }

    async fn clean_up(&mut self, folder: &Path) {
        let Some(exec) = self.runner.cleanup.clone() else {
            return;
        };
        let own = Arc::new(Mutex::new(String::new()));
        let sink = |level: &'static str| -> Option<Sink> {
            let own = Arc::clone(&own);
            Some(Arc::new(move |text: &str| {
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                own.push_str(&format!("{level}: {text}"));
            }))
        };
        // It is not ended by what ends the job: only its own time ends it.
        let limit = self.runner.cleanup_timeout;
        let environment = self.environment(folder);
        let done = call(
            self.order("cleanup", &exec, Vec::new(), folder, &environment),
            sink("debug"),
            sink("warning"),
            sleep(limit),
        )
        .await;
        if done.exit != Exit::Code(0) {
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            own.push_str("error: Cleanup script failed\n");
        }
        self.calls.push(done);
        self.own_log
            .push_str(&own.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        told::environment(self.runner, folder, &self.job_env, &self.variables)
    }

    fn order<'b>(
        &self,
        word: &'b str,
        exec: &'b Exec,
        more: Vec<String>,
        folder: &'b Path,
        environment: &'b [(String, String)],
    ) -> Order<'b> {
        Order {
            word,
            program: &exec.program,
            arguments: exec.arguments.iter().cloned().chain(more).collect(),
            environment,
            folder,
            graceful: self.runner.graceful_kill,
            force: self.runner.force_kill,
        }
    }

    /// Calls a program that is ended with the job. An aborted one that does not end is left to itself
    /// after a while, and ended in the background: cleaning up begins meanwhile.
    async fn call(
        &mut self,
        word: &str,
        exec: &Exec,
        more: Vec<String>,
        folder: &Path,
        (stdout, stderr): (Option<Sink>, Option<Sink>),
        limit: Option<std::time::Duration>,
    ) -> Call {
        let environment = self.environment(folder);
        let (exec, folder, word) = (exec.clone(), folder.to_owned(), word.to_owned());
        let (graceful, force) = (self.runner.graceful_kill, self.runner.force_kill);
        let began = Instant::now();
        // A cancel that came before a stage after the script began does not end that stage.
        let known = self.ended();
        let wait = |mut ended: watch::Receiver<Option<Ended>>| async move {
            let news = |ended: &Option<Ended>| ended.is_some() && *ended != known;
            let nobody_says_it = ended.wait_for(news).await.is_err();
            if nobody_says_it {
                std::future::pending::<()>().await;
            }
        };
        let abort = wait(self.ended.clone());
        let calling = {
            let (folder, word, exec) = (folder.clone(), word.clone(), exec.clone());
            tokio::spawn(async move {
                let order = Order {
                    word: &word,
                    program: &exec.program,
                    arguments: exec.arguments.iter().cloned().chain(more).collect(),
                    environment: &environment,
                    folder: &folder,
                    graceful,
                    force,
                };
                let abort = async {
                    match limit {
                        Some(limit) => {
                            // Whichever is first.
                            let _ = timeout(limit, abort).await;
                        }
                        None => abort.await,
                    }
                };
                call(order, stdout, stderr, abort).await
            })
        };
        let patience = self.runner.abort_patience;
        let aborted = wait(self.ended.clone());
        let done = tokio::select! {
            done = calling => done.ok(),
            () = async { aborted.await; sleep(patience).await } => None,
        };
        let done = done.unwrap_or_else(|| Call {
            word,
            exit: Exit::Dormant,
            stdout: String::new(),
            stderr: String::new(),
            folder,
            took: began.elapsed(),
        });
        self.calls.push(done.clone());
        done
    }

    /// What the Runner makes of the end of a call.
    fn judge(&self, done: &Call, folder: &Path) -> Result<(), Failure> {
        let (build, system) = self.runner.codes;
        match &done.exit {
            Exit::Code(0) => Ok(()),
            Exit::Code(code) if *code == build => {
                match std::fs::read_to_string(folder.join("build_exit_code")) {
                    Err(_) => Err(Failure::Build(*code)),
                    Ok(text) => {
                        let first = text.lines().next().unwrap_or_default().trim();
                        match first.parse() {
                            Ok(code) => Err(Failure::Build(code)),
                            Err(_) => Err(Failure::Unknown(format!(
                                "the exit code {first:?} is no number"
                            ))),
                        }
                    }
                }
            }
            Exit::Code(code) if *code == system => {
                Err(Failure::System(format!("exit status {code}")))
            }
            other => Err(Failure::System(format!(
                "unknown Custom executor executable exit: {other:?}"
            ))),
        }
    }
}
