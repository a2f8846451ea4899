//! Changes are noticed, with watches and without.

use std::time::Duration;

use buildbtw_server::config::Config;
use buildbtw_server::sources::SourceError;

use crate::world::*;

#[tokio::test]
async fn a_commit_is_noticed_within_a_second() {
    let world = World::new();
    let path = world.repository("foo");
    let mut open = world.open().await;
    for number in 2..6 {
        let before = open.sources.heads();
        let id = commit(&path, "foo", &number.to_string());
        let wanted = format!("{number}-1");
        let took = open
            .until("the new version", |now| {
                version(now, "foo").as_deref() == Some(&wanted)
            })
            .await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(open.sources.head(&name("foo")).unwrap().commit, id);
        // What somebody holds does not change under his hands.
        assert_ne!(before.head(&name("foo")).unwrap().commit, id);
    }
}

#[tokio::test]
async fn any_branch_that_moves_is_told() {
    let world = World::new();
    let path = world.repository("foo");
    world.repository("bar");
    let mut open = world.open().await;
    let before = fingerprint(&open.sources, "bar");
    // Once with the folder made on the way, once with it there.
    for round in 0..2 {
        git(
            &path,
            &["checkout", "--quiet", "-B", &format!("topic/deep/{round}")],
        );
        let id = commit(&path, "foo", "5");
        // What somebody sees who comes now is what must become known.
        let fresh = World {
            config: Config {
                data_dir: world.path("../elsewhere"),
                ..world.config.clone()
            },
            ..World::new()
        };
        let now = fresh.open().await;
        let expected = fingerprint(&now.sources, "foo");
        now.db.close().await;
        open.until("the branch", |seen| fingerprint(seen, "foo") == expected)
            .await;
        assert_eq!(
            open.resolve(&format!("foo/topic/deep/{round}"))
                .await
                .unwrap(),
            id
        );
        assert_eq!(open.version("foo").as_deref(), Some("1-1"));
    }
    assert_eq!(fingerprint(&open.sources, "bar"), before);
}

#[tokio::test]
async fn packing_and_pushing_are_followed() {
    let world = World::new();
    let origin = make(&world.folder.path().join("elsewhere/foo"), "foo");
    git(
        &origin,
        &[
            "clone",
            "--quiet",
            "--bare",
            ".",
            world.path("foo.git").to_str().unwrap(),
        ],
    );
    let mut open = world.open().await;
    commit(&origin, "foo", "2");
    git(
        &origin,
        &[
            "push",
            "--quiet",
            world.path("foo.git").to_str().unwrap(),
            "main",
        ],
    );
    open.until("the push", |now| {
        version(now, "foo").as_deref() == Some("2-1")
    })
    .await;
    git(&world.path("foo.git"), &["gc", "--quiet"]);
    commit(&origin, "foo", "3");
    git(
        &origin,
        &[
            "push",
            "--quiet",
            world.path("foo.git").to_str().unwrap(),
            "main",
        ],
    );
    open.until("the push after packing", |now| {
        version(now, "foo").as_deref() == Some("3-1")
    })
    .await;
}

#[tokio::test]
async fn repositories_come_go_and_are_replaced() {
    let world = World::new();
    world.repository("stays");
    let mut open = world.open().await;
    let path = world.repository("foo");
    open.until("a new repository", |now| version(now, "foo").is_some())
        .await;
    commit(&path, "foo", "2");
    open.until("its second commit", |now| {
        version(now, "foo").as_deref() == Some("2-1")
    })
    .await;

    std::fs::remove_dir_all(&path).unwrap();
    open.until("its end", |now| {
        now.heads().repository(&name("foo")).is_none()
    })
    .await;
    assert!(matches!(
        open.resolve("foo/main").await,
        Err(SourceError::UnknownPackage { .. })
    ));

    let other = make(&world.folder.path().join("elsewhere/foo"), "foo");
    commit(&other, "foo", "3");
    std::fs::rename(&other, &path).unwrap();
    open.until("one moved in", |now| {
        version(now, "foo").as_deref() == Some("3-1")
    })
    .await;
    commit(&path, "foo", "4");
    open.until("a commit in that one", |now| {
        version(now, "foo").as_deref() == Some("4-1")
    })
    .await;
    assert_eq!(open.version("stays").as_deref(), Some("1-1"));
}

#[tokio::test]
async fn a_problem_goes_when_it_is_mended() {
    let world = World::new();
    let path = world.repository("foo");
    let mut open = world.open().await;
    commit_srcinfo(&path, b"rubbish");
    open.until("the problem", |now| now.counts() == (1, 1))
        .await;
    assert_eq!(open.version("foo"), None);
    commit(&path, "foo", "2");
    open.until("the end of it", |now| now.counts() == (1, 0))
        .await;
    assert_eq!(open.version("foo").as_deref(), Some("2-1"));
}

#[tokio::test]
async fn without_watches_everything_is_still_noticed() {
    let world = World::new();
    // Two watches are enough for one repository; the other ones get none.
    for pkgbase in ["a", "b", "c"] {
        world.repository(pkgbase);
    }
    let mut open = world.open_with_watches(2).await;
    for pkgbase in ["c", "b", "a"] {
        commit(&world.path(pkgbase), pkgbase, "2");
        open.until(pkgbase, |now| {
            version(now, pkgbase).as_deref() == Some("2-1")
        })
        .await;
    }
    world.repository("d");
    open.until("a new one", |now| version(now, "d").is_some())
        .await;
    commit(&world.path("d"), "d", "2");
    open.until("a commit in the new one", |now| {
        version(now, "d").as_deref() == Some("2-1")
    })
    .await;
    std::fs::remove_dir_all(world.path("c")).unwrap();
    open.until("the end of one", |now| {
        now.heads().repository(&name("c")).is_none()
    })
    .await;
}
