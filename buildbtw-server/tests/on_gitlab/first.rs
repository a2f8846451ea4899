//! The first reading: whole, page by page, resumed, and not repeated.

use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_server::config::Config;
use buildbtw_server::db::Db;
use buildbtw_server::sources::Sources;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::world::*;

fn operations(world: &World) -> Vec<String> {
    let asked = world.asked().into_iter();
    asked.filter_map(|request| request.operation).collect()
}

#[tokio::test]
async fn every_project_is_read_and_no_repository_is_cloned() {
    let world = World::new().await;
    for name in ["gtk4", "libsigc++", "a"] {
        world.project(name);
    }
    let open = world.open().await;
    assert_eq!(open.names(), ["a", "gtk4", "libsigc++"]);
    assert_eq!(open.version("libsigc++").as_deref(), Some("1-1"));
    assert_eq!(open.sources.counts(), (3, 0));
    let state = open.sources.gitlab().unwrap().state();
    assert!(state.complete && state.away_since.is_none(), "{state:?}");
    assert_eq!((state.read, state.total), (3, Some(3)));
    // Who asks, when something happened last, the page, and a first look for what changed.
    assert_eq!(
        operations(&world),
        ["WhoAmI", "ProjectsPage", "ProjectsPage", "ProjectsPage"]
    );
}

#[tokio::test]
async fn projects_of_every_kind() {
    let world = World::new().await;
    world.project("good");
    world.fake.project(GROUP, "empty", "empty").unwrap();
    let missing = world.fake.project(GROUP, "missing", "missing").unwrap();
    let file = NewFile::Text("x".to_owned());
    world
        .fake
        .push(missing, "main", "x", &[("PKGBUILD", file)])
        .unwrap();
    let binary = world.fake.project(GROUP, "binary", "binary").unwrap();
    let file = NewFile::Bytes(vec![0, 1]);
    world
        .fake
        .push(binary, "main", "x", &[(".SRCINFO", file)])
        .unwrap();
    let renamed = world.fake.project(GROUP, "renamed", "renamed").unwrap();
    world.push(renamed, "another", "1");
    let rubbish = world.fake.project(GROUP, "rubbish", "rubbish").unwrap();
    let file = NewFile::Text("= = rubbish".to_owned());
    world
        .fake
        .push(rubbish, "main", "x", &[(".SRCINFO", file)])
        .unwrap();
    let archived = world.project("archived");
    world
        .fake
        .change_project(archived, |project| project.archived = true)
        .unwrap();
    let doomed = world.project("doomed");
    world
        .fake
        .change_project(doomed, |project| project.marked_for_deletion = true)
        .unwrap();
    world
        .fake
        .project(GROUP, "not a name", "not-a-name")
        .unwrap();
    let open = world.open().await;
    assert_eq!(
        open.names(),
        ["binary", "empty", "good", "missing", "renamed", "rubbish"]
    );
    for (pkgbase, expected) in [
        ("empty", "no commit on its default branch"),
        ("missing", "has no .SRCINFO at commit"),
        ("binary", "not a text"),
        (
            "renamed",
            "says `another`, but the repository is called `renamed`",
        ),
        ("rubbish", "not valid"),
    ] {
        let problem = open.problem(pkgbase).unwrap();
        assert!(problem.contains(expected), "{pkgbase}: {problem}");
        assert_eq!(open.version(pkgbase), None);
    }
    assert_eq!(open.version("good").as_deref(), Some("1-1"));
    // Nothing of this changes when it is looked at again.
    world.asked();
    open.sweep().await;
    assert_eq!(operations(&world), ["ProjectsPage"]);
}

#[tokio::test]
async fn the_branch_of_the_settings_counts() {
    let mut world = World::new().await;
    let id = world.project("gtk4");
    world.push_to(id, "release", "gtk4", "9");
    world.project("other");
    world.config.default_branch = Some("release".to_owned());
    let open = world.open().await;
    assert_eq!(open.version("gtk4").as_deref(), Some("9-1"));
    assert!(open.problem("other").unwrap().contains("no such branch"));
}

#[tokio::test]
async fn a_reading_that_is_killed_goes_on_where_it_was() {
    let world = World::new().await;
    for number in 0..250 {
        world.project(&format!("p{number}"));
    }
    // Who asks, what happened last and two pages pass; then nothing does.
    let page = || Call::Operation("ProjectsPage");
    world
        .fake
        .faults()
        .later(3, usize::MAX, page(), Fault::Reset);
    let open = world.open_only().await;
    open.sources.keep_up(0);
    world.fake.faults().until(5).await;
    assert_eq!(open.sources.counts().0, 200);
    open.kill().await;

    world.fake.faults().mend();
    world.asked();
    let open = world.open_only().await;
    assert_eq!(open.sources.counts().0, 200, "what was read is kept");
    open.read().await;
    assert_eq!(open.sources.counts(), (250, 0));
    let asked = world.asked();
    let pages: Vec<_> = asked
        .iter()
        .filter(|request| request.variables["texts"] == true)
        .collect();
    assert_eq!(pages.len(), 1, "{asked:?}");
    assert!(pages[0].variables["after"].is_string());
}

