//! `bbtw add`, `remove`, `update` and `rebuild`

use buildbtw_api::changing::NewerCommit;
use buildbtw_api::ingredients::Flaky;
use buildbtw_api::namespaces::IterationReason;
use serde_json::{Value, json};

use crate::fixtures::{COMMIT, greeting, parse, plan, run_id};
use crate::program::{regex_of, run, snapshot};
use crate::server::Server;
use crate::world::World;

/// A namespace whose newest iteration was made for a reason.
fn because(reason: IterationReason) -> World {
    let mut world = greeting();
    let details = world.namespaces.get_mut("libgreet").expect("it is there");
    let iteration = details.namespace.iteration.as_mut().expect("it has one");
    iteration.why = reason.to_string();
    iteration.reason = reason;
    world
}

#[tokio::test]
async fn changesets_are_added_after_a_look() {
    let reason = IterationReason::Added {
        changesets: vec![parse("shout/loud")],
    };
    let server = Server::start(because(reason)).await;
    let done = run(&server, &["add", "libgreet", "shout/loud"]).await;
    let asked = server.read(|world| world.asked.clone());
    assert_eq!(
        asked,
        [
            "GET /api/v1/namespaces/libgreet",
            "POST /api/v1/plans",
            "POST /api/v1/namespaces/libgreet/add"
        ]
    );
    let body = server.read(|world| world.body.clone()).expect("it planned");
    let body: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(body["namespace"], "libgreet");
    assert_eq!(body["changesets"], json!(["libgreet/main", "shout/loud"]));
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn what_is_there_already_is_refused_without_a_look() {
    let server = Server::start(greeting()).await;
    let done = run(&server, &["add", "libgreet", "libgreet/main"]).await;
    assert_eq!(done.code, Some(1));
    let planned = server.read(|world| world.asked.contains(&"POST /api/v1/plans".to_owned()));
    assert!(!planned, "nothing was to be shown");
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn a_large_addition_is_not_begun_without_a_word() {
    let world = World {
        plan: Some(plan(101)),
        ..greeting()
    };
    let server = Server::start(world).await;
    let done = run(&server, &["add", "libgreet", "shout/loud"]).await;
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("--yes"), "{}", done.stderr);
    let done = run(&server, &["add", "--yes", "libgreet", "shout/loud"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[tokio::test]
async fn changesets_are_removed_by_name() {
    let reason = IterationReason::Removed {
        changesets: vec![parse("shout/loud")],
    };
    let server = Server::start(because(reason)).await;
    let done = run(&server, &["remove", "libgreet", "shout", "parrot/main"]).await;
    let body = server.read(|world| world.body.clone());
    assert_eq!(
        body.as_deref(),
        Some(r#"{"changesets":["shout","parrot/main"]}"#)
    );
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn an_update_says_what_it_took_or_that_there_is_nothing() {
    let server = Server::start(greeting()).await;
    let nothing = run(&server, &["update", "libgreet"]).await.shown();
    let mut world = because(IterationReason::Updated {
        dependents: 2,
        bases: vec!["extra".to_owned()],
        moves: Vec::new(),
    });
    let details = world.namespaces.get_mut("libgreet").expect("it is there");
    details.newer_commits = ["greet-cli", "shout"]
        .map(|pkgbase| NewerCommit {
            pkgbase: parse(pkgbase),
            from: COMMIT.to_owned(),
            to: COMMIT.to_owned(),
        })
        .to_vec();
    let server = Server::start(world).await;
    let shown = run(&server, &["show", "libgreet"]).await.stdout;
    assert!(
        shown.contains("2 dependents have newer commits (greet-cli, shout)"),
        "{shown}"
    );
    let some = run(&server, &["update", "libgreet"]).await.shown();
    snapshot!(server, format!("{nothing}\n{some}"));
    let json = run(&server, &["update", "libgreet", "--json"]).await.stdout;
    let json: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(
        (&json["updated"], &json["name"]),
        (&json!(true), &json!("libgreet"))
    );
}

#[tokio::test]
async fn a_rebuild_may_take_nothing_over() {
    let server = Server::start(because(IterationReason::Rebuilt { reuse: false })).await;
    let done = run(&server, &["rebuild", "libgreet", "--no-reuse"]).await;
    let body = server.read(|world| world.body.clone());
    assert_eq!(body.as_deref(), Some(r#"{"reuse":false}"#));
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn what_was_built_once_more_says_why_and_what_is_flaky_says_so() {
    let mut world = greeting();
    world.explanation = serde_json::from_value(json!({
        "reason": "done", "status": "built", "message": null,
        "rebuilt": {"run": run_id(1).to_string(), "namespace": "libgreet", "iteration": 1,
            "ended_at": "2026-01-02T03:04:05Z", "because": [
                {"ingredient": "tree", "from": COMMIT, "to": COMMIT.replace('8', "9")},
                {"ingredient": "package", "pkgname": "libgreet", "from": "aa", "to": "bb"},
                {"ingredient": "bases", "names": ["extra"], "from": ["cc"], "to": ["dd"]},
                {"ingredient": "the weather", "to": "rain"},
            ]},
    }))
    .expect("it is an explanation");
    let builds = world.builds.get_mut(&("libgreet".to_owned(), 1));
    for build in builds.expect("it has builds") {
        build.flaky = vec![Flaky {
            failed: run_id(2),
            passed: run_id(3),
            noticed_at: "2026-01-01T01:02:03Z".parse().expect("a time"),
        }];
    }
    let server = Server::start(world).await;
    let told = run(&server, &["explain", "libgreet", "greet-cli"]).await;
    let json = run(&server, &["explain", "libgreet", "greet-cli", "--json"]).await;
    let shown = run(&server, &["show", "libgreet", "greet-cli"])
        .await
        .stdout;
    assert!(shown.contains("It is flaky"), "{shown}");
    snapshot!(server, format!("{}\n{}", told.shown(), json.shown()));
}
