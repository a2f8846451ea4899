//! What happens to runs when the server or the worker goes away, or a part of a log is lost.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod double;
mod home;

use buildbtw_api::runs::FinishReport;
use buildbtw_api::{OutcomeClass, RunId};
use nix::sys::signal::Signal;

use double::{Double, KeptRun, order, source};
use home::{Home, Running};

/// A build that writes much and takes a while.
const CHATTY: &str = r#"{"chatty": {"duration_ms": 500, "log_lines": 20000}}"#;

/// A build that nobody waits for.
const SLOW: &str = r#"{"slow": {"duration_ms": 3600000}}"#;

/// The log, put together again from every part that was ever taken: whatever was sent twice must
/// have been the same.
fn put_together(run: &KeptRun) -> Vec<u8> {
    let mut log = Vec::new();
    for (offset, part) in &run.parts {
        let offset = usize::try_from(*offset).unwrap();
        assert!(offset <= log.len(), "a part was never sent");
        let known = (log.len() - offset).min(part.len());
        assert_eq!(
            log[offset..offset + known],
            part[..known],
            "two logs were sent"
        );
        log.extend_from_slice(&part[known..]);
    }
    log
}

fn check_whole(run: &KeptRun, report: &FinishReport) {
    assert_eq!(report.class, OutcomeClass::Success, "{report:?}");
    assert_eq!(put_together(run), run.log);
    let lines = run.log.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines >= 20_000, "only {lines} lines arrived");
    assert_eq!(run.packages.len(), 1);
    assert_eq!(run.steps.last().unwrap().steps, report.steps);
}

#[tokio::test]
async fn a_run_outlives_a_server_that_is_away() {
    let mut server = Double::start().await;
    let home = Home::new();
    let _worker = home.start(&server.url(), CHATTY);
    let run = server.offer(order("chatty"), source("chatty"));
    server
        .until_run(run, "the log", |run| (!run.log.is_empty()).then_some(()))
        .await;
    let fetched = server.kept().runs[&run].fetched;
    server.go_away().await;
    // The build ends while nobody listens: its packages lie in its folder.
    home.until("the packages", |home| {
        let folder = home.run_folders().pop()?.join("work/packages");
        let mut entries = std::fs::read_dir(folder).ok()?;
        entries
            .any(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .contains(".pkg.tar")
            })
            .then_some(())
    })
    .await;
    assert!(server.kept().runs[&run].finish.is_none());
    server.come_back().await;
    let report = server.finished(run).await;
    let kept = server.kept();
    check_whole(&kept.runs[&run], &report);
    assert_eq!(kept.runs[&run].fetched, fetched, "the build began anew");
}

#[tokio::test]
async fn heartbeats_go_on_while_a_package_is_sent_and_a_broken_upload_is_sent_again() {
    let mut server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("hello"), source("hello"));
    server.change(run, |run| run.hold_packages = true);
    let _worker = home.start(&server.url(), "{}");
    server
        .until_run(run, "an upload", |run| (run.uploads == 1).then_some(()))
        .await;
    let before = server.kept().heartbeats;
    server
        .until("three heartbeats that name the run", |kept| {
            let named = kept
                .heartbeat
                .as_ref()?
                .runs
                .iter()
                .any(|held| held.run == run);
            (kept.heartbeats >= before + 3 && named).then_some(())
        })
        .await;
    server.go_away().await;
    server.come_back().await;
    server
        .until_run(run, "another upload", |run| {
            (run.uploads >= 2).then_some(())
        })
        .await;
    server.change(run, |run| run.hold_packages = false);
    let report = server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Success);
    assert_eq!(server.kept().runs[&run].packages.len(), 1);
}

#[tokio::test]
async fn a_worker_waits_for_a_server_that_is_not_there_yet() {
    let mut server = Double::start().await;
    let home = Home::new();
    server.go_away().await;
    let _worker = home.start(&server.url(), "{}");
    home.until("a try", |home| {
        home.stderr().contains("cannot register").then_some(())
    })
    .await;
    let run = server.offer(order("hello"), source("hello"));
    server.come_back().await;
    assert_eq!(server.finished(run).await.class, OutcomeClass::Success);
}

#[tokio::test]
async fn a_lost_part_of_a_log_is_sent_again() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("chatty"), source("chatty"));
    server.change(run, |run| run.forget_log = true);
    // More than fits into one part, so that there is a second.
    let rules = r#"{"chatty": {"log_lines": 100000}}"#;
    let _worker = home.start(&server.url(), rules);
    let report = server.finished(run).await;
    let kept = server.kept();
    assert_eq!(kept.runs[&run].gaps, 1);
    check_whole(&kept.runs[&run], &report);
}

