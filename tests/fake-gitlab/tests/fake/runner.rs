//! The Runner keeps to the custom executor's contract, whatever the program does that it calls.

use std::path::PathBuf;
use std::time::Duration;

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::Role;
use buildbtw_fake_gitlab::pipelines::{self, NewPipeline};
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_fake_gitlab::runner::JobEnd;
use buildbtw_fake_gitlab::runner::custom::{CustomRunner, Exec, Worked};
use tempfile::TempDir;

const CI: &str = "\
build:
  tags: [buildbtw]
  cache: {key: one, paths: [a]}
  artifacts: {paths: [b], when: always}
  variables: {GET_SOURCES_ATTEMPTS: 2, RESTORE_CACHE_ATTEMPTS: 3}
  script: [echo the script]
";

/// A GitLab with one job, and a program in bash.
struct Driven {
    fake: FakeGitLab,
    folder: TempDir,
}

impl Driven {
    async fn by(driver: &str) -> Self {
        let fake = FakeGitLab::start().await.unwrap();
        fake.group("g");
        let project = fake.project("g", "p", "p").unwrap();
        let files = [(".gitlab-ci.yml", NewFile::Text(CI.to_owned()))];
        fake.push(project, "main", "x", &files).unwrap();
        let new = NewPipeline {
            reference: "main".to_owned(),
            ..NewPipeline::default()
        };
        pipelines::create(fake.shared(), project, Role::Maintainer, new).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        std::fs::write(folder.path().join("driver"), driver).unwrap();
        Self { fake, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn work(&self) -> Worked {
        // Called by bash, as a file that was written a moment ago cannot always be executed.
        let driver = self.path("driver").display().to_string();
        let exec = |word: &str| Exec::new("bash", &[&driver, word]);
        let runner = CustomRunner {
            config: Some(exec("config")),
            prepare: Some(exec("prepare")),
            run: exec("run"),
            cleanup: Some(exec("cleanup")),
            environment: vec![
                ("PATH".to_owned(), std::env::var("PATH").unwrap()),
                ("HERE".to_owned(), self.folder.path().display().to_string()),
            ],
            retry_delay: Duration::from_millis(1),
            ..CustomRunner::new("bash", self.path("tmp"))
        };
        let working = runner.work(&self.fake, std::future::pending());
        working.await.unwrap()
    }

    fn trace(&self, worked: &Worked) -> String {
        self.fake.job(worked.job).unwrap().trace
    }
}

#[tokio::test]
async fn scripts_are_those_of_their_stages() {
    // Keeps every script, and what is told of the job.
    let driven = Driven::by(
        r#"[[ $1 != run ]] || cp "$2" "$HERE/$3"; [[ $1 != prepare ]] || cp "$JOB_RESPONSE_FILE" "$HERE""#,
    )
    .await;
    let worked = driven.work().await;
    assert_eq!(worked.end, JobEnd::Success);
    let id = worked.job;
    for (stage, line) in [
        ("build_script", "echo the script".to_owned()),
        ("restore_cache", "cache-extractor".to_owned()),
        ("archive_cache", "cache-archiver".to_owned()),
        (
            "upload_artifacts_on_success",
            format!("--token glcbt-{id} --id {id}"),
        ),
    ] {
        let script = std::fs::read_to_string(driven.path(stage)).unwrap();
        assert!(script.contains(&line), "{stage}: {script}");
    }
    let told = std::fs::read(driven.path("response.json")).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["cache"][0]["key"], "one");
    assert_eq!(told["artifacts"][0]["when"], "always");
    assert_eq!(told["steps"][0]["name"], "script");
}

#[tokio::test]
async fn stages_before_the_script_are_tried_as_often_as_their_variables_say() {
    // Each of them fails once, as the system's fault.
    let driven = Driven::by(
        r#"case ${3-} in get_sources | restore_cache) [[ -e $HERE/$3 ]] || { : >"$HERE/$3"; exit 2; } ;; esac"#,
    )
    .await;
    let worked = driven.work().await;
    assert_eq!(worked.end, JobEnd::Success, "{}", driven.trace(&worked));
    let words = worked.words();
    let before: Vec<&str> = words.into_iter().skip(2).take(7).collect();
    assert_eq!(
        before,
        [
            "prepare_script",
            "get_sources",
            "clear_worktree",
            "get_sources",
            "restore_cache",
            "restore_cache",
            "build_script"
        ]
    );
}

#[tokio::test]
async fn exit_codes_decide_how_a_job_ends() {
    for (exit, end, stages) in [
        ("exit 2", JobEnd::Failure("runner_system_failure"), 1),
        ("exit 77", JobEnd::Failure("runner_system_failure"), 1),
        ("kill -9 $$", JobEnd::Failure("runner_system_failure"), 1),
        ("exit 1", JobEnd::ScriptFailure(1), 1),
        (
            "echo 7 >\"$BUILD_EXIT_CODE_FILE\"; exit 1",
            JobEnd::ScriptFailure(7),
            1,
        ),
        (
            "echo seven >\"$BUILD_EXIT_CODE_FILE\"; exit 1",
            JobEnd::Failure("unknown_failure"),
            1,
        ),
    ] {
        let driven = Driven::by(&format!("[[ ${{3-}} != build_script ]] || {{ {exit}; }}")).await;
        let worked = driven.work().await;
        assert_eq!(worked.end, end, "{exit}: {}", driven.trace(&worked));
        let words = worked.words();
        let scripts = words.iter().filter(|word| **word == "build_script");
        assert_eq!(scripts.count(), stages, "the script is not tried again");
        assert!(words.contains(&"upload_artifacts_on_failure"), "{words:?}");
        assert!(!words.contains(&"archive_cache"), "{words:?}");
        assert_eq!(words.last(), Some(&"cleanup"));
    }
}

#[tokio::test]
async fn preparing_is_tried_three_times_unless_the_build_is_to_blame() {
    for (driver, end, tries) in [
        (
            "[[ $1 != prepare ]] || exit 2",
            JobEnd::Failure("runner_system_failure"),
            3,
        ),
        ("[[ $1 != prepare ]] || exit 1", JobEnd::ScriptFailure(1), 1),
        (
            "[[ $1 != config ]] || echo rubbish",
            JobEnd::Failure("runner_system_failure"),
            3,
        ),
        (
            "[[ $1 != config ]] || echo '{\"job_env\": {\"A\": 1}}'",
            JobEnd::Failure("runner_system_failure"),
            3,
        ),
    ] {
        let driven = Driven::by(driver).await;
        let worked = driven.work().await;
        assert_eq!(worked.end, end, "{driver}");
        let cleanups = worked.words().into_iter().filter(|word| *word == "cleanup");
        assert_eq!(cleanups.count(), tries, "{driver}");
    }
}

#[tokio::test]
async fn what_config_asks_for_is_in_the_environment_of_the_later_calls() {
    let driven = Driven::by(
        r#"case $1 in config) echo "{\"job_env\": {\"A\": \"b c\"}}" ;; *) [[ $A == "b c" ]] || exit 1 ;; esac"#,
    )
    .await;
    assert_eq!(driven.work().await.end, JobEnd::Success);
}
