//! Hooks: what is told of an event, to whom, and whether it arrives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::{hook_time, rest_time};
use crate::pipelines::jobs_of;
use crate::push::Move;
use crate::state::{Project, State, user};
use crate::{FakeGitLab, Shared};

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most commits that a push hook lists.
const MOST_COMMITS: usize = 20;

const NOTHING: &str = "0000000000000000000000000000000000000000";

/// Somebody who wants to be told.
#[derive(Debug, Clone, Default)]
pub struct Hook {
    /// Its id.
    pub id: u64,
    /// The project whose events are told; of the whole instance without.
    pub project: Option<u64>,
    /// Where to.
    pub url: String,
    /// Sent as it is.
    pub token: Option<String>,
    /// Signs what is sent: `whsec_` and base64.
    pub signing_token: Option<String>,
    /// Whether pushes to branches are told.
    pub push_events: bool,
    /// Whether pushes of tags are told.
    pub tag_push_events: bool,
    /// Whether updates of repositories are told; of the whole instance only.
    pub repository_update_events: bool,
    /// Whether changes of pipelines are told.
    pub pipeline_events: bool,
    /// Whether changes of jobs are told.
    pub job_events: bool,
}

/// What becomes of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivering {
    /// Each is sent once, at once.
    #[default]
    Once,
    /// Each is sent twice, as after a network's fault.
    Twice,
    /// None is sent.
    Never,
    /// They wait until they are released.
    Held,
}

/// A hook on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where to.
    pub url: String,
    /// Headers with their values.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: String,
}

/// Hooks on their way, and what became of those before.
#[derive(Debug)]
pub struct Outbox {
    client: reqwest::Client,
    mode: Mutex<Delivering>,
    held: Mutex<Vec<Delivery>>,
    /// How many are under way.
    open: watch::Sender<usize>,
    answers: std::sync::Arc<Mutex<Vec<Option<u16>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outbox {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// When no client can be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            mode: Mutex::default(),
            held: Mutex::default(),
            open: watch::Sender::new(0),
            answers: std::sync::Arc::default(),
        })
    }

    fn post(&self, delivery: Delivery) {
        let mode = *lock(&self.mode);
        match mode {
            Delivering::Never => {}
            Delivering::Held => lock(&self.held).push(delivery),
            Delivering::Once => self.send(delivery),
            Delivering::Twice => {
                self.send(delivery.clone());
                self.send(delivery);
            }
        }
    }

    fn send(&self, delivery: Delivery) {
        let mut request = self.client.post(&delivery.url).body(delivery.body);
        for (name, value) in delivery.headers {
            request = request.header(name, value);
        }
        let (open, answers) = (self.open.clone(), std::sync::Arc::clone(&self.answers));
        open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            let answer = request.send().await;
            lock(&answers).push(answer.ok().map(|answer| answer.status().as_u16()));
            open.send_modify(|open| *open -= 1);
        });
    }
}

impl FakeGitLab {
    /// Adds a hook; its id comes back.
    pub fn hook(&self, hook: Hook) -> u64 {
        let mut state = self.state();
        let id = state.next_id();
        state.hooks.insert(id, Hook { id, ..hook });
        id
    }

    /// Says what becomes of hooks from now on.
    pub fn deliver(&self, mode: Delivering) {
        *lock(&self.shared().outbox.mode) = mode;
    }

    /// Hooks that are held.
    pub fn held(&self) -> Vec<Delivery> {
        lock(&self.shared().outbox.held).clone()
    }

    /// Sends held hooks, one after the other has been answered, in the order that a function gives them.
    pub async fn release(&self, order: impl FnOnce(&mut Vec<Delivery>)) {
        let mut held = std::mem::take(&mut *lock(&self.shared().outbox.held));
        order(&mut held);
        for delivery in held {
            self.shared().outbox.send(delivery);
            self.delivered().await;
        }
    }

    /// Waits until every hook under way was answered.
    pub async fn delivered(&self) {
        let mut open = self.shared().outbox.open.subscribe();
        // The sender lives as long as the fake does.
        let _ = open.wait_for(|open| *open == 0).await;
    }

    /// What receivers answered so far; none where there was no answer.
    pub fn hook_answers(&self) -> Vec<Option<u16>> {
        lock(&self.shared().outbox.answers).clone()
    }
}

