//! `bbtw watch`

use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass};
use serde_json::json;

use crate::fixtures::{
    ARCH, add_iteration, build, built, failed, greeting, outcome, plan, run as ended, with_run,
};
use crate::program::{Running, regex_of, run, snapshot};
use crate::server::Server;
use crate::terminal::OnTerminal;
use crate::world::World;

/// Lets the server build a package, as far as it comes.
fn carry_out(
    world: &mut World,
    iteration: u32,
    pkgbase: &str,
    last: BuildStatus,
    why: Option<&str>,
) {
    use BuildStatus::{Building, Pending, Scheduled};
    for status in [Pending, Scheduled, Building] {
        world.set("libgreet", iteration, pkgbase, status, None);
    }
    world.set("libgreet", iteration, pkgbase, last, why);
}

fn build_all(world: &mut World, iteration: u32) {
    for pkgbase in ["libgreet", "greet-cli", "libshout", "greet-suite"] {
        carry_out(world, iteration, pkgbase, BuildStatus::Built, None);
    }
}

fn fail_one(world: &mut World) {
    let mut bad = outcome(OutcomeClass::Package, "makepkg failed in check()");
    bad.failed_step = Some("check".to_owned());
    carry_out(world, 1, "libgreet", BuildStatus::Built, None);
    with_run(world, "libgreet", "greet-cli", ended(2, bad), b"");
    carry_out(
        world,
        1,
        "greet-cli",
        BuildStatus::Failed,
        Some("makepkg failed in check()"),
    );
    world.set(
        "libgreet",
        1,
        "greet-suite",
        BuildStatus::DependencyFailed,
        Some("greet-cli failed"),
    );
    carry_out(world, 1, "libshout", BuildStatus::Built, None);
}

#[tokio::test]
async fn everything_is_built() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| build_all(world, 1));
    let done = watch.finish().await;
    assert_eq!(done.code, Some(0));
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn reused_and_waived_builds_are_as_good_as_built_ones() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| {
        carry_out(world, 1, "libgreet", BuildStatus::Reused, None);
        carry_out(
            world,
            1,
            "greet-cli",
            BuildStatus::Waived,
            Some("known to be broken"),
        );
        carry_out(world, 1, "libshout", BuildStatus::Built, None);
        carry_out(world, 1, "greet-suite", BuildStatus::Built, None);
    });
    assert_eq!(watch.finish().await.code, Some(0));
}

#[tokio::test]
async fn a_failure_is_told_with_class_step_worker_and_log() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(fail_one);
    let done = watch.finish().await;
    assert_eq!(done.code, Some(1));
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn a_failure_ends_the_watching_only_when_nothing_runs_any_more() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| {
        world.set("libgreet", 1, "libshout", BuildStatus::Building, None);
        world.set("libgreet", 1, "libgreet", BuildStatus::Building, None);
        world.set("libgreet", 1, "libgreet", BuildStatus::Failed, None);
        for vain in ["greet-cli", "greet-suite"] {
            world.set("libgreet", 1, vain, BuildStatus::DependencyFailed, None);
        }
    });
    watch.until("greet-suite: dependency_failed").await;
    // Somebody tries it again while the other one is still being built.
    server.change(|world| {
        build_all(world, 1);
    });
    assert_eq!(watch.finish().await.code, Some(0));
}

#[tokio::test]
async fn what_is_over_already_is_told_at_once() {
    let server = Server::start(built()).await;
    assert_eq!(run(&server, &["watch", "libgreet"]).await.code, Some(0));
    let server = Server::start(failed()).await;
    let done = run(&server, &["watch", "libgreet"]).await;
    assert_eq!(done.code, Some(1));
    snapshot!(server, done.shown());
}

/// The built packages, of which one needs at run time what no repository has.
fn built_but_unmet() -> World {
    let mut world = built();
    let needs = ["depends", "makedepends"].map(
        |kind| json!({"pkgbase": "greet-cli", "relation": format!("no-{kind}>=2"), "kind": kind}),
    );
    let mut plan = serde_json::to_value(plan(4)).expect("a plan is JSON");
    plan["architectures"][ARCH]["unresolved"] = json!(needs);
    world.plan = Some(serde_json::from_value(plan).expect("a plan"));
    let details = world.namespaces.get_mut("libgreet").expect("it is there");
    let newest = details.namespace.iteration.iter_mut();
    for iteration in newest.chain(&mut details.iterations) {
        for set in iteration.build_sets.values_mut() {
            set.unresolved = 2;
        }
    }
    world
}

