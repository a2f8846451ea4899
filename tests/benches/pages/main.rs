//! Measures the pages as a packager sees them, with the programs as they are run: a large namespace, a
//! fake builder at work on it, a real browser.
//!
//! `just bench-pages [PART...] [--full] [--judge]`; the parts are `sizes`, `map`, `changes`, `memory`,
//! `line`, `log` and `readers`, all of them where none is named. Each prints plain lines: what, figure, budget.
//! `--full` takes as long as the budgets speak of (a minute of changes, ten minutes of memory), else it
//! is a short look. With `--judge` a figure over its budget makes the exit code 1.
//!
//! `BUILDBTW_CORPUS` names a folder of `.SRCINFO` files; without it a made-up distribution stands in. A
//! browser's times are wall-clock times: on a busy machine they say more about the machine.

#[path = "../../../buildbtw-server/tests/pages/browser.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the browser is that of the tests"
)]
mod browser;
mod large_log;
mod line;
mod readers;
mod screen;
mod sizes;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buildbtw_api::builds::Build;
use buildbtw_api::client::Client;
use buildbtw_tests::corpus::{self, synthetic};
use buildbtw_tests::stage::Stage;

/// Everything that can be measured.
const PARTS: [&str; 7] = [
    "sizes", "map", "changes", "memory", "line", "log", "readers",
];

/// A package whose build writes the time into its log again and again.
pub const TALKER: &str = "talker";

/// A package whose build goes on for an hour and says nothing.
pub const SLEEPER: &str = "sleeper";

/// Whether a figure was over its budget.
static OVER: AtomicBool = AtomicBool::new(false);

/// What is measured, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    parts: Vec<String>,
    /// As long as the budgets speak of.
    pub full: bool,
    /// Not only to see that it runs.
    pub measure: bool,
}

impl Plan {
    fn read() -> Self {
        let given: Vec<String> = std::env::args().skip(1).collect();
        let is = |flag: &str| given.iter().any(|argument| argument == flag);
        let parts = given
            .iter()
            .filter(|argument| !argument.starts_with("--"))
            .cloned()
            .collect();
        Self {
            parts,
            full: is("--full"),
            measure: is("--bench"),
        }
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|named| named == part)
    }

    /// So many seconds for the full measurement, so many for the short one.
    pub fn seconds(&self, full: u64, short: u64) -> Duration {
        Duration::from_secs(if self.full { full } else { short })
    }
}

