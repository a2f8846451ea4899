//! What becomes of a repository when packages are published.

use std::path::Path;

use buildbtw_repo::{ReadLimits, read_db};
use buildbtw_server::artifacts::{Artifacts, PublishError, published_db};
use buildbtw_server::db::{Db, frames, generations};

use crate::http::{client, get};
use crate::world::{Made, Set, World, make, publish};

/// The packages that a generation's db lists: name and version.
async fn listed(world: &World, generation: u32) -> Vec<(String, String)> {
    let url = format!("{}/repo/kde/1/os/x86_64/g/{generation}/kde.db", world.url);
    let bytes = get(&url).await.bytes().await.unwrap();
    let mut entries: Vec<_> = read_db(&bytes, &ReadLimits::DB)
        .unwrap()
        .into_iter()
        .map(|entry| (entry.pkgname, entry.version))
        .collect();
    entries.sort();
    entries
}

fn names(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
        .collect()
}

async fn status(world: &World, path: &str) -> u16 {
    let url = format!("{}/repo/kde/1/os/x86_64/{path}", world.url);
    client(false)
        .get(url)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn each_generation_keeps_its_own_db_and_files() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let (old, other, new) = (
        make("a", "1-1", "old"),
        make("a-b", "1-1", "other"),
        make("a", "2-1", "new"),
    );
    assert_eq!(
        world
            .publish(set, &[old.clone(), other.clone()])
            .await
            .number,
        1
    );
    assert_eq!(
        world.publish(set, std::slice::from_ref(&new)).await.number,
        2
    );
    assert_eq!(listed(&world, 0).await, []);
    assert_eq!(
        listed(&world, 1).await,
        names(&[("a", "1-1"), ("a-b", "1-1")])
    );
    assert_eq!(
        listed(&world, 2).await,
        names(&[("a", "2-1"), ("a-b", "1-1")])
    );
    // A package that was replaced stays where an older db names it.
    for (path, expected) in [
        (old.file_name.clone(), 200),
        (new.file_name.clone(), 200),
        (format!("g/1/{}", old.file_name), 200),
        (format!("g/1/{}", new.file_name), 404),
        (format!("g/2/{}", old.file_name), 404),
        (format!("g/2/{}", new.file_name), 200),
        (format!("g/2/{}", other.file_name), 200),
        (format!("g/0/{}", old.file_name), 404),
        (format!("g/3/{}", new.file_name), 404),
        ("g/3/kde.db".to_owned(), 404),
    ] {
        assert_eq!(status(&world, &path).await, expected, "{path}");
    }
    let mut tx = world.db.read().await.unwrap();
    let newest = generations::packages(&mut tx, set.key).await.unwrap();
    let files: Vec<&str> = newest
        .iter()
        .map(|package| package.file_name.as_str())
        .collect();
    assert_eq!(files, [&new.file_name, &other.file_name]);
}

#[tokio::test]
async fn publishing_again_changes_nothing_and_what_left_may_come_back() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    let (old, new) = (make("a", "1-1", "old"), make("a", "2-1", "new"));
    let first = world.publish(set, std::slice::from_ref(&old)).await;
    let again = world.publish(set, std::slice::from_ref(&old)).await;
    assert!(first.new && !again.new);
    assert_eq!((again.number, again.published_at), (1, first.published_at));
    world.publish(set, std::slice::from_ref(&new)).await;
    let back = world.publish(set, std::slice::from_ref(&old)).await;
    assert_eq!((back.number, back.new), (3, true));
    assert_eq!(listed(&world, 3).await, names(&[("a", "1-1")]));
    assert_eq!(status(&world, &format!("g/3/{}", old.file_name)).await, 200);
    assert_eq!(status(&world, &format!("g/3/{}", new.file_name)).await, 404);
}

