use buildbtw_fake_gitlab::pipelines::Status;
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_fake_gitlab::runner::JobEnd;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::*;

#[tokio::test]
async fn a_pipeline_goes_from_stage_to_stage() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let (status, made) = world
        .post(
            &format!("projects/{id}/pipeline"),
            json!({"ref": "main", "inputs": {"run": "7"}}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["name"], "run 7");
    assert_eq!(made["status"], "pending");
    assert_eq!(made["source"], "api");
    let pipeline = made["id"].as_u64().unwrap();
    assert!(world.fake.take_job("idle", &["other"]).is_none());
    let first = world
        .fake
        .take_job("runner", &["buildbtw", "x86_64"])
        .unwrap();
    assert_eq!(first.template.name, "ready");
    assert!(world.fake.pending_jobs().is_empty(), "the next stage waits");
    world.fake.end_job(first.id, &JobEnd::Success).unwrap();
    let second = world.fake.take_job("runner", &["buildbtw"]).unwrap();
    assert_eq!(second.template.script, ["build 7"]);
    assert_eq!(second.inputs["run"], "7");
    world.fake.write_trace(second.id, "hello\n").unwrap();
    world
        .fake
        .end_job(second.id, &JobEnd::ScriptFailure(1))
        .unwrap();
    let (_, shown) = world
        .get(&format!("projects/{id}/pipelines/{pipeline}"))
        .await;
    assert_eq!(shown["status"], "failed");
    let (_, jobs) = world
        .get(&format!(
            "projects/{id}/pipelines/{pipeline}/jobs?scope[]=failed"
        ))
        .await;
    assert_eq!(jobs[0]["failure_reason"], "script_failure");
    let (_, trace) = world
        .get(&format!("projects/{id}/jobs/{}/trace", second.id))
        .await;
    assert_eq!(trace, "hello\n");
    // Trying again makes a new job with the old name, and the pipeline is open again.
    let (status, shown) = world
        .post(
            &format!("projects/{id}/pipelines/{pipeline}/retry"),
            json!({}),
        )
        .await;
    assert_eq!(
        (status, shown["status"].as_str()),
        (StatusCode::CREATED, Some("running"))
    );
    let again = world.fake.take_job("runner", &["buildbtw"]).unwrap();
    assert_ne!(again.id, second.id);
    world.fake.end_job(again.id, &JobEnd::Success).unwrap();
    let (_, shown) = world
        .get(&format!("projects/{id}/pipelines/{pipeline}"))
        .await;
    assert_eq!(shown["status"], "success");
}

