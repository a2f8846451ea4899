//! From a push on GitLab to a repository: the server makes pipelines, Runners carry them out with the
//! real executor and the real makepkg. GitLab and the Runners are played; nothing leaves this machine.

use std::process::Command;

use buildbtw_api::BuildStatus;
use buildbtw_api::events::EventKind;
use buildbtw_fake_gitlab::pipelines::Status;
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_tests::fleet::{Fleet, TOKEN};
use buildbtw_tests::leftovers;
use buildbtw_tests::pacman::Root;
use buildbtw_tests::programs::{DEADLINE, output};
use buildbtw_tests::stage::name_of;

const PACKAGES: [&str; 4] = ["greet-cli", "greet-words", "greetgen", "libgreet"];

#[tokio::test(flavor = "multi_thread")]
async fn a_push_becomes_a_repository() {
    let mut fleet = Fleet::with(&PACKAGES).await;
    let mut stage = fleet.stage().with("BASE_REPOSITORIES", "namespace:base");
    stage.start_server();
    stage.sources_in_sync().await;
    fleet.tell(&stage);
    fleet.start_runners(&stage, 2);
    let watch = |name: &str| {
        let finished = tokio::task::block_in_place(|| stage.bbtw(&["watch", name]));
        let logs = || format!("{}\n{}", stage.logs(), fleet.logs());
        assert_eq!(finished.code, Some(0), "{}\n{}", finished.stdout, logs());
    };

    // What is released: every package once.
    let mut new = vec!["new", "--name", "base", "--scope", "none", "--bootstrap"];
    new.extend(["--base", "none"]);
    // By commit, so that nothing moves it.
    let released = fleet.released.iter();
    let changesets: Vec<String> = released
        .map(|(package, commit)| format!("{package}/{commit}"))
        .collect();
    new.extend(changesets.iter().map(String::as_str));
    stage.bbtw_ok(&new);
    watch("base");

    // A packager changes the library, asks for what depends on it, and pushes once more.
    let version = |version: &'static str| move |text: String| text.replace("1.0.0", version);
    fleet.push("libgreet", "libgreet 1.1.0", version("1.1.0"));
    stage.bbtw_ok(&["new", "libgreet/main"]);
    watch("libgreet");
    fleet.push("libgreet", "libgreet 1.2.0", version("1.2.0"));
    stage
        .events_until(|event| {
            event.kind == EventKind::IterationCreated
                && event.iteration == Some(2)
                && event.namespace == Some(name_of("libgreet"))
        })
        .await;
    watch("libgreet");

    let builds = stage.builds("libgreet", 2).await;
    let mut names: Vec<String> = builds
        .iter()
        .map(|build| build.pkgbase.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["greet-cli", "libgreet"]);
    let built = |build: &buildbtw_api::builds::Build| build.status == BuildStatus::Built;
    assert!(builds.iter().all(built), "{builds:#?}");

    // Every job ended well, and each build was a job of its own.
    fleet.jobs_over().await;
    let worked = fleet.worked();
    assert!(worked.len() >= PACKAGES.len() + 4, "{}", fleet.logs());
    for done in &worked {
        assert_eq!(done.end, JobEnd::Success, "{}", fleet.logs());
    }
    assert!(!fleet.logs().contains(TOKEN));

    // pacman installs the result, and the program says what the rebuilt library says.
    let folder = stage.path().join("install");
    let server = format!("{}/repo/libgreet/2/os/x86_64", stage.address());
    let base = format!("{}/repo/base/1/os/x86_64", stage.address());
    let root = Root::new(&folder, &[("libgreet", &server), ("base", &base)]);
    root.pacman_ok(&["-Sy", "greet-cli"]);
    let said = output(
        Command::new(root.path.join("usr/bin/greet"))
            .arg("--version")
            .env("LD_LIBRARY_PATH", root.path.join("usr/lib")),
    );
    assert!(said.contains("1.2.0"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_here_ends_on_gitlab_and_leaves_nothing() {
    let mut fleet = Fleet::with(&["libgreet"]).await;
    // A build that ends by itself only when everybody has gone, with more than one process.
    fleet.push("libgreet", "libgreet 1.1.0", |text| {
        text.replace(
            "\nbuild() {",
            "\nbuild() {\n  echo 'fell asleep'; sleep 100000 & sleep 100000",
        )
    });
    let mut stage = fleet.stage();
    stage.start_server();
    stage.sources_in_sync().await;
    fleet.tell(&stage);
    fleet.start_runners(&stage, 1);
    let mut new = vec!["new", "libgreet/main", "--scope", "none", "--bootstrap"];
    new.extend(["--base", "none"]);
    stage.bbtw_ok(&new);
    let asleep = tokio::time::timeout(DEADLINE, fleet.said("fell asleep")).await;
    assert!(asleep.is_ok(), "{}\n{}", stage.logs(), fleet.logs());

    stage.bbtw_ok(&["cancel", "libgreet"]);
    let over = tokio::time::timeout(DEADLINE, fleet.jobs_over()).await;
    assert!(over.is_ok(), "{}\n{}", stage.logs(), fleet.logs());
    let pipelines: Vec<Status> = {
        let state = fleet.gitlab.state();
        let pipelines = state.pipelines.values();
        pipelines.map(|pipeline| pipeline.status).collect()
    };
    assert_eq!(pipelines, [Status::Canceled], "{}", fleet.logs());
    let worked = fleet.worked();
    let [done] = &worked[..] else {
        panic!("{worked:#?}");
    };
    assert_eq!(done.end, JobEnd::Canceled, "{}", fleet.logs());
    let left = leftovers::of(&Fleet::host(&stage), &["jobs/jobs", "tmp"]);
    assert!(left.is_empty(), "{left:#?}\n{}", done.own_log);
    let builds = stage.builds("libgreet", 1).await;
    let cancelled = |build: &buildbtw_api::builds::Build| build.status == BuildStatus::Cancelled;
    assert!(builds.iter().all(cancelled), "{builds:#?}");
}
