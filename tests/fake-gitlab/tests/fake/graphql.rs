use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;
use buildbtw_fake_gitlab::introspection;
use buildbtw_fake_gitlab::state::Visibility;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::*;

const PAGE: &str = "query($first: Int, $after: String, $sort: NamespaceProjectSort) { \
    group(fullPath: \"archlinux/packaging/packages\") { projects(first: $first, after: $after, sort: $sort) { \
    count pageInfo { endCursor hasNextPage } nodes { name } } } }";

async fn pages(world: &World, first: usize, sort: Option<&str>) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = Value::Null;
    loop {
        let answer = world
            .graphql(PAGE, json!({"first": first, "after": after, "sort": sort}))
            .await;
        let page = &answer["data"]["group"]["projects"];
        for node in page["nodes"].as_array().unwrap() {
            names.push(node["name"].as_str().unwrap().to_owned());
        }
        if page["pageInfo"]["hasNextPage"] == false {
            return names;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

#[tokio::test]
async fn pages_of_projects_hold_each_project_once() {
    let world = World::new().await;
    for number in 0..150 {
        world
            .fake
            .project(GROUP, &format!("p{number}"), &format!("p{number}"))
            .unwrap();
    }
    assert_eq!(pages(&world, 40, None).await.len(), 150);
    // More than a hundred are never sent.
    let answer = world.graphql(PAGE, json!({"first": 500})).await;
    let page = &answer["data"]["group"]["projects"];
    assert_eq!(page["nodes"].as_array().unwrap().len(), 100);
    assert_eq!(page["count"], 150);
}

#[tokio::test]
async fn the_order_by_activity_is_that_of_throttled_dates() {
    let world = World::new().await;
    let first = world.project("first");
    world.fake.clock().advance(SignedDuration::from_mins(30));
    world.project("second");
    world.fake.clock().advance(SignedDuration::from_mins(10));
    // Forty minutes after its beginning, a push does not move it.
    world.push(first, "main", "2");
    assert_eq!(
        pages(&world, 1, Some("ACTIVITY_DESC")).await,
        ["second", "first"]
    );
    world.fake.clock().advance(SignedDuration::from_mins(25));
    world.push(first, "main", "3");
    assert_eq!(
        pages(&world, 1, Some("ACTIVITY_DESC")).await,
        ["first", "second"]
    );
}

#[tokio::test]
async fn everything_of_a_repository() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let commit = world.push(id, "testing", "2");
    let query = "query($path: ID!, $ref: String!) { project(fullPath: $path) { id repository { rootRef empty branchCount \
        branchNames(searchPattern: \"*\", offset: 0, limit: 10) commit(ref: $ref) { sha title authoredDate } none: commit(ref: \"nowhere\") { sha } \
        lastCommit { sha } blobs(ref: $ref, paths: [\".SRCINFO\", \"missing\"]) { nodes { path rawTextBlob size } } \
        tree(ref: $ref) { blobs { nodes { name mode sha } } trees { nodes { name } } submodules { nodes { name } } } } } }";
    let answer = world
        .graphql(
            query,
            json!({"path": format!("{GROUP}/gtk4"), "ref": "testing"}),
        )
        .await;
    let project = &answer["data"]["project"];
    assert_eq!(
        project["id"],
        format!("gid://gitlab/Project/{id}"),
        "{answer}"
    );
    let repository = &project["repository"];
    assert_eq!(repository["commit"]["sha"], commit);
    assert_eq!(repository["commit"]["authoredDate"], "2026-11-21T07:00:00Z");
    assert_eq!(repository["none"], Value::Null);
    assert_ne!(repository["lastCommit"]["sha"], commit);
    assert_eq!(repository["branchNames"], json!(["main", "testing"]));
    // Files that are not there are left out.
    assert_eq!(
        repository["blobs"]["nodes"],
        json!([{"path": ".SRCINFO", "rawTextBlob": "pkgver = 2\n", "size": "11"}])
    );
    assert_eq!(repository["tree"]["blobs"]["nodes"][0]["name"], ".SRCINFO");
}

#[tokio::test]
async fn what_is_not_there_or_not_to_be_seen_is_null_without_an_error() {
    let world = World::new().await;
    let id = world.project("secret");
    world
        .fake
        .change_project(id, |project| project.visibility = Visibility::Private)
        .unwrap();
    let query = json!({"query": format!("{{ project(fullPath: \"{GROUP}/secret\") {{ id }} group(fullPath: \"no/such\") {{ id }} }}")});
    let answer = world
        .http
        .post(format!("{}/api/graphql", world.fake.url()))
        .json(&query)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({"data": {"project": null, "group": null}}));
}

