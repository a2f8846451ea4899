//! The runners' side: which jobs wait, who takes one, and how it ends.
//!
//! A test plays a runner by hand with [`FakeGitLab::take_job`], or has a [`custom::CustomRunner`]
//! drive a program as GitLab Runner's custom executor does.

pub mod custom;
mod ended;
mod job;
pub mod program;
mod stages;
mod told;

use crate::pipelines::{self, Job, Status};
use crate::state::State;
use crate::{FakeError, FakeGitLab, hooks};

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Well.
    Success,
    /// The script failed, with this exit code.
    ScriptFailure(i32),
    /// Something else failed: a `failure_reason` of GitLab's.
    Failure(&'static str),
    /// It was cancelled, and its runner has ended it.
    Canceled,
}

fn fits(job: &Job, tags: &[&str]) -> bool {
    job.template
        .tags
        .iter()
        .all(|tag| tags.contains(&tag.as_str()))
}

impl FakeGitLab {
    /// The jobs that wait for a runner, the oldest first, with their pipeline's inputs.
    pub fn pending_jobs(&self) -> Vec<Job> {
        let state = self.state();
        let pending = state.jobs.values();
        pending
            .filter(|job| job.status == Status::Pending)
            .cloned()
            .collect()
    }

    /// A job as it is.
    pub fn job(&self, id: u64) -> Option<Job> {
        self.state().jobs.get(&id).cloned()
    }

    /// A runner with these tags takes the oldest job that fits.
    pub fn take_job(&self, runner: &str, tags: &[&str]) -> Option<Job> {
        let now = self.shared().clock.now();
        let mut state = self.state();
        let id = state
            .jobs
            .values()
            .find(|job| job.status == Status::Pending && fits(job, tags))?
            .id;
        let job = state.jobs.get_mut(&id)?;
        job.status = Status::Running;
        job.started_at = Some(now);
        job.runner = Some(runner.to_owned());
        let job = job.clone();
        self.announce(&mut state, &job);
        Some(job)
    }

    /// A runner adds to a job's log, and hears whether the job is to end.
    ///
    /// # Errors
    ///
    /// When there is no such job.
    pub fn write_trace(&self, id: u64, text: &str) -> Result<Status, FakeError> {
        let mut state = self.state();
        let job = state
            .jobs
            .get_mut(&id)
            .ok_or_else(|| FakeError::Unknown(format!("job {id}")))?;
        job.trace.push_str(text);
        Ok(job.status)
    }

    /// A runner says how a job ended. What comes when the job is over already is ignored.
    ///
    /// # Errors
    ///
    /// When there is no such job.
    pub fn end_job(&self, id: u64, end: &JobEnd) -> Result<(), FakeError> {
        let now = self.shared().clock.now();
        let mut state = self.state();
        let job = state
            .jobs
            .get_mut(&id)
            .ok_or_else(|| FakeError::Unknown(format!("job {id}")))?;
        if job.status.is_over() {
            return Ok(());
        }
        job.finished_at = Some(now);
        job.status = match (job.status, end) {
            // A job that is being cancelled ends as cancelled, however it ended.
            (Status::Canceling, _) | (_, JobEnd::Canceled) => Status::Canceled,
            (_, JobEnd::Success) => Status::Success,
            (_, JobEnd::ScriptFailure(code)) => {
                job.exit_code = Some(*code);
                job.failure_reason = Some("script_failure".to_owned());
                Status::Failed
            }
            (_, JobEnd::Failure(reason)) => {
                job.failure_reason = Some((*reason).to_owned());
                Status::Failed
            }
        };
        let job = job.clone();
        self.announce(&mut state, &job);
        Ok(())
    }

    /// Jobs that wait for tags that no runner has fail, as GitLab's own sweep lets them after a day.
    pub fn drop_stuck_jobs(&self) {
        let tags = self.state().runner_tags.clone().unwrap_or_default();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        for job in self.pending_jobs() {
            if !fits(&job, &tags) {
                // The job was there a moment ago, and nothing else removes jobs.
                let _ = self.end_job(job.id, &JobEnd::Failure("stuck_or_timeout_failure"));
            }
        }
    }

    fn announce(&self, state: &mut State, job: &Job) {
        hooks::job_event(self.shared(), state, job.id);
        pipelines::settle(self.shared(), state, job.pipeline);
    }
}
