use reqwest::StatusCode;
use serde_json::json;

use crate::world::*;

#[tokio::test]
async fn a_commit_gets_a_status() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let commit = world.push(id, "main", "2");
    let path = format!("projects/{id}/statuses/{commit}");
    let running =
        json!({"state": "running", "name": "buildbtw", "target_url": "https://example.org/1"});
    assert_eq!(
        world.post(&path, running.clone()).await.0,
        StatusCode::CREATED
    );
    // The same state again is a fault.
    let (status, body) = world.post(&path, running).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body["message"],
        "Cannot transition status via :run from :running"
    );
    assert_eq!(
        world
            .post(&path, json!({"state": "success", "context": "buildbtw"}))
            .await
            .0,
        StatusCode::CREATED
    );
    let (_, all) = world
        .get(&format!(
            "projects/{id}/repository/commits/{commit}/statuses"
        ))
        .await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert_eq!(
        (all[0]["status"].as_str(), all[0]["target_url"].as_str()),
        (Some("success"), Some("https://example.org/1"))
    );
    for body in [
        json!({"state": "odd"}),
        json!({"state": "pending", "description": "x".repeat(256)}),
        json!({}),
    ] {
        assert_eq!(world.post(&path, body).await.0, StatusCode::BAD_REQUEST);
    }
}
