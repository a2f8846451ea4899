//! What GitLab is told beside pipelines: statuses of commits, and where projects have their CI configuration.

use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_fake_gitlab::pipelines::Status;
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_server::dispatch::fleet::ci_config::{self, CiConfigError, Done};
use reqwest::{Method, StatusCode};

use crate::pipelines::project;
use crate::runners::*;
use crate::world::PATIENCE;

/// Waits until GitLab was told this of a commit.
async fn told(runners: &Runners, commit: &str, wanted: Status) {
    let mut requests = runners.world.fake.faults().count.subscribe();
    let is_told = |_: &usize| {
        let state = runners.world.fake.state();
        let mut statuses = state.statuses.iter();
        statuses.any(|status| status.sha == commit && status.state == wanted)
    };
    let told = tokio::time::timeout(PATIENCE, requests.wait_for(is_told)).await;
    assert!(
        told.is_ok(),
        "{wanted}: {:?}",
        runners.world.fake.state().statuses
    );
}

/// Waits until GitLab has refused a status.
async fn first_is_refused(runners: &Runners) {
    let mut requests = runners.world.fake.faults().count.subscribe();
    let is_refused = |_: &usize| {
        let mut seen = runners.world.fake.requests().into_iter();
        seen.any(|request| request.path.contains("/statuses/"))
    };
    let refused = tokio::time::timeout(PATIENCE, requests.wait_for(is_refused)).await;
    assert!(refused.is_ok());
}

#[tokio::test]
async fn a_commit_shows_what_became_of_it() {
    for refused in [false, true] {
        shows_what_became_of_it(refused).await;
    }
}

/// What GitLab refuses is left, and the next is told all the same.
async fn shows_what_became_of_it(refused: bool) {
    let runners = Runners::of(&["libgreet"]).await;
    let id = project(&runners, "libgreet");
    let commit = runners.world.push(id, "libgreet", "2");
    if refused {
        let first = Call::Path(Method::POST, "/statuses/");
        runners.world.fake.faults().next(1, first, Fault::Forbidden);
    }
    runners.namespace("greet", &["libgreet"]).await;
    let job = runners.take().await;
    let claimed = runners.claim(&job).await;
    if refused {
        first_is_refused(&runners).await;
    } else {
        told(&runners, &commit, Status::Running).await;
    }
    runners
        .executor(&claimed)
        .succeed(&claimed.assignment)
        .await;
    runners
        .world
        .fake
        .end_job(job.id, &JobEnd::Success)
        .unwrap();
    told(&runners, &commit, Status::Success).await;
    let statuses = runners.world.fake.state().statuses.clone();
    assert_eq!(statuses.len(), 1, "{statuses:?}");
    assert_eq!(statuses[0].name, "buildbtw/greet");
    let page = statuses[0].target_url.clone().unwrap();
    let page = reqwest::get(page).await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    runners.stop().await;
}

#[tokio::test]
async fn projects_are_shown_and_changed_only_when_that_is_said() {
    let runners = Runners::of(&["a", "b", "c"]).await;
    let other = |name: &str, path: Option<&str>| {
        let set = |project: &mut buildbtw_fake_gitlab::state::Project| {
            project.ci_config_path = path.map(str::to_owned);
        };
        let id = project(&runners, name);
        runners.world.fake.change_project(id, set).unwrap();
    };
    other("a", None);
    other("b", Some("elsewhere.yml"));
    let mut config = runners.world.config.clone();
    let gitlab = runners.world.client();
    let unset = ci_config::all(&config, &gitlab, true, |_| ()).await;
    assert!(matches!(
        unset,
        Err(CiConfigError::Missing("GITLAB_PACKAGES_CI_CONFIG", _))
    ));
    config.fleet.gitlab_packages_ci_config = Some(CI.to_owned());
    let mut shown = Vec::new();
    let run = async |apply: bool, shown: &mut Vec<String>| {
        let tell = |place: ci_config::Place<'_>| {
            let refused = if place.refused.is_some() {
                " refused"
            } else {
                ""
            };
            shown.push(format!("{} {}{refused}", place.name, place.from));
        };
        ci_config::all(&config, &gitlab, apply, tell).await.unwrap()
    };
    let done = |changed, refused| Done {
        wanted: CI.to_owned(),
        seen: 3,
        changed,
        refused,
        unreadable: 0,
    };
    runners.world.asked();
    assert_eq!(run(false, &mut shown).await, done(2, 0));
    // Newest first, as GitLab lists them.
    assert_eq!(shown, ["b elsewhere.yml", "a .gitlab-ci.yml"]);
    let asked = runners.world.asked();
    assert!(asked.iter().all(|request| request.method != Method::PUT));
    // What GitLab does not allow is said, and the others are changed.
    let change = Call::Path(Method::PUT, "/projects/");
    runners
        .world
        .fake
        .faults()
        .next(1, change, Fault::Forbidden);
    shown.clear();
    assert_eq!(run(true, &mut shown).await, done(1, 1));
    assert_eq!(shown, ["b elsewhere.yml refused", "a .gitlab-ci.yml"]);
    shown.clear();
    assert_eq!(run(true, &mut shown).await, done(1, 0));
    shown.clear();
    assert_eq!(run(true, &mut shown).await, done(0, 0));
    assert!(shown.is_empty());
    runners.stop().await;
}
