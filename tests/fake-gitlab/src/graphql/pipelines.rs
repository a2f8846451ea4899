//! Pipelines and jobs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Asked;
use super::node::{Arguments, Node, Out};
use super::pages::by_place;
use super::projects::project;
use super::query::user;
use super::repositories::commit;
use crate::access::Role;
use crate::clock::graphql_time;
use crate::pipelines::{Job, Pipeline, Status, jobs_of};

/// A status as GraphQL writes it.
fn upper(status: Status) -> String {
    status.as_str().to_uppercase()
}

fn time(time: Option<jiff::Timestamp>) -> Out {
    time.map_or(Out::Leaf(Value::Null), |time| graphql_time(time).into())
}

fn detailed(status: Status, path: String) -> Node {
    Node::of(
        "DetailedStatus",
        json!({
            "id": format!("{status}-{path}"), "text": status.as_str(), "label": status.as_str(), "group": status.as_str(),
            "icon": format!("status_{status}"), "tooltip": status.as_str(), "hasDetails": true, "detailsPath": path,
            "favicon": null,
        }),
    )
}

/// A page of pipelines, given the newest first.
pub fn page_of_pipelines(
    asked: &Arc<Asked>,
    mut pipelines: Vec<Pipeline>,
    arguments: &Arguments,
) -> Result<Node, String> {
    let ids = arguments.texts("ids");
    if ids.as_ref().is_some_and(|ids| ids.len() > 20) {
        return Err("You can only provide 20 ids".to_owned());
    }
    let after = |name: &str| -> Option<jiff::Timestamp> { arguments.text(name)?.parse().ok() };
    let (updated_after, updated_before) = (after("updatedAfter"), after("updatedBefore"));
    pipelines.retain(|pipeline| {
        let is =
            |name: &str, value: &str| arguments.text(name).is_none_or(|wanted| wanted == value);
        let scope = match arguments.text("scope") {
            Some("RUNNING") => pipeline.status == Status::Running,
            Some("PENDING") => pipeline.status == Status::Pending,
            Some("FINISHED") => pipeline.status.is_over(),
            Some("TAGS") => pipeline.tag,
            Some("BRANCHES") => !pipeline.tag,
            _ => true,
        };
        scope
            && is("status", &upper(pipeline.status))
            && is("ref", &pipeline.reference)
            && is("sha", &pipeline.sha)
            && is("source", &pipeline.source)
            && is("username", &pipeline.username)
            && updated_after.is_none_or(|after| pipeline.updated_at >= after)
            && updated_before.is_none_or(|before| pipeline.updated_at <= before)
            && ids.as_ref().is_none_or(|ids| {
                let own = format!("gid://gitlab/Ci::Pipeline/{}", pipeline.id);
                ids.iter()
                    .any(|id| *id == own || *id == pipeline.id.to_string())
            })
    });
    let asked = Arc::clone(asked);
    by_place(
        "PipelineConnection",
        "PipelineEdge",
        pipelines,
        arguments,
        move |found| Some(pipeline(&asked, found.clone())),
    )
}

