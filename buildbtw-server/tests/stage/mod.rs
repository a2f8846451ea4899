//! A server on a real socket, source repositories made with git, and a worker played by the test.

#![allow(dead_code, reason = "each test file uses its own part of the stage")]

use std::path::{Path, PathBuf};
use std::process::Command;

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::client::Client;
use buildbtw_api::namespaces::{CreateNamespace, Namespace, NamespaceOptions};
use buildbtw_api::runs::{Assignment, FinishReport, InstalledPackage, Step, StepsReport};
use buildbtw_api::workers::{RegisterWorker, WorkerOffer};
use buildbtw_api::{BuildStatus, NamespaceStatus, OutcomeClass, WORKER_PROTOCOL, WorkerId};
use buildbtw_graph::Scope;
use buildbtw_repo::PackageInfo;
use buildbtw_server::config::Config;
use buildbtw_server::{Running, start};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A server and what it works on. It must be stopped with [`Stage::stop`].
pub struct Stage {
    pub folder: TempDir,
    pub config: Config,
    running: Option<Running>,
    shutdown: CancellationToken,
}

impl Stage {
    /// A server with a namespace of packages of some names, none of which needs another.
    pub async fn with_namespace_of(namespace: &str, names: &[String]) -> Self {
        let sources: Vec<(&str, String)> = names
            .iter()
            .map(|name| (name.as_str(), srcinfo(name, "1", &[])))
            .collect();
        let stage = Self::start(&sources).await;
        stage.namespace_of(namespace, names).await;
        stage
    }

    /// A namespace of packages of some names, and of nothing that follows from them.
    pub async fn namespace_of(&self, namespace: &str, names: &[String]) {
        let changesets: Vec<String> = names.iter().map(|name| format!("{name}/main")).collect();
        let changesets: Vec<&str> = changesets.iter().map(String::as_str).collect();
        self.namespace(namespace, &changesets, Scope::None).await;
    }

    /// The statuses of the builds of a namespace's first iteration, by package base.
    pub async fn statuses(&self, namespace: &str) -> Vec<(String, BuildStatus)> {
        let (client, query) = (self.client(), BuildQuery::default());
        let name = namespace.parse().unwrap();
        let builds = client.builds(&name, 1, &query).await.unwrap().items;
        let status = |build: Build| (build.pkgbase.to_string(), build.status);
        builds.into_iter().map(status).collect()
    }

