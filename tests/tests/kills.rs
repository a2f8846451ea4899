//! kill -9 of the server and of workers, at seeded points and in the middle of uploads, of
//! publishing and of planning: everything completes, nothing is lost, nothing is doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use buildbtw_api::{BuildStatus, OutcomeClass};
use buildbtw_tests::aftermath;
use buildbtw_tests::programs::DEADLINE;
use buildbtw_tests::stage::Stage;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// How many packages are built.
const PACKAGES: u32 = 30;

/// How many times the server is killed.
const KILLS: u32 = 20;

/// A small generator (xorshift64*), so that a failing seed can be played again.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// Where the server is when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// An iteration is being planned.
    Planning,
    /// A package is coming in.
    Upload,
    /// Packages are stored and not yet published.
    Publishing,
    /// Some milliseconds after the last start.
    Later(u64),
}

/// Looks at the server from outside: its database, read-only, and its folders.
struct Watcher {
    pool: SqlitePool,
    incoming: PathBuf,
}

impl Watcher {
    async fn new(data: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(data.join("buildbtw.db"))
            .read_only(true);
        let pool = SqlitePool::connect_with(options)
            .await
            .expect("the database can be read");
        Self {
            pool,
            incoming: data.join("incoming"),
        }
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .unwrap_or(0)
    }

    async fn has_come(&self, moment: Moment, since: Instant) -> bool {
        match moment {
            Moment::Planning => {
                self.count("SELECT count(*) FROM iteration WHERE status = 'planning'")
                    .await
                    > 0
            }
            Moment::Upload => {
                std::fs::read_dir(&self.incoming).is_ok_and(|mut files| files.next().is_some())
            }
            Moment::Publishing => {
                self.count("SELECT count(*) FROM run WHERE status = 'publishing'")
                    .await
                    > 0
            }
            Moment::Later(millis) => since.elapsed() >= Duration::from_millis(millis),
        }
    }

    async fn unfinished(&self) -> i64 {
        self.count(
            "SELECT count(*) FROM build JOIN build_set ON build_set.id = build_set_id \
             JOIN iteration ON iteration.id = iteration_id WHERE iteration.status IN ('planning', 'current') \
             AND build.status NOT IN ('built', 'reused', 'failed', 'dependency_failed', 'unbuildable')",
        )
        .await
            + self.count("SELECT count(*) FROM iteration WHERE status = 'planning'").await
    }
}

/// Packages of which each depends on up to three earlier ones.
fn srcinfo(seeded: &mut Seeded, number: u32) -> String {
    let mut text =
        format!("pkgbase = kill{number:02}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n");
    let mut needs = BTreeSet::new();
    if number >= 4 {
        for _ in 0..seeded.below(4) {
            needs.insert(seeded.below(number.into()));
        }
    }
    for need in needs {
        let _ = writeln!(text, "\tdepends = kill{need:02}");
    }
    let _ = write!(text, "\npkgname = kill{number:02}\n");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_completes_in_spite_of_twenty_kills() {
    let seed = std::env::var("BUILDBTW_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_121);
    println!("seed {seed} (BUILDBTW_SEED plays another one)");
    let mut seeded = Seeded(seed);
    let mut stage = Stage::new()
        .with("LEASE_SECONDS", "3")
        .with("INFRASTRUCTURE_TRIES", "50");
    let repositories: Vec<_> = (0..PACKAGES)
        .map(|number| {
            stage.srcinfo_package(&format!("kill{number:02}"), &srcinfo(&mut seeded, number))
        })
        .collect();
    // Packages of some megabytes, so that an upload takes a moment.
    let rules = stage.path().join("rules.json");
    std::fs::write(&rules, r#"{"*": {"duration_ms": 200, "size": 8000000}}"#)
        .expect("a file can be written");
    let rules = rules.display().to_string();
    let worker = [
        ("BUILDER", "fake"),
        ("FAKE_RULES", rules.as_str()),
        ("WORKER_SLOTS", "2"),
    ];
    stage.start_server();
    for _ in 0..2 {
        stage.start_worker(&worker);
    }
    let mut arguments = vec![
        "new",
        "--name",
        "kills",
        "--scope",
        "none",
        "--base",
        "none",
        "--bootstrap",
    ];
    let changesets: Vec<String> = (0..PACKAGES)
        .map(|number| format!("kill{number:02}/main"))
        .collect();
    arguments.extend(changesets.iter().map(String::as_str));
    stage.bbtw_ok(&arguments);

    let watcher = Watcher::new(&stage.data()).await;
    let mut hits: BTreeMap<Moment, u32> = BTreeMap::new();
    let mut kills = 0;
    let mut version = 1;
    while kills < KILLS {
        let moment = match kills % 4 {
            0 => Moment::Later(20 + seeded.below(900)),
            1 => Moment::Upload,
            2 => Moment::Publishing,
            _ => Moment::Planning,
        };
        let (start, end) = (Instant::now(), Instant::now() + Duration::from_secs(20));
        if moment == Moment::Planning || watcher.unfinished().await == 0 {
            // Another commit: there is something to plan, and to build after it.
            version += 1;
            let repository = &repositories[usize::try_from(seeded.below(4)).expect("it is small")];
            repository.edit(
                &[".SRCINFO"],
                &format!("pkgver = {}", repository_version(repository)),
                &format!("pkgver = {version}"),
            );
        }
        let mut come = false;
        while Instant::now() < end && !come {
            come = watcher.has_come(moment, start).await;
        }
        stage.kill_server();
        kills += 1;
        if come && !matches!(moment, Moment::Later(_)) {
            *hits.entry(moment).or_default() += 1;
        }
        if kills % 5 == 0 {
            stage.replace_worker(
                usize::try_from(seeded.below(2)).expect("it is small"),
                &worker,
            );
        }
        stage.start_server();
    }
    println!("the server was killed in the middle of {hits:?}");
    for moment in [Moment::Planning, Moment::Upload, Moment::Publishing] {
        assert!(
            hits.contains_key(&moment),
            "no kill came in the middle of {moment:?}"
        );
    }

    let end = Instant::now() + DEADLINE;
    while watcher.unfinished().await > 0 {
        assert!(
            Instant::now() < end,
            "it does not complete\n{}",
            stage.logs()
        );
        tokio::time::timeout(Duration::from_secs(5), stage.events_until(|_| true))
            .await
            .expect("the server answers");
    }
    let newest = stage.namespace("kills").await.iterations[0].number;
    let builds = stage.builds("kills", newest).await;
    assert_eq!(builds.len(), PACKAGES as usize);
    for build in &builds {
        // What an earlier iteration had built of an equal input is not built again.
        if build.status == BuildStatus::Reused {
            continue;
        }
        assert_eq!(
            build.status,
            BuildStatus::Built,
            "{build:#?}\n{}",
            stage.logs()
        );
        let outcome = build
            .run
            .as_ref()
            .and_then(|run| run.outcome.as_ref())
            .expect("its run ended");
        assert_eq!(outcome.class, OutcomeClass::Success);
    }
    assert!(stage.stop_server().success());
    aftermath::check(&stage.data(), PACKAGES as usize).await;
}

fn repository_version(repository: &buildbtw_tests::git::Repository) -> String {
    let text = repository.read(".SRCINFO");
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("pkgver = "))
        .expect("it has a version");
    line.to_owned()
}
