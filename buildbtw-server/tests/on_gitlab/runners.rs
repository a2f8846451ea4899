//! A whole server whose builds go to the fake GitLab, and runners played by the test.

use std::path::Path;
use std::time::Duration;

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::client::{Client, ClientError};
use buildbtw_api::explanations::Explanation;
use buildbtw_api::jobs::{ClaimedRun, JobClaim};
use buildbtw_api::namespaces::{CreateNamespace, Namespace, NamespaceOptions};
use buildbtw_api::runs::RunSummary;
use buildbtw_api::{BuildPlace, Problem, RunId, WORKER_PROTOCOL};
use buildbtw_fake_gitlab::access::{Role, Scope};
use buildbtw_fake_gitlab::pipelines::{Job, Pipeline, Status};
use buildbtw_fake_gitlab::repository::NewFile;
use buildbtw_graph::Scope as Dependents;
use buildbtw_server::config::Config;
use buildbtw_server::dispatch::fleet;
use buildbtw_server::gitlab::Token;
use buildbtw_server::{Running, start_on_gitlab};
use tokio_util::sync::CancellationToken;

use crate::stage::{Worker, registration};
use crate::world::*;

/// A token that may make pipelines.
pub const API_TOKEN: &str = "glpat-api-0123456789";

/// Where the CI configuration of all packages is.
pub const CI: &str = "gitlab-ci.yml@archlinux/packaging/ci";

/// The CI configuration as it is handed to operators.
pub fn template() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../notes/gitlab-ci.yml");
    std::fs::read_to_string(path).unwrap()
}

/// A server, GitLab, and runners. It must be stopped.
pub struct Runners {
    pub world: World,
    running: Option<Running>,
    shutdown: CancellationToken,
}

impl Runners {
    /// Packages of these names, all of which are built on GitLab.
    pub async fn with(packages: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::world().await;
        change(&mut world.config);
        Self::on(world, packages).await
    }

    /// The same, with a client that gives up on a GitLab which is silent for so long.
    pub async fn with_silence(packages: &[&str], silence: Duration) -> Self {
        let mut world = Self::world().await;
        world.silence = Some(silence);
        Self::on(world, packages).await
    }

