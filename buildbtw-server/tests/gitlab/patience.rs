//! How long is waited, and how many ask at once.

use std::time::Duration;

use buildbtw_fake_gitlab::faults::{Call, Fault};

use crate::world::*;

#[tokio::test]
async fn what_gitlab_asks_for_is_waited() {
    let world = World::new().await;
    let id = world.project("gtk4");
    let fault = Fault::TooManyRequests {
        retry_after: Some("7".to_owned()),
    };
    world.fake.faults().next(2, Call::Any, fault);
    world.gitlab.ci_config_path(id).await.unwrap();
    let waited: Duration = world.time.pauses().iter().sum();
    assert!(waited >= Duration::from_secs(14), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[tokio::test]
async fn pauses_grow_from_try_to_try() {
    let world = World::new().await;
    let id = world.project("gtk4");
    world.fake.faults().next(3, Call::Any, Fault::Reset);
    world.gitlab.ci_config_path(id).await.unwrap();
    let pauses = world.time.pauses();
    assert_eq!(pauses.len(), 3, "{pauses:?}");
    for (at, pause) in pauses.iter().enumerate() {
        let longest = Duration::from_secs(1 << at);
        assert!(*pause <= longest && *pause >= longest / 2, "{pauses:?}");
    }
}

#[tokio::test]
async fn the_last_requests_of_a_limit_are_left_to_others() {
    let world = World::new().await;
    let id = world.project("gtk4");
    world.fake.faults().rate_limit(Some(5_000));
    world.gitlab.ci_config_path(id).await.unwrap();
    world.gitlab.ci_config_path(id).await.unwrap();
    assert!(world.time.pauses().is_empty());
    world.fake.faults().rate_limit(Some(10));
    world.gitlab.ci_config_path(id).await.unwrap();
    assert!(
        world.time.pauses().is_empty(),
        "this one is through already"
    );
    world.gitlab.ci_config_path(id).await.unwrap();
    assert_eq!(world.time.pauses(), [Duration::from_secs(60)]);
}

#[tokio::test]
async fn all_who_ask_share_one_budget() {
    let world = World::with(|settings| {
        settings.at_once = 2;
        settings.a_minute = 60;
    })
    .await;
    let id = world.project("gtk4");
    let asks = (0..40).map(|_| {
        let gitlab = world.gitlab.clone();
        tokio::spawn(async move { gitlab.ci_config_path(id).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap().unwrap();
    }
    // A quarter of a minute's worth at once, then one a second.
    let waited: Duration = world.time.pauses().iter().sum();
    let expected = Duration::from_secs(25);
    assert!(
        waited >= expected && waited < expected * 2 + Duration::from_secs(5),
        "{waited:?}"
    );
}