#[tokio::test]
async fn packages_that_pacman_cannot_install_are_told() {
    let server = Server::start(built_but_unmet()).await;
    let needs = "what these packages need at run time: no-depends>=2 (greet-cli);";
    for command in ["watch", "show"] {
        let done = run(&server, &[command, "libgreet"]).await;
        assert_eq!(done.code, Some(0));
        let told = done
            .shown()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(told.contains(needs), "{told}");
    }
    let done = run(&server, &["watch", "libgreet", "--json"]).await;
    let last = done.shown();
    let unmet = r#""unmet":[{"relation":"no-depends>=2","pkgbases":["greet-cli"]}]"#;
    assert!(last.contains(unmet), "{last}");
    // A server whose repositories have everything is not asked for its plan.
    let server = Server::start(built()).await;
    run(&server, &["watch", "libgreet"]).await;
    server
        .until(|world| !world.asked.iter().any(|asked| asked.contains("/plan")))
        .await;
}

#[tokio::test]
async fn unbuildable_builds_are_told_with_their_reason() {
    let mut world = greeting();
    for pkgbase in ["libgreet", "libshout", "greet-suite"] {
        world.set("libgreet", 1, pkgbase, BuildStatus::Built, None);
    }
    let why = "it needs nonesuch, which nothing satisfies";
    world.set(
        "libgreet",
        1,
        "greet-cli",
        BuildStatus::Unbuildable,
        Some(why),
    );
    let server = Server::start(world).await;
    let done = run(&server, &["watch", "libgreet"]).await;
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains(why), "{}", done.stdout);
}

#[tokio::test]
async fn a_namespace_that_is_called_off_ends_with_3() {
    for (status, word) in [
        (NamespaceStatus::Cancelled, "cancelled"),
        (NamespaceStatus::Archived, "archived"),
    ] {
        let server = Server::start(greeting()).await;
        let mut watch = Running::start(&server, &["watch", "libgreet"]);
        watch.until("Watching iteration 1").await;
        server.change(|world| world.set_namespace("libgreet", status));
        let done = watch.finish().await;
        assert_eq!(done.code, Some(3), "{done:?}");
        assert!(
            done.stdout.contains(&format!("libgreet was {word}")),
            "{}",
            done.stdout
        );
        // The same for one that was called off before.
        assert_eq!(run(&server, &["watch", "libgreet"]).await.code, Some(3));
    }
}

#[tokio::test]
async fn a_pause_is_told_and_waited_for() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| world.set_namespace("libgreet", NamespaceStatus::Paused));
    watch.until("libgreet is paused").await;
    server.change(|world| world.set_namespace("libgreet", NamespaceStatus::Active));
    watch.until("libgreet goes on").await;
    server.change(|world| build_all(world, 1));
    assert_eq!(watch.finish().await.code, Some(0));
}

fn second(world: &mut World) {
    let new = |pkgbase, wave| build("libgreet", 2, pkgbase, wave, BuildStatus::Blocked);
    let builds = vec![
        new("libgreet", 1),
        new("greet-cli", 2),
        new("libshout", 2),
        new("greet-suite", 3),
    ];
    add_iteration(world, "libgreet", builds);
}

#[tokio::test]
async fn a_newer_iteration_takes_over() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| carry_out(world, 1, "libgreet", BuildStatus::Built, None));
    watch.until("libgreet: built").await;
    server.change(second);
    watch.until("Iteration 2 is being planned").await;
    server.change(|world| {
        for pkgbase in ["greet-cli", "libshout", "greet-suite"] {
            world.set(
                "libgreet",
                1,
                pkgbase,
                BuildStatus::Cancelled,
                Some("iteration 2 took its place"),
            );
        }
        world.set_iteration("libgreet", 1, IterationStatus::Superseded);
        world.set_iteration("libgreet", 2, IterationStatus::Current);
    });
    watch.until("Now watching iteration 2").await;
    server.change(|world| build_all(world, 2));
    let done = watch.finish().await;
    assert_eq!(done.code, Some(0));
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn while_a_newer_iteration_is_planned_the_end_of_the_old_one_is_not_the_end() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(second);
    server.change(|world| build_all(world, 1));
    watch.until("[4/4] greet-suite: built").await;
    server.change(|world| {
        world.set_iteration("libgreet", 1, IterationStatus::Superseded);
        world.set_iteration("libgreet", 2, IterationStatus::Current);
    });
    watch.until("Now watching iteration 2").await;
    server.change(|world| build_all(world, 2));
    assert_eq!(watch.finish().await.code, Some(0));
}

