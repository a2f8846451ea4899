//! Pipelines and their jobs: made, run, cancelled, tried again.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::access::Role;
use crate::ci::{self, JobTemplate};
use crate::state::State;
use crate::{Shared, hooks};

/// What a pipeline or job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits for earlier stages.
    Created,
    /// It waits for a resource group.
    WaitingForResource,
    /// It gets ready.
    Preparing,
    /// It waits for somebody's call.
    WaitingForCallback,
    /// It waits for a runner.
    Pending,
    /// A runner works on it.
    Running,
    /// It went well.
    Success,
    /// It did not.
    Failed,
    /// It was ended.
    Canceled,
    /// It is being ended by its runner.
    Canceling,
    /// It was left out.
    Skipped,
    /// It waits for a person.
    Manual,
    /// It waits for a time.
    Scheduled,
}

impl Status {
    /// As REST and hooks write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Preparing => "preparing",
            Self::WaitingForCallback => "waiting_for_callback",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Canceling => "canceling",
            Self::Skipped => "skipped",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
        }
    }

    /// Whether nothing more happens, unless somebody tries again.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::Canceled | Self::Skipped
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its id, unique in the whole instance.
    pub id: u64,
    /// Its number in the project.
    pub iid: u64,
    /// Its project.
    pub project: u64,
    /// The commit it runs for.
    pub sha: String,
    /// The branch or tag it was made for.
    pub reference: String,
    /// Whether that is a tag.
    pub tag: bool,
    /// What it is doing.
    pub status: Status,
    /// Who or what made it: `api`, `external`, ...
    pub source: String,
    /// Its name.
    pub name: Option<String>,
    /// Who made it.
    pub username: String,
    /// The inputs, with defaults.
    pub inputs: Map<String, Value>,
    /// The variables it was made with.
    pub variables: Vec<(String, String)>,
    /// The stages in order.
    pub stages: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// When its first job began.
    pub started_at: Option<Timestamp>,
    /// When its last job ended.
    pub finished_at: Option<Timestamp>,
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: u64,
    /// Its project.
    pub project: u64,
    /// Its pipeline.
    pub pipeline: u64,
    /// What the configuration says of it.
    pub template: JobTemplate,
    /// The pipeline's inputs.
    pub inputs: Map<String, Value>,
    /// What it is doing.
    pub status: Status,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// What its script ended with.
    pub exit_code: Option<i32>,
    /// Whether a later job has its name, after it was tried again.
    pub retried: bool,
    /// The runner that took it.
    pub runner: Option<String>,
    /// The file with its artifacts, if it has left some.
    pub artifacts: Option<String>,
    /// What it wrote.
    pub trace: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a runner took it.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

/// What a pipeline is to be made of.
#[derive(Debug, Clone, Default)]
pub struct NewPipeline {
    /// A branch or tag.
    pub reference: String,
    /// Variables.
    pub variables: Vec<(String, String)>,
    /// Inputs.
    pub inputs: Map<String, Value>,
    /// Who asks.
    pub username: String,
}

/// Makes a pipeline.
///
/// # Errors
///
/// With GitLab's words, when it may not be, or the configuration makes none.
pub fn create(shared: &Shared, project: u64, role: Role, new: NewPipeline) -> Result<u64, String> {
    let now = shared.clock.now();
    let mut state = shared.state();
    let found = state
        .projects
        .get(&project)
        .cloned()
        .ok_or_else(|| "404 Project Not Found".to_owned())?;
    if role < Role::Developer || !found.jobs_enabled {
        return Err("Insufficient permissions to create a new pipeline".to_owned());
    }
    if !new.variables.is_empty() {
        let least = match found.variables_role.as_str() {
            "developer" => Some(Role::Developer),
            "maintainer" => Some(Role::Maintainer),
            "owner" => Some(Role::Admin),
            _ => None,
        };
        if least.is_none_or(|least| role < least) {
            return Err("Insufficient permissions to set pipeline variables".to_owned());
        }
    }
    let git = &found.repository;
    let branch = git.reference(&format!("refs/heads/{}", new.reference));
    let tag = git.reference(&format!("refs/tags/{}", new.reference));
    let commit = branch
        .or(tag)
        .ok_or_else(|| "Reference not found".to_owned())?;
    let text = ci::configuration(&state, &found, commit)?;
    let template = ci::read(&text, &new.inputs)?;
    if let Some(quota) = &mut state.quota {
        if *quota == 0 {
            return Err("No more CI minutes available".to_owned());
        }
        *quota -= 1;
    }
    let id = state.next_id();
    let iid = match state.projects.get_mut(&project) {
        Some(project) => {
            project.pipelines += 1;
            project.pipelines
        }
        None => 1,
    };
    let pipeline = Pipeline {
        id,
        iid,
        project,
        sha: commit.to_string(),
        reference: new.reference,
        tag: branch.is_none(),
        status: Status::Created,
        source: "api".to_owned(),
        name: template.name,
        username: new.username,
        inputs: template.inputs.clone(),
        variables: new.variables,
        stages: template.stages,
        created_at: now,
        updated_at: now,
        started_at: None,
        finished_at: None,
    };
    state.pipelines.insert(id, pipeline);
    for job in template.jobs {
        let job_id = state.next_id();
        let job = Job {
            id: job_id,
            project,
            pipeline: id,
            template: job,
            inputs: template.inputs.clone(),
            status: Status::Created,
            failure_reason: None,
            exit_code: None,
            retried: false,
            runner: None,
            artifacts: None,
            trace: String::new(),
            created_at: now,
            started_at: None,
            finished_at: None,
        };
        state.jobs.insert(job_id, job);
    }
    hooks::pipeline_event(shared, &state, id);
    settle(shared, &mut state, id);
    Ok(id)
}

