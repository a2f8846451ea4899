//! `bbtw plan` and `bbtw new`

use serde_json::{Value, json};

use crate::fixtures::{eventful_plan, greeting, plan};
use crate::program::{regex_of, run, snapshot};
use crate::server::Server;
use crate::terminal::OnTerminal;
use crate::world::World;

fn with_plan(plan: buildbtw_graph::Plan) -> World {
    World {
        plan: Some(plan),
        ..greeting()
    }
}

#[tokio::test]
async fn what_changed_between_two_iterations() {
    let difference = json!({"from": 1, "to": 2, "architectures": {"x86_64": {
        "added": [{"pkgbase": "parrot", "pass": 1}],
        "removed": [{"pkgbase": "shout", "pass": 2}],
        "changed": [{"pkgbase": "libgreet", "pass": 1, "version": ["2.0-1", "2.1-1"],
            "commit": ["38aa337b00000000", "8167af4400000000"]},
            {"pkgbase": "greet-cli", "pass": 1, "nocheck": [false, true]}],
        "order": [{"pkgbase": "greet-cli", "pass": 1,
            "now_after": [{"pkgbase": "libshout", "pass": 1}],
            "no_longer_after": [{"pkgbase": "libgreet", "pass": 1}]}],
    }}});
    let world = World {
        difference: Some(serde_json::from_value(difference).expect("it is a difference")),
        ..greeting()
    };
    let server = Server::start(world).await;
    snapshot!(server, run(&server, &["diff", "libgreet"]).await.shown());
    let asked = server.read(|world| world.asked.last().cloned());
    let asked = asked.expect("it was asked");
    assert!(asked.contains("/iterations/1/difference"), "{asked}");
}

/// The request that the server got.
fn asked(server: &Server) -> Value {
    let body = server
        .read(|world| world.body.clone())
        .expect("it was asked");
    serde_json::from_str(&body).expect("it is JSON")
}

#[tokio::test]
async fn a_plan_in_a_few_lines() {
    let server = Server::start(with_plan(plan(30))).await;
    snapshot!(
        server,
        run(&server, &["plan", "libgreet/main"]).await.shown()
    );
}

#[tokio::test]
async fn a_plan_with_everything_that_can_be_found() {
    let server = Server::start(with_plan(eventful_plan())).await;
    snapshot!(
        server,
        run(&server, &["plan", "libgreet/main"]).await.shown()
    );
}

#[tokio::test]
async fn a_whole_plan_by_waves() {
    let server = Server::start(with_plan(eventful_plan())).await;
    snapshot!(
        server,
        run(&server, &["plan", "--full", "libgreet/main"])
            .await
            .shown()
    );
}

#[tokio::test]
async fn a_plan_as_json_is_the_servers() {
    let server = Server::start(with_plan(eventful_plan())).await;
    let done = run(&server, &["plan", "--json", "libgreet/main"]).await;
    let printed: Value = serde_json::from_str(&done.stdout).expect("it is JSON");
    assert_eq!(
        printed,
        serde_json::to_value(eventful_plan()).expect("it is JSON")
    );
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn every_option_reaches_the_server() {
    let server = Server::start(greeting()).await;
    run(&server, &["plan", "libgreet/main"]).await;
    assert_eq!(
        asked(&server),
        json!({"changesets": ["libgreet/main"], "options": {
            "scope": "transitive", "via": {"makedepends": false, "checkdepends": false},
            "pkgrel": "bump", "passes": 1, "bootstrap": false, "base": null, "reuse": true
        }})
    );
    let done = run(
        &server,
        &[
            "new",
            "--name",
            "mine",
            "--scope",
            "direct",
            "--via",
            "makedepends,checkdepends",
            "--pkgrel",
            "keep",
            "--passes",
            "2",
            "--bootstrap",
            "--base",
            "x86_64/namespace:base",
            "--no-reuse",
            "--base",
            "core=https://mirror.example.org/$repo/os/$arch",
            "libgreet/main",
            "shout/feature/loud",
        ],
    )
    .await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        asked(&server),
        json!({"name": "mine", "changesets": ["libgreet/main", "shout/feature/loud"], "options": {
            "scope": "direct", "via": {"makedepends": true, "checkdepends": true},
            "pkgrel": "keep", "passes": 2, "bootstrap": true,
            "base": ["x86_64/namespace:base", "core=https://mirror.example.org/$repo/os/$arch"],
            "reuse": false
        }})
    );
    run(&server, &["new", "--base", "none", "libgreet/main"]).await;
    assert_eq!(asked(&server)["options"]["base"], json!([]));
}