#[tokio::test]
async fn a_file_name_never_gets_other_bytes() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    world.publish(set, &[make("a", "1-1", "one")]).await;
    let other = world.receive(&make("a", "1-1", "two")).await;
    let fine = world.receive(&make("b", "1-1", "fine")).await;
    let refused = world.try_publish(set, &[fine.clone(), other.clone()]).await;
    let Err(PublishError::Refused(reason)) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("a-1-1-x86_64.pkg.tar.zst"), "{reason}");
    assert_eq!(listed(&world, 1).await, names(&[("a", "1-1")]));
    assert_eq!(status(&world, &fine.file_name).await, 404);
    // Another iteration is another repository.
    let next = world.iteration("kde").await;
    assert_eq!(world.try_publish(next, &[other]).await.unwrap().number, 1);
    // Two packages of one name at once.
    let two = [
        world.receive(&make("c", "1-1", "c")).await,
        world.receive(&make("c", "2-1", "c")).await,
    ];
    let refused = world.try_publish(next, &two).await;
    assert!(
        matches!(refused, Err(PublishError::Refused(_))),
        "{refused:?}"
    );
    // And one that was never noted.
    let mut stranger = fine;
    stranger.sha256 = buildbtw_repo::Sha256Digest::of(b"other bytes");
    assert!(world.try_publish(next, &[stranger]).await.is_err());
}

#[tokio::test]
async fn times_grow_strictly_within_a_name() {
    let world = World::start().await;
    let first = world.iteration("kde").await;
    let mut times = Vec::new();
    let opened = |set: Set| {
        let db = world.db.clone();
        async move {
            let mut tx = db.read().await.unwrap();
            let empty = generations::get(&mut tx, set.key, 0).await.unwrap();
            empty.unwrap().published_at
        }
    };
    times.push(opened(first).await);
    for number in 0..5 {
        let package = make("a", &format!("{number}-1"), "x");
        times.push(world.publish(first, &[package]).await.published_at);
    }
    let second = world.iteration("kde").await;
    times.push(opened(second).await);
    times.push(
        world
            .publish(second, &[make("a", "1-1", "x")])
            .await
            .published_at,
    );
    // A namespace that got the name of an archived one.
    world.archive("kde").await;
    let third = world.iteration("kde").await;
    times.push(opened(third).await);
    times.push(
        world
            .publish(third, &[make("a", "1-1", "x")])
            .await
            .published_at,
    );
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    // Others are not concerned.
    let other = world.iteration("gnome").await;
    let published = world.publish(other, &[make("a", "1-1", "x")]).await;
    assert!(published.published_at < *times.last().unwrap());
}

#[tokio::test]
async fn large_repositories_are_kept_in_frames_that_merge() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    // Lists of files of some 300 KiB: three or four to a frame.
    let large = |name: &str, version: &str| -> Made {
        let info = buildbtw_repo::PackageInfo {
            pkgname: name.to_owned(),
            version: version.to_owned(),
            arch: "any".to_owned(),
            builddate: 1,
            ..buildbtw_repo::PackageInfo::default()
        };
        let files: Vec<(String, &str, u32)> = (0..3000)
            .map(|number| {
                (
                    format!("usr/share/{name}/{}/{number}", "x".repeat(80)),
                    "",
                    0o644,
                )
            })
            .collect();
        Made {
            file_name: format!("{name}-{version}-any.pkg.tar.zst"),
            bytes: buildbtw_repo::write::package_bytes(&info, &files).unwrap(),
        }
    };
    let mut expected = std::collections::BTreeMap::new();
    // Every package is replaced sooner or later, in an order that empties frames.
    for step in 0..30 {
        let (name, version) = (format!("p{}", step * 7 % 10), format!("{step}-1"));
        let published = world.publish(set, &[large(&name, &version)]).await;
        expected.insert(name, version);
        let all: Vec<(String, String)> = expected.clone().into_iter().collect();
        assert_eq!(listed(&world, published.number).await, all, "step {step}");
    }
    let mut tx = world.db.read().await.unwrap();
    let newest = generations::get(&mut tx, set.key, 30).await.unwrap();
    let newest = newest.unwrap().frames.0;
    assert!(newest.len() >= 3);
    // What is needed for one more package is the last two frames, and the one that it leaves.
    let entrance = generations::entrance(&mut tx, set.key, &[], &["p0", "new"], 0);
    let touched = entrance.await.unwrap().0.touched;
    assert!(touched.frames.0.len() <= 3);
    assert!(touched.frames.0.contains_key(newest.keys().last().unwrap()));
    assert!(newest.contains_key(&touched.packages["p0"]));
    assert_eq!(touched.packages.len(), 1);
}