#[tokio::test]
async fn wrong_and_expensive_queries_are_refused() {
    let world = World::new().await;
    world.project("gtk4");
    let message = |answer: Value| {
        answer["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let unknown = world
        .graphql("{ group(fullPath: \"x\") { name sshUrl } }", Value::Null)
        .await;
    assert!(
        message(unknown.clone()).contains("sshUrl") && unknown.get("data").is_none(),
        "{unknown}"
    );
    let fields = "a: name b: name c: name d: name e: name f: name g: name h: name i: name j: name";
    let many = (0..14)
        .map(|n| format!("x{n}: projects {{ nodes {{ {fields} }} }}"))
        .collect::<Vec<_>>()
        .join(" ");
    let expensive = world.graphql(&format!("{{ {many} }}"), Value::Null).await;
    assert!(message(expensive).contains("exceeds max complexity of 250"));
    let mut deep = "name".to_owned();
    for _ in 0..21 {
        deep = format!("parent {{ {deep} }}");
    }
    let deep = world
        .graphql(
            &format!("{{ group(fullPath: \"x\") {{ {deep} }} }}"),
            Value::Null,
        )
        .await;
    assert!(message(deep).contains("depth"));
    let long = world
        .graphql(
            &format!("{{ metadata {{ version }} }} # {}", "x".repeat(10_000)),
            Value::Null,
        )
        .await;
    assert_eq!(message(long), "Query too large");
}

#[tokio::test]
async fn operations_by_name_several_at_once_and_what_they_cost() {
    let world = World::new().await;
    let url = format!("{}/api/graphql", world.fake.url());
    let two = "query A { queryComplexity { score limit } } query B { currentUser { username } }";
    let requests = json!([
        {"query": two, "operationName": "A"}, {"query": two, "operationName": "B"}, {"query": two},
    ]);
    let answer = world
        .http
        .post(url)
        .bearer_auth(TOKEN)
        .json(&requests)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        answer[0]["data"],
        json!({"queryComplexity": {"score": 3, "limit": 250}})
    );
    assert_eq!(answer[1]["data"]["currentUser"]["username"], "buildbtw");
    assert!(answer[2]["errors"].is_array());
}

#[tokio::test]
async fn a_request_that_asks_git_for_too_long_is_not_answered() {
    let world = World::new().await;
    for number in 0..50 {
        world.project(&format!("p{number}"));
    }
    world.fake.git_takes(SignedDuration::from_secs(1));
    let query =
        "query($first: Int) { projects(first: $first) { nodes { repository { rootRef } } } }";
    let before = world.fake.clock().now();
    let answer = world.graphql(query, json!({"first": 20})).await;
    assert_eq!(
        answer["data"]["projects"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
    assert_eq!(
        world.fake.clock().now().duration_since(before),
        SignedDuration::from_secs(20)
    );
    let answer = world.graphql(query, json!({"first": 40})).await;
    assert!(
        answer["data"].is_null() && answer["errors"].is_array(),
        "{answer}"
    );
}

#[tokio::test]
async fn its_schema_is_told_and_comes_back_whole() {
    let world = World::new().await;
    let url = format!("{}/api/graphql", world.fake.url());
    let told = introspection::fetch(&url, Some(TOKEN)).await.unwrap();
    let told = Schema::parse_and_validate(told, "told.graphql").unwrap();
    let known = buildbtw_fake_gitlab::graphql::schema();
    let names = |schema: &Schema| -> Vec<String> {
        let types = schema.types.iter();
        let mut names: Vec<String> = types
            .flat_map(|(name, one)| match one {
                ExtendedType::Object(object) => object
                    .fields
                    .iter()
                    .map(|(field, is)| format!("{name}.{field}: {}", is.ty))
                    .collect(),
                _ => vec![name.to_string()],
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&told), names(known));
}
