//! Which repositories there are, what their default branches say, and what a restart reads.

use std::time::Duration;

use buildbtw_api::sources::SourceQuery;
use buildbtw_server::db::Db;
use buildbtw_server::sources::{READING, SourceError, Sources};
use tokio_util::sync::CancellationToken;

use crate::world::*;

#[tokio::test]
async fn every_layout_is_read_and_nothing_else() {
    let world = World::new();
    world.repository("worktree");
    let elsewhere = make(&world.folder.path().join("elsewhere/origin"), "bare");
    git(
        &elsewhere,
        &[
            "clone",
            "--quiet",
            "--bare",
            ".",
            world.path("bare.git").to_str().unwrap(),
        ],
    );
    commit(&elsewhere, "plain", "7");
    git(
        &elsewhere,
        &[
            "clone",
            "--quiet",
            "--bare",
            ".",
            world.path("plain").to_str().unwrap(),
        ],
    );
    let linked = make(&world.folder.path().join("elsewhere/linked"), "linked");
    std::os::unix::fs::symlink(&linked, world.path("linked")).unwrap();
    std::fs::create_dir(world.path("empty")).unwrap();
    std::fs::write(world.path("README"), "").unwrap();
    let open = world.open().await;
    let names: Vec<String> = open
        .sources
        .index()
        .iter()
        .map(|package| package.pkgbase.to_string())
        .collect();
    assert_eq!(names, ["bare", "linked", "plain", "worktree"]);
    assert_eq!(open.version("plain").as_deref(), Some("7-1"));
    assert_eq!(open.sources.counts(), (4, 0));
}

#[tokio::test]
async fn only_what_is_committed_counts() {
    let world = World::new();
    let path = world.repository("foo");
    std::fs::write(path.join(".SRCINFO"), srcinfo("foo", "99")).unwrap();
    git(&path, &["add", "--all"]);
    let open = world.open().await;
    assert_eq!(open.version("foo").as_deref(), Some("1-1"));
}

#[tokio::test]
async fn the_default_branch_is_the_configured_one_else_main_else_head() {
    let mut world = World::new();
    for pkgbase in ["has-all", "has-main", "has-head", "detached"] {
        let path = world.repository(pkgbase);
        git(&path, &["checkout", "--quiet", "-b", "other"]);
        commit(&path, pkgbase, "2");
    }
    let all = world.path("has-all");
    git(&all, &["checkout", "--quiet", "-b", "release/1"]);
    commit(&all, "has-all", "3");
    git(
        &world.path("has-head"),
        &["branch", "--quiet", "-D", "main"],
    );
    let detached = world.path("detached");
    git(&detached, &["checkout", "--quiet", "--detach"]);
    git(&detached, &["branch", "--quiet", "-D", "main", "other"]);
    let expect = |open: &Open, expected: [(&str, &str, Option<&str>); 4]| {
        for (pkgbase, version, branch) in expected {
            let heads = open.sources.heads();
            let repository = heads.repository(&name(pkgbase)).unwrap();
            assert_eq!(repository.default_branch.as_deref(), branch, "{pkgbase}");
            assert_eq!(open.version(pkgbase).as_deref(), Some(version), "{pkgbase}");
        }
    };
    let open = world.open().await;
    expect(
        &open,
        [
            ("has-all", "1-1", Some("main")),
            ("has-main", "1-1", Some("main")),
            ("has-head", "2-1", Some("other")),
            ("detached", "2-1", None),
        ],
    );
    open.db.close().await;
    drop(open);
    // Another setting is another reading, though no reference has moved.
    world.config.default_branch = Some("release/1".to_owned());
    let open = world.open().await;
    expect(
        &open,
        [
            ("has-all", "3-1", Some("release/1")),
            ("has-main", "1-1", Some("main")),
            ("has-head", "2-1", Some("other")),
            ("detached", "2-1", None),
        ],
    );
}

