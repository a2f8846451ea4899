use jiff::SignedDuration;
use reqwest::Method;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::*;

#[tokio::test]
async fn a_project_is_found_by_id_and_by_path() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let path = "projects/archlinux%2Fpackaging%2Fpackages%2Fgtk4";
    for path in [
        format!("projects/{id}"),
        path.to_owned(),
        path.to_uppercase().replace("PROJECTS", "projects"),
    ] {
        let (status, body) = world.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        assert_eq!(body["id"], id);
        assert_eq!(body["default_branch"], "main");
    }
    let (status, body) = world.get("projects/99999").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body, json!({"message": "404 Project Not Found"}));
}

#[tokio::test]
async fn an_old_path_leads_to_the_project() {
    let world = World::new().await;
    let id = world.project("old");
    world.fake.move_project(id, GROUP, "new", "new").unwrap();
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let url = format!(
        "{}/api/v4/projects/archlinux%2Fpackaging%2Fpackages%2Fold",
        world.fake.url()
    );
    let answer = http
        .get(url)
        .header("PRIVATE-TOKEN", TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY);
    let to = answer.headers()["location"].to_str().unwrap();
    assert!(to.ends_with(&format!("/api/v4/projects/{id}")), "{to}");
    // A client that follows is there at once.
    let (_, body) = world
        .get("projects/archlinux%2Fpackaging%2Fpackages%2Fold")
        .await;
    assert_eq!(body["name"], "new");
}

#[tokio::test]
async fn settings_are_for_maintainers() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let path = format!("projects/{id}");
    let change = json!({"ci_config_path": "build.yml@archlinux/ci"});
    let answer = world
        .rest("glpat-reader", Method::PUT, &path, change.clone())
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let before = world.fake.project_now(id).unwrap().updated_at;
    world.fake.clock().advance(SignedDuration::from_mins(1));
    let (status, body) = world.put(&path, change).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["ci_config_path"], "build.yml@archlinux/ci");
    let changed = world.fake.project_now(id).unwrap();
    assert!(
        changed.updated_at > before,
        "a change of settings shows in the dates"
    );
    let (_, body) = world.put(&path, json!({"ci_config_path": ""})).await;
    assert_eq!(body["ci_config_path"], Value::Null);
    let (_, shown) = answer_of_reader(&world, &path).await;
    assert!(shown.get("ci_config_path").is_none());
}

async fn answer_of_reader(world: &World, path: &str) -> (StatusCode, Value) {
    answer(
        world
            .rest("glpat-reader", Method::GET, path, Value::Null)
            .await,
    )
    .await
}

#[tokio::test]
async fn lists_come_in_pages_with_links() {
    let world = World::new().await;
    for number in 0..45 {
        world
            .fake
            .project(GROUP, &format!("p{number}"), &format!("p{number}"))
            .unwrap();
    }
    let group = "groups/archlinux%2Fpackaging%2Fpackages/projects?order_by=id&sort=asc&per_page=20";
    let mut next = Some(format!("{}/api/v4/{group}", world.fake.url()));
    let mut names = Vec::new();
    while let Some(url) = next {
        let answer = world
            .http
            .get(url)
            .header("PRIVATE-TOKEN", TOKEN)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["x-total"], "45");
        let link = answer.headers()["link"].to_str().unwrap().to_owned();
        next = link.split(", ").find_map(|link| {
            Some(
                link.strip_suffix(">; rel=\"next\"")?
                    .trim_start_matches('<')
                    .to_owned(),
            )
        });
        let page: Vec<Value> = answer.json().await.unwrap();
        assert!(page.len() <= 20);
        names.extend(page.into_iter().map(|project| project["name"].clone()));
    }
    assert_eq!(names.len(), 45);
    assert_eq!(names[44], "p44");
}

#[tokio::test]
async fn what_changed_can_be_asked_for() {
    let world = World::new().await;
    let quiet = world.project("quiet");
    world.fake.clock().advance(SignedDuration::from_hours(2));
    let moved = world.project("moved");
    let after = (world.fake.clock().now() - SignedDuration::from_mins(1)).to_string();
    let (_, found) = world
        .get(&format!(
            "projects?updated_after={after}&order_by=updated_at"
        ))
        .await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["id"], moved);
    // The filter counts only together with its order.
    let (_, all) = world.get(&format!("projects?updated_after={after}")).await;
    assert_eq!(all.as_array().unwrap().len(), 2, "{quiet}");
}

#[tokio::test]
async fn tokens_and_their_scopes() {
    let world = World::new().await;
    let id = world.project("gtk4");
    world.fake.token(
        "glpat-git",
        &[buildbtw_fake_gitlab::access::Scope::ReadRepository],
        buildbtw_fake_gitlab::access::Role::Developer,
    );
    world
        .fake
        .change_project(id, |project| {
            project.visibility = buildbtw_fake_gitlab::state::Visibility::Private;
        })
        .unwrap();
    let path = format!("projects/{id}");
    for (token, status) in [
        (TOKEN, StatusCode::OK),
        ("glpat-reader", StatusCode::OK),
        ("glpat-git", StatusCode::FORBIDDEN),
        ("glpat-unknown", StatusCode::UNAUTHORIZED),
    ] {
        let answer = world.rest(token, Method::GET, &path, Value::Null).await;
        assert_eq!(answer.status(), status, "{token}");
    }
    // What nobody in particular may not see is not there.
    let url = format!("{}/api/v4/{path}", world.fake.url());
    assert_eq!(
        world.http.get(url).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let (_, user) = world.get("user").await;
    assert_eq!(user["username"], "buildbtw");
    let body = answer(
        world
            .rest("glpat-git", Method::GET, &path, Value::Null)
            .await,
    )
    .await
    .1;
    assert_eq!(body["error"], "insufficient_scope");
}