#[tokio::test]
async fn a_worker_that_was_killed_comes_back_with_its_id_and_without_its_runs() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("slow"), source("slow"));
    let mut worker = home.start(&server.url(), SLOW);
    server
        .until_run(run, "the build", |run| (!run.log.is_empty()).then_some(()))
        .await;
    assert_eq!(home.run_folders().len(), 1);
    worker.signal(Signal::SIGKILL);
    worker.ended().await;

    let next = server.offer(order("hello"), source("hello"));
    let _worker = home.start(&server.url(), SLOW);
    assert_eq!(server.finished(next).await.class, OutcomeClass::Success);
    let kept = server.kept();
    let last = kept.registrations.last().unwrap();
    assert!(last.id.is_some());
    assert_eq!(last.id, kept.worker);
    assert_eq!(last.running, []);
    assert_eq!(kept.runs[&run].fence, None, "the run was not given up");
    let left = home.runs().join(run.to_string());
    assert!(!left.exists(), "the folder of the lost run is still there");
}

#[tokio::test]
async fn a_worker_that_is_asked_to_end_gives_its_runs_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Double::start().await;
        let home = Home::new();
        let run = server.offer(order("slow"), source("slow"));
        let mut worker = home.start(&server.url(), SLOW);
        server
            .until_run(run, "the build", |run| (!run.log.is_empty()).then_some(()))
            .await;
        worker.signal(signal);
        assert!(worker.ended().await.success(), "{}", home.stderr());
        let kept = server.kept();
        let report = kept.runs[&run]
            .finish
            .clone()
            .expect("the run was not given back");
        assert_eq!(report.class, OutcomeClass::Cancelled);
        assert_eq!(report.message, "worker trial-worker was shut down");
        assert!(
            kept.runs[&run]
                .log_text()
                .ends_with("trial-worker was shut down\n")
        );
        assert!(home.run_folders().is_empty());
        assert_eq!(kept.left, [kept.worker.unwrap()], "it did not say goodbye");
    }
}

#[tokio::test]
async fn a_worker_that_is_asked_to_end_does_so_without_its_server() {
    let mut server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("slow"), source("slow"));
    let mut worker = home.start(&server.url(), SLOW);
    server
        .until_run(run, "the build", |run| (!run.log.is_empty()).then_some(()))
        .await;
    server.go_away().await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success(), "{}", home.stderr());
    assert!(server.kept().runs[&run].finish.is_none());
    assert!(home.run_folders().is_empty());
}

/// The worker leaves what is offered from now on, finishes its run, and ends with success.
async fn assert_takes_no_more(server: &Double, home: &Home, worker: &mut Running, run: RunId) {
    let next = server.offer(order("hello"), source("hello"));
    assert!(worker.ended().await.success(), "{}", home.stderr());
    let kept = server.kept();
    assert_eq!(
        kept.runs[&run].finish.as_ref().unwrap().class,
        OutcomeClass::Success
    );
    assert!(!kept.runs[&next].claimed);
}

#[tokio::test]
async fn a_worker_that_drains_finishes_what_it_has_and_takes_no_more() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("chatty"), source("chatty"));
    let mut worker = home.start(&server.url(), CHATTY);
    server
        .until_run(run, "the build", |run| (!run.log.is_empty()).then_some(()))
        .await;
    worker.signal(Signal::SIGUSR1);
    home.until("the answer to the signal", |home| {
        home.stderr().contains("taking no more runs").then_some(())
    })
    .await;
    assert_takes_no_more(&server, &home, &mut worker, run).await;
}

#[tokio::test]
async fn a_worker_that_the_server_drains_ends_with_success_when_its_runs_are_over() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("chatty"), source("chatty"));
    let mut worker = home.start(&server.url(), CHATTY);
    server
        .until_run(run, "the build", |run| (!run.log.is_empty()).then_some(()))
        .await;
    server.kept().drain = Some("a new kernel");
    home.until("the word of the server", |home| {
        home.stderr().contains("a new kernel").then_some(())
    })
    .await;
    assert_takes_no_more(&server, &home, &mut worker, run).await;
}

#[tokio::test]
async fn a_claim_that_broke_is_followed_by_a_registration() {
    let mut server = Double::start().await;
    let home = Home::new();
    let _worker = home.start(&server.url(), "{}");
    server
        .until("a claim", |kept| (kept.waiting_claims == 1).then_some(()))
        .await;
    let before = server.kept().registrations.len();
    server.go_away().await;
    server
        .until("the end of the claim", |kept| {
            (kept.waiting_claims == 0).then_some(())
        })
        .await;
    server.come_back().await;
    server
        .until("a registration", |kept| {
            (kept.registrations.len() > before).then_some(())
        })
        .await;
}
