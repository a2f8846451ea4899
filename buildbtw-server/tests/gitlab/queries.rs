//! Every query of ours is one that GitLab takes, and not an expensive one.

use apollo_compiler::ExecutableDocument;
use apollo_compiler::response::JsonMap;
use buildbtw_fake_gitlab::graphql::limits::{LONGEST_QUERY, complexity, depth};
use buildbtw_fake_gitlab::graphql::schema;
use buildbtw_server::gitlab::Order;

use crate::world::*;

/// What a query of ours may cost at most.
const MOST: u64 = 200;

#[test]
fn every_query_in_the_folder_is_valid_and_cheap() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../graphql/queries");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(text.len() < LONGEST_QUERY, "{name}");
        let document = ExecutableDocument::parse_and_validate(schema(), text, &name)
            .unwrap_or_else(|problems| panic!("{}", problems.errors));
        let operations: Vec<_> = document.operations.iter().collect();
        assert_eq!(operations.len(), 1, "{name}");
        // As expensive as it can be: the largest page, in an order, of a branch.
        let mut variables = JsonMap::new();
        variables.insert("first", 100.into());
        variables.insert("sort", "ACTIVITY_DESC".into());
        let cost = complexity(schema(), &document, operations[0], &variables);
        assert!(cost < MOST, "{name} costs {cost}");
        assert!(depth(&document, operations[0]) <= 15, "{name}");
        println!("{name} costs {cost}");
        count += 1;
    }
    assert_eq!(count, 8, "a query that the test below does not ask?");
}

#[tokio::test]
async fn every_query_is_answered_and_says_what_it_cost() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let head = world.push(id, "main", "gtk4", "2");
    let page = world
        .gitlab
        .projects(GROUP, None, 100, Order::Activity, Some("main"), true)
        .await
        .unwrap();
    let cost = page.cost.unwrap();
    assert!(cost.score < i64::try_from(MOST).unwrap(), "{cost:?}");
    assert_eq!(cost.limit, 250);
    let by_id = world.gitlab.projects_by_id(&[id], None).await.unwrap();
    let by_path = world
        .gitlab
        .project_by_path(&format!("{GROUP}/gtk4"), None)
        .await
        .unwrap();
    assert_eq!(page.projects, by_id.projects);
    assert_eq!(Some(&page.projects[0]), by_path.as_ref());
    world.gitlab.resolve(id, "nowhere").await.unwrap();
    world.gitlab.commit_files(id, &head).await.unwrap().unwrap();
    let places = world.gitlab.ci_configurations(GROUP, None).await.unwrap();
    assert_eq!(places.configurations[0].path, ".gitlab-ci.yml");
    let identity = world.gitlab.who_am_i(GROUP).await.unwrap();
    assert_eq!(identity.username.as_deref(), Some("buildbtw"));
    assert_eq!(identity.projects, Some(1));
    let mut operations: Vec<String> = world
        .fake
        .requests()
        .into_iter()
        .filter_map(|request| request.operation)
        .collect();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), 8, "{operations:?}");
}
