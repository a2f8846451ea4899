//! Runs from the claim to the last report, with the real worker and the fake builder.

mod double;
mod home;

use buildbtw_api::{OutcomeClass, ProblemType};
use nix::sys::signal::Signal;

use double::{Double, order, source};
use home::Home;

#[tokio::test]
async fn a_run_is_carried_out_and_reported_in_full() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("hello"), source("hello"));
    let _worker = home.start(&server.url(), r#"{"hello": {"log_lines": 3}}"#);
    let report = server.finished(run).await;

    assert_eq!(report.class, OutcomeClass::Success, "{report:?}");
    let kept = server.kept();
    let kept = &kept.runs[&run];
    let names: Vec<String> = kept.packages.keys().cloned().collect();
    assert_eq!(report.packages, names);
    assert!(names[0].starts_with("hello-1-1-any.pkg.tar"), "{names:?}");
    assert!(!kept.packages[&names[0]].is_empty());
    assert!(!kept.log.is_empty());
    assert!(
        kept.steps[0].steps.is_empty(),
        "the first report says that the run has begun"
    );
    assert!(!report.steps.is_empty());
    assert_eq!(kept.steps.last().unwrap().steps, report.steps);
    for step in &report.steps {
        assert_eq!(step.succeeded, Some(true), "{step:?}");
        assert!(step.ended_ms.unwrap() >= step.started_ms, "{step:?}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_run() {
    let server = Double::start().await;
    let home = Home::new();
    let runs = ["one", "two", "three"].map(|name| server.offer(order(name), source(name)));
    let mut worker = home.start(&server.url(), r#"{"two": {"leftovers": true}}"#);
    for run in runs {
        server.finished(run).await;
    }
    // A claim waits only when the slot is free again, after the folder of the run was removed.
    server
        .until("a claim after the last run", |kept| {
            let held = kept.heartbeat.as_ref()?;
            (kept.waiting_claims == 1 && held.runs.is_empty()).then_some(())
        })
        .await;
    assert_eq!(home.run_folders(), [""; 0].map(std::path::PathBuf::from));
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success(), "{}", home.stderr());
}

#[tokio::test]
async fn a_failure_is_reported_with_its_class_and_step_and_ends_the_log() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("broken"), source("broken"));
    let rules = r#"{"broken": {"failure":
        {"class": "package", "step": "check", "message": "the tests of broken fail"}}}"#;
    let _worker = home.start(&server.url(), rules);
    let report = server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Package);
    assert_eq!(report.failed_step.as_deref(), Some("check"));
    assert!(
        report.message.contains("the tests of broken fail"),
        "{report:?}"
    );
    assert!(report.packages.is_empty());
    let kept = server.kept();
    let log = kept.runs[&run].log_text();
    let last = log.lines().last().unwrap();
    assert!(last.contains(&report.message), "{log}");
    assert!(kept.runs[&run].packages.is_empty());
}

#[tokio::test]
async fn as_many_runs_go_on_at_once_as_there_are_slots() {
    let server = Double::start().await;
    let home = Home::new();
    let slow = r#"{"*": {"duration_ms": 3600000}}"#;
    let _worker = home
        .command(&server.url(), slow)
        .env("WORKER_SLOTS", "2")
        .spawn()
        .unwrap();
    let runs = ["one", "two", "three"].map(|name| server.offer(order(name), source(name)));
    let held = server
        .until("a heartbeat with two runs", |kept| {
            let held = &kept.heartbeat.as_ref()?.runs;
            (held.len() == 2).then(|| held.clone())
        })
        .await;
    assert!(held.iter().all(|held| held.run != runs[2]));
    assert_eq!(server.kept().queue.len(), 1, "a third run was taken");
}

#[tokio::test]
async fn a_run_that_the_server_stops_ends_at_once_and_reports_nothing_more() {
    let server = Double::start().await;
    let home = Home::new();
    let slow = r#"{"slow": {"duration_ms": 3600000}}"#;
    let _worker = home.start(&server.url(), slow);
    let run = server.offer(order("slow"), source("slow"));
    server
        .until_run(run, "a silent build", |run| run.is_silent().then_some(()))
        .await;
    server.change(run, |run| run.stop = Some("the namespace was cancelled"));
    let next = server.offer(order("quick"), source("quick"));
    assert_eq!(server.finished(next).await.class, OutcomeClass::Success);
    let kept = server.kept();
    assert_eq!(kept.runs[&run].finish, None);
    assert_eq!(kept.runs[&run].late_reports, [""; 0]);
    assert!(home.stderr().contains("the namespace was cancelled"));
}

#[tokio::test]
async fn a_run_under_an_old_number_ends_at_once_and_reports_nothing_more() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("slow"), source("slow"));
    server.change(run, |run| run.fence = None);
    let slow = r#"{"slow": {"duration_ms": 3600000}}"#;
    let _worker = home.start(&server.url(), slow);
    let next = server.offer(order("quick"), source("quick"));
    assert_eq!(server.finished(next).await.class, OutcomeClass::Success);
    let kept = server.kept();
    assert!(kept.runs[&run].claimed);
    assert_eq!(kept.runs[&run].finish, None);
}

#[tokio::test]
async fn a_package_that_the_server_refuses_is_the_packages_failure() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("other"), source("other"));
    server.change(run, |run| {
        run.refuse_packages = Some((ProblemType::UnexpectedPackage, "that is something else"));
    });
    let _worker = home.start(&server.url(), "{}");
    let report = server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Package);
    assert!(
        report.message.contains("that is something else"),
        "{report:?}"
    );
    assert!(report.packages.is_empty());
}

#[tokio::test]
async fn a_package_over_the_servers_limit_is_not_even_sent() {
    let server = Double::start().await;
    let home = Home::new();
    server.kept().upload_limit = Some(3);
    let run = server.offer(order("large"), source("large"));
    let _worker = home.start(&server.url(), "{}");
    let report = server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Package);
    assert!(report.message.contains("3 at most"), "{report:?}");
    assert!(server.kept().runs[&run].packages.is_empty());
}

#[tokio::test]
async fn a_source_over_the_disk_limit_is_refused() {
    let server = Double::start().await;
    let home = Home::new();
    let run = server.offer(order("large"), vec![0; 100_000]);
    let _worker = home
        .command(&server.url(), "{}")
        .env("DISK_LIMIT", "64K")
        .spawn()
        .unwrap();
    let report = server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Sources);
    assert!(report.message.contains("65536 bytes"), "{report:?}");
}