/// The signature of a delivery, by the Standard Webhooks rules.
pub fn signature(token: &str, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = STANDARD.decode(token.strip_prefix("whsec_")?).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

fn tell(
    shared: &Shared,
    state: &State,
    project: u64,
    event: &str,
    wants: impl Fn(&Hook) -> bool,
    body: impl Fn(&Hook) -> Value,
) {
    let event_id = Uuid::now_v7().to_string();
    for hook in state.hooks.values() {
        if hook.project.is_some_and(|of| of != project) || !wants(hook) {
            continue;
        }
        let id = Uuid::now_v7().to_string();
        let now = shared.clock.now().as_second();
        let body = body(hook).to_string();
        let header = if hook.project.is_none() {
            "System Hook"
        } else {
            event
        };
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("user-agent", "GitLab/19.5.0".to_owned()),
            ("x-gitlab-event", header.to_owned()),
            ("x-gitlab-event-uuid", event_id.clone()),
            ("x-gitlab-webhook-uuid", Uuid::now_v7().to_string()),
            ("x-gitlab-instance", shared.url()),
            ("idempotency-key", id.clone()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", now.to_string()),
        ];
        if let Some(token) = &hook.token {
            headers.push(("x-gitlab-token", token.clone()));
        }
        if let Some(signed) = hook
            .signing_token
            .as_deref()
            .and_then(|token| signature(token, &id, now, &body))
        {
            headers.push(("webhook-signature", signed));
        }
        shared.outbox.post(Delivery {
            url: hook.url.clone(),
            headers,
            body,
        });
    }
}

fn project_body(shared: &Shared, project: &Project) -> Value {
    let http = format!("{}/{}", shared.url(), project.full_path);
    let ssh = format!("git@gitlab.example.org:{}.git", project.full_path);
    json!({
        "id": project.id, "name": project.name, "description": "", "web_url": http, "avatar_url": null,
        "git_ssh_url": ssh, "git_http_url": format!("{http}.git"), "namespace": "Packages",
        "visibility_level": project.visibility.level(), "path_with_namespace": project.full_path,
        "default_branch": project.repository.head(), "ci_config_path": project.ci_config_path.clone().unwrap_or_default(),
        "homepage": http, "url": ssh, "ssh_url": ssh, "http_url": format!("{http}.git"),
    })
}

fn id_or_nothing(id: Option<gix::ObjectId>) -> String {
    id.map_or_else(|| NOTHING.to_owned(), |id| id.to_string())
}

/// Tells of a branch or tag that moved.
pub fn push_event(shared: &Shared, state: &State, project: u64, moved: &Move) {
    let Some(found) = state.projects.get(&project) else {
        return;
    };
    let tag = moved.reference.starts_with("refs/tags/");
    let (event, kind) = if tag {
        ("Tag Push Hook", "tag_push")
    } else {
        ("Push Hook", "push")
    };
    let peeled = found.repository.reference(&moved.reference);
    let mut commits = Vec::new();
    let mut total = 0;
    let mut next = peeled.filter(|_| !tag && moved.after.is_some());
    while let Some(id) = next.filter(|id| Some(*id) != moved.before) {
        let Ok(info) = found.repository.commit(id) else {
            break;
        };
        total += 1;
        if commits.len() < MOST_COMMITS {
            commits.push(json!({
                "id": id.to_string(), "message": info.message, "title": info.title(), "timestamp": rest_time(info.committed_at),
                "url": format!("{}/{}/-/commit/{id}", shared.url(), found.full_path),
                "author": {"name": info.author.0, "email": info.author.1}, "added": [], "modified": [], "removed": [],
            }));
        }
        next = info.parents.first().copied();
    }
    commits.reverse();
    let body = |hook: &Hook| {
        let mut body = json!({
            "object_kind": kind, "event_name": kind, "before": id_or_nothing(moved.before),
            "after": id_or_nothing(moved.after), "ref": moved.reference, "ref_protected": true,
            "checkout_sha": peeled.map(|id| id.to_string()), "message": null, "user_id": 4, "user_name": "Packager",
            "user_username": "packager", "user_email": "", "user_avatar": null, "project_id": project,
            "project": project_body(shared, found), "commits": commits, "total_commits_count": total,
            "push_options": {}, "repository": {"name": found.name, "visibility_level": found.visibility.level()},
        });
        if hook.project.is_none() {
            // Those of the whole instance do not say what kind they are, and list no commits.
            if let Some(fields) = body.as_object_mut() {
                fields.remove("object_kind");
            }
            body["commits"] = json!([]);
        }
        body
    };
    let wants = |hook: &Hook| {
        if tag {
            hook.tag_push_events
        } else {
            hook.push_events
        }
    };
    tell(shared, state, project, event, wants, body);
}

/// Tells of a push as a whole.
pub fn repository_update(
    shared: &Shared,
    state: &State,
    project: u64,
    moves: &[Move],
    quiet: bool,
) {
    let Some(found) = state.projects.get(&project) else {
        return;
    };
    let wants = |hook: &Hook| hook.repository_update_events && hook.project.is_none() && !quiet;
    tell(shared, state, project, "System Hook", wants, |_| {
        let changes = moves.iter().map(|one| {
            json!({"before": id_or_nothing(one.before), "after": id_or_nothing(one.after), "ref": one.reference})
        });
        json!({
            "event_name": "repository_update", "user_id": 4, "user_name": "Packager", "user_email": "", "user_avatar": null,
            "project_id": project, "project": project_body(shared, found), "changes": changes.collect::<Vec<Value>>(),
            "refs": moves.iter().map(|one| one.reference.clone()).collect::<Vec<String>>(),
        })
    });
}

/// Tells of a project that was made, renamed, moved, changed or deleted.
pub fn project_event(shared: &Shared, state: &State, event: &str, project: u64, old: Option<&str>) {
    let Some(found) = state.projects.get(&project) else {
        return;
    };
    let wants = |hook: &Hook| hook.project.is_none();
    tell(shared, state, project, "System Hook", wants, |_| {
        let mut body = json!({
            "created_at": rest_time(found.created_at), "updated_at": rest_time(found.updated_at), "event_name": event,
            "name": found.name, "path": found.path, "path_with_namespace": found.full_path, "project_id": project,
            "project_namespace_id": found.group, "owner_name": "Packages", "owner_email": "", "owners": [],
            "project_visibility": found.visibility.as_str(),
        });
        if let Some(old) = old {
            body["old_path_with_namespace"] = json!(old);
        }
        body
    });
}

/// Tells of a pipeline that changed.
pub fn pipeline_event(shared: &Shared, state: &State, pipeline: u64) {
    let Some(found) = state.pipelines.get(&pipeline) else {
        return;
    };
    let Some(project) = state.projects.get(&found.project) else {
        return;
    };
    let wants = |hook: &Hook| hook.pipeline_events && hook.project.is_some();
    tell(shared, state, project.id, "Pipeline Hook", wants, |_| {
        let builds = jobs_of(state, pipeline).map(|job| {
            json!({
                "id": job.id, "stage": job.template.stage, "name": job.template.name, "status": job.status.as_str(),
                "created_at": hook_time(job.created_at), "started_at": job.started_at.map(hook_time),
                "finished_at": job.finished_at.map(hook_time), "failure_reason": job.failure_reason,
                "when": "on_success", "manual": job.template.manual, "allow_failure": job.template.allow_failure,
                "user": user(&found.username), "runner": null, "environment": null,
            })
        });
        json!({
            "object_kind": "pipeline",
            "object_attributes": {
                "id": found.id, "iid": found.iid, "name": found.name, "ref": found.reference, "tag": found.tag,
                "sha": found.sha, "before_sha": NOTHING, "source": found.source, "status": found.status.as_str(),
                "detailed_status": found.status.as_str(), "stages": found.stages, "created_at": hook_time(found.created_at),
                "finished_at": found.finished_at.map(hook_time), "protected_ref": true,
                "variables": found.variables.iter().map(|(key, value)| json!({"key": key, "value": value})).collect::<Vec<Value>>(),
                "url": format!("{}/{}/-/pipelines/{}", shared.url(), project.full_path, found.id),
            },
            "merge_request": null, "user": user(&found.username), "project": project_body(shared, project),
            "commit": {"id": found.sha}, "builds": builds.collect::<Vec<Value>>(),
        })
    });
}

/// Tells of a job that changed.
pub fn job_event(shared: &Shared, state: &State, job: u64) {
    let Some(found) = state.jobs.get(&job) else {
        return;
    };
    let (Some(project), Some(pipeline)) = (
        state.projects.get(&found.project),
        state.pipelines.get(&found.pipeline),
    ) else {
        return;
    };
    let wants = |hook: &Hook| hook.job_events && hook.project.is_some();
    tell(shared, state, project.id, "Job Hook", wants, |_| {
        json!({
            // Jobs are called builds here, and the commit's id is the pipeline's.
            "object_kind": "build", "ref": pipeline.reference, "tag": pipeline.tag, "before_sha": NOTHING,
            "sha": pipeline.sha, "build_id": found.id, "build_name": found.template.name,
            "build_stage": found.template.stage, "build_status": found.status.as_str(),
            "build_created_at": rest_time(found.created_at), "build_started_at": found.started_at.map(rest_time),
            "build_finished_at": found.finished_at.map(rest_time), "build_allow_failure": found.template.allow_failure,
            "build_failure_reason": found.failure_reason.clone().unwrap_or_else(|| "unknown_failure".to_owned()),
            "retries_count": 0, "pipeline_id": pipeline.id, "project_id": project.id, "project_name": project.full_path,
            "user": user(&pipeline.username), "commit": {"id": pipeline.id, "sha": pipeline.sha, "status": pipeline.status.as_str()},
            "project": project_body(shared, project), "runner": found.runner, "environment": null,
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_own_example_is_signed_alike() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(
            signed.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
    }
}