    /// A GitLab without packages, to which everything goes.
    async fn world() -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut world = World::new().await;
        world.fake.token(API_TOKEN, &[Scope::Api], Role::Maintainer);
        world.config.gitlab_token = Token::new(API_TOKEN);
        world.config.fleet.run_builds_on_gitlab = true;
        world.config.fleet.gitlab_runner_builder = "test".to_owned();
        world
    }

    async fn on(world: World, packages: &[&str]) -> Self {
        world.fake.group("archlinux/packaging");
        let ci = world
            .fake
            .project("archlinux/packaging", "ci", "ci")
            .unwrap();
        let file = [("gitlab-ci.yml", NewFile::Text(template()))];
        world
            .fake
            .push(ci, "main", "the configuration", &file)
            .unwrap();
        for package in packages {
            let id = world.project(package);
            let set = |project: &mut buildbtw_fake_gitlab::state::Project| {
                project.ci_config_path = Some(CI.to_owned());
            };
            world.fake.change_project(id, set).unwrap();
        }
        let mut runners = Self {
            world,
            running: None,
            shutdown: CancellationToken::new(),
        };
        runners.start().await;
        runners
    }

    pub async fn of(packages: &[&str]) -> Self {
        Self::with(packages, |_| {}).await
    }

    pub async fn start(&mut self) {
        self.shutdown = CancellationToken::new();
        let (config, client) = (self.world.config.clone(), self.world.client());
        let running = start_on_gitlab(config, client, self.shutdown.clone())
            .await
            .unwrap();
        let mut in_sync = running.server.sources.in_sync();
        tokio::time::timeout(PATIENCE, in_sync.wait_for(|in_sync| *in_sync))
            .await
            .unwrap()
            .unwrap();
        self.running = Some(running);
    }

    /// The server ends in the middle of whatever it does.
    pub async fn stop_server(&mut self) {
        self.shutdown.cancel();
        self.running.take().unwrap().stopped().await.unwrap();
    }

    pub async fn restart(&mut self) {
        self.stop_server().await;
        self.start().await;
    }

    pub async fn stop(mut self) {
        self.stop_server().await;
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn server(&self) -> &buildbtw_server::Server {
        &self.running().server
    }

    pub fn people(&self) -> Client {
        Client::new(&self.running().url(), None).unwrap()
    }

    pub fn workers(&self) -> Client {
        let token = std::fs::read_to_string(self.world.config.data_dir.join("worker-token"));
        Client::new(
            &self.running().url(),
            Some(token.unwrap().trim().to_owned()),
        )
        .unwrap()
    }

    /// A worker that asks for runs itself.
    pub async fn worker(&self, name: &str) -> Worker {
        Worker::register(self.workers(), name).await
    }

    /// A namespace of these packages and nothing else.
    pub async fn namespace(&self, name: &str, packages: &[&str]) {
        self.namespace_on(name, packages, None).await;
    }

    pub async fn namespace_on(&self, name: &str, packages: &[&str], on: Option<BuildPlace>) {
        let changesets: Vec<String> = packages.iter().map(main_of).collect();
        self.make(name, &changesets, on).await.unwrap();
    }

    pub async fn try_namespace(&self, name: &str, packages: &[&str]) -> Result<(), ClientError> {
        let changesets: Vec<String> = packages.iter().map(main_of).collect();
        self.make(name, &changesets, None).await.map(drop)
    }

    /// Asks for a namespace of just these changesets.
    pub async fn make(
        &self,
        name: &str,
        changesets: &[String],
        on: Option<BuildPlace>,
    ) -> Result<Namespace, ClientError> {
        let request = CreateNamespace {
            name: Some(name.parse().unwrap()),
            changesets: changesets.iter().map(|one| one.parse().unwrap()).collect(),
            options: NamespaceOptions {
                scope: Dependents::None,
                bootstrap: true,
                base: Some(Vec::new()),
                on,
                ..NamespaceOptions::default()
            },
        };
        self.people().create_namespace(&request).await
    }

    /// Waits until something is so, looking again when anything changes here or there.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut so: impl FnMut() -> F) {
        let mut here = self.server().feed.follow();
        let mut there = self.world.fake.shared().changes.subscribe();
        let search = async {
            loop {
                here.borrow_and_update();
                there.borrow_and_update();
                if so().await {
                    return;
                }
                tokio::select! {
                    _ = here.changed() => {}
                    _ = there.changed() => {}
                }
            }
        };
        if tokio::time::timeout(PATIENCE, search).await.is_err() {
            panic!("{what}: it did not come about; {:#?}", self.pipelines());
        }
    }

    /// All pipelines on GitLab, oldest first.
    pub fn pipelines(&self) -> Vec<Pipeline> {
        self.world
            .fake
            .state()
            .pipelines
            .values()
            .cloned()
            .collect()
    }

    /// The pipelines that are not over.
    pub fn open_pipelines(&self) -> Vec<Pipeline> {
        let mut pipelines = self.pipelines();
        pipelines.retain(|pipeline| !pipeline.status.is_over());
        pipelines
    }

    /// A runner takes a job as soon as there is one.
    pub async fn take(&self) -> Job {
        let mut taken = None;
        let take = || {
            taken = taken
                .take()
                .or_else(|| self.world.fake.take_job("host", &["buildbtw"]));
            std::future::ready(taken.is_some())
        };
        self.until("a job for a runner", take).await;
        taken.unwrap()
    }

    /// The executor of a job claims its run.
    pub async fn try_claim(&self, job: &Job) -> Result<ClaimedRun, ClientError> {
        let run: RunId = job.inputs["run"].as_str().unwrap().parse().unwrap();
        self.workers().claim_job(run, &job_claim(job)).await
    }

    pub async fn claim(&self, job: &Job) -> ClaimedRun {
        self.try_claim(job).await.unwrap()
    }

    /// Why a claim is refused.
    pub async fn refusal(&self, job: &Job) -> Problem {
        let error = self.try_claim(job).await.unwrap_err();
        error.problem().cloned().unwrap()
    }

    /// The worker that an executor is once it has its run.
    pub fn executor(&self, claimed: &ClaimedRun) -> Worker {
        Worker::known(self.workers(), claimed.worker)
    }

    /// A runner takes the next job, and its executor builds.
    pub async fn build_next(&self) -> Job {
        let job = self.take().await;
        let claimed = self.claim(&job).await;
        self.executor(&claimed).succeed(&claimed.assignment).await;
        job
    }

    pub async fn build(&self, namespace: &str, package: &str) -> Build {
        let page = self
            .people()
            .builds(&namespace.parse().unwrap(), 1, &BuildQuery::default())
            .await
            .unwrap();
        let mut builds = page.items.into_iter();
        builds
            .find(|build| build.pkgbase.as_str() == package)
            .unwrap()
    }

    /// The newest run of a build.
    pub async fn run(&self, namespace: &str, package: &str) -> Option<RunSummary> {
        self.build(namespace, package).await.run
    }

    pub async fn explain(&self, namespace: &str, package: &str) -> Explanation {
        let build = self.build(namespace, package).await;
        let name = namespace.parse().unwrap();
        self.people()
            .explanation(&name, 1, &build)
            .await
            .unwrap()
            .explanation
    }

    /// The page of a build.
    pub async fn page(&self, namespace: &str, package: &str) -> String {
        let url = self.running().url();
        let url = format!("{url}/namespaces/{namespace}/1/x86_64/{package}/1");
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    /// What the poll would find, now.
    pub async fn look(&self) {
        fleet::look_at_all(self.server()).await.unwrap();
    }

    /// Waits until what the server last heard of a run's pipeline is this.
    pub async fn heard(&self, namespace: &str, package: &str, status: &str) {
        let so = || async {
            let run = self.run(namespace, package).await;
            run.and_then(|run| run.pipeline?.status).as_deref() == Some(status)
        };
        self.until(status, so).await;
    }

    /// Waits until a build has had so many tries that ended.
    pub async fn ended(&self, namespace: &str, package: &str, attempt: u32) -> RunSummary {
        let so = || async {
            let run = self.run(namespace, package).await;
            run.is_some_and(|run| {
                run.attempt > attempt || (run.attempt == attempt && run.outcome.is_some())
            })
        };
        self.until("the end of a try", so).await;
        let build = self.build(namespace, package).await;
        let name = namespace.parse().unwrap();
        let details = self
            .people()
            .build(&name, 1, &build.architecture, &build.pkgbase, 1)
            .await
            .unwrap();
        let mut runs = details.runs.into_iter();
        runs.find(|run| run.attempt == attempt).unwrap()
    }
}

impl Drop for Runners {
    fn drop(&mut self) {
        if self.running.is_some() && !std::thread::panicking() {
            panic!("the test forgot to stop its server");
        }
    }
}

/// What the executor of a job says of itself.
pub fn job_claim(job: &Job) -> JobClaim {
    let mut offer = registration("host").offer;
    // The server cannot know this before the first claim.
    offer.configuration = "set up like this".to_owned();
    JobClaim {
        protocol: WORKER_PROTOCOL,
        job: job.id,
        pipeline: Some(job.pipeline),
        commit: None,
        job_url: Some(format!("https://gitlab.example.org/-/jobs/{}", job.id)),
        name: "host".to_owned(),
        offer,
    }
}

/// The changeset of a package's default branch.
fn main_of(package: &&str) -> String {
    format!("{package}/main")
}

/// Whether a pipeline was ended, or is being.
pub fn is_ended(pipeline: &Pipeline) -> bool {
    matches!(pipeline.status, Status::Canceled | Status::Canceling)
}
