//! Measures how the server reads a group of 14,000 projects on GitLab: requests, time, memory; killed in the middle and
//! started again; started again with nothing changed, and with a few pushes.
//!
//! GitLab is played on this machine: each question to git (the default branch, its commit, the files) takes 50 ms of its
//! own time, and a request that needs more than 30 s is not answered. Its time is a clock that is moved, so nobody waits
//! for it: what a real one would take is its time and the server's together. `BUILDBTW_CORPUS` names a folder of
//! `.SRCINFO` files, which come twice under two names; without it made-up ones stand in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use buildbtw_fake_gitlab::FakeGitLab;
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_tests::corpus::{self, SrcinfoText, srcinfo, synthetic};
use buildbtw_tests::stage::Stage;
use jiff::SignedDuration;

const GROUP: &str = "archlinux/packaging/packages";

const TOKEN: &str = "glpat-of-the-benchmark";

/// How many projects the group has.
const PROJECTS: usize = 14_000;

/// What a question to git takes.
const GIT: SignedDuration = SignedDuration::from_millis(50);

/// What the rest of a PKGBUILD comes to, in bytes.
const PKGBUILD: usize = 2000;

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let measure = std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(first_sync(measure));
}

/// So many texts of different names.
fn texts(measure: bool) -> Vec<SrcinfoText> {
    let corpus = if measure { corpus::corpus() } else { None };
    let wanted = if measure { PROJECTS } else { 250 };
    let texts = corpus.unwrap_or_else(|| synthetic::distribution(1, wanted.div_ceil(2)));
    let again = texts.iter().map(|(pkgbase, text)| {
        let renamed = text.lines().map(|line| match line.split_once('=') {
            Some((field, value)) if matches!(field.trim(), "pkgbase" | "pkgname") => {
                format!("{field}= {}-again\n", value.trim())
            }
            _ => format!("{line}\n"),
        });
        (format!("{pkgbase}-again"), renamed.collect())
    });
    let again: Vec<SrcinfoText> = again.collect();
    texts.into_iter().chain(again).take(wanted).collect()
}

fn files(pkgbase: &str, text: &str) -> [(&'static str, NewFile); 2] {
    let version = srcinfo::read(text).version;
    let (rest, pkgrel) = version.rsplit_once('-').unwrap_or((&version, "1"));
    let (epoch, pkgver) = rest.split_once(':').unwrap_or(("0", rest));
    let line = "# What a PKGBUILD says beside its version is as long as this.\n";
    let pkgbuild = format!(
        "pkgbase={pkgbase}\npkgver={pkgver}\npkgrel={pkgrel}\nepoch={epoch}\n{}",
        line.repeat(PKGBUILD / line.len())
    );
    [
        (".SRCINFO", NewFile::Text(text.to_owned())),
        ("PKGBUILD", NewFile::Text(pkgbuild)),
    ]
}

async fn first_sync(measure: bool) {
    let texts = texts(measure);
    let start = Instant::now();
    let gitlab = FakeGitLab::start().await.expect("a GitLab can be made");
    gitlab.group(GROUP);
    gitlab.token(TOKEN, &[Scope::ReadApi], Role::Reporter);
    let mut projects = Vec::new();
    for (pkgbase, text) in &texts {
        let path = pkgbase.replace('+', "plus");
        let project = gitlab
            .project(GROUP, pkgbase, &path)
            .unwrap_or_else(|error| panic!("the project of {pkgbase}: {error}"));
        gitlab
            .push(project, "main", "the beginning", &files(pkgbase, text))
            .unwrap_or_else(|error| panic!("the commit of {pkgbase}: {error}"));
        projects.push(project);
        // Pushed in the course of days, as in a real group.
        gitlab.clock().advance(SignedDuration::from_mins(1));
    }
    gitlab.git_takes(GIT);
    println!("{} projects, made in {:.1?}", texts.len(), start.elapsed());
    let mut bench = Bench {
        stage: Stage::new()
            .with("GITLAB_DOMAIN", &gitlab.url())
            .with("GITLAB_PACKAGES_GROUP", GROUP)
            .with("GITLAB_TOKEN", TOKEN)
            .with("RUST_LOG", "warn"),
        gitlab,
        projects: texts.len() as u64,
    };

    let half = bench.projects / 2;
    let begun = bench.start();
    bench.until(half).await;
    bench.tell("the first half", &begun);
    bench.stage.kill_server();
    for what in ["killed, and started again", "started with nothing changed"] {
        let begun = bench.start();
        bench.in_sync().await;
        bench.tell(what, &begun);
        bench.stop();
    }
    for (project, (pkgbase, text)) in projects.iter().zip(&texts).take(3) {
        // A commit that says the same is one all the same.
        bench
            .gitlab
            .push(*project, "main", "again", &files(pkgbase, text))
            .expect("it can be pushed");
    }
    let begun = bench.start();
    bench.in_sync().await;
    bench.tell("started after three pushes", &begun);
    bench.stop();
}

/// A server that reads a GitLab.
struct Bench {
    stage: Stage,
    gitlab: FakeGitLab,
    projects: u64,
}

/// When a server was started, by our clock and by GitLab's.
struct Begun {
    here: Instant,
    there: jiff::Timestamp,
}

impl Bench {
    fn start(&mut self) -> Begun {
        self.gitlab.faults().forget();
        let begun = Begun {
            here: Instant::now(),
            there: self.gitlab.clock().now(),
        };
        self.stage.start_server();
        begun
    }

    fn stop(&mut self) {
        let status = self.stage.stop_server();
        assert!(status.success(), "the server ended with {status}");
    }

    /// Waits until the server has read so many projects.
    async fn until(&self, read: u64) {
        loop {
            let health = self.stage.client().health().await;
            let health = health.expect("the server answers");
            let gitlab = health.gitlab.expect("it follows a GitLab");
            if gitlab.read >= read {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn in_sync(&self) {
        let health = self.stage.sources_in_sync().await;
        assert_eq!(health.sources, self.projects, "{}", self.stage.logs());
    }

    fn tell(&mut self, what: &str, begun: &Begun) {
        let took = begun.here.elapsed();
        let there = self.gitlab.clock().now().duration_since(begun.there);
        let mut operations: BTreeMap<String, usize> = BTreeMap::new();
        let requests = self.gitlab.requests();
        for request in &requests {
            let mut operation = request
                .operation
                .clone()
                .unwrap_or_else(|| request.path.clone());
            if request.variables["texts"] == true {
                operation += " with texts";
            }
            *operations.entry(operation).or_default() += 1;
        }
        println!(
            "{what}: {} requests {operations:?}; {took:.2?} here and {} s of GitLab's; {}",
            requests.len(),
            there.as_secs(),
            self.stage.server().memory()
        );
    }
}
