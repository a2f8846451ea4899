//! How runs end, and what the Runner makes of it.

use buildbtw_api::OutcomeClass;
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_fake_gitlab::runner::program::Exit;

use crate::double::KeptRun;
use crate::world::World;

/// Rules for a package that fails in a class.
fn fails(class: &str) -> String {
    format!(
        r#"{{"hello": {{"failure": {{"class": "{class}", "step": "check", "message": "it fails"}}}}}}"#
    )
}

#[tokio::test]
async fn only_a_failure_of_the_package_is_one_of_the_build() {
    for class in [
        "package",
        "sources",
        "dependencies",
        "timeout",
        "infrastructure",
    ] {
        let world = World::new(&fails(class)).await;
        let run = world.dispatched("hello").await;
        let mut runner = world.runner();
        // Not the usual numbers: the program has to take those that it is told.
        runner.codes = (43, 42);
        let worked = world.work(&runner).await;
        let script = worked.call("build_script").unwrap();
        let trace = world.trace(worked.job);
        assert!(trace.contains("it fails"), "{trace}");
        if class == "package" {
            assert_eq!(script.exit, Exit::Code(43), "{trace}");
            assert!(
                matches!(worked.end, JobEnd::ScriptFailure(_)),
                "{:?}",
                worked.end
            );
        } else {
            assert_eq!(script.exit, Exit::Code(42), "{class}: {trace}");
            assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
        }
        let report = world.server.finished(run).await;
        assert_eq!(report.class.to_string(), class);
        world.assert_nothing_left();
    }
}

#[tokio::test]
async fn the_exit_code_of_makepkg_becomes_the_jobs() {
    let world = World::new(&fails("package")).await;
    let run = world.dispatched("hello").await;
    let worked = world.work(&world.runner()).await;
    let code = world.server.finished(run).await.exit_code.unwrap();
    assert!(code > 1, "the fake builder has makepkg's own code");
    assert_eq!(worked.end, JobEnd::ScriptFailure(code));
    assert_eq!(world.fake.job(worked.job).unwrap().exit_code, Some(code));
}

#[tokio::test]
async fn a_wrong_call_is_a_fault_of_the_system() {
    let world = World::new("{}").await;
    let codes = [
        ("BUILD_FAILURE_EXIT_CODE", "43"),
        ("SYSTEM_FAILURE_EXIT_CODE", "42"),
    ];
    for arguments in [&[][..], &["bake"], &["run"], &["run", "/tmp/script"]] {
        let output = world.call(arguments, &codes);
        assert_eq!(output.status.code(), Some(42), "{arguments:?}");
    }
    // A call without a job, and one without a configuration.
    let output = world.call(&["run", "/tmp/script", "build_script"], &codes);
    assert_eq!(output.status.code(), Some(42));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("CI_JOB_ID"), "{message}");
    std::fs::remove_file(world.path("executor.toml")).unwrap();
    let output = world.call(&["prepare"], &codes);
    assert_eq!(output.status.code(), Some(42));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("executor.toml"), "{message}");
    // What nobody reads cannot be said: no panic, and no fault of the build.
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_buildbtw-gitlab-executor"))
        .arg("config")
        .env_clear()
        .envs(codes)
        .stdout(full)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(42));
}

#[tokio::test]
async fn a_run_that_the_server_takes_away_ends_at_once() {
    let world = World::new(r#"{"hello": {"duration_ms": 3600000}}"#).await;
    let run = world.dispatched("hello").await;
    let take = async {
        let silent = |run: &KeptRun| run.is_silent().then_some(());
        world.server.until_run(run, "a silent build", silent).await;
        let stop = Some("the namespace was cancelled");
        world.server.change(run, |run| run.stop = stop);
    };
    let runner = world.runner();
    let (worked, ()) = tokio::join!(world.work(&runner), take);
    assert_eq!(worked.end, JobEnd::Failure("runner_system_failure"));
    let trace = world.trace(worked.job);
    assert!(trace.contains("the namespace was cancelled"), "{trace}");
    let kept = world.server.kept();
    assert_eq!(kept.runs[&run].finish, None);
    assert_eq!(kept.runs[&run].late_reports, [""; 0]);
    drop(kept);
    world.assert_nothing_left();
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_costs_nothing() {
    let mut world = World::new(r#"{"hello": {"duration_ms": 500, "log_lines": 20000}}"#).await;
    let run = world.dispatched("hello").await;
    let runner = world.runner();
    // The double is changed while the Runner works, so the fake goes with the Runner.
    let fake = std::mem::replace(
        &mut world.fake,
        buildbtw_fake_gitlab::FakeGitLab::start().await.unwrap(),
    );
    let working = tokio::spawn(async move {
        let worked = runner.work(&fake, std::future::pending()).await.unwrap();
        (worked, fake)
    });
    world
        .server
        .until_run(run, "the log", |run| (!run.log.is_empty()).then_some(()))
        .await;
    world.server.go_away().await;
    world.server.come_back().await;
    let (worked, fake) = tokio::time::timeout(crate::double::PATIENCE, working)
        .await
        .unwrap()
        .unwrap();
    world.fake = fake;
    assert_eq!(worked.end, JobEnd::Success, "{}", world.trace(worked.job));
    let report = world.server.finished(run).await;
    assert_eq!(report.class, OutcomeClass::Success);
}

#[tokio::test]
async fn a_job_is_not_green_whose_packages_the_server_refused() {
    for (class, end) in [
        (OutcomeClass::Success, JobEnd::Success),
        (OutcomeClass::Package, JobEnd::ScriptFailure(1)),
        (
            OutcomeClass::Infrastructure,
            JobEnd::Failure("runner_system_failure"),
        ),
    ] {
        let world = World::new("{}").await;
        let run = world.dispatched("hello").await;
        world.server.change(run, |run| {
            run.publishing = 2;
            run.disbelieve = Some((class, "its packages were looked at"));
        });
        let worked = world.work(&world.runner()).await;
        let trace = world.trace(worked.job);
        assert_eq!(worked.end, end, "{trace}");
        if class == OutcomeClass::Success {
            assert!(trace.contains("Its packages are published."), "{trace}");
        } else {
            assert!(trace.contains("its packages were looked at"), "{trace}");
        }
        let kept = world.server.kept();
        assert_eq!(kept.runs[&run].asked_about, 3);
        let report = kept.runs[&run].finish.as_ref().unwrap();
        assert_eq!(report.class, OutcomeClass::Success);
        drop(kept);
        world.assert_nothing_left();
    }
}
