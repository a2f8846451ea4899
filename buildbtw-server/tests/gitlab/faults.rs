//! Each fault on each kind of call: the right tries, no panic, and words that a person understands.

use std::io::Write;
use std::time::Duration;

use axum::http::StatusCode;
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_server::gitlab::{
    CommitState, CommitStatus, GitLabError, NewPipeline, Order, ProjectId,
};
use serde_json::json;

use crate::world::*;

/// What the client can be asked to do. Only one of them may not be done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    ById,
    ByPath,
    Resolve,
    Commit,
    Archive,
    Create,
    Find,
    Look,
    Jobs,
    Cancel,
    Retry,
    Status,
    Setting,
    SetSetting,
}

const KINDS: [Kind; 15] = [
    Kind::Page,
    Kind::ById,
    Kind::ByPath,
    Kind::Resolve,
    Kind::Commit,
    Kind::Archive,
    Kind::Create,
    Kind::Find,
    Kind::Look,
    Kind::Jobs,
    Kind::Cancel,
    Kind::Retry,
    Kind::Status,
    Kind::Setting,
    Kind::SetSetting,
];

impl Kind {
    /// Those that stand for the others where a test has to wait.
    fn is_waited_for(self) -> bool {
        matches!(
            self,
            Self::Page | Self::Archive | Self::Create | Self::Status
        )
    }

    fn is_graphql(self) -> bool {
        matches!(
            self,
            Self::Page | Self::ById | Self::ByPath | Self::Resolve | Self::Commit
        )
    }
}

struct Scene {
    world: World,
    project: ProjectId,
    commit: String,
    pipeline: u64,
}

impl Scene {
    async fn new() -> Self {
        // What stalls is given up soon; everything else takes no time at all.
        let world = World::with(|settings| {
            settings.timeout = Duration::from_millis(400);
            settings.silence = Duration::from_millis(400);
        })
        .await;
        let project = world.project("gtk4");
        let commit = world.push(project, "main", "gtk4", "2");
        let made = world.gitlab.create_pipeline(project, &new("0")).await;
        let pipeline = made.unwrap().id;
        world.fake.faults().forget();
        Self {
            world,
            project,
            commit,
            pipeline,
        }
    }

    async fn ask(&self, kind: Kind) -> Result<(), GitLabError> {
        let (gitlab, project) = (&self.world.gitlab, self.project);
        match kind {
            Kind::Page => gitlab
                .projects(GROUP, None, 100, Order::Stable, None, true)
                .await
                .map(drop),
            Kind::ById => gitlab.projects_by_id(&[project], None).await.map(drop),
            Kind::ByPath => {
                let path = format!("{GROUP}/gtk4");
                gitlab.project_by_path(&path, None).await.map(drop)
            }
            Kind::Resolve => gitlab.resolve(project, "main").await.map(drop),
            Kind::Commit => gitlab.commit_files(project, &self.commit).await.map(drop),
            Kind::Archive => {
                let mut file = tempfile::tempfile().unwrap();
                // What lay there is no part of an archive.
                file.write_all(b"rubbish").unwrap();
                gitlab
                    .archive(project, &self.commit, &mut file, 1 << 20)
                    .await
            }
            Kind::Create => gitlab.create_pipeline(project, &new("1")).await.map(drop),
            Kind::Find => gitlab.pipelines_named(project, "run 0").await.map(drop),
            Kind::Look => gitlab.pipeline(project, self.pipeline).await.map(drop),
            Kind::Jobs => gitlab.jobs(project, self.pipeline).await.map(drop),
            Kind::Cancel => gitlab
                .cancel_pipeline(project, self.pipeline)
                .await
                .map(drop),
            Kind::Retry => gitlab
                .retry_pipeline(project, self.pipeline)
                .await
                .map(drop),
            Kind::Status => {
                let status = CommitStatus {
                    state: CommitState::Running,
                    name: "buildbtw".to_owned(),
                    target_url: "https://example.org/1".to_owned(),
                    description: "it is being built".to_owned(),
                };
                gitlab
                    .set_commit_status(project, &self.commit, &status)
                    .await
            }
            Kind::Setting => gitlab.ci_config_path(project).await.map(drop),
            Kind::SetSetting => gitlab.set_ci_config_path(project, "x.yml").await,
        }
    }

    fn requests(&self) -> usize {
        self.world.fake.requests().len()
    }
}