#[tokio::test]
async fn an_iteration_that_cannot_be_planned_is_a_failure() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| {
        second(world);
        let details = world.namespaces.get_mut("libgreet").expect("it is there");
        details.iterations[0].refusal = Some("the .SRCINFO of libgreet cannot be read".to_owned());
        world.set_iteration("libgreet", 2, IterationStatus::Refused);
    });
    watch.until("Iteration 2 cannot be planned").await;
    // The one before is still worked on.
    server.change(|world| build_all(world, 1));
    let done = watch.finish().await;
    assert_eq!(done.code, Some(1));
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn a_stream_that_breaks_is_taken_up_where_it_broke() {
    let mut world = greeting();
    world.cut_events = vec![3, 1, 0, 5];
    let server = Server::start(world).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.change(|world| build_all(world, 1));
    let done = watch.finish().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    // No change is missing and none is told twice.
    let changes: Vec<&str> = done
        .stdout
        .lines()
        .filter(|line| line.starts_with('['))
        .collect();
    let whole = {
        let server = Server::start(greeting()).await;
        let mut watch = Running::start(&server, &["watch", "libgreet"]);
        watch.until("Watching iteration 1").await;
        server.change(|world| build_all(world, 1));
        watch.finish().await
    };
    let expected: Vec<&str> = whole
        .stdout
        .lines()
        .filter(|line| line.starts_with('['))
        .collect();
    assert_eq!(changes, expected);
    let opened = server.read(|world| {
        let asked = world
            .asked
            .iter()
            .filter(|asked| asked.contains("/events?"));
        asked
            .map(|asked| asked.rsplit_once('?').expect("it has a query").1.to_owned())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        opened,
        [
            "namespace=libgreet",
            "namespace=libgreet&after=1002",
            "namespace=libgreet&after=1003",
            "namespace=libgreet&after=1003",
            "namespace=libgreet&after=1008"
        ]
    );
}

#[tokio::test]
async fn a_server_that_restarts_is_waited_for() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "libgreet"]);
    watch.until("Watching iteration 1").await;
    server.stop().await;
    server.change(|world| build_all(world, 1));
    server.resume();
    let done = watch.finish().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stderr.contains("does not answer; waiting for it"),
        "{}",
        done.stderr
    );
    assert!(
        done.stdout.contains("The server is back."),
        "{}",
        done.stdout
    );
}

#[tokio::test]
async fn what_happens_between_the_first_look_and_the_stream_is_not_missed() {
    // Everything happens while the program reads the builds, page by page.
    let mut world = greeting();
    world.page = 1;
    let server = Server::start(world).await;
    let watch = Running::start(&server, &["watch", "libgreet"]);
    let pages = |world: &World| {
        world
            .asked
            .iter()
            .filter(|asked| asked.contains("/builds?"))
            .count()
    };
    server.until(|world| pages(world) == 2).await;
    server.change(|world| {
        carry_out(world, 1, "greet-suite", BuildStatus::Built, None);
        build_all(world, 1);
    });
    let done = watch.finish().await;
    assert_eq!(done.code, Some(0), "{done:?}");
    // The last page had its build as built. The events of how it came to that are old news.
    assert!(done.stdout.contains("libgreet: built"), "{}", done.stdout);
    assert!(!done.stdout.contains("greet-suite: "), "{}", done.stdout);
}

#[tokio::test]
async fn json_is_an_event_a_line() {
    let server = Server::start(greeting()).await;
    let mut watch = Running::start(&server, &["watch", "--json", "libgreet"]);
    watch.until("watch_began").await;
    server.change(fail_one);
    let done = watch.finish().await;
    assert_eq!(done.code, Some(1));
    for line in done.stdout.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
        assert!(value["kind"].is_string(), "{line}");
    }
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn a_terminal_has_a_bar_and_the_failures_above_it() {
    let server = Server::start(greeting()).await;
    let mut watch = OnTerminal::start(&server, &["watch", "libgreet"]);
    watch.until("0/4").await;
    server.change(|world| {
        carry_out(world, 1, "libgreet", BuildStatus::Built, None);
        world.set("libgreet", 1, "libshout", BuildStatus::Building, None);
    });
    watch.until("building libshout").await;
    server.change(|world| {
        world.set("libgreet", 1, "libshout", BuildStatus::Built, None);
        fail_one(world);
    });
    let done = watch.finish().await;
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(
        done.stdout
            .contains("package in check on worker-1: makepkg failed in check()"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains("log: bbtw logs libgreet greet-cli"),
        "{}",
        done.stdout
    );
    assert!(
        !done.stdout.contains("libgreet: built"),
        "the bar counts what is built: {}",
        done.stdout
    );
    // The bar is gone in the end: its line is erased, and what stands last is the result.
    let last = done.stdout.rsplit("\u{1b}[2K").next().unwrap_or_default();
    assert!(
        last.contains("bbtw retry libgreet") && !last.contains("[="),
        "{last:?}"
    );
}