#[tokio::test]
async fn an_unchanged_restart_asks_only_for_changes() {
    let world = World::new().await;
    for number in 0..120 {
        world.project(&format!("p{number}"));
    }
    world.open().await.kill().await;
    world.fake.clock().advance(SignedDuration::from_hours(3));
    let changed = world.fake.state().projects.keys().next().copied().unwrap();
    world.push(changed, "p0", "2");
    world.asked();
    let open = world.open().await;
    assert_eq!(open.sources.counts(), (120, 0));
    assert_eq!(open.version("p0").as_deref(), Some("2-1"));
    let asked = world.asked();
    assert!(
        asked
            .iter()
            .all(|request| request.variables["texts"] != true)
    );
    let names: Vec<_> = asked
        .iter()
        .map(|request| request.operation.as_deref().unwrap())
        .collect();
    // The order by activity has all 120 within its reach here, since they were all made at once.
    assert_eq!(names, ["ProjectsPage", "ProjectsById", "ProjectsPage"]);
    assert_eq!(asked[1].variables["ids"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_restart_without_gitlab_plans_with_what_it_knows() {
    let world = World::new().await;
    world.project("gtk4");
    world.open().await.kill().await;
    world.fake.faults().always(Call::Any, Fault::Reset);
    let open = world.open().await;
    assert_eq!(open.version("gtk4").as_deref(), Some("1-1"));
    let state = open.sources.gitlab().unwrap().state();
    assert!(state.complete && state.away_since.is_some(), "{state:?}");
    assert!(state.reason.unwrap().contains("not reached"));
    // A changeset of the default branch is what it was.
    let resolved = open
        .sources
        .resolve(&"gtk4/main".parse().unwrap())
        .await
        .unwrap();
    assert!(
        resolved.warnings[0].contains("known last"),
        "{:?}",
        resolved.warnings
    );
    let error = open
        .sources
        .resolve(&"gtk4/other".parse().unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not reached"), "{error}");
}

#[tokio::test]
async fn pages_are_as_large_as_gitlab_manages() {
    let world = World::new().await;
    for number in 0..60 {
        world.project(&format!("p{number}"));
    }
    // Three questions a project, half a second each: more than twenty projects are too many.
    world.fake.git_takes(SignedDuration::from_millis(500));
    let open = world.open().await;
    assert_eq!(open.sources.counts(), (60, 0));
    let sizes: Vec<_> = world
        .asked()
        .into_iter()
        .filter(|request| request.variables["texts"] == true)
        .map(|request| request.variables["first"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes[..4], [100, 50, 25, 12], "{sizes:?}");
}

#[tokio::test]
async fn other_settings_read_anew() {
    let mut world = World::new().await;
    let id = world.project("gtk4");
    world.push_to(id, "release", "gtk4", "9");
    world.open().await.kill().await;
    world.config.default_branch = Some("release".to_owned());
    let open = world.open().await;
    assert_eq!(open.version("gtk4").as_deref(), Some("9-1"));
}

#[tokio::test]
async fn settings_that_are_missing_or_wrong_are_named() {
    let world = World::new().await;
    type Change = fn(&mut Config);
    let cases: [(Change, &str); 4] = [
        (
            |config| config.gitlab_token = None,
            "GITLAB_TOKEN is not set",
        ),
        (
            |config| config.gitlab_domain = "ftp://x".to_owned(),
            "GITLAB_DOMAIN",
        ),
        (
            |config| config.gitlab_packages_group = Some("/".to_owned()),
            "GITLAB_PACKAGES_GROUP is empty",
        ),
        (
            |config| {
                config.gitlab_hook_secret =
                    Some(buildbtw_server::config::HookSecret("whsec_%".to_owned()))
            },
            "GITLAB_HOOK_SECRET",
        ),
    ];
    for (change, expected) in cases {
        let mut config = world.config.clone();
        change(&mut config);
        let db = Db::open(None, &config.data_dir).await.unwrap();
        let opened = Sources::open(&config, db.clone(), CancellationToken::new()).await;
        let error = opened.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        db.close().await;
        assert!(!format!("{config:?}").contains(TOKEN));
    }
}