/// A pipeline.
pub fn pipeline(asked: &Arc<Asked>, pipeline: Pipeline) -> Node {
    let asked = Arc::clone(asked);
    Node::new("Pipeline", move |field, arguments| {
        let shared = &asked.shared;
        let found_project = || shared.state().projects.get(&pipeline.project).cloned();
        let path = || {
            let project = found_project().map(|project| project.full_path);
            format!(
                "/{}/-/pipelines/{}",
                project.unwrap_or_default(),
                pipeline.id
            )
        };
        let jobs = |retried: bool| -> Vec<Job> {
            let state = shared.state();
            let jobs = state
                .jobs
                .values()
                .rev()
                .filter(|job| job.pipeline == pipeline.id && (retried || !job.retried));
            jobs.cloned().collect()
        };
        let over = pipeline.status.is_over();
        let may = asked.access.role() >= Role::Developer;
        Ok(Some(match field {
            "id" => format!("gid://gitlab/Ci::Pipeline/{}", pipeline.id).into(),
            "iid" => pipeline.iid.to_string().into(),
            "status" => upper(pipeline.status).into(),
            "sha" => match arguments.text("format") {
                Some("SHORT") => pipeline.sha.get(..8).unwrap_or_default().into(),
                _ => pipeline.sha.clone().into(),
            },
            "beforeSha" => "0000000000000000000000000000000000000000".into(),
            "ref" | "refText" => pipeline.reference.clone().into(),
            "source" => pipeline.source.clone().into(),
            "name" => Out::Leaf(json!(pipeline.name)),
            "path" => path().into(),
            "createdAt" => graphql_time(pipeline.created_at).into(),
            "updatedAt" => graphql_time(pipeline.updated_at).into(),
            "startedAt" => time(pipeline.started_at),
            "finishedAt" => time(pipeline.finished_at),
            "duration" => match (pipeline.started_at, pipeline.finished_at) {
                (Some(from), Some(to)) => to.duration_since(from).as_secs().into(),
                _ => Out::Leaf(Value::Null),
            },
            "active" => (!over).into(),
            "complete" => over.into(),
            "cancelable" => (!over && pipeline.status != Status::Canceling).into(),
            "retryable" => matches!(pipeline.status, Status::Failed | Status::Canceled).into(),
            "child" | "stuck" | "trigger" | "warnings" | "yamlErrors" => false.into(),
            "latest" => true.into(),
            "type" => "branch".into(),
            "totalJobs" => jobs(false).len().into(),
            "failedJobsCount" => {
                let failed = jobs(false);
                let failed = failed.iter().filter(|job| job.status == Status::Failed);
                failed.count().into()
            }
            "detailedStatus" => Out::Node(Some(detailed(pipeline.status, path()))),
            "jobs" => {
                let retried = arguments.flag("retried").unwrap_or(false);
                Out::Node(Some(page_of_jobs(&asked, jobs(retried), arguments)?))
            }
            "job" => {
                let found = jobs(false).into_iter().find(|job| {
                    arguments
                        .text("name")
                        .is_none_or(|name| name == job.template.name)
                });
                Out::Node(found.map(|found| job(&asked, found)))
            }
            "stages" => {
                let state = shared.state();
                let stages = pipeline.stages.iter().filter(|stage| {
                    jobs_of(&state, pipeline.id).any(|job| job.template.stage == **stage)
                });
                let stages: Vec<String> = stages.cloned().collect();
                drop(state);
                let (asked, all) = (Arc::clone(&asked), jobs(false));
                Out::Node(Some(by_place(
                    "CiStageConnection",
                    "CiStageEdge",
                    stages,
                    arguments,
                    move |name| Some(stage(&asked, name, &all)),
                )?))
            }
            "project" => Out::Node(found_project().map(|found| project(&asked, found))),
            "commit" => {
                let id = gix::ObjectId::from_hex(pipeline.sha.as_bytes()).ok();
                let found = found_project().zip(id);
                Out::Node(found.and_then(|(project, id)| commit(&asked, &project, id)))
            }
            "user" => Out::Node(Some(user("UserCore", &pipeline.username))),
            "userPermissions" => Out::Node(Some(Node::of(
                "PipelinePermissions",
                json!({"adminPipeline": may, "destroyPipeline": may, "updatePipeline": may}),
            ))),
            "mergeRequest" => Out::Node(None),
            "commitPath" | "committedAt" | "computeMinutes" | "coverage" | "failureReason"
            | "queuedDuration" | "refPath" | "usesNeeds" | "yamlErrorMessages" => {
                Out::Leaf(Value::Null)
            }
            _ => return Ok(None),
        }))
    })
}

fn stage(asked: &Arc<Asked>, name: &str, jobs: &[Job]) -> Node {
    let (asked, name) = (Arc::clone(asked), name.to_owned());
    let jobs: Vec<Job> = jobs
        .iter()
        .filter(|job| job.template.stage == name)
        .cloned()
        .collect();
    Node::new("CiStage", move |field, arguments| {
        Ok(Some(match field {
            "id" => format!("gid://gitlab/Ci::Stage/{name}").into(),
            "name" => name.clone().into(),
            "status" => jobs
                .first()
                .map_or(Out::Leaf(Value::Null), |job| job.status.as_str().into()),
            "detailedStatus" => Out::Node(None),
            "jobs" => Out::Node(Some(page_of_jobs(&asked, jobs.clone(), arguments)?)),
            _ => return Ok(None),
        }))
    })
}

