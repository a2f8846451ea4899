//! A second iteration builds what changed, and nothing else.

use std::collections::BTreeMap;

use buildbtw_api::builds::Build;
use buildbtw_api::events::{Event, EventKind};
use buildbtw_api::{BuildStatus, NamespaceStatus};
use buildbtw_tests::stage::Stage;

/// Waits until an iteration is there and its namespace is finished after that.
async fn finished(stage: &Stage, iteration: u32) -> Vec<Event> {
    let mut begun = false;
    stage
        .events_until(|event| {
            begun |=
                event.kind == EventKind::IterationCreated && event.iteration == Some(iteration);
            begun
                && event.kind == EventKind::NamespaceStatus
                && event.to.as_deref() == Some(NamespaceStatus::Finished.as_str())
        })
        .await
}

fn of_status(builds: &[Build]) -> BTreeMap<BuildStatus, Vec<&str>> {
    let mut names: BTreeMap<BuildStatus, Vec<&str>> = BTreeMap::new();
    for build in builds {
        let known = names.entry(build.status).or_default();
        known.push(build.pkgbase.as_str());
    }
    names
}

fn srcinfo(name: &str, needs: &[String]) -> String {
    let needs: String = needs
        .iter()
        .map(|need| format!("\tdepends = {need}\n"))
        .collect();
    format!(
        "pkgbase = {name}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n{needs}\npkgname = {name}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_leaf_of_three_hundred_builds_is_built_and_nothing_else() {
    let mut stage = Stage::new();
    stage.srcinfo_package("root", &srcinfo("root", &[]));
    for number in 1..299 {
        // A tree: every package needs one of the earlier ones.
        let need = match number / 3 {
            0 => "root".to_owned(),
            above => format!("p{above:03}"),
        };
        let name = format!("p{number:03}");
        stage.srcinfo_package(&name, &srcinfo(&name, &[need]));
    }
    let leaf = stage.srcinfo_package("leaf", &srcinfo("leaf", &["p099".to_owned()]));
    stage.start_server();
    for _ in 0..2 {
        stage.start_worker(&[("BUILDER", "fake"), ("WORKER_SLOTS", "8")]);
    }
    stage.bbtw_ok(&[
        "new",
        "--yes",
        "--name",
        "many",
        "--base",
        "none",
        "root/main",
        "leaf/main",
    ]);
    stage.bbtw_ok(&["watch", "many"]);
    let first = stage.builds("many", 1).await;
    let names = of_status(&first);
    assert_eq!(names.keys().collect::<Vec<_>>(), [&BuildStatus::Built]);
    assert_eq!(first.len(), 300);

    leaf.edit(&[".SRCINFO"], "pkgver = 1", "pkgver = 2");
    let events = finished(&stage, 2).await;
    let second = stage.builds("many", 2).await;
    let names = of_status(&second);
    assert_eq!(names[&BuildStatus::Built], ["leaf"]);
    assert_eq!(names[&BuildStatus::Reused].len(), 299, "{names:?}");
    let of_second = |event: &&Event| event.iteration == Some(2);
    let runs = events
        .iter()
        .filter(of_second)
        .filter(|event| event.kind == EventKind::RunClaimed)
        .count();
    assert_eq!(runs, 1);
    let begin = events.iter().find(of_second).expect("it was made").at;
    let end = events.last().expect("it was finished").at;
    println!(
        "300 builds: one built, 299 reused, {} ms after the iteration was made",
        end.duration_since(begin).as_millis()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_comes_out_the_same_stops_the_chain() {
    let mut stage = Stage::new().with("BASE_REPOSITORIES", "namespace:base");
    let pkgbases = Stage::demo_pkgbases();
    let pkgbases: Vec<&str> = pkgbases.iter().map(String::as_str).collect();
    stage.start_with_base(&pkgbases);
    let library = stage.demo_repository("libgreet");
    library.edit(&["PKGBUILD", ".SRCINFO"], "1.0.0", "1.1.0");
    stage.bbtw_ok(&["new", "libgreet/main"]);
    stage.bbtw_ok(&["watch", "libgreet"]);

    // Another tree, and the same packages.
    let recipe = library.read("PKGBUILD");
    library.write("PKGBUILD", &format!("{recipe}\n# Says nothing.\n"));
    library.commit("Add a comment");
    finished(&stage, 2).await;
    let builds = stage.builds("libgreet", 2).await;
    let names = of_status(&builds);
    assert_eq!(names[&BuildStatus::Built], ["libgreet"], "{names:?}");
    assert_eq!(
        names[&BuildStatus::Reused].len(),
        builds.len() - 1,
        "{names:?}"
    );
    assert!(builds.len() >= 4, "dependents are missing: {names:?}");
}