#[tokio::test]
async fn a_running_job_ends_a_cancel_itself() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let (_, made) = world
        .post(
            &format!("projects/{id}/pipeline"),
            json!({"ref": "main", "inputs": {"run": "7"}}),
        )
        .await;
    let job = world.fake.take_job("runner", &["buildbtw"]).unwrap();
    let path = format!("projects/{id}/pipelines/{}", made["id"]);
    let (status, shown) = world.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(
        (status, shown["status"].as_str()),
        (StatusCode::OK, Some("canceling"))
    );
    assert_eq!(
        world.fake.write_trace(job.id, "...").unwrap(),
        Status::Canceling
    );
    world.fake.end_job(job.id, &JobEnd::Success).unwrap();
    assert_eq!(world.get(&path).await.1["status"], "canceled");
    // Again changes nothing, and is no fault.
    assert_eq!(
        world.post(&format!("{path}/cancel"), json!({})).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_cannot_be_a_pipeline_is_refused_with_the_reason() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let path = format!("projects/{id}/pipeline");
    for (body, expected) in [
        (
            json!({"inputs": {"run": "1"}}),
            json!({"error": "ref is missing"}),
        ),
        (
            json!({"ref": "nowhere", "inputs": {"run": "1"}}),
            json!({"message": {"base": ["Reference not found"]}}),
        ),
        (
            json!({"ref": "main"}),
            json!({"message": {"base": ["`run` input: required value has not been provided."]}}),
        ),
        (
            json!({"ref": "main", "inputs": {"run": "1"}, "variables": [{"key": "A", "value": "1"}]}),
            json!({"message": {"base": ["Insufficient permissions to set pipeline variables"]}}),
        ),
    ] {
        assert_eq!(
            world.post(&path, body).await,
            (StatusCode::BAD_REQUEST, expected)
        );
    }
    world
        .fake
        .push(id, "main", "no ci", &[(".gitlab-ci.yml", NewFile::Gone)])
        .unwrap();
    let (_, body) = world
        .post(&path, json!({"ref": "main", "inputs": {"run": "1"}}))
        .await;
    assert_eq!(
        body,
        json!({"message": {"base": ["Missing CI config file"]}})
    );
    let answer = world
        .rest("glpat-reader", Method::POST, &path, json!({"ref": "main"}))
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_configuration_may_lie_in_another_project() {
    let world = World::new().await;
    let shared = world.fake.project(GROUP, "ci", "ci").unwrap();
    world
        .fake
        .push(
            shared,
            "main",
            "ci",
            &[("build.yml", NewFile::Text(CI.to_owned()))],
        )
        .unwrap();
    let id = world.fake.project(GROUP, "foo", "foo").unwrap();
    world
        .fake
        .push(
            id,
            "main",
            "x",
            &[("PKGBUILD", NewFile::Text(String::new()))],
        )
        .unwrap();
    world
        .put(
            &format!("projects/{id}"),
            json!({"ci_config_path": format!("build.yml@{GROUP}/ci")}),
        )
        .await;
    let (status, _) = world
        .post(
            &format!("projects/{id}/pipeline"),
            json!({"ref": "main", "inputs": {"run": "1"}}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn pipelines_are_found_by_their_name() {
    let world = World::new().await;
    let id = world.project("gtk4");
    for run in ["1", "2", "2"] {
        world
            .post(
                &format!("projects/{id}/pipeline"),
                json!({"ref": "main", "inputs": {"run": run}}),
            )
            .await;
    }
    let (_, found) = world
        .get(&format!(
            "projects/{id}/pipelines?name=run%202&order_by=id&sort=desc"
        ))
        .await;
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0]["id"].as_u64() > found[1]["id"].as_u64());
    let none = world
        .get(&format!("projects/{id}/pipelines/latest?ref=other"))
        .await;
    assert_eq!(none.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn forms_make_pipelines_too() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let answer = world
        .http
        .post(format!(
            "{}/api/v4/projects/{id}/pipeline",
            world.fake.url()
        ))
        .header("PRIVATE-TOKEN", TOKEN)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("ref=main&inputs[run]=9")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["name"], "run 9");
}

#[tokio::test]
async fn quota_tags_without_runners_and_graphql() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let mutation = "mutation($input: PipelineCreateInput!) { pipelineCreate(input: $input) { errors pipeline { id status sha name: name } } }";
    let input = json!({"input": {"projectPath": format!("{GROUP}/gtk4"), "ref": "main", "inputs": [{"name": "run", "value": "3"}]}});
    let made = world.graphql(mutation, input.clone()).await;
    assert_eq!(
        made["data"]["pipelineCreate"]["pipeline"]["status"], "PENDING",
        "{made}"
    );
    world.fake.drop_stuck_jobs();
    let (_, jobs) = world
        .get(&format!("projects/{id}/jobs?scope[]=failed"))
        .await;
    assert_eq!(jobs[0]["failure_reason"], "stuck_or_timeout_failure");
    world.fake.state().quota = Some(0);
    let refused = world.graphql(mutation, input).await;
    assert_eq!(
        refused["data"]["pipelineCreate"]["errors"][0],
        "No more CI minutes available"
    );
    assert_eq!(refused["data"]["pipelineCreate"]["pipeline"], Value::Null);
}
