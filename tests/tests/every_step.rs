//! kill -9 at every step of a state: as soon as an event of a new kind is in the log, the server is
//! killed; when one of it comes again, a worker is. After each start everything goes on.
//!
//! What happened and what it did to rows is one transaction, so the next start finds exactly the
//! state behind that step, and nothing that the server meant to do next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use buildbtw_api::BuildStatus::{
    self, Blocked, Building, Built, Cancelled, DependencyFailed, Failed, Pending, Reused,
    Scheduled, Waived,
};
use buildbtw_tests::aftermath;
use buildbtw_tests::programs::DEADLINE;
use buildbtw_tests::stage::Stage;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// A kind of event, with the states before and after it where they are words.
type Step = (String, Option<String>, Option<String>);

/// What has been killed where.
struct Killer {
    pool: SqlitePool,
    /// The last event that was seen.
    last: i64,
    seen: BTreeMap<Step, u32>,
    workers: [Vec<(&'static str, String)>; 2],
    server_kills: u32,
    worker_kills: u32,
}

impl Killer {
    async fn new(data: &Path, rules: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(data.join("buildbtw.db"))
            .read_only(true);
        let settings = vec![
            ("BUILDER", "fake".to_owned()),
            ("FAKE_RULES", rules.display().to_string()),
            ("WORKER_SLOTS", "2".to_owned()),
        ];
        Self {
            pool: SqlitePool::connect_with(options)
                .await
                .expect("the database can be read"),
            last: 0,
            seen: BTreeMap::new(),
            workers: [settings.clone(), settings],
            server_kills: 0,
            worker_kills: 0,
        }
    }

    fn settings(&self, worker: usize) -> Vec<(&str, &str)> {
        let settings = self.workers[worker].iter();
        settings
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }

    /// The steps that were taken since it looked last.
    async fn news(&mut self) -> Vec<Step> {
        let rows: Vec<(i64, String, Option<String>, Option<String>)> =
            sqlx::query_as("SELECT seq, kind, before, after FROM event WHERE seq > ? ORDER BY seq")
                .bind(self.last)
                .fetch_all(&self.pool)
                .await
                // The server that has just been killed may have left the database for a moment.
                .unwrap_or_default();
        self.last = rows.last().map_or(self.last, |row| row.0);
        let word = |text: Option<String>| text.filter(|it| it.parse::<i64>().is_err());
        rows.into_iter()
            .map(|(_, kind, before, after)| (kind, word(before), word(after)))
            .collect()
    }

    /// Kills whom the last events ask for.
    async fn look(&mut self, stage: &mut Stage) {
        let (mut server, mut worker) = (false, false);
        for step in self.news().await {
            let count = self.seen.entry(step).or_default();
            *count += 1;
            server |= *count == 1;
            worker |= *count == 2;
        }
        if server {
            stage.kill_server();
            self.server_kills += 1;
        }
        if worker {
            let number = self.worker_kills as usize % 2;
            stage.replace_worker(number, &self.settings(number));
            self.worker_kills += 1;
        }
        if server {
            stage.start_server();
        }
    }

    async fn holds(&self, query: &'static str) -> bool {
        let answer: Result<bool, _> = sqlx::query_scalar(query).fetch_one(&self.pool).await;
        answer.unwrap_or(false)
    }

    /// Goes on killing until something holds.
    async fn until(&mut self, stage: &mut Stage, what: &'static str) {
        let end = Instant::now() + DEADLINE;
        loop {
            self.look(stage).await;
            if self.holds(what).await && self.news().await.is_empty() {
                return;
            }
            assert!(
                Instant::now() < end,
                "this never came true: {what}\n{}\n{}",
                stage.bbtw(&["show", "steps"]).stdout,
                stage.logs()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Has a packager do something until it is done: whoever hears that the server is away tries
    /// again, and what had happened in spite of that is not done twice.
    async fn act(&mut self, stage: &mut Stage, arguments: &[&str], done: &'static str) {
        let end = Instant::now() + DEADLINE;
        while !self.holds(done).await {
            let told = stage.bbtw(arguments);
            self.look(stage).await;
            assert!(
                Instant::now() < end,
                "bbtw {arguments:?} does not come through: {}\n{}",
                told.stderr,
                stage.logs()
            );
        }
    }
}

fn srcinfo(name: &str, needs: &[&str]) -> String {
    let needs: String = needs
        .iter()
        .map(|need| format!("\tdepends = {need}\n"))
        .collect();
    format!(
        "pkgbase = {name}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n{needs}\npkgname = {name}\n"
    )
}

const GOOD: &str = r#"{"*": {"duration_ms": 150, "size": 200000}}"#;
const FLAWED: &str = r#"{"*": {"duration_ms": 150, "size": 200000},
    "flaw": {"duration_ms": 50, "failure": {"class": "package"}},
    "slow": {"duration_ms": 60000}}"#;

/// The steps of builds that the story leads through.
const STEPS: [(BuildStatus, BuildStatus); 14] = [
    (Blocked, Pending),
    (Blocked, DependencyFailed),
    (Blocked, Cancelled),
    (Pending, Scheduled),
    (Pending, Reused),
    (Scheduled, Building),
    (Building, Built),
    (Building, Failed),
    (Building, Pending),
    (Building, Cancelled),
    (Failed, Pending),
    (Failed, Waived),
    (DependencyFailed, Blocked),
    (Cancelled, Blocked),
];

/// Nothing is worked on any more.
const AT_REST: &str = "SELECT NOT EXISTS (SELECT 1 FROM iteration WHERE status = 'planning') \
     AND NOT EXISTS (SELECT 1 FROM build JOIN build_set ON build_set.id = build_set_id \
     JOIN iteration ON iteration.id = iteration_id WHERE iteration.status = 'current' \
     AND build.status IN ('blocked', 'pending', 'scheduled', 'building'))";

/// All that is left to do is a build that takes a minute, and what waits for it.
const ONLY_SLOW: &str = "SELECT count(*) FILTER (WHERE build.status = 'building') = 1 \
     AND count(*) FILTER (WHERE build.status IN ('pending', 'scheduled')) = 0 \
     FROM build JOIN build_set ON build_set.id = build_set_id \
     JOIN iteration ON iteration.id = iteration_id WHERE iteration.status = 'current'";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_stuck_whatever_step_was_the_last() {
    let mut stage = Stage::new()
        .with("LEASE_SECONDS", "2")
        .with("INFRASTRUCTURE_TRIES", "50");
    let library = stage.srcinfo_package("lib", &srcinfo("lib", &[]));
    stage.srcinfo_package("flaw", &srcinfo("flaw", &["lib"]));
    stage.srcinfo_package("behind", &srcinfo("behind", &["flaw"]));
    stage.srcinfo_package("slow", &srcinfo("slow", &["lib"]));
    stage.srcinfo_package("end", &srcinfo("end", &["slow"]));
    stage.srcinfo_package("last", &srcinfo("last", &["slow", "flaw"]));
    for name in ["a", "b", "c", "d"] {
        stage.srcinfo_package(name, &srcinfo(name, &["lib"]));
    }
    let rules = stage.path().join("rules.json");
    std::fs::write(&rules, FLAWED).expect("a file can be written");
    stage.start_server();
    let mut killer = Killer::new(&stage.data(), &rules).await;
    for number in 0..2 {
        stage.start_worker(&killer.settings(number));
    }

    // A build fails, what waits for it cannot go on, and another one takes very long.
    killer
        .act(
            &mut stage,
            &[
                "new",
                "--name",
                "steps",
                "--base",
                "none",
                "--bootstrap",
                "lib/main",
            ],
            "SELECT count(*) = 1 FROM namespace WHERE name = 'steps'",
        )
        .await;
    killer.until(&mut stage, ONLY_SLOW).await;
    killer
        .act(
            &mut stage,
            &["retry", "steps"],
            "SELECT EXISTS (SELECT 1 FROM event WHERE before = 'failed' AND after = 'pending')",
        )
        .await;
    killer.until(&mut stage, ONLY_SLOW).await;
    killer
        .act(
            &mut stage,
            &["cancel", "steps"],
            "SELECT status = 'cancelled' FROM namespace",
        )
        .await;
    killer.until(&mut stage, AT_REST).await;

    // Everything is mended and goes on.
    std::fs::write(&rules, GOOD).expect("a file can be written");
    for number in 0..2 {
        stage.replace_worker(number, &killer.settings(number));
    }
    killer
        .act(
            &mut stage,
            &["resume", "steps"],
            "SELECT status = 'active' FROM namespace",
        )
        .await;
    killer.until(&mut stage, AT_REST).await;
    // What had failed before it was called off is still to be tried again.
    killer
        .act(
            &mut stage,
            &["retry", "steps"],
            "SELECT NOT EXISTS (SELECT 1 FROM build WHERE status IN ('failed', 'dependency_failed'))",
        )
        .await;
    killer
        .until(
            &mut stage,
            "SELECT (SELECT status = 'finished' FROM namespace) \
             AND NOT EXISTS (SELECT 1 FROM iteration WHERE status = 'planning')",
        )
        .await;

    // A second iteration finds all inputs known.
    killer
        .act(
            &mut stage,
            &["rebuild", "steps"],
            "SELECT max(number) = 2 FROM iteration",
        )
        .await;
    killer.until(&mut stage, AT_REST).await;

    // A commit makes a third, which fails once more, and a person decides.
    std::fs::write(&rules, FLAWED.replace("60000", "150")).expect("a file can be written");
    for number in 0..2 {
        stage.replace_worker(number, &killer.settings(number));
    }
    library.edit(&[".SRCINFO"], "pkgver = 1", "pkgver = 2");
    killer
        .until(&mut stage, "SELECT max(number) = 3 FROM iteration")
        .await;
    killer.until(&mut stage, AT_REST).await;
    killer
        .act(
            &mut stage,
            &[
                "waive",
                "steps",
                "flaw",
                "behind",
                "last",
                "--reason",
                "known to be broken",
            ],
            "SELECT EXISTS (SELECT 1 FROM build WHERE status = 'waived')",
        )
        .await;
    killer
        .until(
            &mut stage,
            "SELECT (SELECT status = 'finished' FROM namespace) \
             AND NOT EXISTS (SELECT 1 FROM iteration WHERE status = 'planning')",
        )
        .await;

    println!(
        "the server was killed {} times, workers {} times; after {:#?}",
        killer.server_kills,
        killer.worker_kills,
        killer.seen.keys().collect::<Vec<_>>()
    );
    let of_builds: BTreeSet<(&str, &str)> = killer
        .seen
        .keys()
        .filter(|step| step.0 == "build_status")
        .filter_map(|step| Some((step.1.as_deref()?, step.2.as_deref()?)))
        .collect();
    let missing: Vec<_> = STEPS
        .iter()
        .filter(|(from, to)| !of_builds.contains(&(from.as_str(), to.as_str())))
        .collect();
    assert!(missing.is_empty(), "no kill came after {missing:?}");

    let builds = stage.builds("steps", 3).await;
    let statuses: BTreeMap<&str, BuildStatus> = builds
        .iter()
        .map(|build| (build.pkgbase.as_str(), build.status))
        .collect();
    assert_eq!(statuses.len(), 10, "{statuses:?}");
    for (name, status) in statuses {
        let waived = ["flaw", "behind", "last"].contains(&name);
        assert!(
            if waived {
                status == Waived
            } else {
                [Built, Reused].contains(&status)
            },
            "{name} is {status}\n{}",
            stage.logs()
        );
    }
    assert!(stage.stop_server().success());
    aftermath::check(&stage.data(), 9).await;
}
