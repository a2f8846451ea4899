//! What changes afterwards, found by the poll or by the sweep.

use buildbtw_fake_gitlab::faults::{Call, Fault};
use jiff::SignedDuration;

use crate::world::*;

#[tokio::test]
async fn the_poll_finds_pushes_and_new_projects() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let open = world.open().await;
    // Two pushes within five minutes: the second one shows in no date.
    world.fake.clock().advance(SignedDuration::from_hours(2));
    world.push(id, "gtk4", "2");
    open.poll().await;
    world.fake.clock().advance(SignedDuration::from_mins(2));
    world.push(id, "gtk4", "3");
    world.project("new");
    open.poll().await;
    assert_eq!(open.version("gtk4").as_deref(), Some("3-1"));
    assert_eq!(open.version("new").as_deref(), Some("1-1"));
}

#[tokio::test]
async fn the_sweep_finds_what_leaves_no_activity() {
    let world = World::new().await;
    world.fake.group("archlinux/attic");
    let ids: Vec<u64> = ["archived", "deleted", "doomed", "moved", "renamed", "back"]
        .into_iter()
        .map(|name| world.project(name))
        .collect();
    world
        .fake
        .change_project(ids[5], |project| project.archived = true)
        .unwrap();
    let open = world.open().await;
    assert_eq!(
        open.names(),
        ["archived", "deleted", "doomed", "moved", "renamed"]
    );
    world
        .fake
        .change_project(ids[0], |project| project.archived = true)
        .unwrap();
    world.fake.delete_project(ids[1]).unwrap();
    world
        .fake
        .change_project(ids[2], |project| project.marked_for_deletion = true)
        .unwrap();
    world
        .fake
        .move_project(ids[3], "archlinux/attic", "moved", "moved")
        .unwrap();
    world
        .fake
        .move_project(ids[4], GROUP, "other", "other")
        .unwrap();
    world.push(ids[4], "other", "2");
    world
        .fake
        .change_project(ids[5], |project| project.archived = false)
        .unwrap();
    open.sweep().await;
    assert_eq!(open.names(), ["back", "other"]);
    assert_eq!(open.version("other").as_deref(), Some("2-1"));
    assert_eq!(open.version("back").as_deref(), Some("1-1"));
}

#[tokio::test]
async fn two_projects_may_change_their_names() {
    let world = World::new().await;
    let (a, b) = (world.project("a"), world.project("b"));
    let open = world.open().await;
    world.fake.move_project(a, GROUP, "c", "c").unwrap();
    world.fake.move_project(b, GROUP, "a", "a").unwrap();
    world.fake.move_project(a, GROUP, "b", "b").unwrap();
    world.push(a, "b", "7");
    world.push(b, "a", "8");
    open.sweep().await;
    assert_eq!(open.names(), ["a", "b"]);
    assert_eq!(open.version("a").as_deref(), Some("8-1"));
    assert_eq!(open.version("b").as_deref(), Some("7-1"));
}

#[tokio::test]
async fn what_cannot_be_seen_for_a_moment_is_not_gone() {
    let world = World::new().await;
    for name in ["a", "b", "c", "d"] {
        world.project(name);
    }
    let open = world.open().await;
    world.fake.faults().always(Call::Any, Fault::NullNodes);
    open.sweep().await;
    world.fake.faults().mend();
    assert_eq!(open.names(), ["a", "b", "c", "d"]);
    // Not seeing the group at all is an error, and no empty group.
    world.fake.state().groups.clear();
    assert!(open.sources.gitlab().unwrap().sweep().await.is_err());
    assert_eq!(open.names(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_project_that_is_named_is_looked_at_soon() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let mut open = world.open().await;
    world.push(id, "gtk4", "2");
    open.sources
        .gitlab()
        .unwrap()
        .notice(buildbtw_server::gitlab::ProjectId(id));
    open.until("the push shows", |sources| {
        version(sources, "gtk4").as_deref() == Some("2-1")
    })
    .await;
    world.fake.delete_project(id).unwrap();
    open.sources
        .gitlab()
        .unwrap()
        .notice(buildbtw_server::gitlab::ProjectId(id));
    open.until("it is gone", |sources| sources.counts().0 == 0)
        .await;
}

#[tokio::test]
async fn nothing_is_lost_while_gitlab_is_away() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let open = world.open().await;
    world.fake.faults().always(Call::Any, Fault::Reset);
    assert!(open.sources.gitlab().unwrap().poll().await.is_err());
    let away = open.sources.gitlab().unwrap().state().away_since;
    assert!(away.is_some());
    world.fake.clock().advance(SignedDuration::from_hours(30));
    world.push(id, "gtk4", "2");
    assert!(open.sources.gitlab().unwrap().poll().await.is_err());
    assert_eq!(
        open.sources.gitlab().unwrap().state().away_since,
        away,
        "since when, not when last"
    );
    world.fake.faults().mend();
    open.poll().await;
    assert_eq!(open.version("gtk4").as_deref(), Some("2-1"));
    assert_eq!(open.sources.gitlab().unwrap().state().away_since, None);
}
