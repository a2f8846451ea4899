//! Groups and projects.

use std::sync::Arc;

use serde_json::json;

use super::Asked;
use super::node::{Arguments, Node, Out};
use super::pages::{Item, connection};
use super::pipelines::{job, page_of_jobs, page_of_pipelines, pipeline};
use super::query::number_of;
use super::repositories::repository;
use crate::access::Role;
use crate::clock::graphql_time;
use crate::state::{Group, Project, State};

/// A group.
pub fn group(asked: &Arc<Asked>, group: Group) -> Node {
    let asked = Arc::clone(asked);
    Node::new("Group", move |field, arguments| {
        let inside = || {
            let state = asked.shared.state();
            let inside = state
                .projects
                .values()
                .filter(|project| project.group == group.id && State::sees(&asked.access, project));
            inside.cloned().collect::<Vec<Project>>()
        };
        Ok(Some(match field {
            "id" => format!("gid://gitlab/Group/{}", group.id).into(),
            "name" | "fullName" => group.name.clone().into(),
            "path" => group
                .full_path
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .into(),
            "fullPath" => group.full_path.clone().into(),
            "description" => Out::Leaf(serde_json::Value::Null),
            "parent" => Out::Node(None),
            "webUrl" => format!("{}/groups/{}", asked.shared.url(), group.full_path).into(),
            "projectsCount" => inside().len().into(),
            "projects" => {
                let archived = arguments.flag("includeArchived").unwrap_or(true);
                let only = arguments.flag("archivedOnly").unwrap_or(false);
                let staying = arguments.flag("notAimedForDeletion").unwrap_or(false);
                let ids = arguments.texts("ids");
                let search = arguments.text("search").map(str::to_lowercase);
                let mut found = inside();
                found.retain(|project| {
                    (archived || !project.archived)
                        && (!only || project.archived)
                        && (!staying || !project.marked_for_deletion)
                        && ids.as_ref().is_none_or(|ids| {
                            ids.iter()
                                .any(|id| number_of(id, "Project") == Some(project.id))
                        })
                        && search
                            .as_ref()
                            .is_none_or(|search| project.name.to_lowercase().contains(search))
                });
                let by_activity = match arguments.text("sort") {
                    None => false,
                    Some("ACTIVITY_DESC") => true,
                    Some(sort) => return Err(format!("the fake does not sort by {sort}")),
                };
                Out::Node(Some(page_of_projects(
                    &asked,
                    found,
                    by_activity,
                    arguments,
                )?))
            }
            _ => return Ok(None),
        }))
    })
}

/// A page of projects: the newest first, or those where something happened last.
pub fn page_of_projects(
    asked: &Arc<Asked>,
    mut projects: Vec<Project>,
    by_activity: bool,
    arguments: &Arguments,
) -> Result<Node, String> {
    if by_activity {
        projects.sort_by_key(|project| {
            (
                std::cmp::Reverse(project.last_activity_at),
                std::cmp::Reverse(project.id),
            )
        });
    } else {
        projects.sort_by_key(|project| std::cmp::Reverse(project.id));
    }
    let items = projects
        .into_iter()
        .map(|project| Item {
            key: (by_activity.then_some(project.last_activity_at), project.id),
            value: project,
        })
        .collect();
    let most = asked.shared.largest_page();
    let asked = Arc::clone(asked);
    connection(
        "ProjectConnection",
        "ProjectEdge",
        items,
        (arguments, most),
        |(activity, id)| match activity {
            Some(activity) => json!({"last_activity_at": activity.to_string(), "id": id}),
            None => json!({"id": id}),
        },
        |(activity, id), after| {
            let after_id = after["id"].as_u64().unwrap_or_default();
            let after_activity = after["last_activity_at"]
                .as_str()
                .and_then(|text| text.parse().ok());
            (*activity, *id) < (after_activity, after_id)
        },
        move |found| Some(project(&asked, found.clone())),
    )
}

