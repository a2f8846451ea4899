//! A double of the server: speaks the endpoints that workers use, over a real socket, keeps what
//! it gets and checks it as the server does. A proxy before it plays the bad network.

#![allow(dead_code, reason = "every test program uses another part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod endpoints;
mod network;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use buildbtw_api::jobs::JobClaim;
use buildbtw_api::runs::{
    Assignment, BuildOrder, Fence, FinishReport, NetworkMode, RootMode, StepsReport,
};
use buildbtw_api::workers::{Heartbeat, RegisterWorker};
use buildbtw_api::{OutcomeClass, ProblemType, RunId, WorkerId};
use tokio::sync::watch;

use network::Proxy;

/// The workers' token.
pub const TOKEN: &str = "a-token-of-the-tests";

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// What the double keeps of a run.
#[derive(Debug, Default)]
pub struct KeptRun {
    /// Handed out.
    pub claimed: bool,
    /// The number that reports must carry; none when the run was taken away.
    pub fence: Option<Fence>,
    /// The job of GitLab that claimed it.
    pub job: Option<u64>,
    /// Every claim of a job.
    pub claims: Vec<JobClaim>,
    /// What a job is told that claims it.
    pub assignment: Option<Assignment>,
    /// Claims are refused with this problem.
    pub refuse_claims: Option<(ProblemType, &'static str)>,
    /// The source tarball.
    pub source: Bytes,
    /// How often the source was fetched.
    pub fetched: usize,
    /// The log as far as it is known.
    pub log: Vec<u8>,
    /// Every part of the log that was taken, with its offset.
    pub parts: Vec<(u64, Bytes)>,
    /// Before the next part that is not the first, half of the log is forgotten.
    pub forget_log: bool,
    /// How many gaps were answered.
    pub gaps: usize,
    /// Every report of steps.
    pub steps: Vec<StepsReport>,
    /// The packages, by file name.
    pub packages: BTreeMap<String, Bytes>,
    /// Uploads of packages get no answer as long as this is set.
    pub hold_packages: bool,
    /// How many uploads of packages began.
    pub uploads: usize,
    /// Packages are refused with this problem.
    pub refuse_packages: Option<(ProblemType, &'static str)>,
    /// How it ended.
    pub finish: Option<FinishReport>,
    /// How the server lets a success end that it does not believe.
    pub disbelieve: Option<(OutcomeClass, &'static str)>,
    /// So many questions after it ended it is said how.
    pub publishing: usize,
    /// How often people and executors asked about it.
    pub asked_about: usize,
    /// Told to the worker at its next heartbeat.
    pub stop: Option<&'static str>,
    /// The stop was told.
    pub stop_told: bool,
    /// Reports that came after the worker had been told that the run is not its own.
    pub late_reports: Vec<&'static str>,
    /// A heartbeat named it.
    pub beaten: bool,
}

impl KeptRun {
    /// Whether a build of the fake builder sleeps in its longest step, and all that it said before has come: from
    /// here on nothing is on its way but signs of life. A report that was sent before the server's word came
    /// would be no mistake.
    pub fn is_silent(&self) -> bool {
        let last = self.steps.last().and_then(|report| report.steps.last());
        let sleeps = last.is_some_and(|step| step.name == "build" && step.ended_ms.is_none());
        self.beaten && sleeps && self.log_text().ends_with("Starting build()...\n")
    }

    /// The log as text.
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&self.log).into_owned()
    }
}

/// What the double keeps.
#[derive(Debug, Default)]
pub struct Kept {
    /// Every registration.
    pub registrations: Vec<RegisterWorker>,
    /// The id it gave away.
    pub worker: Option<WorkerId>,
    /// Runs to hand out.
    pub queue: VecDeque<Assignment>,
    /// What is known of the runs.
    pub runs: HashMap<RunId, KeptRun>,
    /// Told to the worker at its heartbeats: it is drained.
    pub drain: Option<&'static str>,
    /// How many heartbeats came.
    pub heartbeats: usize,
    /// Workers that said that they end.
    pub left: Vec<WorkerId>,
    /// The newest heartbeat.
    pub heartbeat: Option<Heartbeat>,
    /// How many claims wait for an answer.
    pub waiting_claims: usize,
    /// Answers registrations with this problem.
    pub refuse_workers: Option<ProblemType>,
    /// The largest package it says it takes.
    pub upload_limit: Option<u64>,
    /// Requests with a wrong token.
    pub unauthorized: usize,
}

/// What the endpoints share.
pub struct State {
    kept: Mutex<Kept>,
    changed: watch::Sender<u64>,
}

impl State {
    /// What is kept, to be looked at or changed.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Wakes whoever waits for a change.
    pub fn touch(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

/// The double.
pub struct Double {
    state: Arc<State>,
    proxy: Proxy,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Double {
    /// Starts a double on a free port.
    pub async fn start() -> Self {
        let state = Arc::new(State {
            kept: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await;
        let router = endpoints::router(Arc::clone(&state));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            state,
            proxy,
            serving,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.proxy.address())
    }

    /// What is kept, to be looked at or changed. What is changed is not noticed by waiters.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.state.kept()
    }

    /// Changes what is kept about a run.
    pub fn change(&self, run: RunId, change: impl FnOnce(&mut KeptRun)) {
        change(self.kept().runs.get_mut(&run).unwrap());
        self.state.touch();
    }

    /// Puts a run in the queue.
    pub fn offer(&self, order: BuildOrder, source: Vec<u8>) -> RunId {
        let run = self.keep(order, source);
        let mut kept = self.kept();
        let assignment = kept.runs[&run].assignment.clone().unwrap();
        kept.queue.push_back(assignment);
        drop(kept);
        self.state.touch();
        run
    }

    /// Keeps a run for a job of GitLab; no worker gets it.
    pub fn keep(&self, order: BuildOrder, source: Vec<u8>) -> RunId {
        let run = RunId::generate();
        let fence = Fence(7);
        let mut order = order;
        order.source = format!("/api/v1/runs/{run}/source");
        let assignment = Assignment {
            run,
            fence,
            lease_seconds: 60,
            namespace: "trial".parse().unwrap(),
            iteration: 1,
            build: order,
        };
        self.kept().runs.insert(
            run,
            KeptRun {
                fence: Some(fence),
                assignment: Some(assignment),
                source: source.into(),
                ..KeptRun::default()
            },
        );
        run
    }

    /// Waits until something can be seen in what is kept.
    pub async fn until<T>(&self, what: &str, mut look: impl FnMut(&Kept) -> Option<T>) -> T {
        let mut changed = self.state.changed.subscribe();
        let waiting = async {
            loop {
                if let Some(seen) = look(&self.kept()) {
                    return seen;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(seen) => seen,
            Err(_) => panic!("waited in vain for {what}; kept: {:#?}", self.kept()),
        }
    }

    /// Waits until something can be seen in a run.
    pub async fn until_run<T>(
        &self,
        run: RunId,
        what: &str,
        mut look: impl FnMut(&KeptRun) -> Option<T>,
    ) -> T {
        self.until(what, |kept| look(&kept.runs[&run])).await
    }

    /// Waits for a run's last report.
    pub async fn finished(&self, run: RunId) -> FinishReport {
        self.until_run(run, "the end of a run", |run| run.finish.clone())
            .await
    }

    /// Breaks all connections and takes no new ones.
    pub async fn go_away(&mut self) {
        self.proxy.close().await;
    }

    /// Takes connections again, at the same address.
    pub async fn come_back(&mut self) {
        self.proxy.open().await;
    }
}

/// The text of a `.SRCINFO` of one `any` package.
fn srcinfo(pkgbase: &str) -> String {
    format!(
        "pkgbase = {pkgbase}\n\tpkgdesc = made for a test\n\tpkgver = 1\n\tpkgrel = 1\n\tarch = any\n\n\
         pkgname = {pkgbase}\n"
    )
}

/// A tarball of a source tree with one `any` package.
pub fn source(pkgbase: &str) -> Vec<u8> {
    let pkgbuild = format!(
        "pkgname={pkgbase}\npkgver=1\npkgrel=1\npkgdesc='made for a test'\narch=(any)\npackage() {{ :; }}\n"
    );
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [(".SRCINFO", srcinfo(pkgbase)), ("PKGBUILD", pkgbuild)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    archive.into_inner().unwrap()
}

/// The order to build that.
pub fn order(pkgbase: &str) -> BuildOrder {
    BuildOrder {
        pkgbase: pkgbase.parse().unwrap(),
        architecture: "x86_64".parse().unwrap(),
        pass: 1,
        version: "1-1".parse().unwrap(),
        pkgnames: vec![pkgbase.parse().unwrap()],
        source: String::new(),
        source_date_epoch: 1_700_000_000,
        packager: "Somebody <somebody@localhost.invalid>".to_owned(),
        check: true,
        root_mode: RootMode::Host,
        network: NetworkMode::Sources,
        repositories: Vec::new(),
        install: Vec::new(),
        assumed: Vec::new(),
        expected: Vec::new(),
    }
}