#[tokio::test]
async fn others_build_on_the_newest_iteration_that_published() {
    let world = World::start().await;
    let (name, architecture) = ("kde".parse().unwrap(), "x86_64".parse().unwrap());
    let published = || async {
        let mut tx = world.db.read().await.unwrap();
        published_db(&mut tx, &name, &architecture).await.unwrap()
    };
    assert!(published().await.is_none());
    let first = world.iteration("kde").await;
    assert!(published().await.is_none());
    world.publish(first, &[make("a", "1-1", "x")]).await;
    let second = world.iteration("kde").await;
    let found = published().await.unwrap();
    assert_eq!(found.packages_path, "/repo/kde/1/os/x86_64");
    assert_eq!(read_db(&found.db, &ReadLimits::DB).unwrap().len(), 1);
    // A part of the newer one is worth less than all of the older.
    world.complete(first).await;
    world.publish(second, &[make("a", "2-1", "x")]).await;
    let found = published().await.unwrap();
    assert_eq!(found.packages_path, "/repo/kde/1/os/x86_64");
    world.complete(second).await;
    world.publish(second, &[make("b", "1-1", "x")]).await;
    let found = published().await.unwrap();
    assert_eq!(found.packages_path, "/repo/kde/2/os/x86_64");
    let packages = read_db(&found.db, &ReadLimits::DB).unwrap();
    assert_eq!(packages.len(), 2);
}

/// Copies a data folder as it is: what a killed server would leave.
fn as_if_killed(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(from.join("."))
        .arg(to.path())
        .status()
        .unwrap();
    assert!(copied.success());
    // Memory that the processes share; it does not outlive them.
    let _ = std::fs::remove_file(to.path().join("buildbtw.db-shm"));
    to
}

/// The newest generation of a left-over data folder, all of whose packages must be there, whole.
async fn newest_whole(folder: &Path, set: Set) -> (u32, usize) {
    let db = Db::open(None, folder).await.unwrap();
    let artifacts = Artifacts::open(folder, 1 << 20).unwrap();
    let mut tx = db.read().await.unwrap();
    let number = generations::newest_number(&mut tx, set.key).await.unwrap();
    let packages = generations::packages(&mut tx, set.key).await.unwrap();
    let generation = generations::get(&mut tx, set.key, number)
        .await
        .unwrap()
        .unwrap();
    for frame in generation.frames.0.values() {
        for digest in [&frame.db_digest, &frame.files_digest] {
            let bytes = frames::bytes(&mut tx, digest).await.unwrap();
            assert_eq!(buildbtw_repo::Sha256Digest::of(&bytes), *digest);
        }
    }
    for package in &packages {
        let mut file = artifacts.open_package(&package.sha256).await.unwrap();
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut file, &mut bytes)
            .await
            .unwrap();
        assert_eq!(buildbtw_repo::Sha256Digest::of(&bytes), package.sha256);
    }
    // Every package is where it is said to be.
    for package in &packages {
        let name = package.info.pkgname.as_str();
        let names = [name];
        let entrance = generations::entrance(&mut tx, set.key, &[], &names, 0);
        let touched = entrance.await.unwrap().0.touched;
        assert!(generation.frames.0.contains_key(&touched.packages[name]));
    }
    drop(tx);
    db.close().await;
    (number, packages.len())
}

#[tokio::test]
async fn a_kill_between_any_steps_leaves_nothing_half() {
    let world = World::start().await;
    let set = world.iteration("kde").await;
    world.publish(set, &[make("a", "1-1", "x")]).await;
    let before = as_if_killed(world.folder.path());
    let package = world.receive(&make("b", "1-1", "x")).await;
    let received = as_if_killed(world.folder.path());
    let mut tx = world.db.write().await.unwrap();
    publish(&mut tx, set, &[package]).await.unwrap();
    let not_committed = as_if_killed(world.folder.path());
    tx.commit().await.unwrap();
    let committed = as_if_killed(world.folder.path());
    for (folder, expected) in [
        (before, (1, 1)),
        (received, (1, 1)),
        (not_committed, (1, 1)),
        (committed, (2, 2)),
    ] {
        assert_eq!(newest_whole(folder.path(), set).await, expected);
    }
}