/// A project.
pub fn project(asked: &Arc<Asked>, project: Project) -> Node {
    let asked = Arc::clone(asked);
    Node::new("Project", move |field, arguments| {
        let shared = &asked.shared;
        let mine = || {
            let state = shared.state();
            state
                .pipelines
                .values()
                .rev()
                .filter(|pipeline| pipeline.project == project.id)
                .cloned()
                .collect::<Vec<_>>()
        };
        let role = asked.access.role();
        Ok(Some(match field {
            "id" => format!("gid://gitlab/Project/{}", project.id).into(),
            "name" => project.name.clone().into(),
            "nameWithNamespace" => project.full_path.replace('/', " / ").into(),
            "path" => project.path.clone().into(),
            "fullPath" => project.full_path.clone().into(),
            "archived" | "isSelfArchived" => project.archived.into(),
            "markedForDeletion" => project.marked_for_deletion.into(),
            "visibility" => project.visibility.as_str().into(),
            "createdAt" => graphql_time(project.created_at).into(),
            "updatedAt" => graphql_time(project.updated_at).into(),
            "lastActivityAt" => graphql_time(project.last_activity_at).into(),
            "description" | "avatarUrl" => Out::Leaf(serde_json::Value::Null),
            "topics" => Out::Leaf(json!([])),
            "forksCount" | "starCount" => 0.into(),
            "jobsEnabled" => project.jobs_enabled.into(),
            "ciConfigPathOrDefault" => project
                .ci_config_path
                .clone()
                .unwrap_or_else(|| ".gitlab-ci.yml".to_owned())
                .into(),
            "webUrl" => format!("{}/{}", shared.url(), project.full_path).into(),
            "editPath" => format!("/{}/edit", project.full_path).into(),
            "httpUrlToRepo" => format!("{}/{}.git", shared.url(), project.full_path).into(),
            "sshUrlToRepo" => format!("git@gitlab.example.org:{}.git", project.full_path).into(),
            "repository" => Out::Node(Some(repository(&asked, &project))),
            "group" | "rootGroup" => {
                let found = shared.state().groups.get(&project.group).cloned();
                Out::Node(found.map(|found| group(&asked, found)))
            }
            "namespace" => {
                let found = shared.state().groups.get(&project.group).cloned();
                Out::Node(found.map(|found| {
                    Node::of(
                        "Namespace",
                        json!({
                            "id": format!("gid://gitlab/Group/{}", found.id), "name": found.name,
                            "path": found.full_path.rsplit('/').next(), "fullPath": found.full_path, "visibility": "public",
                        }),
                    )
                }))
            }
            "userPermissions" => Out::Node(Some(Node::of(
                "ProjectPermissions",
                json!({
                    "createPipeline": role >= Role::Developer, "downloadCode": true, "pushCode": role >= Role::Developer,
                }),
            ))),
            "ciCdSettings" => Out::Node((role >= Role::Maintainer).then(|| {
                Node::of(
                    "ProjectCiCdSetting",
                    json!({"pipelineVariablesMinimumOverrideRole": project.variables_role}),
                )
            })),
            "pipelines" => Out::Node(Some(page_of_pipelines(&asked, mine(), arguments)?)),
            "pipeline" => {
                let mut pipelines = mine();
                pipelines.retain(|pipeline| {
                    let id = arguments.text("id").map(|id| number_of(id, "Ci::Pipeline"));
                    id.is_none_or(|id| id == Some(pipeline.id))
                        && arguments
                            .text("iid")
                            .is_none_or(|iid| iid == pipeline.iid.to_string())
                        && arguments.text("sha").is_none_or(|sha| sha == pipeline.sha)
                });
                let found = pipelines.into_iter().next();
                Out::Node(found.map(|found| pipeline(&asked, found)))
            }
            "jobs" => {
                let state = shared.state();
                let jobs = state.jobs.values().rev();
                let jobs = jobs.filter(|job| job.project == project.id);
                let jobs = jobs.cloned().collect();
                drop(state);
                Out::Node(Some(page_of_jobs(&asked, jobs, arguments)?))
            }
            "job" => {
                let id = arguments
                    .text("id")
                    .and_then(|id| number_of(id, "Ci::Build"));
                let found = id.and_then(|id| shared.state().jobs.get(&id).cloned());
                let found = found.filter(|found| found.project == project.id);
                Out::Node(found.map(|found| job(&asked, found)))
            }
            "mergeRequest" | "ciPipelineCreationRequest" => Out::Node(None),
            _ => return Ok(None),
        }))
    })
}