#[tokio::test]
async fn a_new_namespace_is_planned_first_and_then_made() {
    let server = Server::start(greeting()).await;
    let done = run(&server, &["new", "libgreet/main"]).await;
    let asked = server.read(|world| world.asked.clone());
    assert_eq!(asked, ["POST /api/v1/plans", "POST /api/v1/namespaces"]);
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn a_new_namespace_as_json() {
    let mut world = greeting();
    let details = world.namespaces.get_mut("libgreet").expect("it is there");
    details.namespace.remark =
        Some("the name libgreet is taken, so this one is called libgreet-2".to_owned());
    let server = Server::start(world).await;
    snapshot!(
        server,
        run(&server, &["new", "--json", "libgreet/main"])
            .await
            .shown()
    );
    let text = run(&server, &["new", "libgreet/main"]).await.stdout;
    assert!(text.contains("note: the name libgreet is taken"), "{text}");
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let server = Server::start(greeting()).await;
    let unknown = run(&server, &["new", "nonesuch/main"]).await;
    snapshot!(server, unknown.shown());
    let taken = run(&server, &["new", "--name", "taken", "libgreet/main"]).await;
    assert_eq!(taken.code, Some(1));
    assert!(
        taken
            .stderr
            .contains("hint: choose another name with --name"),
        "{}",
        taken.stderr
    );
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_before_the_plan_is_read() {
    let server = Server::start(greeting()).await;
    let taken = run(&server, &["new", "--name", "libgreet", "libgreet/main"]).await;
    assert_eq!((taken.code, taken.stdout.as_str()), (Some(1), ""));
    assert!(
        taken
            .stderr
            .contains("there is a namespace libgreet already"),
        "{}",
        taken.stderr
    );
}

#[tokio::test]
async fn a_large_plan_is_not_begun_without_a_word() {
    let server = Server::start(with_plan(plan(101))).await;
    for arguments in [
        &["new", "libgreet/main"][..],
        &["new", "--json", "libgreet/main"],
    ] {
        let done = run(&server, arguments).await;
        assert_eq!(done.code, Some(2));
        assert!(done.stderr.contains("101 builds"), "{}", done.stderr);
        assert!(done.stderr.contains("--yes"), "{}", done.stderr);
    }
    let made = |server: &Server| {
        server.read(|world| world.asked.contains(&"POST /api/v1/namespaces".to_owned()))
    };
    assert!(!made(&server), "it was begun all the same");
    let done = run(&server, &["new", "--yes", "libgreet/main"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(made(&server));
}

#[tokio::test]
async fn a_plan_of_a_hundred_is_begun_unasked() {
    let server = Server::start(with_plan(plan(100))).await;
    assert_eq!(run(&server, &["new", "libgreet/main"]).await.code, Some(0));
}

#[tokio::test]
async fn a_large_plan_is_asked_about_on_a_terminal() {
    for (answer, code, begun) in [
        ("y\n", 0, true),
        ("yes\n", 0, true),
        ("\n", 1, false),
        ("n\n", 1, false),
    ] {
        let server = Server::start(with_plan(plan(101))).await;
        let mut new = OnTerminal::start(&server, &["new", "libgreet/main"]);
        new.until("Begin 101 builds? [y/N] ").await;
        new.types(answer);
        let done = new.finish().await;
        assert_eq!(done.code, Some(code), "{answer:?}: {}", done.stdout);
        let made = server.read(|world| world.asked.contains(&"POST /api/v1/namespaces".to_owned()));
        assert_eq!(made, begun, "{answer:?}");
    }
}