/// Lets jobs begin whose turn it is, and the pipeline be what its jobs make it.
pub fn settle(shared: &Shared, state: &mut State, pipeline: u64) {
    let now = shared.clock.now();
    let Some(found) = state.pipelines.get(&pipeline).cloned() else {
        return;
    };
    let mut failed = false;
    let mut waiting = false;
    for stage in &found.stages {
        let ids: Vec<u64> = state
            .jobs
            .values()
            .filter(|job| job.pipeline == pipeline && !job.retried && job.template.stage == *stage)
            .map(|job| job.id)
            .collect();
        for id in ids {
            let Some(job) = state.jobs.get_mut(&id) else {
                continue;
            };
            if job.status == Status::Created && !waiting {
                job.status = match (failed, job.template.manual) {
                    (true, _) => Status::Skipped,
                    (false, true) => Status::Manual,
                    (false, false) => Status::Pending,
                };
                hooks::job_event(shared, state, id);
            }
        }
        let jobs = jobs_of(state, pipeline).filter(|job| job.template.stage == *stage);
        for job in jobs {
            failed |= matches!(job.status, Status::Failed | Status::Canceled)
                && !job.template.allow_failure;
            waiting |= !job.status.is_over();
        }
    }
    let status = {
        let all: Vec<Status> = jobs_of(state, pipeline)
            .filter(|job| !(job.template.allow_failure && job.status == Status::Failed))
            .map(|job| job.status)
            .collect();
        let any = |status: Status| all.contains(&status);
        let begun = jobs_of(state, pipeline).any(|job| job.started_at.is_some());
        if any(Status::Canceling) {
            Status::Canceling
        } else if any(Status::Running) || (begun && any(Status::Pending)) {
            Status::Running
        } else if any(Status::Pending) {
            Status::Pending
        } else if any(Status::Manual) {
            Status::Manual
        } else if any(Status::Canceled) {
            Status::Canceled
        } else if any(Status::Failed) {
            Status::Failed
        } else if all.iter().all(|status| *status == Status::Skipped) && !all.is_empty() {
            Status::Skipped
        } else if any(Status::Created) {
            Status::Created
        } else {
            Status::Success
        }
    };
    let started = jobs_of(state, pipeline)
        .filter_map(|job| job.started_at)
        .min();
    let Some(found) = state.pipelines.get_mut(&pipeline) else {
        return;
    };
    found.started_at = started;
    if found.status != status {
        found.status = status;
        found.updated_at = now;
        found.finished_at = status.is_over().then_some(now);
        hooks::pipeline_event(shared, state, pipeline);
    }
    shared.changes.send_modify(|change| *change += 1);
}

/// The jobs of a pipeline that count.
pub fn jobs_of(state: &State, pipeline: u64) -> impl Iterator<Item = &Job> {
    state
        .jobs
        .values()
        .filter(move |job| job.pipeline == pipeline && !job.retried)
}

/// Ends a job: at once if no runner has it.
pub fn cancel_job(shared: &Shared, state: &mut State, id: u64, force: bool) {
    let now = shared.clock.now();
    let Some(job) = state.jobs.get_mut(&id) else {
        return;
    };
    let pipeline = job.pipeline;
    match job.status {
        Status::Running => job.status = Status::Canceling,
        Status::Canceling if !force => return,
        status if status.is_over() => return,
        _ => {
            job.status = Status::Canceled;
            job.finished_at = Some(now);
        }
    }
    hooks::job_event(shared, state, id);
    settle(shared, state, pipeline);
}

/// Ends all jobs of a pipeline that are not over.
pub fn cancel(shared: &Shared, state: &mut State, pipeline: u64) {
    let open: Vec<u64> = jobs_of(state, pipeline)
        .filter(|job| !job.status.is_over())
        .map(|job| job.id)
        .collect();
    for id in open {
        cancel_job(shared, state, id, false);
    }
}

/// Makes a job once more. The new one comes back.
pub fn retry_job(shared: &Shared, state: &mut State, id: u64) -> Option<u64> {
    let now = shared.clock.now();
    let old = state.jobs.get_mut(&id)?;
    if !old.status.is_over() || old.retried {
        return None;
    }
    old.retried = true;
    let mut job = old.clone();
    job.id = state.next_id();
    job.status = Status::Created;
    job.retried = false;
    job.failure_reason = None;
    job.exit_code = None;
    job.runner = None;
    job.trace = String::new();
    job.created_at = now;
    job.started_at = None;
    job.finished_at = None;
    let (new, pipeline) = (job.id, job.pipeline);
    state.jobs.insert(new, job);
    // What was left out because of it gets another chance.
    for job in state.jobs.values_mut() {
        if job.pipeline == pipeline && job.status == Status::Skipped {
            job.status = Status::Created;
        }
    }
    settle(shared, state, pipeline);
    Some(new)
}

/// Makes all jobs once more that failed or were cancelled; none of them is no fault.
pub fn retry(shared: &Shared, state: &mut State, pipeline: u64) {
    let again: Vec<u64> = jobs_of(state, pipeline)
        .filter(|job| matches!(job.status, Status::Failed | Status::Canceled))
        .map(|job| job.id)
        .collect();
    for id in again {
        retry_job(shared, state, id);
    }
}
