//! What an operator asks `buildbtw-server` about a GitLab: `doctor`, and `ci-config` with and without `--apply`.

use std::process::Command;

use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::faults::{Call, Fault};
use buildbtw_tests::fleet::{Fleet, GROUP, TOKEN};
use buildbtw_tests::programs::{Finished, program, run};
use tempfile::TempDir;

const CI: &str = "gitlab-ci.yml@archlinux/packaging/ci";

/// An operator beside a GitLab.
struct Operator {
    fleet: Fleet,
    folder: TempDir,
}

impl Operator {
    async fn new() -> Self {
        Self {
            fleet: Fleet::with(&["greet-cli", "libgreet"]).await,
            folder: tempfile::tempdir().expect("a folder can be made"),
        }
    }

    /// Calls the server's program, with some settings more.
    fn call(&self, arguments: &[&str], more: &[(&str, &str)]) -> Finished {
        let finished = tokio::task::block_in_place(|| {
            run(Command::new(program("buildbtw-server"))
                .args(arguments)
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                .env("GITLAB_DOMAIN", self.fleet.gitlab.url())
                .env("GITLAB_PACKAGES_GROUP", GROUP)
                .env("GITLAB_TOKEN", TOKEN)
                .env("RUST_LOG", "warn")
                .envs(more.iter().copied())
                .current_dir(self.folder.path()))
        });
        for said in [&finished.stdout, &finished.stderr] {
            assert!(
                !said.contains(TOKEN) && !said.contains("panicked"),
                "{said}"
            );
        }
        // It is asked, and leaves nothing.
        let files = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        assert_eq!(files.count(), 0);
        finished
    }

    /// Says where a project has its CI configuration.
    fn set(&self, package: &str, path: Option<&str>) {
        let id = self.project(package);
        let set = |project: &mut buildbtw_fake_gitlab::state::Project| {
            project.ci_config_path = path.map(str::to_owned);
        };
        self.fleet
            .gitlab
            .change_project(id, set)
            .expect("the project is there");
    }

    fn project(&self, package: &str) -> u64 {
        let state = self.fleet.gitlab.state();
        let found = state.project_by_path(&format!("{GROUP}/{package}"));
        found.expect("the package has a project").id
    }

    fn path(&self, package: &str) -> Option<String> {
        let project = self.fleet.gitlab.project_now(self.project(package));
        project.expect("the project is there").ci_config_path
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_shown_first_and_changed_when_that_is_said() {
    let operator = Operator::new().await;
    operator.set("libgreet", Some("elsewhere.yml"));
    let wanted = [("GITLAB_PACKAGES_CI_CONFIG", CI)];
    let shown = operator.call(&["ci-config"], &wanted);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert_eq!(
        shown.stdout,
        format!(
            "libgreet: elsewhere.yml\n1 of 2 projects would change to {CI}\n\
             `buildbtw-server ci-config --apply` changes them\n"
        )
    );
    assert_eq!(operator.path("libgreet").as_deref(), Some("elsewhere.yml"));
    let changed = operator.call(&["ci-config", "--apply"], &wanted);
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    assert_eq!(
        changed.stdout,
        format!("libgreet: elsewhere.yml\n1 of 2 projects changed to {CI}\n")
    );
    assert_eq!(operator.path("libgreet").as_deref(), Some(CI));
    let again = operator.call(&["ci-config", "--apply"], &wanted);
    assert_eq!(again.stdout, format!("all 2 projects use {CI}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_named_and_fails() {
    let operator = Operator::new().await;
    operator.set("libgreet", None);
    let change = Call::Path(reqwest::Method::PUT, "/projects/");
    operator
        .fleet
        .gitlab
        .faults()
        .next(1, change, Fault::Forbidden);
    let wanted = [("GITLAB_PACKAGES_CI_CONFIG", CI)];
    let refused = operator.call(&["ci-config", "--apply"], &wanted);
    assert_eq!(refused.code, Some(1));
    for words in ["libgreet", "the token may not", "1 project was not changed"] {
        assert!(
            refused.stderr.contains(words),
            "{words}: {}",
            refused.stderr
        );
    }
    let unset = operator.call(&["ci-config"], &[]);
    assert_eq!(unset.code, Some(1));
    assert!(
        unset
            .stderr
            .contains("GITLAB_PACKAGES_CI_CONFIG is not set"),
        "{}",
        unset.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_is_well_and_what_is_not() {
    let operator = Operator::new().await;
    let builds = [
        ("RUN_BUILDS_ON_GITLAB", "true"),
        ("GITLAB_PACKAGES_CI_CONFIG", CI),
        ("GITLAB_HOOK_SECRET", "a secret of hooks"),
    ];
    let well = operator.call(&["doctor"], &builds);
    assert_eq!(well.code, Some(0), "{}\n{}", well.stdout, well.stderr);
    for words in [
        "GitLab 19.5",
        "the token may api",
        "has 2 projects",
        "asking for a page of projects with their texts costs",
        "of the 250 that GitLab allows",
        "asking for a commit costs",
        "use gitlab-ci.yml@",
        "can work with this GitLab",
    ] {
        assert!(well.stdout.contains(words), "{words}: {}", well.stdout);
    }
    assert!(!well.stdout.contains("odd  "), "{}", well.stdout);

    operator.set("libgreet", None);
    let odd = operator.call(&["doctor"], &builds[..2]);
    assert_eq!(odd.code, Some(0), "{}", odd.stderr);
    for words in ["no hook is believed", "1 of 2 projects", "ci-config"] {
        assert!(odd.stdout.contains(words), "{words}: {}", odd.stdout);
    }

    let gitlab = &operator.fleet.gitlab;
    gitlab.token("glpat-that-only-reads", &[Scope::ReadApi], Role::Reporter);
    let ill = |more: &[(&str, &str)], words: &[&str]| {
        let ill = operator.call(&["doctor"], more);
        assert_eq!(ill.code, Some(1), "{}", ill.stdout);
        for words in words {
            assert!(ill.stdout.contains(words), "{words}: {}", ill.stdout);
        }
        assert!(ill.stdout.contains("hint: "), "{}", ill.stdout);
    };
    let reads = ("GITLAB_TOKEN", "glpat-that-only-reads");
    ill(
        &[reads, builds[0]],
        &["may not make pipelines", "scope `api`"],
    );
    let other = ("GITLAB_PACKAGES_GROUP", "somewhere/else");
    ill(&[other], &["no group somewhere/else"]);
    let unknown = ("GITLAB_TOKEN", "glpat-of-nobody-0123456789");
    ill(&[unknown], &["does not know the token"]);
}
