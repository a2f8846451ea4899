//! Hooks over HTTP, at a whole server.

use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_fake_gitlab::hooks::{Delivering, Hook};
use buildbtw_server::config::HookSecret;
use buildbtw_server::{Running, start};
use tokio_util::sync::CancellationToken;

use crate::world::*;

struct Serving {
    running: Running,
    shutdown: CancellationToken,
}

impl Serving {
    async fn on(world: &World) -> Self {
        let shutdown = CancellationToken::new();
        let running = start(world.config.clone(), shutdown.clone()).await.unwrap();
        let mut in_sync = running.server.sources.in_sync();
        tokio::time::timeout(PATIENCE, in_sync.wait_for(|in_sync| *in_sync))
            .await
            .unwrap()
            .unwrap();
        Self { running, shutdown }
    }

    fn hook(&self) -> Hook {
        Hook {
            url: format!("{}/api/v1/gitlab/hooks", self.running.url()),
            push_events: true,
            tag_push_events: true,
            repository_update_events: true,
            ..Hook::default()
        }
    }

    async fn until(&self, pkgbase: &str, wanted: Option<&str>) {
        let mut changes = self.running.server.sources.subscribe();
        while version(&self.running.server.sources, pkgbase).as_deref() != wanted {
            tokio::time::timeout(PATIENCE, changes.recv())
                .await
                .unwrap()
                .unwrap();
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.stopped().await.unwrap();
    }
}

#[tokio::test]
async fn a_push_shows_at_once_by_hooks_of_either_kind() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let serving = Serving::on(&world).await;
    let plain = Hook {
        token: Some(SECRET.to_owned()),
        ..serving.hook()
    };
    let of_instance = world.fake.hook(plain.clone());
    world.push(id, "gtk4", "2");
    serving.until("gtk4", Some("2-1")).await;
    world.project("new");
    serving.until("new", Some("1-1")).await;
    world.fake.state().hooks.remove(&of_instance);
    world.fake.hook(Hook {
        project: Some(id),
        ..plain
    });
    // Twice is once.
    world.fake.deliver(Delivering::Twice);
    world.push(id, "gtk4", "3");
    serving.until("gtk4", Some("3-1")).await;
    world.fake.delivered().await;
    assert!(
        world
            .fake
            .hook_answers()
            .iter()
            .all(|answer| *answer == Some(200))
    );
    serving.stop().await;
}

#[tokio::test]
async fn hooks_in_the_wrong_order_end_with_the_newest_commit() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let serving = Serving::on(&world).await;
    world.fake.hook(Hook {
        token: Some(SECRET.to_owned()),
        ..serving.hook()
    });
    world.fake.deliver(Delivering::Held);
    world.push(id, "gtk4", "2");
    world.push(id, "gtk4", "3");
    world.fake.release(|held| held.reverse()).await;
    serving.until("gtk4", Some("3-1")).await;
    serving.stop().await;
}

#[tokio::test]
async fn people_see_how_far_it_is_and_since_when_gitlab_is_away() {
    let world = World::new().await;
    world.project("gtk4");
    let serving = Serving::on(&world).await;
    let get = async |path: &str| {
        let url = format!("{}{path}", serving.running.url());
        reqwest::get(url).await.unwrap().text().await.unwrap()
    };
    let page = get("/sources").await;
    assert!(
        page.contains(GROUP) && !page.contains("has not answered"),
        "{page}"
    );
    world.fake.faults().always(Call::Any, Fault::Unauthorized);
    serving
        .running
        .server
        .sources
        .gitlab()
        .unwrap()
        .poll()
        .await
        .unwrap_err();
    let page = get("/sources").await;
    assert!(
        page.contains("has not answered since") && page.contains("does not know the token"),
        "{page}"
    );
    let health: serde_json::Value = serde_json::from_str(&get("/api/v1/health").await).unwrap();
    assert_eq!(health["gitlab"]["read"], 1);
    assert!(health["gitlab"]["away_since"].is_string(), "{health}");
    assert!(!page.contains(TOKEN) && !health.to_string().contains(TOKEN));
    serving.stop().await;
}

#[tokio::test]
async fn only_gitlab_is_believed() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let serving = Serving::on(&world).await;
    world.asked();
    for token in [None, Some("wrong".to_owned())] {
        let hook = world.fake.hook(Hook {
            token,
            ..serving.hook()
        });
        world.push(id, "gtk4", "2");
        world.fake.delivered().await;
        world.fake.state().hooks.remove(&hook);
    }
    let answers = world.fake.hook_answers();
    assert!(
        !answers.is_empty() && answers.iter().all(|answer| *answer == Some(401)),
        "{answers:?}"
    );
    assert!(
        world.asked().is_empty(),
        "nobody is asked because of a stranger"
    );
    serving.stop().await;
}

#[tokio::test]
async fn signatures_are_checked() {
    let mut world = World::new().await;
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    world.config.gitlab_hook_secret = Some(HookSecret(key.to_owned()));
    let id = world.project("gtk4");
    let serving = Serving::on(&world).await;
    // The fake signs by its own clock, which has to be ours here.
    let off = jiff::Timestamp::now().duration_since(world.fake.clock().now());
    world.fake.clock().advance(off);
    world.fake.hook(Hook {
        signing_token: Some(key.to_owned()),
        ..serving.hook()
    });
    world.push(id, "gtk4", "2");
    serving.until("gtk4", Some("2-1")).await;
    // An old one is not taken, whoever sends it again.
    world.fake.delivered().await;
    let before = world.fake.hook_answers().len();
    world
        .fake
        .clock()
        .advance(jiff::SignedDuration::from_mins(-10));
    world.push(id, "gtk4", "3");
    world.fake.delivered().await;
    let answers = world.fake.hook_answers();
    assert!(answers.len() > before && answers[before..].iter().all(|answer| *answer == Some(401)));
    serving.stop().await;
}
