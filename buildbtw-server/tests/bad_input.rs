//! Bad input: each gets a clear error, and nothing is lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod stage;

use buildbtw_api::client::{ClientError, UploadError};
use buildbtw_api::runs::Fence;
use buildbtw_api::sources::SourceQuery;
use buildbtw_api::{OutcomeClass, ProblemType};
use buildbtw_graph::Scope;
use stage::{Stage, create, finish, git, package, srcinfo, write_srcinfo};

fn kind<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (ProblemType, String) {
    let error = result.expect_err("it was taken");
    let problem = error
        .problem()
        .unwrap_or_else(|| panic!("no problem document: {error}"));
    (problem.kind, problem.to_string())
}

fn upload_kind(result: Result<(), UploadError>) -> ProblemType {
    match result {
        Err(UploadError::Client(error)) => {
            error.problem().unwrap_or_else(|| panic!("{error}")).kind
        }
        Err(UploadError::Lost) => ProblemType::StaleFence,
        Err(UploadError::Gap { .. }) => ProblemType::LogGap,
        Ok(()) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn unknown_packages_branches_and_taken_names() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    let client = stage.client();
    let (problem, text) = kind(
        client
            .create_namespace(&create(None, &["libb/main"], Scope::None))
            .await,
    );
    assert_eq!(problem, ProblemType::UnknownPackage);
    assert!(text.contains("libb"), "{text}");
    let (problem, text) = kind(
        client
            .create_namespace(&create(None, &["lib/nowhere"], Scope::None))
            .await,
    );
    assert_eq!(problem, ProblemType::UnknownReference);
    assert!(text.contains("nowhere"), "{text}");
    assert_eq!(
        kind(
            client
                .create_namespace(&create(None, &[], Scope::None))
                .await
        )
        .0,
        ProblemType::BadRequest
    );
    std::fs::create_dir(stage.source("folder")).unwrap();
    let folder = create(None, &["folder/main"], Scope::None);
    let (problem, text) = kind(client.create_namespace(&folder).await);
    assert_eq!(problem, ProblemType::UnknownPackage);
    assert!(text.contains("git init"), "{text}");
    let twice = create(None, &["lib/main", "lib/main"], Scope::None);
    assert_eq!(
        kind(client.create_namespace(&twice).await).0,
        ProblemType::BadRequest
    );

    stage.namespace("taken", &["lib/main"], Scope::None).await;
    let (problem, text) = kind(
        client
            .create_namespace(&create(Some("taken"), &["lib/main"], Scope::None))
            .await,
    );
    assert_eq!(problem, ProblemType::NameTaken);
    assert!(
        text.contains("bbtw archive taken"),
        "the hint names a way out: {text}"
    );
    let first = client
        .create_namespace(&create(None, &["lib/main"], Scope::None))
        .await
        .unwrap();
    let second = client
        .create_namespace(&create(None, &["lib/main"], Scope::None))
        .await
        .unwrap();
    assert_eq!(
        (first.name.as_str(), second.name.as_str()),
        ("lib", "lib-2")
    );
    assert!(second.remark.is_some(), "it says that the name was taken");
    assert_eq!(
        kind(client.namespace(&"nothing".parse().unwrap()).await).0,
        ProblemType::UnknownNamespace
    );
    stage.stop().await;
}

#[tokio::test]
async fn a_srcinfo_full_of_rubbish_is_shown_and_harms_no_other() {
    let rubbish = "\u{0}\u{1}pkgbase = \n\tdepends <<>>\n".repeat(50);
    let digits = "9".repeat(20);
    let stage = Stage::start(&[
        ("good", srcinfo("good", "1", &["depends = bad"])),
        ("bad", rubbish),
        (
            "huge",
            srcinfo("huge", &digits, &[&format!("depends = good<{digits}1")]),
        ),
        ("liar", srcinfo("somebody", "1", &[])),
    ])
    .await;
    let client = stage.client();
    let (problem, text) = kind(
        client
            .create_namespace(&create(None, &["bad/main"], Scope::None))
            .await,
    );
    assert_eq!(problem, ProblemType::BrokenSource, "{text}");
    let (problem, text) = kind(
        client
            .create_namespace(&create(None, &["liar/main"], Scope::None))
            .await,
    );
    assert_eq!(problem, ProblemType::BrokenSource);
    assert!(text.contains("somebody") && text.contains("liar"), "{text}");
    let problems = client
        .sources(&SourceQuery {
            problems: true,
            ..SourceQuery::default()
        })
        .await
        .unwrap();
    let names: Vec<_> = problems
        .items
        .iter()
        .map(|source| source.pkgbase.to_string())
        .collect();
    assert_eq!(names, ["bad", "liar"]);
    assert!(problems.items.iter().all(|source| source.problem.is_some()));

    stage
        .namespace("good", &["good/main"], Scope::Transitive)
        .await;
    stage
        .namespace("huge", &["huge/main"], Scope::Transitive)
        .await;
    // Mended, it is known within a moment, without a restart.
    write_srcinfo(&stage.source("bad"), &srcinfo("bad", "1", &[]));
    let mut changes = stage.server().sources.subscribe();
    while stage
        .server()
        .sources
        .index()
        .get(&"bad".parse().unwrap())
        .is_none()
    {
        changes.recv().await.unwrap();
    }
    stage.namespace("mended", &["bad/main"], Scope::None).await;
    stage.stop().await;
}

#[tokio::test]
async fn packages_that_are_not_what_was_to_be_made() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    stage.namespace("lib", &["lib/main"], Scope::None).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    let folder = tempfile::tempdir().unwrap();
    let (good_name, good) = worker.package(&run, "lib");

    for name in [
        "../lib-1-1-x86_64.pkg.tar.zst",
        "..%2flib-1-1-x86_64.pkg.tar.zst",
        "lib",
        "a/b",
        ".hidden-1-1-any.pkg.tar.zst",
    ] {
        let result = worker.upload(&run, name, &good).await;
        assert!(result.is_err(), "{name} was taken");
    }
    let (name, other) = package(folder.path(), "lib", "other", "1-1");
    assert_eq!(
        upload_kind(worker.upload(&run, &name, &other).await),
        ProblemType::UnexpectedPackage
    );
    let (name, stranger) = package(folder.path(), "stranger", "lib", "1-1");
    assert_eq!(
        upload_kind(worker.upload(&run, &name, &stranger).await),
        ProblemType::UnexpectedPackage
    );
    assert_eq!(
        upload_kind(worker.upload(&run, &good_name, b"no package").await),
        ProblemType::UnexpectedPackage
    );
    let digest = "0".repeat(64);
    let wrong = worker
        .client
        .upload_package(
            run.run,
            run.fence,
            &good_name,
            &digest,
            good.len() as u64,
            good.clone(),
        )
        .await;
    assert!(wrong.is_err(), "a wrong digest was taken");
    let old = worker.client.upload_package(
        run.run,
        Fence(run.fence.0 - 1),
        &good_name,
        &digest,
        good.len() as u64,
        good.clone(),
    );
    assert_eq!(upload_kind(old.await), ProblemType::StaleFence);

    // Nothing of it is in the way of the right one.
    worker.upload(&run, &good_name, &good).await.unwrap();
    worker
        .client
        .finish_run(run.run, &finish(&run, OutcomeClass::Success, &[good_name]))
        .await
        .unwrap();
    stage::until(&stage, || async {
        stage
            .client()
            .run(run.run)
            .await
            .unwrap()
            .run
            .outcome
            .is_some_and(|outcome| outcome.class == OutcomeClass::Success)
    })
    .await;
    stage.stop().await;
}

