//! Namespaces beside each other, and a base repository that would bring in an old library.

use std::collections::BTreeSet;

use buildbtw_api::{BuildStatus, OutcomeClass};
use buildbtw_tests::programs::run;
use buildbtw_tests::stage::Stage;

fn srcinfo(pkgbase: &str, version: &str, more: &str) -> String {
    format!(
        "pkgbase = {pkgbase}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n{more}\npkgname = {pkgbase}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn two_namespaces_with_the_same_packages_do_not_see_each_other() {
    let mut stage = Stage::new();
    let library = stage.srcinfo_package("lib", &srcinfo("lib", "1", ""));
    stage.srcinfo_package("tool", &srcinfo("tool", "1", "\tdepends = lib\n"));
    for version in ["0", "2", "3", "4"] {
        library.git(&["checkout", "--quiet", "-b", &format!("v{version}"), "main"]);
        let line = format!("pkgver = {version}");
        library.edit(&[".SRCINFO"], "pkgver = 1", &line);
    }
    stage.start_server();
    stage.start_worker(&[("BUILDER", "fake"), ("WORKER_SLOTS", "4")]);
    let new = |name: &str, reference: &str| {
        stage.bbtw_ok(&["new", "--name", name, "--base", "none", reference]);
    };
    // Two at once; then one with an older and one with a newer library than those have published:
    // whichever of several packages of a name counts, one of the namespaces would get a wrong one.
    new("two", "lib/v2");
    new("three", "lib/v3");
    for (name, version) in [
        ("two", "2-1"),
        ("three", "3-1"),
        ("zero", "0-1"),
        ("four", "4-1"),
    ] {
        if !["two", "three"].contains(&name) {
            new(name, &format!("lib/v{}", &version[..1]));
        }
        stage.bbtw_ok(&["watch", name]);
        let builds = stage.builds(name, 1).await;
        assert_eq!(builds.len(), 2, "{builds:#?}");
        let tool = builds
            .iter()
            .find(|build| build.pkgbase.as_ref() == "tool")
            .expect("it is built");
        let details = stage
            .client()
            .run(tool.run.as_ref().expect("it ran").id)
            .await
            .expect("the run can be shown");
        let installed: BTreeSet<_> = details
            .installed
            .iter()
            .map(|package| (package.pkgname.as_str(), package.version.as_str()))
            .collect();
        assert_eq!(installed, BTreeSet::from([("lib", version)]), "{name}");
        let db = stage.path().join(format!("{name}.db"));
        let url = format!("{}/repo/{name}/1/os/x86_64/{name}.db", stage.address());
        let fetched = run_curl(&url, &db);
        assert_eq!(fetched, Some(0));
        let listed = run(std::process::Command::new("bsdtar").arg("-tf").arg(&db)).stdout;
        assert!(
            listed.contains(&format!("lib-{version}/")),
            "{name}: {listed}"
        );
    }
}

fn run_curl(url: &str, to: &std::path::Path) -> Option<i32> {
    run(std::process::Command::new("curl")
        .args(["--silent", "--fail", "--location", "--output"])
        .arg(to)
        .arg(url))
    .code
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_package_that_would_come_in_silently_ends_the_build() {
    // The released libshout is built against the released libgreet. A namespace with a new libgreet and
    // without libshout would have pacman install that old libgreet beside, or instead of, the new one.
    let mut stage = Stage::new().with("BASE_REPOSITORIES", "namespace:base");
    stage.start_with_base(&[
        "libgreet",
        "libshout",
        "shout",
        "greet-words",
        "greet-cli",
        "greetgen",
    ]);
    let library = stage.demo_repository("libgreet");
    library.edit(&["PKGBUILD", ".SRCINFO"], "1.0.0", "2.0.0");
    stage.bbtw_ok(&[
        "new",
        "--name",
        "mixed",
        "--scope",
        "none",
        "libgreet/main",
        "shout/main",
    ]);
    assert_eq!(
        stage.bbtw(&["watch", "mixed"]).code,
        Some(1),
        "{}",
        stage.logs()
    );
    let builds = stage.builds("mixed", 1).await;
    let build = |pkgbase: &str| {
        builds
            .iter()
            .find(|build| build.pkgbase.as_ref() == pkgbase)
            .expect("it is planned")
    };
    assert_eq!(build("libgreet").status, BuildStatus::Built);
    let shout = build("shout");
    assert_eq!(shout.status, BuildStatus::Failed, "{shout:#?}");
    let outcome = shout
        .run
        .as_ref()
        .and_then(|run| run.outcome.as_ref())
        .expect("its run ended");
    assert_eq!(outcome.class, OutcomeClass::Dependencies, "{outcome:#?}");
    assert!(outcome.message.contains("libgreet.so=1-64"), "{outcome:#?}");

    // No `.SRCINFO` says so, but the library as it was built shows whom its new number breaks.
    let mixed = stage.namespace("mixed").await;
    let broken: BTreeSet<String> = mixed.iterations[0]
        .build_sets
        .values()
        .flat_map(|set| &set.broken_by_packages)
        .map(|one| format!("{} {}", one.pkgbase, one.relation))
        .collect();
    assert!(broken.contains("libshout libgreet.so=1-64"), "{broken:?}");
    // Its own build is still to come, so nothing is said of it.
    assert!(
        !broken.iter().any(|one| one.starts_with("shout ")),
        "{broken:?}"
    );
    let shown = stage.bbtw_ok(&["show", "mixed"]);
    assert!(
        shown.contains("broken: libshout needs libgreet.so=1-64"),
        "{shown}"
    );
}
