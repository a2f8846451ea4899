use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use buildbtw_fake_gitlab::hooks::{Delivering, Hook, signature};
use buildbtw_fake_gitlab::runner::JobEnd;
use serde_json::{Value, json};

use crate::world::*;

type Received = Arc<Mutex<Vec<(HeaderMap, Value, Bytes)>>>;

/// Somebody who is told.
async fn receiver() -> (String, Received) {
    let received = Received::default();
    let app = Router::new()
        .route(
            "/hook",
            post(
                |State(received): State<Received>, headers: HeaderMap, body: Bytes| async move {
                    let value = serde_json::from_slice(&body).unwrap();
                    received.lock().unwrap().push((headers, value, body));
                },
            ),
        )
        .with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, received)
}

fn names(received: &Received) -> Vec<String> {
    let received = received.lock().unwrap();
    received
        .iter()
        .map(|(_, body, _)| {
            let name = body.get("event_name").or(body.get("object_kind")).unwrap();
            name.as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn a_push_is_told_and_signed() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let (url, received) = receiver().await;
    let signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    world.fake.hook(Hook {
        project: Some(id),
        url,
        token: Some("secret".to_owned()),
        signing_token: Some(signing.to_owned()),
        push_events: true,
        ..Hook::default()
    });
    let commit = world.push(id, "main", "2");
    world.fake.delivered().await;
    let received = received.lock().unwrap();
    let (headers, body, bytes) = &received[0];
    assert_eq!(headers["x-gitlab-event"], "Push Hook");
    assert_eq!(headers["x-gitlab-token"], "secret");
    assert_eq!(headers["idempotency-key"], headers["webhook-id"]);
    let header = |name: &str| headers[name].to_str().unwrap();
    let expected = signature(
        signing,
        header("webhook-id"),
        header("webhook-timestamp").parse().unwrap(),
        std::str::from_utf8(bytes).unwrap(),
    );
    assert_eq!(header("webhook-signature"), expected.unwrap());
    assert_eq!(body["after"], commit);
    assert_eq!(body["project_id"], id);
    assert_eq!(body["commits"].as_array().unwrap().len(), 1);
    assert_eq!(world.fake.hook_answers(), [Some(200)]);
}

#[tokio::test]
async fn hooks_of_the_whole_instance_tell_of_everything_but_commits() {
    let world = World::new().await;
    let (url, received) = receiver().await;
    world.fake.hook(Hook {
        url,
        push_events: true,
        tag_push_events: true,
        repository_update_events: true,
        ..Hook::default()
    });
    // One after the other, because the order is nobody's promise.
    world.fake.deliver(Delivering::Held);
    let id = world.project("gtk4");
    let commit = world.push(id, "main", "2");
    world.fake.tag(id, "2-1", &commit).unwrap();
    world.fake.move_project(id, GROUP, "gtk5", "gtk5").unwrap();
    world.fake.delete_project(id).unwrap();
    world.fake.release(|_| {}).await;
    assert_eq!(
        names(&received),
        [
            "project_create",
            "push",
            "repository_update",
            "push",
            "repository_update",
            "tag_push",
            "repository_update",
            "project_rename",
            "project_destroy"
        ]
    );
    let received = received.lock().unwrap();
    let (headers, push, _) = &received[1];
    assert_eq!(headers["x-gitlab-event"], "System Hook");
    assert_eq!(
        (push.get("object_kind"), &push["commits"]),
        (None, &json!([]))
    );
    let (_, rename, _) = &received[7];
    assert_eq!(rename["old_path_with_namespace"], format!("{GROUP}/gtk4"));
}

#[tokio::test]
async fn more_than_three_branches_at_once_are_not_told() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let (url, received) = receiver().await;
    world.fake.hook(Hook {
        url,
        push_events: true,
        repository_update_events: true,
        ..Hook::default()
    });
    let commit = world.fake.commit(id, "main", "x", &[]).unwrap();
    let some = |count: usize| {
        (0..count)
            .map(|n| format!("refs/heads/b{count}-{n}"))
            .collect::<Vec<_>>()
    };
    for count in [4, 3] {
        let names = some(count);
        let moves: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Some(commit)))
            .collect();
        world.fake.update(id, &moves).unwrap();
        world.fake.delivered().await;
        let expected = if count == 4 { 0 } else { 4 };
        assert_eq!(received.lock().unwrap().len(), expected);
    }
}

#[tokio::test]
async fn hooks_get_lost_doubled_and_late() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let (url, received) = receiver().await;
    world.fake.hook(Hook {
        project: Some(id),
        url,
        push_events: true,
        ..Hook::default()
    });
    world.fake.deliver(Delivering::Never);
    world.push(id, "main", "lost");
    world.fake.deliver(Delivering::Twice);
    let twice = world.push(id, "main", "twice");
    world.fake.delivered().await;
    {
        let received = received.lock().unwrap();
        assert_eq!(received.len(), 2);
        assert_eq!(
            received[0].0["idempotency-key"],
            received[1].0["idempotency-key"]
        );
        assert_eq!(received[0].1["after"], twice);
    }
    world.fake.deliver(Delivering::Held);
    let first = world.push(id, "main", "first");
    let second = world.push(id, "main", "second");
    assert_eq!(world.fake.held().len(), 2);
    world.fake.release(|held| held.reverse()).await;
    let received = received.lock().unwrap();
    let after: Vec<_> = received[2..]
        .iter()
        .map(|(_, body, _)| body["after"].clone())
        .collect();
    assert_eq!(after, [json!(second), json!(first)]);
}

#[tokio::test]
async fn pipelines_and_jobs_tell_of_each_step() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let (url, received) = receiver().await;
    world.fake.hook(Hook {
        project: Some(id),
        url,
        pipeline_events: true,
        job_events: true,
        ..Hook::default()
    });
    world.fake.deliver(Delivering::Held);
    world
        .post(
            &format!("projects/{id}/pipeline"),
            json!({"ref": "main", "inputs": {"run": "7"}}),
        )
        .await;
    let job = world.fake.take_job("runner", &["buildbtw"]).unwrap();
    world
        .fake
        .end_job(job.id, &JobEnd::Failure("runner_system_failure"))
        .unwrap();
    world.fake.release(|_| {}).await;
    let received = received.lock().unwrap();
    let jobs: Vec<_> = received
        .iter()
        .filter(|(_, body, _)| body["object_kind"] == "build" && body["build_id"] == job.id)
        .map(|(_, body, _)| body["build_status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(jobs, ["pending", "running", "failed"]);
    let pipelines: Vec<_> = received
        .iter()
        .filter(|(_, body, _)| body["object_kind"] == "pipeline")
        .map(|(_, body, _)| {
            body["object_attributes"]["status"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(pipelines, ["created", "pending", "running", "failed"]);
    let last = &received.last().unwrap().1;
    assert_eq!(
        last["object_attributes"]["created_at"],
        "2026-11-21 07:00:00 UTC"
    );
}
