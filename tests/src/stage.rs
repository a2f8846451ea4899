//! The stage: folders, source repositories, a server, workers, a packager.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use buildbtw_api::client::Client;
use buildbtw_api::events::{Event, EventQuery};
use buildbtw_api::namespaces::NamespaceDetails;
use buildbtw_api::sources::Health;
use buildbtw_api::{NamespaceName, builds::Build, builds::BuildQuery};
use futures_util::StreamExt;
use tempfile::TempDir;

use crate::git::Repository;
use crate::programs::{DEADLINE, Finished, Process, program, run};

/// Where a test plays.
#[derive(Debug)]
pub struct Stage {
    folder: TempDir,
    settings: Vec<(String, String)>,
    server: Option<Process>,
    address: String,
    workers: Vec<Process>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// An empty stage.
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new()
            .prefix("buildbtw-test-")
            .tempdir()
            .expect("a folder can be made");
        std::fs::create_dir(folder.path().join("sources")).expect("a folder can be made");
        Self {
            folder,
            settings: Vec::new(),
            server: None,
            address: String::new(),
            workers: Vec::new(),
        }
    }

    /// Sets a setting of the server, for its next start.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The scratch folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Makes a source repository from the demo's package of that name.
    pub fn demo_package(&self, pkgbase: &str) -> Repository {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
        let from = ["packages", "trouble"]
            .map(|kind| demo.join(kind).join(pkgbase))
            .into_iter()
            .find(|path| path.is_dir())
            .unwrap_or_else(|| panic!("the demo has no package {pkgbase}"));
        let to = self.path().join("sources").join(pkgbase);
        let copied = run(Command::new("cp").arg("-r").arg(&from).arg(&to));
        assert_eq!(copied.code, Some(0), "{}", copied.stderr);
        Repository::init(&to)
    }

    /// The repository of a demo package that is on the stage already.
    pub fn demo_repository(&self, pkgbase: &str) -> Repository {
        Repository {
            path: self.path().join("sources").join(pkgbase),
        }
    }

    /// Starts the server and two workers that build for real, and has some demo packages built and
    /// released as namespace `base`. They are named by commit, so that nothing moves it.
    pub fn start_with_base(&mut self, pkgbases: &[&str]) {
        let changeset = |pkgbase: &&str| {
            let commit = self.demo_package(pkgbase).git(&["rev-parse", "HEAD"]);
            format!("{pkgbase}/{commit}")
        };
        let changesets: Vec<String> = pkgbases.iter().map(changeset).collect();
        self.start_server();
        for _ in 0..2 {
            self.start_worker(&[("BUILDER", "sandbox")]);
        }
        let mut arguments = vec!["new", "--name", "base", "--scope", "none", "--bootstrap"];
        arguments.extend(["--base", "none"]);
        arguments.extend(changesets.iter().map(String::as_str));
        self.bbtw_ok(&arguments);
        self.bbtw_ok(&["watch", "base"]);
    }

    /// The demo's default packages, by name.
    pub fn demo_pkgbases() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/packages");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .expect("the demo has packages")
            .map(|entry| {
                entry
                    .expect("it can be read")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    /// Makes a source repository whose tree is only a `.SRCINFO` and a PKGBUILD that is never run.
    pub fn srcinfo_package(&self, pkgbase: &str, srcinfo: &str) -> Repository {
        let path = self.path().join("sources").join(pkgbase);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        std::fs::write(path.join(".SRCINFO"), srcinfo).expect("a file can be written");
        std::fs::write(path.join("PKGBUILD"), "pkgrel=1\n").expect("a file can be written");
        Repository::init(&path)
    }

    /// Starts the server, or starts it again.
    pub fn start_server(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let _ = std::fs::remove_file(self.data().join("address"));
        let mut environment: Vec<(&str, String)> = vec![
            ("DATA_DIR", self.data().display().to_string()),
            ("FAKE_WORKERS", "true".to_owned()),
            (
                "SOURCES_DIR",
                self.path().join("sources").display().to_string(),
            ),
            ("RUST_LOG", "info,buildbtw_server=debug".to_owned()),
            // The same port after a restart, so that workers find the server again.
            (
                "PORT",
                self.address
                    .rsplit(':')
                    .next()
                    .filter(|port| !port.is_empty())
                    .unwrap_or("0")
                    .to_owned(),
            ),
        ];
        environment.extend(
            self.settings
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        let mut server = Process::start(
            "buildbtw-server",
            &[],
            &environment,
            &self.path().join("server.log"),
        );
        let end = Instant::now() + DEADLINE;
        self.address = loop {
            if let Ok(address) = std::fs::read_to_string(self.data().join("address")) {
                break address.trim().to_owned();
            }
            assert!(
                server.runs() && Instant::now() < end,
                "the server did not start:\n{}",
                server.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        };
        self.server = Some(server);
    }

    /// kill -9 of the server.
    pub fn kill_server(&mut self) {
        self.server.take().expect("the server runs").kill();
    }

    /// Stops the server as an operator does, and says how it ended.
    pub fn stop_server(&mut self) -> std::process::ExitStatus {
        self.server.take().expect("the server runs").terminate()
    }

    /// The process of the server.
    pub fn server(&mut self) -> &mut Process {
        self.server.as_mut().expect("the server runs")
    }

    /// Starts a worker with some settings more; its number comes back.
    pub fn start_worker(&mut self, settings: &[(&str, &str)]) -> usize {
        let number = self.workers.len();
        let process = self.worker_process(number, settings);
        self.workers.push(process);
        number
    }

    fn worker_process(&self, number: usize, settings: &[(&str, &str)]) -> Process {
        let folder = self.path().join(format!("worker-{number}"));
        let mut environment: Vec<(&str, String)> = vec![
            ("SERVER_URL", self.address.clone()),
            (
                "WORKER_TOKEN_FILE",
                self.data().join("worker-token").display().to_string(),
            ),
            ("WORKER_NAME", format!("worker-{number}")),
            ("WORKER_DIR", folder.display().to_string()),
            ("RUST_LOG", "info,buildbtw_worker=debug".to_owned()),
        ];
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        Process::start(
            "buildbtw-worker",
            &[],
            &environment,
            &self.path().join(format!("worker-{number}.log")),
        )
    }

    /// kill -9 of a worker, and a new one in its folder.
    pub fn replace_worker(&mut self, number: usize, settings: &[(&str, &str)]) {
        self.workers[number].kill();
        self.workers[number] = self.worker_process(number, settings);
    }

    /// A worker's process.
    pub fn worker(&mut self, number: usize) -> &mut Process {
        &mut self.workers[number]
    }

    /// Waits until the server has read all sources for the first time, and says how it is then.
    ///
    /// # Panics
    ///
    /// When that takes longer than anything may.
    pub async fn sources_in_sync(&self) -> Health {
        let (client, end) = (self.client(), Instant::now() + DEADLINE);
        loop {
            let health = client.health().await.expect("the server answers");
            if health.sources_in_sync {
                return health;
            }
            assert!(
                Instant::now() < end,
                "the sources are not read: {health:?}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of the server.
    pub fn client(&self) -> Client {
        Client::new(&self.address, None).expect("the address is a URL")
    }

    /// Runs `bbtw`.
    pub fn bbtw(&self, arguments: &[&str]) -> Finished {
        run(Command::new(program("bbtw"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SERVER_URL", &self.address)
            .current_dir(self.path()))
    }

    /// Runs `bbtw`, which must end well, and hands back what it printed.
    pub fn bbtw_ok(&self, arguments: &[&str]) -> String {
        let finished = self.bbtw(arguments);
        assert_eq!(
            finished.code,
            Some(0),
            "bbtw {arguments:?}\n{}\n{}\n{}",
            finished.stdout,
            finished.stderr,
            self.logs()
        );
        finished.stdout
    }

    /// A namespace as the server shows it.
    pub async fn namespace(&self, name: &str) -> NamespaceDetails {
        self.client()
            .namespace(&name_of(name))
            .await
            .expect("the namespace is there")
    }

    /// All builds of an iteration.
    pub async fn builds(&self, name: &str, iteration: u32) -> Vec<Build> {
        let (client, name) = (self.client(), name_of(name));
        let mut query = BuildQuery {
            limit: Some(1000),
            ..BuildQuery::default()
        };
        let mut builds = Vec::new();
        loop {
            let page = client
                .builds(&name, iteration, &query)
                .await
                .expect("the builds can be listed");
            builds.extend(page.items);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return builds,
            }
        }
    }

    /// Reads events from the first on until one fits, and hands back all up to it. Broken
    /// connections are taken up again, so the server may be restarted meanwhile.
    ///
    /// # Panics
    ///
    /// When none fits before the deadline; the programs' logs are shown.
    pub async fn events_until(&self, mut fits: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let client = self.client();
        let mut events: Vec<Event> = Vec::new();
        let search = async {
            loop {
                let after = events.last().map_or(0, |event| event.seq);
                if let Ok(stream) = client
                    .events(&EventQuery {
                        namespace: None,
                        after: Some(after),
                    })
                    .await
                {
                    let mut stream = std::pin::pin!(stream);
                    while let Some(Ok(event)) = stream.next().await {
                        let found = fits(&event);
                        events.push(event);
                        if found {
                            return;
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, search).await.is_err() {
            panic!(
                "the event did not come; there were {events:#?}\n{}",
                self.logs()
            );
        }
        events
    }

    /// The programs' logs, for the message of a failed test.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let processes = self.server.iter().chain(&self.workers);
        for process in processes {
            let log = process.text();
            let start = log.len().saturating_sub(8000);
            let tail = log.get(start..).unwrap_or(&log);
            text.push_str(&format!("--- {}\n{tail}\n", process.log.display()));
        }
        text
    }
}

/// A name as the API takes it.
pub fn name_of(name: &str) -> NamespaceName {
    name.parse().expect("it is a name")
}
