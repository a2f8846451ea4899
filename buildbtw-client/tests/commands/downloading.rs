//! `bbtw download`

use std::fs;
use std::path::{Path, PathBuf};

use buildbtw_api::BuildStatus;

use crate::fixtures::{built, failed, sha256};
use crate::program::{Running, bbtw, regex_of, run_in, snapshot};
use crate::server::Server;
use crate::world::World;

/// The files below a folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below)).expect("it can be read") {
            let entry = entry.expect("it can be read");
            let path = below.join(entry.file_name());
            if entry.file_type().expect("it has one").is_dir() {
                folders.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

fn fetched(server: &Server) -> usize {
    server.read(|world| {
        world
            .asked
            .iter()
            .filter(|asked| asked.starts_with("GET /repo/"))
            .count()
    })
}

const ALL: [&str; 4] = [
    "libgreet/1/greet-cli-1.0.0-2-x86_64.pkg.tar.zst",
    "libgreet/1/greet-suite-1.0.0-2-x86_64.pkg.tar.zst",
    "libgreet/1/libgreet-1.0.0-2-x86_64.pkg.tar.zst",
    "libgreet/1/libshout-1.0.0-2-x86_64.pkg.tar.zst",
];

#[tokio::test]
async fn packages_are_fetched_once() {
    let server = Server::start(built()).await;
    let folder = tempfile::tempdir().unwrap();
    let first = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    snapshot!(server, first.shown());
    assert_eq!(
        files(folder.path()),
        ALL,
        "debug packages are not in the repository"
    );
    for file in ALL {
        let name = file.rsplit_once('/').unwrap().1;
        let path = format!("/repo/libgreet/1/os/x86_64/{name}");
        assert_eq!(
            fs::read(folder.path().join(file)).unwrap(),
            server.read(|world| world.files[&path].clone())
        );
    }
    assert_eq!(fetched(&server), 4);

    // One is lost, one is damaged: only those are fetched again.
    fs::remove_file(folder.path().join(ALL[0])).unwrap();
    let length = fs::metadata(folder.path().join(ALL[1])).unwrap().len();
    fs::write(
        folder.path().join(ALL[1]),
        vec![b'x'; usize::try_from(length).unwrap()],
    )
    .unwrap();
    let again = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    assert!(
        again.stdout.contains("2 fetched") && again.stdout.contains("2 there already"),
        "{}",
        again.stdout
    );
    assert_eq!(fetched(&server), 6);
}

/// A build whose packages are those of an earlier run has no run of its own.
#[tokio::test]
async fn reused_packages_are_fetched() {
    let mut world = built();
    world.set("libgreet", 1, "libshout", BuildStatus::Reused, None);
    let builds = world.builds.get_mut(&("libgreet".to_owned(), 1)).unwrap();
    builds[2].build.run = None;
    builds[2].runs.clear();
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(files(folder.path()), ALL);
}

#[tokio::test]
async fn packages_are_fetched_as_json() {
    let server = Server::start(built()).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(
        &server,
        folder.path(),
        &["download", "libgreet", "--json", "libshout"],
    )
    .await;
    snapshot!(server, done.shown());
}

#[tokio::test]
async fn a_broken_connection_is_tried_again_and_leaves_nothing() {
    let mut world = built();
    world.cut_files = vec![1000, 0, 50_000];
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(files(folder.path()), ALL);
    assert_eq!(fetched(&server), 7);
    let content = |file: &str| fs::read(folder.path().join(file)).unwrap();
    for file in ALL {
        let path = file.replace("libgreet/1/", "/repo/libgreet/1/os/x86_64/");
        assert_eq!(
            content(file),
            server.read(|world| world.files[&path].clone())
        );
    }
}

#[tokio::test]
async fn a_download_goes_on_with_the_part_that_ctrl_c_left() {
    let mut world = built();
    world.stall_files = true;
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = bbtw(&server.address(), &["download", "libgreet"]);
    command.current_dir(folder.path());
    let download = Running::start_with(command);
    server
        .until(|world| {
            world
                .asked
                .iter()
                .any(|asked| asked.starts_with("GET /repo/"))
        })
        .await;
    download.interrupt();
    let done = download.finish().await;
    assert_eq!(done.code, Some(130), "{done:?}");
    let part = |file: &String| file.ends_with(".part");
    assert!(
        files(folder.path()).iter().all(part),
        "{:?}",
        files(folder.path())
    );
    // Of each the first half is there, and is not asked for again.
    for file in ALL {
        let path = file.replace("libgreet/1/", "/repo/libgreet/1/os/x86_64/");
        let (content, digest) = server.read(|world| {
            let content = world.files[&path].clone();
            (content.clone(), sha256(&content))
        });
        let hidden = file.replace("libgreet/1/", "libgreet/1/.");
        let hidden = format!("{hidden}.{}.part", &digest[..12]);
        fs::write(folder.path().join(hidden), &content[..content.len() / 2]).unwrap();
    }
    server.change(|world| {
        world.stall_files = false;
        world.asked_from.clear();
    });
    let again = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(files(folder.path()), ALL);
    let mut asked_from = server.read(|world| world.asked_from.clone());
    let mut halves: Vec<usize> = ALL
        .iter()
        .map(|file| fs::metadata(folder.path().join(file)).unwrap().len() as usize / 2)
        .collect();
    asked_from.sort_unstable();
    halves.sort_unstable();
    assert_eq!(asked_from, halves);
}

#[tokio::test]
async fn a_changed_package_is_thrown_away() {
    for change in [
        |content: &mut Vec<u8>| content[0] ^= 1,
        |content: &mut Vec<u8>| content.push(0),
        |content: &mut Vec<u8>| content.truncate(5),
    ] {
        let mut world = built();
        let path = "/repo/libgreet/1/os/x86_64/libshout-1.0.0-2-x86_64.pkg.tar.zst";
        change(world.files.get_mut(path).unwrap());
        let server = Server::start(world).await;
        let folder = tempfile::tempdir().unwrap();
        let done = run_in(
            &server,
            folder.path(),
            &["download", "libgreet", "libshout", "--dir", "here"],
        )
        .await;
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(
            done.stderr.contains("it was thrown away"),
            "{}",
            done.stderr
        );
        assert_eq!(files(folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn names_that_leave_the_folder_are_refused() {
    let mut world = built();
    let builds = world.builds.get_mut(&("libgreet".to_owned(), 1)).unwrap();
    builds[2].packages[0].file_name = "../libshout-1.0.0-2-x86_64.pkg.tar.zst".to_owned();
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(
        &server,
        folder.path(),
        &["download", "libgreet", "libshout"],
    )
    .await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_built_yet_is_named() {
    let mut world = built();
    world.set("libgreet", 1, "greet-suite", BuildStatus::Building, None);
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    assert_eq!(done.code, Some(0));
    assert!(
        done.stdout
            .contains("Without packages so far: greet-suite."),
        "{}",
        done.stdout
    );
    let named = run_in(
        &server,
        folder.path(),
        &["download", "libgreet", "greet-suite"],
    )
    .await;
    assert_eq!(named.code, Some(1));
    assert!(
        named
            .stderr
            .contains("greet-suite has no packages: it is building"),
        "{}",
        named.stderr
    );
    let unknown = run_in(
        &server,
        folder.path(),
        &["download", "libgreet", "nonesuch"],
    )
    .await;
    assert!(
        unknown.stderr.contains("does not build nonesuch"),
        "{}",
        unknown.stderr
    );
    let strange = run_in(
        &server,
        folder.path(),
        &["download", "libgreet", "--arch", "riscv64"],
    )
    .await;
    assert_eq!(strange.code, Some(2));
    assert!(
        strange.stderr.contains("hint: it builds for x86_64"),
        "{}",
        strange.stderr
    );
}

#[tokio::test]
async fn several_architectures_have_a_folder_each() {
    let mut world = built();
    let key = ("libgreet".to_owned(), 1);
    let other: buildbtw_graph::Architecture = "aarch64".parse().unwrap();
    let details = world.namespaces.get_mut("libgreet").unwrap();
    let sets = &mut details.iterations[0].build_sets;
    let mut set = sets.values().next().unwrap().clone();
    set.repository = "/repo/libgreet/1/os/aarch64".to_owned();
    sets.insert(other.clone(), set);
    // It stands for the build of the first architecture, which serves both.
    let mut reference = world.builds[&key][0].clone();
    reference.build.architecture = other;
    reference.build.run = None;
    reference.packages.clear();
    world.builds.get_mut(&key).unwrap().push(reference);
    let file = "libgreet-1.0.0-2-x86_64.pkg.tar.zst";
    let content = world.files[&format!("/repo/libgreet/1/os/x86_64/{file}")].clone();
    world
        .files
        .insert(format!("/repo/libgreet/1/os/aarch64/{file}"), content);
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(
        &server,
        folder.path(),
        &["download", "libgreet", "libgreet"],
    )
    .await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let both = ["aarch64", "x86_64"].map(|arch| format!("libgreet/1/{arch}/{file}"));
    assert_eq!(files(folder.path()), both);
}

#[tokio::test]
async fn nothing_to_fetch_is_a_failure() {
    let mut world: World = failed();
    for pkgbase in ["libgreet", "libshout"] {
        world.set("libgreet", 1, pkgbase, BuildStatus::Failed, None);
    }
    let server = Server::start(world).await;
    let folder = tempfile::tempdir().unwrap();
    let done = run_in(&server, folder.path(), &["download", "libgreet"]).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr
            .contains("iteration 1 of libgreet has no packages\nhint: `bbtw show"),
        "{}",
        done.stderr
    );
    assert_eq!(files(folder.path()), Vec::<String>::new());
}