/// A page of jobs.
pub fn page_of_jobs(
    asked: &Arc<Asked>,
    mut jobs: Vec<Job>,
    arguments: &Arguments,
) -> Result<Node, String> {
    if let Some(statuses) = arguments.texts("statuses") {
        jobs.retain(|job| statuses.contains(&upper(job.status)));
    }
    let asked = Arc::clone(asked);
    by_place(
        "CiJobConnection",
        "CiJobEdge",
        jobs,
        arguments,
        move |found| Some(job(&asked, found.clone())),
    )
}

/// A job.
pub fn job(asked: &Arc<Asked>, job: Job) -> Node {
    let asked = Arc::clone(asked);
    Node::new("CiJob", move |field, _| {
        let state = asked.shared.state();
        let found_pipeline = state.pipelines.get(&job.pipeline).cloned();
        let found_project = state.projects.get(&job.project).cloned();
        drop(state);
        let path = found_project
            .as_ref()
            .map(|project| format!("/{}/-/jobs/{}", project.full_path, job.id))
            .unwrap_or_default();
        let over = job.status.is_over();
        Ok(Some(match field {
            "id" => format!("gid://gitlab/Ci::Build/{}", job.id).into(),
            "name" => job.template.name.clone().into(),
            "status" => upper(job.status).into(),
            "kind" => "BUILD".into(),
            "tags" => Out::Leaf(json!(job.template.tags)),
            "active" => (!over).into(),
            "allowFailure" => job.template.allow_failure.into(),
            "cancelable" => (!over).into(),
            "canPlayJob" | "playable" | "manualJob" => (job.status == Status::Manual).into(),
            "createdByTag" | "scheduled" | "triggered" => false.into(),
            "stuck" => false.into(),
            "retried" => job.retried.into(),
            "retryable" => (over && !job.retried).into(),
            "exitCode" => Out::Leaf(json!(job.exit_code)),
            "failureMessage" => Out::Leaf(json!(job.failure_reason)),
            "createdAt" => graphql_time(job.created_at).into(),
            "queuedAt" => graphql_time(job.created_at).into(),
            "startedAt" => time(job.started_at),
            "finishedAt" => time(job.finished_at),
            "duration" => match (job.started_at, job.finished_at) {
                (Some(from), Some(to)) => to.duration_since(from).as_secs().into(),
                _ => Out::Leaf(Value::Null),
            },
            "shortSha" => found_pipeline
                .and_then(|pipeline| pipeline.sha.get(..8).map(str::to_owned))
                .unwrap_or_default()
                .into(),
            "refName" => found_pipeline
                .map(|pipeline| pipeline.reference)
                .unwrap_or_default()
                .into(),
            "pipeline" => Out::Node(found_pipeline.map(|found| pipeline(&asked, found))),
            "project" => Out::Node(found_project.map(|found| project(&asked, found))),
            "stage" => Out::Node(Some(stage(
                &asked,
                &job.template.stage,
                std::slice::from_ref(&job),
            ))),
            "detailedStatus" => Out::Node(Some(detailed(job.status, path))),
            "webPath" => path.into(),
            "trace" => {
                let trace = job.trace.clone();
                Out::Node(Some(Node::of("CiJobTrace", json!({"htmlSummary": trace}))))
            }
            "downstreamPipeline" | "runner" | "runnerManager" => Out::Node(None),
            "browseArtifactsPath"
            | "commitPath"
            | "coverage"
            | "erasedAt"
            | "playPath"
            | "queuedDuration"
            | "refPath"
            | "retryPath"
            | "scheduledAt"
            | "schedulingType"
            | "source" => Out::Leaf(Value::Null),
            _ => return Ok(None),
        }))
    })
}