#[tokio::test]
async fn a_success_without_its_packages_is_a_failure() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    stage.namespace("lib", &["lib/main"], Scope::None).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker
        .client
        .finish_run(run.run, &finish(&run, OutcomeClass::Success, &[]))
        .await
        .unwrap();
    let outcome = stage
        .client()
        .run(run.run)
        .await
        .unwrap()
        .run
        .outcome
        .unwrap();
    assert_eq!(outcome.class, OutcomeClass::Package);
    assert!(
        outcome.message.contains("did not make lib"),
        "{}",
        outcome.message
    );
    stage.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit_and_gaps_in_logs() {
    let stage = Stage::start_with(&[("lib", srcinfo("lib", "1", &[]))], |config| {
        config.upload_limit = 1000
    })
    .await;
    stage.namespace("lib", &["lib/main"], Scope::None).await;
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.begin(&run).await;
    let name = "lib-1-1-x86_64.pkg.tar.zst";
    assert_eq!(
        upload_kind(worker.upload(&run, name, &[0; 1001]).await),
        ProblemType::TooLarge
    );

    let client = &worker.client;
    assert_eq!(
        client
            .append_log(run.run, run.fence, 0, "hello ".into())
            .await
            .unwrap()
            .length,
        6
    );
    let gap = client
        .append_log(run.run, run.fence, 10, "world".into())
        .await;
    assert!(
        matches!(gap, Err(UploadError::Gap { length: 6 })),
        "{gap:?}"
    );
    assert_eq!(
        client
            .append_log(run.run, run.fence, 3, "lo world".into())
            .await
            .unwrap()
            .length,
        11
    );
    assert_eq!(
        client
            .append_log(run.run, run.fence, 0, "hello".into())
            .await
            .unwrap()
            .length,
        11
    );
    let old = client
        .append_log(run.run, Fence(run.fence.0 - 1), 11, "!".into())
        .await;
    assert!(matches!(old, Err(UploadError::Lost)), "{old:?}");
    assert_eq!(stage.client().run(run.run).await.unwrap().log_length, 11);
    worker.fail(&run, OutcomeClass::Package).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_worker_that_builds_nothing_is_refused_unless_it_is_wanted() {
    for wanted in [false, true] {
        let stage = Stage::start_with(&[("lib", srcinfo("lib", "1", &[]))], |config| {
            config.fake_workers = wanted;
        })
        .await;
        let mut fake = stage::registration("x");
        fake.offer.builder = "fake".to_owned();
        match stage.worker_client().register_worker(&fake).await {
            Ok(_) => assert!(wanted),
            Err(refused) => {
                let (problem, hint) = kind::<()>(Err(refused));
                assert_eq!(problem, ProblemType::Conflict);
                assert!(!wanted && hint.contains("FAKE_WORKERS"), "{hint}");
            }
        }
        stage.stop().await;
    }
}

#[tokio::test]
async fn strangers_and_foreign_pages_are_refused() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    let stranger = stage
        .client()
        .register_worker(&stage::registration("x"))
        .await;
    assert_eq!(kind(stranger).0, ProblemType::Unauthorized);
    let mut old = stage::registration("x");
    old.protocol += 1;
    assert_eq!(
        kind(stage.worker_client().register_worker(&old).await).0,
        ProblemType::ProtocolVersion
    );
    let http = reqwest::Client::new();
    let url = format!("{}/api/v1/plans", stage.url());
    let foreign = http
        .post(&url)
        .header("origin", "https://evil.example")
        .json(&serde_json::json!({"changesets": []}));
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    let rebound = http
        .get(format!("{}/api/v1/health", stage.url()))
        .header("host", "evil.example");
    assert_eq!(rebound.send().await.unwrap().status(), 403);
    let rubbish = http
        .post(&url)
        .header("content-type", "application/json")
        .body("{");
    let answer = rubbish.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    stage.stop().await;
}

#[tokio::test]
async fn a_branch_that_vanishes_keeps_the_iteration_that_there_is() {
    let stage = Stage::start(&[("lib", srcinfo("lib", "1", &[]))]).await;
    let source = stage.source("lib");
    let mut changes = stage.server().sources.subscribe();
    git(&source, &["branch", "topic"]);
    // The branch must have been seen: one that came and went unseen is no change.
    changes.recv().await.unwrap();
    stage.namespace("topic", &["lib/topic"], Scope::None).await;
    git(&source, &["branch", "-D", "topic"]);
    changes.recv().await.unwrap();
    let namespace = stage
        .client()
        .namespace(&"topic".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(namespace.iterations.len(), 1);
    let worker = stage.worker("w").await;
    let run = worker.claim().await;
    worker.succeed(&run).await;
    stage.stop().await;
}