#[tokio::test]
async fn a_repository_with_a_problem_is_shown_and_harms_no_other() {
    let world = World::new();
    world.repository("good");
    let path = world.path("unborn");
    std::fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "--initial-branch=main"]);
    let path = world.repository("missing");
    std::fs::remove_file(path.join(".SRCINFO")).unwrap();
    git(&path, &["commit", "--quiet", "--all", "--message", "x"]);
    commit_srcinfo(&world.repository("rubbish"), b"\x00\xff = = rubbish");
    commit_srcinfo(
        &world.repository("renamed"),
        srcinfo("another", "1").as_bytes(),
    );
    let path = world.repository("torn");
    std::fs::remove_dir_all(path.join(".git/objects")).unwrap();
    std::fs::create_dir(path.join(".git/objects")).unwrap();
    let warned = format!("{}\tbackup = /etc/absolute\n", srcinfo("warned", "1"));
    commit_srcinfo(&world.repository("warned"), warned.as_bytes());

    let open = world.open().await;
    assert_eq!(open.version("good").as_deref(), Some("1-1"));
    assert_eq!(open.version("warned").as_deref(), Some("1-1"));
    for (pkgbase, expected) in [
        ("unborn", "no commit"),
        ("missing", "has no .SRCINFO at commit"),
        ("rubbish", "not valid"),
        (
            "renamed",
            "says `another`, but the repository is called `renamed`",
        ),
        ("torn", "cannot read the git repository of torn"),
    ] {
        let problem = open.problem(pkgbase).unwrap();
        assert!(problem.contains(expected), "{pkgbase}: {problem}");
        assert_eq!(open.version(pkgbase), None, "{pkgbase}");
        assert_eq!(open.sources.head(&name(pkgbase)), None, "{pkgbase}");
    }
    assert_eq!(open.sources.counts(), (7, 5));
    let listed = open.sources.list(&SourceQuery {
        problems: true,
        ..SourceQuery::default()
    });
    let names: Vec<&str> = listed
        .items
        .iter()
        .map(|item| item.pkgbase.as_str())
        .collect();
    assert_eq!(
        names,
        ["missing", "renamed", "rubbish", "torn", "unborn", "warned"]
    );
    assert!(
        listed.items[5].warnings[0].contains("backup"),
        "{:?}",
        listed.items[5]
    );
}

#[tokio::test]
async fn text_that_is_not_utf8_is_no_obstacle() {
    let world = World::new();
    let path = world.repository("foo");
    let text = srcinfo("foo", "2").replace("\tpkgver", "\tpkgdesc = caf@\n\tpkgver");
    let bytes: Vec<u8> = text
        .bytes()
        .map(|byte| if byte == b'@' { 0xe9 } else { byte })
        .collect();
    commit_srcinfo(&path, &bytes);
    let open = world.open().await;
    assert_eq!(
        open.version("foo").as_deref(),
        Some("2-1"),
        "{:?}",
        open.problem("foo")
    );
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let world = World::new();
    for pkgbase in ["a", "b", "c", "d", "e"] {
        world.repository(pkgbase);
    }
    let open = world.open().await;
    let mut query = SourceQuery {
        limit: Some(2),
        ..SourceQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = open.sources.list(&query);
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|item| item.pkgbase.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let mut world = World::new();
    world.config.sources_dir = world.folder.path().join("nowhere");
    let db = Db::open(None, &world.config.data_dir).await.unwrap();
    let error = Sources::open(&world.config, db, CancellationToken::new())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("nowhere") && error.contains("SOURCES_DIR"),
        "{error}"
    );
}

#[tokio::test]
async fn a_restart_reads_no_objects_unless_something_changed() {
    let world = World::new();
    for pkgbase in ["same", "moved", "gone", "broken"] {
        world.repository(pkgbase);
    }
    commit_srcinfo(&world.path("broken"), b"rubbish");
    let open = world.open().await;
    let before = open.sources.heads();
    open.db.close().await;
    drop(open);

    commit(&world.path("moved"), "moved", "2");
    std::fs::remove_dir_all(world.path("gone")).unwrap();
    world.repository("new");
    // Without its objects it could not be read again.
    for pkgbase in ["same", "broken"] {
        std::fs::rename(
            world.path(pkgbase).join(".git/objects"),
            world.folder.path().join(pkgbase),
        )
        .unwrap();
        std::fs::create_dir(world.path(pkgbase).join(".git/objects")).unwrap();
    }
    let open = world.open().await;
    assert_eq!(open.version("same").as_deref(), Some("1-1"));
    assert_eq!(
        open.sources.head(&name("same")),
        before.head(&name("same")).cloned()
    );
    assert!(
        open.problem("broken").unwrap().contains("not valid"),
        "{:?}",
        open.problem("broken")
    );
    assert_eq!(open.version("moved").as_deref(), Some("2-1"));
    assert_eq!(open.version("new").as_deref(), Some("1-1"));
    assert!(open.sources.heads().repository(&name("gone")).is_none());
}

/// What is planned with half of the repositories lacks dependents, and nobody sees it.
#[tokio::test]
async fn nothing_is_planned_before_all_repositories_are_known() {
    let world = World::new();
    world.repository("foo");
    let db = Db::open(None, &world.config.data_dir).await.unwrap();
    let shutdown = CancellationToken::new();
    let sources = Sources::open(&world.config, db, shutdown.clone())
        .await
        .unwrap();
    let early = sources.until_whole(Duration::ZERO).await;
    assert!(
        matches!(early, Err(SourceError::StillReading { known: 0 })),
        "{early:?}"
    );
    sources.keep_up(usize::MAX);
    sources.until_whole(READING).await.unwrap();
    assert_eq!(sources.counts(), (1, 0));
    shutdown.cancel();
}
