//! `bbtw list`, `show`, `sources`, `workers` and the commands that move a namespace.

use buildbtw_api::idle::IdleReason;
use buildbtw_api::sources::SrcinfoState;
use buildbtw_api::{BuildStatus, NamespaceStatus, OutcomeClass, WorkerMode};

use crate::fixtures::{
    add, ago, build, built, failed, greeting, outcome, run as ended, run_id, running, source,
    with_run, worker,
};
use crate::program::{regex_of, run, snapshot};
use crate::server::Server;
use crate::world::World;

fn several() -> World {
    let mut world = failed();
    let new = |pkgbase| build("zlib", 1, pkgbase, 1, BuildStatus::Built);
    add(&mut world, "zlib", vec![new("zlib"), new("curl")]);
    world.set_namespace("zlib", NamespaceStatus::Finished);
    add(
        &mut world,
        "attic",
        vec![build("attic", 1, "attic", 1, BuildStatus::Cancelled)],
    );
    world.set_namespace("attic", NamespaceStatus::Archived);
    world
}

#[tokio::test]
async fn why_a_build_is_not_running() {
    let mut told = String::new();
    for explanation in [
        serde_json::json!({"reason": "waits_for_builds", "count": 2, "front": [
            {"pkgbase": "libgreet", "pass": 1, "status": "building", "relation": "", "dropped": false}]}),
        serde_json::json!({"reason": "no_fitting_worker", "architecture": "riscv64", "workers": 3}),
        serde_json::json!({"reason": "failed", "class": "timeout", "message": "it took too long"}),
        serde_json::json!({"reason": "done", "status": "reused", "message": "its input is known"}),
    ] {
        let world = World {
            explanation: Some(serde_json::from_value(explanation).expect("it is an explanation")),
            ..greeting()
        };
        let server = Server::start(world).await;
        told.push_str(
            &run(&server, &["explain", "libgreet", "greet-cli"])
                .await
                .shown(),
        );
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn namespaces_are_listed() {
    let server = Server::start(several()).await;
    snapshot!(server, run(&server, &["list"]).await.shown());
    let all = run(&server, &["list", "--archived"]).await;
    assert!(all.stdout.contains("attic"), "{}", all.stdout);
}

#[tokio::test]
async fn namespaces_are_listed_as_json() {
    let server = Server::start(several()).await;
    snapshot!(server, run(&server, &["list", "--json"]).await.shown());
}

#[tokio::test]
async fn long_lists_come_page_by_page() {
    let mut world = World {
        page: 2,
        ..World::default()
    };
    for number in 0..5 {
        let name = format!("n{number}");
        add(
            &mut world,
            &name,
            vec![build(&name, 1, "a", 1, BuildStatus::Built)],
        );
    }
    let server = Server::start(world).await;
    let whole = run(&server, &["list"]).await.stdout;
    assert!(
        (0..5).all(|number| whole.contains(&format!("n{number}"))),
        "{whole}"
    );
    let part = run(&server, &["list", "--limit", "3"]).await.stdout;
    assert!(part.contains("n2") && !part.contains("n3"), "{part}");
    assert!(part.contains("--limit 6 shows more"), "{part}");
}

#[tokio::test]
async fn an_empty_server_says_what_to_do() {
    let server = Server::start(World::default()).await;
    for (command, told) in [
        ("list", "`bbtw new PKGBASE/BRANCH` makes one"),
        ("workers", "Start one with buildbtw-worker"),
        ("sources", "Is it still reading them?"),
    ] {
        let done = run(&server, &[command]).await;
        assert_eq!(done.code, Some(0));
        assert!(done.stdout.contains(told), "{}", done.stdout);
        assert_eq!(run(&server, &[command, "--json"]).await.stdout, "[]\n");
    }
}

#[tokio::test]
async fn a_namespace_is_shown() {
    let mut world = failed();
    crate::fixtures::add_iteration(&mut world, "libgreet", Vec::new());
    let details = world.namespaces.get_mut("libgreet").expect("it is there");
    details.iterations[0].refusal =
        Some("the .SRCINFO of libgreet cannot be read: line 3: no `=`".to_owned());
    world.set_iteration("libgreet", 2, buildbtw_api::IterationStatus::Refused);
    let server = Server::start(world).await;
    snapshot!(server, run(&server, &["show", "libgreet"]).await.shown());
}

#[tokio::test]
async fn a_namespace_is_shown_as_json() {
    let server = Server::start(failed()).await;
    snapshot!(
        server,
        run(&server, &["show", "libgreet", "--json"]).await.shown()
    );
}

#[tokio::test]
async fn of_many_builds_only_the_notable_are_shown() {
    let mut world = World {
        page: 7,
        ..World::default()
    };
    let mut builds: Vec<_> = (0..60)
        .map(|number| build("big", 1, &format!("p{number:02}"), 1, BuildStatus::Blocked))
        .collect();
    builds[17].build.status = BuildStatus::Failed;
    builds[18].build.status = BuildStatus::Building;
    add(&mut world, "big", builds);
    let server = Server::start(world).await;
    snapshot!(server, run(&server, &["show", "big"]).await.shown());
    let all = run(&server, &["show", "big", "--all"]).await.stdout;
    assert!(
        (0..60).all(|number| all.contains(&format!("p{number:02}"))),
        "{all}"
    );
    let failed = run(&server, &["show", "big", "--status", "failed"])
        .await
        .stdout;
    assert!(
        failed.contains("p17") && !failed.contains("p18"),
        "{failed}"
    );
    let none = run(&server, &["show", "big", "--status", "waived"])
        .await
        .stdout;
    assert!(none.contains("No build is in that status."), "{none}");
    let unknown = run(&server, &["show", "big", "--iteration", "9"]).await;
    assert_eq!(
        unknown.stderr,
        "error: namespace big has no iteration 9\nhint: `bbtw show big` lists its iterations\n"
    );
}

#[tokio::test]
async fn pages_without_end_are_noticed() {
    let mut world = failed();
    world.stuck = true;
    let server = Server::start(world).await;
    let done = run(&server, &["show", "libgreet"]).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.contains("the same page again and again"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn a_build_is_shown_with_what_it_waits_for_and_how_it_ran() {
    let server = Server::start(failed()).await;
    snapshot!(
        server,
        run(&server, &["show", "libgreet", "greet-cli"])
            .await
            .shown()
    );
    let unknown = run(&server, &["show", "libgreet", "nonesuch"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown
            .stderr
            .contains("iteration 1 of libgreet does not build nonesuch"),
        "{}",
        unknown.stderr
    );
}

#[tokio::test]
async fn a_build_with_packages_is_shown() {
    let server = Server::start(built()).await;
    let text = run(&server, &["show", "libgreet", "libshout"]).await.stdout;
    assert!(
        text.contains("libshout-1.0.0-2-x86_64.pkg.tar.zst"),
        "{text}"
    );
}

#[tokio::test]
async fn a_build_is_shown_as_json() {
    let server = Server::start(failed()).await;
    snapshot!(
        server,
        run(&server, &["show", "libgreet", "greet-cli", "--json"])
            .await
            .shown()
    );
}

fn staffed() -> World {
    let mut world = greeting();
    let mut now = ended(1, outcome(OutcomeClass::Success, ""));
    now.outcome = None;
    with_run(&mut world, "libgreet", "libgreet", now, b"");
    world.workers = vec![worker(1, Some(ago(2))), worker(2, None)];
    world.workers[0].runs = vec![run_id(1), run_id(77)];
    world.workers[0].running = vec![
        running(1, "libgreet", "libgreet"),
        running(77, "zlib", "curl"),
    ];
    world.workers[0].idle = Some(IdleReason::SlotsTaken { slots: 2 });
    world.workers.push(worker(3, Some(ago(1))));
    world.workers[2].mode.mode = WorkerMode::Paused;
    world.workers[2].idle = Some(IdleReason::NotActive {
        mode: WorkerMode::Paused,
        message: Some("its disk is slow".to_owned()),
    });
    world
}

#[tokio::test]
async fn a_worker_is_named_to_get_no_more_runs() {
    let mut world = staffed();
    world.workers[2].name = "worker-2".to_owned();
    let server = Server::start(world).await;
    let drained = run(
        &server,
        &["workers", "drain", "worker-1", "--reason", "a new kernel"],
    )
    .await;
    snapshot!(server, drained.shown());
    let body = server.read(|world| world.body.clone());
    assert_eq!(
        body.as_deref(),
        Some("{\"mode\":\"draining\",\"reason\":\"a new kernel\"}")
    );
    // Two have that name; an id tells them apart.
    let ambiguous = run(&server, &["workers", "activate", "worker-2"]).await;
    assert_eq!(ambiguous.code, Some(1));
    for number in [2, 3] {
        let id = worker(number, None).id.to_string();
        assert!(ambiguous.stderr.contains(&id), "{}", ambiguous.stderr);
    }
    let id = worker(3, None).id.to_string();
    let by_id = run(&server, &["workers", "activate", &id, "--json"]).await;
    assert!(by_id.stdout.contains("\"active\""), "{}", by_id.stdout);
    let unknown = run(&server, &["workers", "pause", "nobody", "--reason", "x"]).await;
    assert!(unknown.stderr.contains("there is no worker nobody"));
}

#[tokio::test]
async fn the_servers_mode_is_shown_wherever_somebody_waits_for_builds() {
    let server = Server::start(greeting()).await;
    let mut told = String::new();
    for arguments in [
        &["mode"][..],
        &["mode", "stopped"],
        &["mode", "stopped", "--reason", "the disk is full"],
        &["mode"],
        &["list"],
        &["mode", "run"],
    ] {
        told.push_str(&format!("$ bbtw {}\n", arguments.join(" ")));
        told.push_str(&run(&server, arguments).await.shown());
    }
    insta::assert_snapshot!(told);
    run(&server, &["mode", "drain", "--reason", "an update"]).await;
    let shown = run(&server, &["show", "libgreet"]).await.stdout;
    assert!(
        shown.contains("hands out no runs (drain)") && shown.contains("an update"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_namespace_gets_a_larger_share_for_a_time_and_with_a_reason() {
    let server = Server::start(greeting()).await;
    let refused = run(&server, &["priority", "libgreet", "10"]).await;
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--reason"), "{}", refused.stderr);
    let raise = [
        "priority", "libgreet", "10", "--reason", "a fix", "--for", "2h",
    ];
    let raised = run(&server, &raise).await;
    assert!(
        raised.stdout.contains("weight 10 until"),
        "{}",
        raised.stdout
    );
    let shown = run(&server, &["show", "libgreet"]).await.stdout;
    assert!(shown.contains("priority    10 until"), "{shown}");
    assert!(shown.contains("a fix"), "{shown}");
    let again = run(&server, &["priority", "libgreet", "1"]).await;
    assert!(again.stdout.contains("of all others"), "{}", again.stdout);
}

#[tokio::test]
async fn workers_are_listed_with_what_they_build() {
    let server = Server::start(staffed()).await;
    snapshot!(server, run(&server, &["workers"]).await.shown());
}

#[tokio::test]
async fn workers_are_listed_as_json() {
    let server = Server::start(staffed()).await;
    snapshot!(server, run(&server, &["workers", "--json"]).await.shown());
}

fn problematic() -> World {
    let mut world = greeting();
    world.sources = vec![source("aardvark"), source("libgreet"), source("shout")];
    world.sources[1].problem = Some("its .SRCINFO cannot be read: line 3 has no `=`".to_owned());
    world.sources[1].version = None;
    world.sources[1].srcinfo = SrcinfoState::Unusable;
    world.sources[2].warnings = vec!["line 12: `url` was passed over: it is not a URL".to_owned()];
    world
}

#[tokio::test]
async fn sources_are_listed_with_their_problems() {
    let server = Server::start(problematic()).await;
    snapshot!(server, run(&server, &["sources"]).await.shown());
    let odd = run(&server, &["sources", "--problems"]).await.stdout;
    assert!(
        !odd.contains("aardvark") && odd.contains("libgreet"),
        "{odd}"
    );
}

#[tokio::test]
async fn sources_are_listed_as_json() {
    let server = Server::start(problematic()).await;
    snapshot!(
        server,
        run(&server, &["sources", "--problems", "--json"])
            .await
            .shown()
    );
}

#[tokio::test]
async fn a_namespace_goes_through_its_life() {
    let server = Server::start(failed()).await;
    let mut told = String::new();
    for command in [
        &["pause"][..],
        &["resume"],
        &["cancel"],
        &["resume"],
        // It is worked on, and there is no terminal to ask at.
        &["archive"],
        &["archive", "--yes"],
        &["resume"],
    ] {
        let mut arguments = command.to_vec();
        arguments.insert(1, "libgreet");
        told += &format!(
            "$ bbtw {}\n{}",
            arguments.join(" "),
            run(&server, &arguments).await.shown()
        );
    }
    snapshot!(server, told);
}

#[tokio::test]
async fn a_step_of_its_life_as_json_is_the_namespace() {
    let server = Server::start(failed()).await;
    let done = run(&server, &["pause", "libgreet", "--json"]).await;
    let namespace: serde_json::Value = serde_json::from_str(&done.stdout).expect("it is JSON");
    assert_eq!(namespace["status"], "paused");
    assert_eq!(namespace["name"], "libgreet");
}

#[tokio::test]
async fn failures_are_tried_again() {
    let server = Server::start(failed()).await;
    let mut told = String::new();
    for arguments in [
        &["retry", "libgreet"][..],
        &["retry", "libgreet", "--force"],
        &["retry", "libgreet", "greet-cli", "libshout", "--force"],
        &["retry", "libgreet", "--force", "--json"],
    ] {
        told += &format!(
            "$ bbtw {}\n{}",
            arguments.join(" "),
            run(&server, arguments).await.shown()
        );
    }
    snapshot!(server, told);
}

#[tokio::test]
async fn what_was_left_out_is_taken_back() {
    let server = Server::start(failed()).await;
    let one = run(&server, &["waive", "libgreet", "greet-cli", "--undo"]).await;
    assert_eq!(one.code, Some(0), "{}", one.shown());
    assert!(
        one.stdout.starts_with("1 build is no longer left out.\n"),
        "{}",
        one.shown()
    );
    let arguments = ["waive", "libgreet", "greet-cli", "libshout", "--undo"];
    let both = run(&server, &arguments).await;
    for expected in [
        "1 build is no longer left out.",
        "with the released libshout already",
        "bbtw rebuild libgreet",
    ] {
        assert!(both.stdout.contains(expected), "{}", both.shown());
    }
    // A reason is for leaving out, and needed for that.
    let reasons = [&["--undo", "--reason", "x"][..], &[]];
    for more in reasons {
        let arguments = [&["waive", "libgreet", "greet-cli"][..], more].concat();
        assert_eq!(run(&server, &arguments).await.code, Some(2), "{more:?}");
    }
}
