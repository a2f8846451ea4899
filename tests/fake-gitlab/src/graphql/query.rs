//! What can be asked from the top.

use std::sync::Arc;

use serde_json::json;

use super::Asked;
use super::node::{Node, Out};
use super::projects::{group, page_of_projects, project};
use crate::state::State;

/// The trailing number of a global id of a kind.
pub fn number_of(global_id: &str, kind: &str) -> Option<u64> {
    global_id
        .strip_prefix("gid://gitlab/")?
        .strip_prefix(kind)?
        .strip_prefix('/')?
        .parse()
        .ok()
}

/// A user by name.
pub fn user(type_name: &'static str, username: &str) -> Node {
    Node::of(
        type_name,
        json!({
            "id": "gid://gitlab/User/1", "username": username, "name": username, "bot": true, "state": "active",
            "publicEmail": null, "webPath": format!("/{username}"), "webUrl": format!("https://gitlab.example.org/{username}"),
        }),
    )
}

/// The root of queries.
pub fn root(asked: Arc<Asked>) -> Node {
    Node::new("Query", move |field, arguments| {
        Ok(Some(match field {
            "queryComplexity" => Out::Node(Some(Node::of(
                "QueryComplexity",
                json!({"score": asked.score, "limit": asked.limit}),
            ))),
            "currentUser" => Out::Node(
                asked
                    .access
                    .username()
                    .map(|username| user("CurrentUser", username)),
            ),
            "metadata" => Out::Node(Some(Node::new("Metadata", |field, _| {
                Ok(Some(match field {
                    "version" => "19.5.0-ee".into(),
                    "revision" => "0123456789a".into(),
                    "enterprise" => true.into(),
                    "kas" => Out::Node(Some(Node::of(
                        "Kas",
                        json!({"enabled": false, "version": null, "externalUrl": null}),
                    ))),
                    _ => return Ok(None),
                }))
            }))),
            "group" => {
                let path = arguments.text("fullPath").unwrap_or_default();
                let found = asked.shared.state().group_by_path(path).cloned();
                Out::Node(found.map(|found| group(&asked, found)))
            }
            "project" => {
                let path = arguments.text("fullPath").unwrap_or_default();
                let state = asked.shared.state();
                // Old paths lead on, as for people.
                let found = state.project_by_path(path).or_else(|| {
                    let id = state.moved.get(&path.to_lowercase())?;
                    state.projects.get(id)
                });
                let found = found
                    .filter(|found| State::sees(&asked.access, found))
                    .cloned();
                drop(state);
                Out::Node(found.map(|found| project(&asked, found)))
            }
            "projects" => {
                let ids = arguments.texts("ids");
                let paths = arguments.texts("fullPaths");
                if paths.as_ref().is_some_and(|paths| paths.len() > 50) {
                    return Err("You cannot provide more than 50 full_paths".to_owned());
                }
                let mut wanted = Vec::new();
                for id in ids.iter().flatten() {
                    let number = number_of(id, "Project")
                        .ok_or_else(|| format!("\"{id}\" is not a valid GitLab ID."))?;
                    wanted.push(number);
                }
                let found = asked
                    .shared
                    .state()
                    .projects
                    .values()
                    .filter(|project| State::sees(&asked.access, project))
                    .filter(|project| ids.is_none() || wanted.contains(&project.id))
                    .filter(|project| {
                        paths
                            .as_ref()
                            .is_none_or(|paths| paths.contains(&project.full_path))
                    })
                    .cloned()
                    .collect();
                let by_activity = arguments
                    .text("sort")
                    .is_some_and(|sort| sort.starts_with("latest_activity"));
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
