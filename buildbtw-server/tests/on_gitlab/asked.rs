//! What is asked about single commits.

use buildbtw_api::IterationStatus;
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_server::planner;
use buildbtw_server::sources::SourceError;

use crate::pipelines::project;
use crate::runners::Runners;
use crate::world::*;

#[tokio::test]
async fn changesets_are_branches_tags_and_commits() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let first = world.push(id, "gtk4", "2");
    let second = world.push_to(id, "testing", "gtk4", "3");
    world.fake.tag(id, "2-1", &first).unwrap();
    let open = world.open().await;
    for (reference, commit, version) in [
        ("main", &first, "2-1"),
        ("testing", &second, "3-1"),
        ("2-1", &first, "2-1"),
        (second.as_str(), &second, "3-1"),
        (&second[..10], &second, "3-1"),
        ("refs/heads/testing", &second, "3-1"),
    ] {
        let changeset = format!("gtk4/{reference}").parse().unwrap();
        let resolved = open.sources.resolve(&changeset).await.unwrap();
        assert_eq!(&resolved.commit.commit, commit, "{reference}");
        assert_eq!(resolved.package.version.to_string(), version);
        let git = world.fake.project_now(id).unwrap().repository;
        let info = git.commit(commit.parse().unwrap()).unwrap();
        assert_eq!(resolved.commit.tree, info.tree.to_string(), "{reference}");
        assert_eq!(resolved.commit.committed_at, info.authored_at.as_second());
    }
    let error = open
        .sources
        .resolve(&"gtk4/nowhere".parse().unwrap())
        .await
        .unwrap_err();
    let SourceError::UnknownReference { hint, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(hint, "its branches are: main, testing");
}

#[tokio::test]
async fn a_package_that_was_just_made_is_found_at_its_path() {
    let world = World::new().await;
    let mut open = world.open().await;
    world.project("libsigc++");
    let changeset = "libsigc++/main".parse().unwrap();
    let resolved = open.sources.resolve(&changeset).await.unwrap();
    assert_eq!(resolved.package.version.to_string(), "1-1");
    open.until("it is in the index", |sources| {
        version(sources, "libsigc++").is_some()
    })
    .await;
    // Another name with the same path is another package.
    for unknown in ["libsigcplusplus/main", "nothing/main"] {
        let error = open
            .sources
            .resolve(&unknown.parse().unwrap())
            .await
            .unwrap_err();
        assert!(
            matches!(error, SourceError::UnknownPackage { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_earlier_commit_is_still_there() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let first = world.push(id, "gtk4", "2");
    let newer = world.push(id, "gtk4", "3");
    let open = world.open().await;
    let package = open.sources.read_at(&name("gtk4"), &first).await.unwrap();
    assert_eq!(package.version.to_string(), "2-1");
    // What the index holds needs no question.
    world.asked();
    let package = open.sources.read_at(&name("gtk4"), &newer).await.unwrap();
    assert_eq!(package.version.to_string(), "3-1");
    assert!(world.asked().is_empty());
    let nothing = "1111111111111111111111111111111111111111";
    let error = open
        .sources
        .read_at(&name("gtk4"), nothing)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it was there once"), "{error}");
}

#[tokio::test]
async fn whether_a_pkgbuild_sets_its_version() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let plain = world.push(id, "gtk4", "2");
    let text = "pkgname=gtk4\npkgver=1\npkgver() {\n  echo 2\n}\n".to_owned();
    let file = buildbtw_fake_gitlab::repository::NewFile::Text(text);
    let own = world
        .fake
        .push(id, "main", "x", &[("PKGBUILD", file)])
        .unwrap();
    let open = world.open().await;
    let gtk4 = name("gtk4");
    assert!(!open.sources.sets_its_version(&gtk4, &plain).await.unwrap());
    assert!(open.sources.sets_its_version(&gtk4, &own).await.unwrap());
}

#[tokio::test]
async fn what_gitlab_says_is_passed_on() {
    let world = World::new().await;
    world.project("gtk4");
    let open = world.open().await;
    for (fault, part) in [
        (Fault::Unauthorized, "does not know the token"),
        (
            Fault::GraphQlError("the moon is full".to_owned()),
            "the moon is full",
        ),
    ] {
        world.fake.faults().always(Call::Any, fault);
        let error = open
            .sources
            .resolve(&"gtk4/x".parse().unwrap())
            .await
            .unwrap_err();
        world.fake.faults().mend();
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// Of a branch that is not the default one nothing is known beforehand. GitLab going away between the look at it and
/// the plan costs a minute, and not the namespace.
#[tokio::test]
async fn a_plan_waits_for_a_gitlab_that_went_away() {
    let runners = Runners::of(&["libgreet"]).await;
    let id = project(&runners, "libgreet");
    runners.world.push_to(id, "topic", "libgreet", "7");
    let faults = runners.world.fake.faults();
    faults.later(1, 1, Call::Operation("CommitFiles"), Fault::Unauthorized);
    let changesets = ["libgreet/topic".to_owned()];
    let made = runners.make("topic", &changesets, None).await.unwrap();
    assert_eq!(
        made.iteration.as_ref().unwrap().status,
        IterationStatus::Planning
    );
    planner::plan_what_was_cut_short(runners.server()).await;
    let shown = runners.people().namespace(&made.name).await.unwrap();
    let iteration = &shown.iterations[0];
    assert_eq!(iteration.status, IterationStatus::Current, "{iteration:?}");
    runners.stop().await;
}
