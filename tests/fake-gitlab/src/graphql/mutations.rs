//! What can be changed through GraphQL: pipelines and jobs.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Asked;
use super::node::{Node, Out};
use super::pipelines::{job, pipeline};
use super::query::number_of;
use crate::access::Role;
use crate::pipelines::{self, NewPipeline};
use crate::state::State;

/// What is said of what is not there, and of what may not be done, alike.
const NO_ACCESS: &str = "The resource that you are attempting to access does not exist or you don't have permission to perform this action";

/// The root of mutations.
pub fn root(asked: Arc<Asked>) -> Node {
    Node::new("Mutation", move |field, arguments| {
        let refused = || Err(NO_ACCESS.to_owned());
        if !asked.access.may_write() || asked.access.role() < Role::Developer {
            return refused();
        }
        let input = &arguments.all()["input"];
        let shared = &asked.shared;
        let id = |kind: &str| number_of(input["id"].as_str().unwrap_or_default(), kind);
        let mutation_id = input["clientMutationId"].clone();
        Ok(Some(match field {
            "pipelineCreate" => {
                let path = input["projectPath"].as_str().unwrap_or_default();
                let found = shared.state().project_by_path(path).cloned();
                let Some(project) = found.filter(|found| State::sees(&asked.access, found)) else {
                    return refused();
                };
                let new = NewPipeline {
                    reference: input["ref"].as_str().unwrap_or_default().to_owned(),
                    variables: pairs(&input["variables"], "key"),
                    inputs: inputs(&input["inputs"]),
                    username: asked.access.username().unwrap_or_default().to_owned(),
                };
                let made = pipelines::create(shared, project.id, asked.access.role(), new);
                let (made, errors) = match made {
                    Ok(id) => (shared.state().pipelines.get(&id).cloned(), Vec::new()),
                    Err(error) => (None, vec![error]),
                };
                payload(
                    "PipelineCreatePayload",
                    "pipeline",
                    &asked,
                    made.map(Made::Pipeline),
                    errors,
                    mutation_id,
                )
            }
            "pipelineCancel" | "pipelineRetry" => {
                let Some(id) = id("Ci::Pipeline") else {
                    return refused();
                };
                let mut state = shared.state();
                if !state.pipelines.contains_key(&id) {
                    return refused();
                }
                let type_name = if field == "pipelineCancel" {
                    pipelines::cancel(shared, &mut state, id);
                    "PipelineCancelPayload"
                } else {
                    pipelines::retry(shared, &mut state, id);
                    "PipelineRetryPayload"
                };
                let found = state.pipelines.get(&id).cloned();
                drop(state);
                payload(
                    type_name,
                    "pipeline",
                    &asked,
                    found.map(Made::Pipeline),
                    Vec::new(),
                    mutation_id,
                )
            }
            "jobCancel" => {
                let Some(id) = id("Ci::Build") else {
                    return refused();
                };
                let mut state = shared.state();
                if !state.jobs.contains_key(&id) {
                    return refused();
                }
                pipelines::cancel_job(shared, &mut state, id, false);
                let found = state.jobs.get(&id).cloned();
                drop(state);
                payload(
                    "JobCancelPayload",
                    "job",
                    &asked,
                    found.map(Made::Job),
                    Vec::new(),
                    mutation_id,
                )
            }
            _ => return Ok(None),
        }))
    })
}

enum Made {
    Pipeline(pipelines::Pipeline),
    Job(pipelines::Job),
}

fn payload(
    type_name: &'static str,
    name: &'static str,
    asked: &Arc<Asked>,
    made: Option<Made>,
    errors: Vec<String>,
    mutation_id: Value,
) -> Out {
    let asked = Arc::clone(asked);
    Out::Node(Some(Node::new(type_name, move |field, _| {
        Ok(Some(match field {
            "errors" => Out::Leaf(json!(errors)),
            "clientMutationId" => Out::Leaf(mutation_id.clone()),
            "requestId" => Out::Leaf(Value::Null),
            field if field == name => Out::Node(made.as_ref().map(|made| match made {
                Made::Pipeline(found) => pipeline(&asked, found.clone()),
                Made::Job(found) => job(&asked, found.clone()),
            })),
            _ => return Ok(None),
        }))
    })))
}

/// `[{key, value}]` as pairs.
fn pairs(list: &Value, key: &str) -> Vec<(String, String)> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| {
            Some((
                item[key].as_str()?.to_owned(),
                item["value"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

/// `[{name, value}]` as a map; values keep their types.
fn inputs(list: &Value) -> Map<String, Value> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some((item["name"].as_str()?.to_owned(), item["value"].clone())))
        .collect()
}