fn main() -> ExitCode {
    let plan = Plan::read();
    let unknown: Vec<&String> = plan
        .parts
        .iter()
        .filter(|part| !PARTS.contains(&part.as_str()))
        .collect();
    if let Some(part) = unknown.first() {
        eprintln!("error: no part is called {part}");
        eprintln!("hint: there are {}", PARTS.join(", "));
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(pages(&plan));
    let judged = std::env::args().any(|argument| argument == "--judge");
    match judged && OVER.load(Ordering::Relaxed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// A namespace of thousands of builds, and where its pages are.
pub struct World {
    pub stage: Stage,
    /// The package base whose change it is about.
    pub origin: String,
    /// How many builds it has.
    pub builds: usize,
    /// A build far from the change, with much around it.
    pub far: String,
}

impl World {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stage.address())
    }

    /// Whoever may ask for runs.
    pub fn worker_client(&self) -> Client {
        let token = std::fs::read_to_string(self.stage.data().join("worker-token"));
        let token = token.expect("the server wrote a token");
        let client = Client::new(self.stage.address(), Some(token.trim().to_owned()));
        client.expect("the address is a URL")
    }

    /// Begins a namespace of one package, and waits until a worker builds it.
    pub async fn begin(&self, pkgbase: &str) -> Build {
        let changeset = format!("{pkgbase}/main");
        self.stage.bbtw_ok(&[
            "new",
            "--yes",
            "--name",
            pkgbase,
            "--scope",
            "none",
            "--bootstrap",
            "--base",
            "none",
            changeset.as_str(),
        ]);
        let begun = |event: &buildbtw_api::events::Event| {
            event
                .pkgbase
                .as_ref()
                .is_some_and(|it| it.as_str() == pkgbase)
                && event.to.as_deref() == Some("building")
        };
        self.stage.events_until(begun).await;
        let build = self.stage.builds(pkgbase, 1).await.pop();
        build.expect("it is in its own namespace")
    }
}

async fn pages(plan: &Plan) {
    let stage = Stage::new().with("RUST_LOG", "warn");
    let corpus = if plan.measure { corpus::corpus() } else { None };
    let origin = if corpus.is_some() { "glibc" } else { "s000" };
    let made_up = if plan.measure { 3_000 } else { 60 };
    let mut texts = corpus.unwrap_or_else(|| synthetic::distribution(1, made_up));
    for extra in [TALKER, SLEEPER] {
        let text = format!(
            "pkgbase = {extra}\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = x86_64\n\npkgname = {extra}\n"
        );
        texts.push((extra.to_owned(), text));
    }
    corpus::write_repositories(&stage, &texts);
    let mut stage = stage;
    stage.start_server();
    stage.sources_in_sync().await;
    let changeset = format!("{origin}/main");
    stage.bbtw_ok(&[
        "new",
        "--yes",
        "--name",
        "large",
        "--bootstrap",
        "--base",
        "none",
        changeset.as_str(),
    ]);
    // Something is to be left for the last part: three builds at a time, for half an hour or for six minutes.
    let each = if plan.full { 750 } else { 150 };
    let talk = plan.seconds(120, 20).as_millis();
    let rules = format!(
        r#"{{"*": {{"duration_ms": {each}}}, "{SLEEPER}": {{"duration_ms": 3600000}},
            "{TALKER}": {{"duration_ms": {talk}, "line_every_ms": 50}}}}"#
    );
    let path = stage.path().join("rules.json");
    std::fs::write(&path, rules).expect("a file can be written");
    let path = path.display().to_string();
    stage.start_worker(&[
        ("BUILDER", "fake"),
        ("FAKE_RULES", path.as_str()),
        ("WORKER_SLOTS", "3"),
    ]);
    let built = |event: &buildbtw_api::events::Event| event.to.as_deref() == Some("built");
    stage.events_until(built).await;
    let builds = stage.builds("large", 1).await;
    let far = builds.last().map_or(origin, |build| build.pkgbase.as_str());
    let mut world = World {
        far: far.to_owned(),
        origin: origin.to_owned(),
        builds: builds.len(),
        stage,
    };
    println!("{} builds in the namespace; load {}", world.builds, load());
    if plan.has("sizes") {
        sizes::measure(&world, plan).await;
    }
    if plan.measure {
        if plan.has("map") {
            screen::map(&world).await;
        }
        if plan.has("changes") {
            screen::changes(&world, plan).await;
        }
        if plan.has("memory") {
            screen::memory(&world, plan).await;
        }
    }
    if plan.has("line") && plan.measure {
        line::measure(&world, plan).await;
    }
    if plan.has("log") {
        large_log::measure(&mut world, plan).await;
    }
    if plan.has("readers") {
        readers::measure(&mut world, plan).await;
    }
    let status = world.stage.stop_server();
    assert!(status.success(), "the server ended with {status}");
}

/// Prints a figure beside its budget.
pub fn figure(what: &str, figure: f64, budget: f64, unit: &str) {
    // What could not be measured is not within anything.
    let over = figure.is_nan() || figure >= budget;
    if over {
        OVER.store(true, Ordering::Relaxed);
    }
    let verdict = if over { "OVER" } else { "within" };
    println!("{what}: {figure:.1} {unit}, budget {budget:.0} {unit}: {verdict}");
}

/// Which of the figures so many percent do not exceed.
pub fn at(percent: usize, figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        count => figures[(count - 1) * percent / 100],
    }
}

/// How busy the machine was in the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
