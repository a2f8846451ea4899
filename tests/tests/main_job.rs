//! The main job with real makepkg and real pacman: one changed library in, a working repository out.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use buildbtw_api::events::EventKind;
use buildbtw_api::{BuildStatus, IterationStatus};
use buildbtw_tests::pacman::Root;
use buildbtw_tests::programs::output;
use buildbtw_tests::stage::{Stage, name_of};

/// The demo's packages, released in a namespace `base`, and two workers.
fn stage_with_base() -> Stage {
    let mut stage = Stage::new().with("BASE_REPOSITORIES", "namespace:base");
    let pkgbases = Stage::demo_pkgbases();
    let pkgbases: Vec<&str> = pkgbases.iter().map(String::as_str).collect();
    stage.start_with_base(&pkgbases);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_library_becomes_a_repository_and_a_second_commit_another_iteration() {
    let stage = stage_with_base();
    let library = stage.demo_repository("libgreet");
    library.edit(&["PKGBUILD", ".SRCINFO"], "1.0.0", "1.1.0");

    // A packager asks for the rebuild and watches it.
    let created: serde_json::Value =
        serde_json::from_str(&stage.bbtw_ok(&["new", "libgreet/main", "--json"]))
            .expect("it prints JSON");
    assert_eq!(created["name"], "libgreet");
    stage.bbtw_ok(&["watch", "libgreet"]);

    let builds = stage.builds("libgreet", 1).await;
    assert!(
        builds
            .iter()
            .all(|build| build.status == BuildStatus::Built),
        "{builds:#?}"
    );
    assert!(builds.len() >= 4, "dependents are missing: {builds:#?}");

    // Nothing began before what it waits for had ended, by the server's own times.
    let client = stage.client();
    let ends: HashMap<_, _> = builds
        .iter()
        .map(|build| {
            let run = build.run.as_ref().expect("it ran");
            (build.pkgbase.clone(), run.ended_at.expect("it ended"))
        })
        .collect();
    let (mut checked, mut overlaps) = (0, 0);
    for build in &builds {
        let claimed = build.run.as_ref().expect("it ran").claimed_at;
        let details = client
            .build(
                &name_of("libgreet"),
                1,
                &build.architecture,
                &build.pkgbase,
                build.pass,
            )
            .await
            .expect("the build can be shown");
        for need in details.needs.iter().filter(|need| !need.dropped) {
            assert!(
                claimed >= ends[&need.pkgbase],
                "{} began before {} ended",
                build.pkgbase,
                need.pkgbase
            );
            checked += 1;
        }
        overlaps += builds
            .iter()
            .filter(|other| {
                let other_claimed = other.run.as_ref().expect("it ran").claimed_at;
                other.pkgbase != build.pkgbase
                    && other_claimed >= claimed
                    && other_claimed < ends[&build.pkgbase]
            })
            .count();
    }
    assert!(checked > 0, "nothing waited for anything");
    assert!(overlaps > 0, "two workers never worked at the same time");

    // pacman installs the result, and the program says what the rebuilt library says.
    let install = |iteration: u32, folder: &str| {
        let folder = stage.path().join(folder);
        let server = format!("{}/repo/libgreet/{iteration}/os/x86_64", stage.address());
        let base = format!("{}/repo/base/1/os/x86_64", stage.address());
        let root = Root::new(&folder, &[("libgreet", &server), ("base", &base)]);
        root.pacman_ok(&["-Sy", "greet-cli"]);
        let version = root.pacman_ok(&["-Qi", "libgreet"]);
        let said = output(
            Command::new(root.path.join("usr/bin/greet"))
                .arg("--version")
                .env("LD_LIBRARY_PATH", root.path.join("usr/lib")),
        );
        (version, said)
    };
    let (version, said) = install(1, "first");
    assert!(version.contains("1.1.0-1"), "{version}");
    assert!(said.contains("1.1.0"), "{said}");

    // A commit on the branch makes iteration 2 within two seconds.
    let before = std::time::Instant::now();
    library.edit(&["PKGBUILD", ".SRCINFO"], "1.1.0", "1.2.0");
    let events = stage
        .events_until(|event| {
            event.kind == EventKind::IterationCreated
                && event.iteration == Some(2)
                && event.namespace == Some(name_of("libgreet"))
        })
        .await;
    let took = before.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "iteration 2 came after {took:?}"
    );
    let why = events
        .last()
        .and_then(|event| event.message.clone())
        .unwrap_or_default();
    assert!(why.contains("libgreet/main moved"), "{why}");
    stage.bbtw_ok(&["watch", "libgreet"]);
    let namespace = stage.namespace("libgreet").await;
    let status: Vec<_> = namespace
        .iterations
        .iter()
        .map(|iteration| (iteration.number, iteration.status))
        .collect();
    assert_eq!(
        status,
        [
            (2, IterationStatus::Current),
            (1, IterationStatus::Superseded)
        ]
    );
    assert!(install(2, "second").1.contains("1.2.0"));
    assert!(
        install(1, "first again").1.contains("1.1.0"),
        "iteration 1 stays readable"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_fails_fails_alone_and_can_be_retried() {
    let mut stage = Stage::new();
    let broken = stage.demo_package("greet-broken");
    stage.demo_package("greet-words");
    stage.start_server();
    stage.start_worker(&[("BUILDER", "sandbox")]);
    let log = |stage: &Stage| stage.bbtw(&["logs", "trouble", "greet-broken"]).stdout;
    stage.bbtw_ok(&[
        "new",
        "--name",
        "trouble",
        "--scope",
        "none",
        "--base",
        "none",
        "--bootstrap",
        "greet-broken/main",
        "greet-words/main",
    ]);
    let watched = stage.bbtw(&["watch", "trouble"]);
    assert_eq!(
        watched.code,
        Some(1),
        "{}{}\n{}",
        watched.stdout,
        watched.stderr,
        stage.logs()
    );
    let builds = stage.builds("trouble", 1).await;
    let status = |pkgbase: &str| {
        builds
            .iter()
            .find(|build| build.pkgbase.as_ref() == pkgbase)
            .map(|build| build.status)
    };
    assert_eq!(status("greet-broken"), Some(BuildStatus::Failed));
    assert_eq!(status("greet-words"), Some(BuildStatus::Built));
    assert!(log(&stage).contains("==>"), "the log is makepkg's own");
    let retried: serde_json::Value =
        serde_json::from_str(&stage.bbtw_ok(&["retry", "trouble", "--json"]))
            .expect("it prints JSON");
    assert_eq!(retried["builds"], 1);
    assert_eq!(stage.bbtw(&["watch", "trouble"]).code, Some(1));
    drop(broken);
}