    /// A server with some source repositories: names and `.SRCINFO` texts.
    pub async fn start(sources: &[(&str, String)]) -> Self {
        Self::start_with(sources, |_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(sources: &[(&str, String)], change: impl FnOnce(&mut Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let sources_dir = folder.path().join("sources");
        std::fs::create_dir(&sources_dir).unwrap();
        for (pkgbase, text) in sources {
            let path = sources_dir.join(pkgbase);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("PKGBUILD"), "pkgrel=1\n").unwrap();
            git(&path, &["init", "--quiet", "--initial-branch=main"]);
            write_srcinfo(&path, text);
        }
        let mut config = Config::for_folders(folder.path().join("data"), sources_dir);
        change(&mut config);
        let mut stage = Self {
            folder,
            config,
            running: None,
            shutdown: CancellationToken::new(),
        };
        stage.run().await;
        stage
    }

    async fn run(&mut self) {
        self.shutdown = CancellationToken::new();
        let running = start(self.config.clone(), self.shutdown.clone())
            .await
            .unwrap();
        running
            .server
            .sources
            .in_sync()
            .wait_for(|in_sync| *in_sync)
            .await
            .unwrap();
        self.running = Some(running);
    }

    /// Stops the server and starts another one on the same folders.
    pub async fn restart(&mut self) {
        self.halt().await;
        self.run().await;
    }

    async fn halt(&mut self) {
        self.shutdown.cancel();
        self.running.take().unwrap().stopped().await.unwrap();
    }

    /// Stops the server.
    pub async fn stop(mut self) {
        self.halt().await;
    }

    pub fn url(&self) -> String {
        self.running.as_ref().unwrap().url()
    }

    pub fn server(&self) -> &buildbtw_server::Server {
        &self.running.as_ref().unwrap().server
    }

    /// The packager's client.
    pub fn client(&self) -> Client {
        Client::new(&self.url(), None).unwrap()
    }

    /// The workers' client.
    pub fn worker_client(&self) -> Client {
        let token = std::fs::read_to_string(self.config.data_dir.join("worker-token")).unwrap();
        Client::new(&self.url(), Some(token.trim().to_owned())).unwrap()
    }

    /// A source repository's work tree.
    pub fn source(&self, pkgbase: &str) -> PathBuf {
        self.config.sources_dir.join(pkgbase)
    }

    /// A namespace of just these changesets, without base repositories.
    pub async fn namespace(&self, name: &str, changesets: &[&str], scope: Scope) -> Namespace {
        self.client()
            .create_namespace(&create(Some(name), changesets, scope))
            .await
            .unwrap()
    }

    /// Registers a worker.
    pub async fn worker(&self, name: &str) -> Worker {
        Worker::register(self.worker_client(), name).await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.running.is_some() && !std::thread::panicking() {
            panic!("the test forgot to stop its server");
        }
    }
}

pub fn create(name: Option<&str>, changesets: &[&str], scope: Scope) -> CreateNamespace {
    CreateNamespace {
        name: name.map(|name| name.parse().unwrap()),
        changesets: changesets
            .iter()
            .map(|changeset| changeset.parse().unwrap())
            .collect(),
        options: NamespaceOptions {
            scope,
            bootstrap: true,
            base: Some(Vec::new()),
            ..NamespaceOptions::default()
        },
    }
}

pub fn registration(name: &str) -> RegisterWorker {
    RegisterWorker {
        id: None,
        name: name.to_owned(),
        protocol: WORKER_PROTOCOL,
        offer: WorkerOffer {
            architectures: vec!["x86_64".parse().unwrap()],
            slots: 1,
            memory: None,
            labels: Vec::new(),
            builder: "test".to_owned(),
            configuration: String::new(),
            root_modes: Vec::new(),
        },
        running: Vec::new(),
    }
}

/// A `.SRCINFO` of one package of that name.
pub fn srcinfo(pkgbase: &str, version: &str, relations: &[&str]) -> String {
    let relations: String = relations
        .iter()
        .map(|relation| format!("\t{relation}\n"))
        .collect();
    format!(
        "pkgbase = {pkgbase}\n\tpkgver = {version}\n\tpkgrel = 1\n\tarch = x86_64\n{relations}\npkgname = {pkgbase}\n"
    )
}

/// Writes a `.SRCINFO` and commits it.
pub fn write_srcinfo(path: &Path, text: &str) -> String {
    std::fs::write(path.join(".SRCINFO"), text).unwrap();
    git(path, &["add", "--all"]);
    git(
        path,
        &[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message",
            "a change",
        ],
    );
    git(path, &["rev-parse", "HEAD"])
}

pub fn git(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .current_dir(path)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A worker played by the test.
pub struct Worker {
    pub client: Client,
    pub id: WorkerId,
    folder: TempDir,
}

impl Worker {
    pub async fn register(client: Client, name: &str) -> Self {
        let id = client
            .register_worker(&registration(name))
            .await
            .unwrap()
            .id;
        Self {
            client,
            id,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// One that the server knows already.
    pub fn known(client: Client, id: WorkerId) -> Self {
        Self {
            client,
            id,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Waits for a run.
    pub async fn claim(&self) -> Assignment {
        loop {
            if let Some(assignment) = self.client.claim(self.id).await.unwrap() {
                return assignment;
            }
        }
    }

    pub async fn begin(&self, assignment: &Assignment) {
        let steps = vec![Step {
            name: "build".to_owned(),
            started_ms: 0,
            ended_ms: None,
            succeeded: None,
        }];
        let report = StepsReport {
            fence: assignment.fence,
            steps,
        };
        self.client
            .report_steps(assignment.run, &report)
            .await
            .unwrap();
    }

    /// Makes a package of that name and version for a run.
    pub fn package(&self, assignment: &Assignment, pkgname: &str) -> (String, Vec<u8>) {
        package(
            self.folder.path(),
            assignment.build.pkgbase.as_ref(),
            pkgname,
            assignment.build.version.as_ref(),
        )
    }

    pub async fn upload(
        &self,
        assignment: &Assignment,
        file_name: &str,
        bytes: &[u8],
    ) -> Result<(), buildbtw_api::client::UploadError> {
        let digest = hex::encode(Sha256::digest(bytes));
        let size = bytes.len() as u64;
        self.client
            .upload_package(
                assignment.run,
                assignment.fence,
                file_name,
                &digest,
                size,
                bytes.to_vec(),
            )
            .await
    }

    /// Makes and uploads what a run is to make, and reports success.
    pub async fn succeed(&self, assignment: &Assignment) {
        self.begin(assignment).await;
        let mut names = Vec::new();
        for pkgname in &assignment.build.pkgnames {
            let (name, bytes) = self.package(assignment, pkgname.as_ref());
            self.upload(assignment, &name, &bytes).await.unwrap();
            names.push(name);
        }
        self.client
            .finish_run(
                assignment.run,
                &finish(assignment, OutcomeClass::Success, &names),
            )
            .await
            .unwrap();
    }

    pub async fn fail(&self, assignment: &Assignment, class: OutcomeClass) {
        self.begin(assignment).await;
        self.client
            .finish_run(assignment.run, &finish(assignment, class, &[]))
            .await
            .unwrap();
    }
}

/// A package file, and its name.
pub fn package(folder: &Path, pkgbase: &str, pkgname: &str, version: &str) -> (String, Vec<u8>) {
    package_with(folder, pkgbase, pkgname, version, &[])
}

/// The same with relations at run time.
pub fn package_with(
    folder: &Path,
    pkgbase: &str,
    pkgname: &str,
    version: &str,
    depends: &[&str],
) -> (String, Vec<u8>) {
    let info = PackageInfo {
        pkgname: pkgname.to_owned(),
        pkgbase: pkgbase.to_owned(),
        version: version.to_owned(),
        arch: "x86_64".to_owned(),
        packager: "Test <test@example.org>".to_owned(),
        depends: depends.iter().map(|&it| it.to_owned()).collect(),
        ..PackageInfo::default()
    };
    let name = format!("{pkgname}-{version}-x86_64.pkg.tar.zst");
    let path = folder.join(&name);
    buildbtw_repo::write::write_package::<&str, &[u8]>(&path, &info, &[]).unwrap();
    (name, std::fs::read(&path).unwrap())
}

pub fn finish(assignment: &Assignment, class: OutcomeClass, packages: &[String]) -> FinishReport {
    FinishReport {
        fence: assignment.fence,
        class,
        message: format!("the test says {class}"),
        exit_code: Some(i32::from(class != OutcomeClass::Success)),
        failed_step: None,
        steps: Vec::new(),
        installed: assignment
            .build
            .expected
            .iter()
            .map(|package| InstalledPackage {
                pkgname: package.pkgname.to_string(),
                version: package.version.to_string(),
            })
            .collect(),
        packages: packages.to_vec(),
    }
}

/// Waits until something about a namespace is true, looking again whenever an event comes.
pub async fn until<F: Future<Output = bool>>(stage: &Stage, mut is_so: impl FnMut() -> F) {
    let mut events = stage.server().feed.follow();
    let search = async {
        while !is_so().await {
            events.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), search)
        .await
        .expect("it did not come about");
}

/// Waits until the index of the sources has a commit.
pub async fn seen(stage: &Stage, pkgbase: &str, commit: &str) {
    let sources = &stage.server().sources;
    let mut changes = sources.subscribe();
    let pkgbase = pkgbase.parse().unwrap();
    let search = async {
        while sources
            .head(&pkgbase)
            .is_none_or(|head| head.commit != commit)
        {
            changes.recv().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), search)
        .await
        .expect("the commit was not seen");
}

/// The bytes of a base repository's db with packages of these names, versions and needs.
pub fn base_db(packages: &[(&str, &str, &[&str])]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let packages: Vec<_> = packages
        .iter()
        .map(|(name, version, depends)| {
            let (file, _) = package_with(folder.path(), name, name, version, depends);
            let limits = &buildbtw_repo::ReadLimits::PACKAGE;
            buildbtw_repo::read_package(&folder.path().join(file), limits).unwrap()
        })
        .collect();
    let change = buildbtw_repo::add_packages(
        &buildbtw_repo::RepositoryState::default(),
        |_| Err::<Vec<u8>, _>("a fresh repository needs no frame"),
        &packages,
    )
    .unwrap();
    let state = change.applied_to(&buildbtw_repo::RepositoryState::default());
    let frames: std::collections::HashMap<_, _> = change.new_frames.into_iter().collect();
    let load = |frame: &_| frames.get(frame).cloned().ok_or("unknown frame");
    state.frames.db_bytes(load).unwrap()
}

/// Works until a namespace is finished in an iteration; what was built comes back.
pub async fn work(stage: &Stage, namespace: &str, iteration: u32) -> Vec<String> {
    let worker = Worker::register(stage.worker_client(), "w").await;
    let mut built = Vec::new();
    let done = until(stage, || async {
        let namespace = stage
            .client()
            .namespace(&namespace.parse().unwrap())
            .await
            .unwrap();
        namespace.iterations[0].number == iteration
            && namespace.namespace.status == NamespaceStatus::Finished
    });
    let work = async {
        loop {
            let run = worker.claim().await;
            built.push(run.build.pkgbase.to_string());
            worker.succeed(&run).await;
        }
    };
    tokio::select! {
        () = done => {}
        () = work => {}
    }
    built.sort();
    built
}
