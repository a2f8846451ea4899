//! Namespaces beside each other, and a base repository that would bring in an old library.

use std::collections::BTreeSet;

use buildbtw_api::{BuildStatus, OutcomeClass};
use buildbtw_tests::programs::run;
use buildbtw_tests::stage::Stage;

fn srcinfo(pkgbase: &str, version: &str, more: &str) -> String {
    format!("pkgbase = {pkgbase}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n{more}\npkgname = {pkgbase}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_namespaces_with_the_same_packages_do_not_see_each_other() {
    let mut stage = Stage::new();
    let library = stage.srcinfo_package("lib", &srcinfo("lib", "1", ""));
    stage.srcinfo_package("tool", &srcinfo("tool", "1", "\tdepends = lib\n"));
    library.git(&["branch", "other"]);
    library.edit(&[".SRCINFO"], "pkgver = 1", "pkgver = 2");
    library.git(&["checkout", "--quiet", "other"]);
    library.edit(&[".SRCINFO"], "pkgver = 1", "pkgver = 3");
    stage.start_server();
    stage.start_worker(&[("BUILDER", "fake"), ("WORKER_SLOTS", "4")]);
    for (name, reference) in [("two", "lib/main"), ("three", "lib/other")] {
        stage.bbtw_ok(&["new", "--name", name, "--base", "none", reference]);
    }
    for (name, version) in [("two", "2-1"), ("three", "3-1")] {
        stage.bbtw_ok(&["watch", name]);
        let builds = stage.builds(name, 1).await;
        assert_eq!(builds.len(), 2, "{builds:#?}");
        let tool = builds.iter().find(|build| build.pkgbase.as_ref() == "tool").expect("it is built");
        let details = stage.client().run(tool.run.as_ref().expect("it ran").id).await.expect("the run can be shown");
        let installed: BTreeSet<_> = details.installed.iter().map(|package| (package.pkgname.as_str(), package.version.as_str())).collect();
        assert_eq!(installed, BTreeSet::from([("lib", version)]), "{name}");
        let db = stage.path().join(format!("{name}.db"));
        let url = format!("{}/repo/{name}/1/os/x86_64/{name}.db", stage.address());
        let fetched = run_curl(&url, &db);
        assert_eq!(fetched, Some(0));
        let listed = run(std::process::Command::new("bsdtar").arg("-tf").arg(&db)).stdout;
        assert!(listed.contains(&format!("lib-{version}/")), "{name}: {listed}");
    }
}

fn run_curl(url: &str, to: &std::path::Path) -> Option<i32> {
    run(std::process::Command::new("curl").args(["--silent", "--fail", "--location", "--output"]).arg(to).arg(url)).code
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_package_that_would_come_in_silently_ends_the_build() {
    // The released library is a package `lib` of version 1. The changed one makes `lib2`, which
    // provides `lib` only in another version than `helper` asks for: pacman would take the released
    // `lib` by its name.
    let mut stage = Stage::new().with("BASE_REPOSITORIES", "namespace:base");
    let library = stage.demo_package("libgreet");
    let released = stage.demo_package("libshout").git(&["rev-parse", "HEAD"]);
    let (old, released) = (format!("libgreet/{}", library.git(&["rev-parse", "HEAD"])), format!("libshout/{released}"));
    stage.start_server();
    stage.start_worker(&[("BUILDER", "sandbox")]);
    stage.bbtw_ok(&[
        "new", "--name", "base", "--scope", "none", "--bootstrap", "--base", "none", &old, &released,
    ]);
    stage.bbtw_ok(&["watch", "base"]);
    // The new library is called otherwise and only provides the soname; libshout asks by name.
    let shout = buildbtw_tests::git::Repository { path: stage.path().join("sources/libshout") };
    shout.edit(&["PKGBUILD", ".SRCINFO"], "libgreet.so", "libgreet");
    for file in ["PKGBUILD", ".SRCINFO"] {
        let text = library.read(file).replace("pkgname=libgreet", "pkgname=libgreet2\npkgbase=libgreet").replace("pkgname = libgreet", "pkgname = libgreet2");
        library.write(file, &text);
    }
    library.commit("another name");
    stage.bbtw_ok(&["new", "--name", "renamed", "--scope", "none", "libgreet/main", "libshout/main"]);
    assert_eq!(stage.bbtw(&["watch", "renamed"]).code, Some(1), "{}", stage.logs());
    let builds = stage.builds("renamed", 1).await;
    let shout = builds.iter().find(|build| build.pkgbase.as_ref() == "libshout").expect("it is planned");
    assert!(shout.status.is_failure(), "{shout:#?}");
    if shout.status == BuildStatus::Failed
        && let Some(outcome) = shout.run.as_ref().and_then(|run| run.outcome.as_ref())
    {
        assert_eq!(outcome.class, OutcomeClass::Dependencies, "{outcome:#?}");
        assert!(outcome.message.contains("libgreet"), "{outcome:#?}");
    }
}
