use axum::http::StatusCode as Status;
use buildbtw_fake_gitlab::faults::{Call, Fault};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::*;

#[tokio::test]
async fn each_fault_is_what_it_says() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let path = format!("projects/{id}");
    for (fault, status, part) in [
        (Fault::Unauthorized, StatusCode::UNAUTHORIZED, "401"),
        (Fault::Forbidden, StatusCode::FORBIDDEN, "403"),
        (Fault::NotFound, StatusCode::NOT_FOUND, "404"),
        (
            Fault::TooManyRequests { retry_after: None },
            StatusCode::TOO_MANY_REQUESTS,
            "Retry later",
        ),
        (
            Fault::ServerError(Status::BAD_GATEWAY),
            StatusCode::BAD_GATEWAY,
            "<html>",
        ),
        (Fault::Truncated, StatusCode::OK, "{"),
    ] {
        world.fake.faults().next(1, Call::Any, fault.clone());
        let answer = world.rest(TOKEN, Method::GET, &path, Value::Null).await;
        assert_eq!(answer.status(), status, "{fault:?}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(part), "{fault:?}: {text}");
        if fault == Fault::Truncated {
            assert!(serde_json::from_str::<Value>(&text).is_err());
        }
    }
    // Once is once.
    assert_eq!(world.get(&path).await.0, StatusCode::OK);
    for fault in [Fault::Reset, Fault::LostAnswer] {
        world.fake.faults().next(1, Call::Any, fault);
        let url = format!("{}/api/v4/{path}", world.fake.url());
        assert!(world.http.get(url).send().await.is_err());
    }
    world.fake.faults().next(1, Call::Any, Fault::ResetInBody);
    let answer = world.rest(TOKEN, Method::GET, &path, Value::Null).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.text().await.is_err());
}

#[tokio::test]
async fn a_lost_answer_was_carried_out() {
    let world = World::new().await;
    let id = world.project("gtk4");
    world
        .fake
        .faults()
        .next(1, Call::Path(Method::POST, "/pipeline"), Fault::LostAnswer);
    let url = format!("{}/api/v4/projects/{id}/pipeline", world.fake.url());
    let request = world
        .http
        .post(url)
        .header("PRIVATE-TOKEN", TOKEN)
        .json(&json!({"ref": "main", "inputs": {"run": "1"}}));
    assert!(request.send().await.is_err());
    assert_eq!(world.fake.state().pipelines.len(), 1);
}

#[tokio::test]
async fn answers_can_be_twisted() {
    let world = World::new().await;
    let id = world.project("a");
    world.project("b");
    world
        .post(
            &format!("projects/{id}/pipeline"),
            json!({"ref": "main", "inputs": {"run": "1"}}),
        )
        .await;
    let query = "query Q { projects { nodes { name pipelines { nodes { status } } } } }";
    world.fake.faults().next(1, Call::Any, Fault::NullNodes);
    let answer = world.graphql(query, Value::Null).await;
    assert_eq!(answer["data"]["projects"]["nodes"][1], Value::Null);
    world.fake.faults().next(1, Call::Any, Fault::FutureStatus);
    let answer = world.graphql(query, Value::Null).await;
    assert_eq!(
        answer["data"]["projects"]["nodes"][1]["pipelines"]["nodes"][0]["status"],
        "HIBERNATING"
    );
    world
        .fake
        .faults()
        .next(1, Call::Any, Fault::DuplicateNodes);
    let answer = world.graphql(query, Value::Null).await;
    assert_eq!(
        answer["data"]["projects"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[tokio::test]
async fn requests_are_remembered_and_limits_are_told() {
    let world = World::new().await;
    world.fake.faults().rate_limit(Some(3));
    let answer = world.rest(TOKEN, Method::GET, "user", Value::Null).await;
    assert_eq!(answer.headers()["ratelimit-remaining"], "3");
    let seen = world.fake.requests();
    assert_eq!(
        (seen[0].path.as_str(), seen[0].status),
        ("/api/v4/user", Some(Status::OK))
    );
}
