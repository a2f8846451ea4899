//! Each fault at the first call of every kind, on the whole way from a push to packages: the build comes about, once,
//! whatever goes wrong; and what people read of it is a sentence.

use std::time::Duration;

use buildbtw_api::client::UploadError;
use buildbtw_api::runs::StepsReport;
use buildbtw_api::{BuildStatus, OutcomeClass, ProblemType, RunId};
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_fake_gitlab::pipelines::{Job, Status};
use buildbtw_fake_gitlab::runner::JobEnd;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::{Method, StatusCode};

use crate::pipelines::project;
use crate::runners::*;
use crate::stage::finish;
use crate::world::{PATIENCE, TOKEN, version};

/// How often somebody who is told of a fault tries again. Some of them need more than one: a request that is refused
/// fails the try of a build.
const TRIES: usize = 4;

/// Every kind of call on the way; where one's path holds another's, it comes first.
fn calls() -> [Call; 11] {
    let get = |part| Call::Path(Method::GET, part);
    let post = |part| Call::Path(Method::POST, part);
    [
        Call::Operation("ProjectsPage"),
        Call::Operation("ProjectsById"),
        Call::Operation("ResolveReference"),
        Call::Operation("CommitFiles"),
        get("/repository/archive.tar.gz"),
        post("/cancel"),
        post("/statuses/"),
        post("/pipeline"),
        get("/jobs"),
        get("/pipelines/"),
        get("/pipelines"),
    ]
}

fn faults() -> Vec<Fault> {
    let throttled = |seconds: Option<&str>| Fault::TooManyRequests {
        retry_after: seconds.map(str::to_owned),
    };
    vec![
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::NotFound,
        throttled(None),
        throttled(Some("3")),
        throttled(Some("soon")),
        Fault::ServerError(StatusCode::INTERNAL_SERVER_ERROR),
        Fault::ServerError(StatusCode::BAD_GATEWAY),
        Fault::Truncated,
        Fault::Stalled,
        Fault::Reset,
        Fault::LostAnswer,
        Fault::ResetInBody,
        Fault::NullNodes,
        Fault::DuplicateNodes,
        Fault::FutureStatus,
        Fault::WrongShape,
        Fault::GraphQlError("something went wrong".to_owned()),
        Fault::GraphQlTimeout,
    ]
}

/// What people are told is a sentence of theirs: no secret, and nothing of how the program is made.
#[track_caller]
fn is_plain(text: &str, fault: &Fault) {
    for never in [
        TOKEN, API_TOKEN, "reqwest", "serde", "Some(", "None", "Error {", "::", "panicked",
    ] {
        assert!(!text.contains(never), "{fault:?}: {text}");
    }
    assert!(text.contains("GitLab"), "{fault:?}: {text}");
    assert!((20..1000).contains(&text.len()), "{fault:?}: {text}");
}

/// The server has seen the commit of a push.
async fn seen(runners: &Runners, package: &str, fault: &Fault) {
    let sources = &runners.server().sources;
    for _ in 0..TRIES {
        if let Err(error) = sources.gitlab().unwrap().poll().await {
            is_plain(&error.to_string(), fault);
        }
        if version(sources, package).as_deref() == Some("2-1") {
            return;
        }
    }
    panic!("{fault:?}: the push is not seen");
}

/// A namespace of the package, by somebody who tries again.
async fn namespace(runners: &Runners, name: &str, package: &str, fault: &Fault) {
    for _ in 0..TRIES {
        match runners.try_namespace(name, &[package]).await {
            Ok(()) => return,
            Err(error) => is_plain(&error.problem().unwrap().detail, fault),
        }
    }
    panic!("{fault:?}: no namespace comes about");
}