fn new(run: &str) -> NewPipeline {
    NewPipeline {
        reference: "main".to_owned(),
        inputs: json!({"run": run}).as_object().unwrap().clone(),
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_got_over_and_nothing_is_done_twice() {
    for kind in KINDS {
        let scene = Scene::new().await;
        let throttled = |seconds: Option<&str>| Fault::TooManyRequests {
            retry_after: seconds.map(str::to_owned),
        };
        for (fault, not_done) in [
            (throttled(None), true),
            (throttled(Some("7")), true),
            (throttled(Some("soon")), true),
            (Fault::ServerError(StatusCode::BAD_GATEWAY), false),
            (Fault::ServerError(StatusCode::INTERNAL_SERVER_ERROR), false),
            (Fault::ServerError(StatusCode::SERVICE_UNAVAILABLE), false),
            (Fault::Reset, false),
            (Fault::LostAnswer, false),
            (Fault::ResetInBody, false),
            (Fault::Stalled, false),
            (Fault::Truncated, false),
        ] {
            // The end of an archive shows in its content, and is looked for there.
            if kind == Kind::Archive && fault == Fault::Truncated
                || fault == Fault::Stalled && !kind.is_waited_for()
            {
                continue;
            }
            let again = not_done || kind != Kind::Create;
            let before = scene.requests();
            scene.world.fake.faults().next(1, Call::Any, fault.clone());
            let result = scene.ask(kind).await;
            let made = scene.requests() - before;
            if again {
                assert!(result.is_ok(), "{kind:?} {fault:?}: {result:?}");
                assert_eq!(made, 2, "{kind:?} {fault:?}");
            } else {
                let error = result.unwrap_err();
                assert_eq!(made, 1, "{kind:?} {fault:?}: {error}");
                understandable(&error);
            }
        }
    }
}

#[tokio::test]
async fn a_fault_that_stays_is_told_in_words() {
    for kind in KINDS {
        let scene = Scene::new().await;
        for (fault, tries, part) in [
            (Fault::Unauthorized, 1, "does not know the token"),
            (Fault::Forbidden, 1, "the token may not"),
            (Fault::NotFound, 1, "not there"),
            (
                Fault::TooManyRequests {
                    retry_after: Some("999999".to_owned()),
                },
                1,
                "asked again in 999999 s",
            ),
            (Fault::ServerError(StatusCode::BAD_GATEWAY), 5, "502"),
            (Fault::Reset, 5, "is not reached"),
            (Fault::Stalled, 5, "takes longer than 0.4 s"),
        ] {
            if fault == Fault::Stalled && !kind.is_waited_for() {
                continue;
            }
            let before = scene.requests();
            scene.world.fake.faults().always(Call::Any, fault.clone());
            let error = scene.ask(kind).await.unwrap_err();
            scene.world.fake.faults().mend();
            let away = !matches!(fault, Fault::Forbidden | Fault::NotFound);
            assert_eq!(error.is_away(), away, "{kind:?} {fault:?}: {error}");
            assert_eq!(
                scene.world.gitlab.reach().away_since.is_some(),
                away,
                "{fault:?}"
            );
            let unsure = matches!(fault, Fault::ServerError(_) | Fault::Reset | Fault::Stalled);
            let tries = if kind == Kind::Create && unsure {
                1
            } else {
                tries
            };
            assert_eq!(scene.requests() - before, tries, "{kind:?} {fault:?}");
            assert!(
                error.to_string().contains(part),
                "{kind:?} {fault:?}: {error}"
            );
            understandable(&error);
        }
    }
}

#[tokio::test]
async fn graphql_has_faults_of_its_own() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_graphql()) {
        let scene = Scene::new().await;
        for (fault, part) in [
            (
                Fault::GraphQlError("something\u{7} went\nwrong".to_owned()),
                "something  went wrong",
            ),
            (Fault::GraphQlTimeout, "too long"),
            (Fault::WrongShape, "makes no sense"),
        ] {
            scene.world.fake.faults().always(Call::Any, fault.clone());
            let error = scene.ask(kind).await.unwrap_err();
            scene.world.fake.faults().mend();
            assert!(
                error.to_string().contains(part),
                "{kind:?} {fault:?}: {error}"
            );
            understandable(&error);
        }
        // What may not be seen, and what comes twice, is no fault of the request.
        for fault in [Fault::NullNodes, Fault::DuplicateNodes, Fault::FutureStatus] {
            scene.world.fake.faults().next(1, Call::Any, fault.clone());
            assert!(scene.ask(kind).await.is_ok(), "{kind:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn nodes_that_cannot_be_read_are_counted_and_doubled_ones_are_one() {
    let world = World::new().await;
    for name in ["a", "b", "c", "d"] {
        world.project(name);
    }
    let ask = || {
        world
            .gitlab
            .projects(GROUP, None, 100, Order::Stable, None, true)
    };
    world.fake.faults().next(1, Call::Any, Fault::NullNodes);
    let page = ask().await.unwrap();
    assert_eq!((page.projects.len(), page.unreadable), (2, 2));
    world
        .fake
        .faults()
        .next(1, Call::Any, Fault::DuplicateNodes);
    let page = ask().await.unwrap();
    assert_eq!((page.projects.len(), page.unreadable), (4, 0));
}

#[tokio::test]
async fn nobody_there_is_told_as_that() {
    let scene = Scene::new().await;
    let Scene { world, project, .. } = scene;
    let World { fake, gitlab, time } = world;
    drop(fake);
    // The listener ends in its own time.
    let error = loop {
        if let Err(error) = gitlab.pipeline(project, 1).await {
            break error;
        }
    };
    assert!(error.to_string().contains("is not reached"), "{error}");
    assert!(!time.pauses().is_empty());
    assert!(gitlab.reach().reason.is_some());
}

#[tokio::test]
async fn an_archive_that_is_too_large_is_left() {
    let scene = Scene::new().await;
    let mut file = tempfile::tempfile().unwrap();
    let error = scene
        .world
        .gitlab
        .archive(scene.project, &scene.commit, &mut file, 10)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("larger than 10 bytes"),
        "{error}"
    );
}

/// It says what could not be done, on one line, and not how the program is made.
fn understandable(error: &GitLabError) {
    let text = error.to_string();
    assert!(text.starts_with("cannot "), "{text}");
    assert!(!text.contains('\n') && text.len() < 600, "{text}");
    for part in ["Some(", "Err(", "reqwest", "hyper::", "127.0.0.1:", TOKEN] {
        assert!(!text.contains(part), "{text}");
    }
}