/// Waits until something is so. Whenever GitLab did not do what it was asked, or another request came, it is looked
/// once more, as it is after a while.
async fn until<F: Future<Output = bool>>(
    runners: &Runners,
    what: &str,
    fault: &Fault,
    mut so: impl FnMut() -> F,
) {
    let mut here = runners.server().feed.follow();
    let mut there = runners.world.fake.shared().changes.subscribe();
    let mut requests = runners.world.fake.faults().count.subscribe();
    let waiting = async {
        loop {
            here.borrow_and_update();
            there.borrow_and_update();
            requests.borrow_and_update();
            if so().await {
                return;
            }
            if let Some(reason) = runners
                .people()
                .health()
                .await
                .unwrap()
                .pipelines
                .unwrap()
                .reason
            {
                is_plain(&reason, fault);
            }
            runners.look().await;
            tokio::select! {
                _ = here.changed() => {}
                _ = there.changed() => {}
                _ = requests.changed() => {}
            }
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        let requests = runners.world.fake.requests().into_iter();
        let requests: Vec<String> = requests
            .map(|seen| {
                let what = seen.operation.unwrap_or(seen.path);
                format!("{} {what} {:?}", seen.method, seen.status)
            })
            .collect();
        panic!("{fault:?}: {what} does not come about; {requests:#?}");
    }
}

/// A runner's next job.
async fn job(runners: &Runners, fault: &Fault) -> Job {
    let taken = std::cell::RefCell::new(None);
    let take = || {
        let mut taken = taken.borrow_mut();
        if taken.is_none() {
            *taken = runners.world.fake.take_job("host", &["buildbtw"]);
        }
        std::future::ready(taken.is_some())
    };
    until(runners, "a job", fault, take).await;
    taken.into_inner().unwrap()
}

/// Fetches the source of a run, as an executor does: again when that fails. `None` when the run is not its own any more.
async fn fetch(runners: &Runners, run: RunId, fault: &Fault) -> Option<()> {
    for _ in 0..TRIES {
        let fetched = match runners
            .workers()
            .file(&format!("/api/v1/runs/{run}/source"))
            .await
        {
            Ok((_, stream)) => stream.try_collect::<Vec<_>>().await,
            Err(error) => Err(error),
        };
        match fetched {
            Ok(parts) => {
                assert!(parts.concat().len() > 512, "{fault:?}: that is no tarball");
                return Some(());
            }
            Err(error) => {
                let problem = error.problem().unwrap();
                if problem.kind == ProblemType::RunOver {
                    return None;
                }
                is_plain(&problem.detail, fault);
            }
        }
    }
    panic!("{fault:?}: the source does not come");
}

/// What the server took; `None` when the run is not the sender's any more. Nothing else may be wrong.
#[track_caller]
fn taken_in<T>(sent: Result<T, UploadError>, fault: &Fault) -> Option<T> {
    match sent {
        Ok(done) => Some(done),
        Err(UploadError::Lost) => None,
        Err(error) => panic!("{fault:?}: {error}"),
    }
}

/// Carries out the run of a job; `None` when the server took it away meanwhile.
async fn carry_out(runners: &Runners, taken: &Job, fault: &Fault) -> Option<RunId> {
    let claimed = match runners.try_claim(taken).await {
        Ok(claimed) => claimed,
        Err(error) => {
            assert_eq!(error.problem().unwrap().kind, ProblemType::RunOver);
            return None;
        }
    };
    let assignment = &claimed.assignment;
    let run = assignment.run;
    fetch(runners, run, fault).await?;
    let executor = runners.executor(&claimed);
    let steps = StepsReport {
        fence: assignment.fence,
        steps: Vec::new(),
    };
    taken_in(executor.client.report_steps(run, &steps).await, fault)?;
    let (name, bytes) = executor.package(assignment, assignment.build.pkgnames[0].as_str());
    taken_in(executor.upload(assignment, &name, &bytes).await, fault)?;
    let report = finish(assignment, OutcomeClass::Success, &[name]);
    taken_in(executor.client.finish_run(run, &report).await, fault)?;
    Some(run)
}

/// Runners take jobs until one of them has built. A pipeline that GitLab once did not find counts as deleted, and its
/// run as lost: the build gets another one.
async fn build(runners: &Runners, fault: &Fault) -> RunId {
    for _ in 0..TRIES {
        let taken = job(runners, fault).await;
        let run = carry_out(runners, &taken, fault).await;
        let end = match run {
            Some(_) => JobEnd::Success,
            None => JobEnd::Failure("runner_system_failure"),
        };
        // One that was cancelled meanwhile is over.
        let _ = runners.world.fake.end_job(taken.id, &end);
        if let Some(run) = run {
            return run;
        }
    }
    panic!("{fault:?}: no job builds it");
}

/// From a push to packages, and a second build that is called off.
async fn story(fault: Fault) {
    let packages = ["libgreet", "other"];
    let runners = Runners::with_silence(&packages, Duration::from_millis(300)).await;
    let fake = &runners.world.fake;
    let id = project(&runners, "libgreet");
    let commit = runners.world.push(id, "libgreet", "2");
    for call in calls() {
        fake.faults().next(1, call, fault.clone());
    }
    seen(&runners, "libgreet", &fault).await;
    namespace(&runners, "built", "libgreet", &fault).await;
    let run = build(&runners, &fault).await;
    let built = || async { runners.build("built", "libgreet").await.status == BuildStatus::Built };
    until(&runners, "the packages", &fault, built).await;
    // Its commit says so. If GitLab refused just that, or answered nonsense, it is not asked again; but it was asked.
    // And every try of it that was made had one pipeline at most.
    let refuses = matches!(
        fault,
        Fault::Unauthorized
            | Fault::Forbidden
            | Fault::NotFound
            | Fault::WrongShape
            | Fault::GraphQlError(_)
            | Fault::GraphQlTimeout
    );
    let told = || {
        let state = fake.state();
        let mut statuses = state.statuses.iter();
        let said = statuses.any(|one| one.sha == commit && one.state == Status::Success);
        drop(state);
        let asked = |path: &str| path.contains("/statuses/") && path.ends_with(&commit);
        let asked = fake.requests().iter().any(|seen| asked(&seen.path));
        std::future::ready(said || refuses && asked)
    };
    until(&runners, "the status of the commit", &fault, told).await;
    let pipelines = runners.pipelines();
    let of_run = pipelines
        .iter()
        .filter(|made| made.inputs["run"] == run.to_string());
    assert_eq!(of_run.count(), 1, "{fault:?}: {pipelines:#?}");

    fake.faults().mend();
    let other = project(&runners, "other");
    runners.world.push(other, "other", "2");
    seen(&runners, "other", &fault).await;
    namespace(&runners, "off", "other", &fault).await;
    let waits = || {
        let open = runners.open_pipelines();
        std::future::ready(open.len() == 1)
    };
    until(&runners, "a pipeline that waits", &fault, waits).await;
    for call in calls() {
        fake.faults().next(1, call, fault.clone());
    }
    let off = "off".parse().unwrap();
    runners.people().cancel(&off).await.unwrap();
    let is_left = matches!(fault, Fault::NotFound);
    if is_left {
        // So GitLab says of a pipeline that was deleted, and nobody asks for its end again. If it goes on all the
        // same, its job gets nothing to do.
        let left = job(&runners, &fault).await;
        assert_eq!(runners.refusal(&left).await.kind, ProblemType::RunOver);
        fake.end_job(left.id, &JobEnd::Failure("runner_system_failure"))
            .unwrap();
    }
    let ended = || std::future::ready(runners.open_pipelines().is_empty());
    until(&runners, "the end of the pipeline", &fault, ended).await;
    let ended = is_ended(runners.pipelines().last().unwrap());
    assert!(ended || is_left, "{fault:?}");
    fake.faults().mend();
    let settled = || async {
        let health = runners.people().health().await.unwrap();
        health.pipelines.unwrap().open == 0
    };
    until(&runners, "that all is over", &fault, settled).await;
    runners.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_build_is_lost_and_none_is_built_twice() {
    // They mostly wait, so several go on at once.
    let stories = futures_util::stream::iter(faults()).map(story);
    stories.buffer_unordered(4).collect::<()>().await;
}
