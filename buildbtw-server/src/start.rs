//! Starting and stopping: folders, token, database, rooms, tasks, listener.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::artifacts::Artifacts;
use crate::bases::Bases;
use crate::config::Config;
use crate::db::Db;
use crate::dispatch::fleet::{Fleet, FleetSettings};
use crate::dispatch::hints::Hints;
use crate::dispatch::{self, Dispatch};
use crate::feed::Feed;
use crate::gitlab::GitLab;
use crate::logs::Logs;
use crate::sources::Sources;
use crate::{Rooms, Server, api, clock, planner};

/// How long open requests may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(8);

/// The shortest token that is taken, in characters.
const TOKEN_MIN: usize = 16;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or folder.
    #[error("{what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file with the token can be read by others.
    #[error("{0} can be read by others; run `chmod 600 {0}`")]
    TokenReadable(PathBuf),
    /// The token is too short.
    #[error(
        "{0} holds no token of at least {TOKEN_MIN} characters; remove it to have a new one made"
    )]
    TokenShort(PathBuf),
    /// Another server uses the data folder.
    #[error("another server uses {0}; stop that one first, or choose another DATA_DIR")]
    Locked(PathBuf),
    /// Another server uses the database.
    #[error(
        "another server uses the database {0}; stop that one first, or choose another DATABASE_URL"
    )]
    DatabaseLocked(PathBuf),
    /// Other machines reach the server, and nobody said how they call it.
    #[error(
        "INTERFACE is {0}, so BASE_URL has to say under which address people and workers reach the \
         server, for example http://buildbtw.example.org:8080; requests under other names are refused"
    )]
    NoBaseUrl(std::net::IpAddr),
    /// BASE_URL is no address of a web server.
    #[error("BASE_URL is {0:?}; write an address that begins with http:// or https://")]
    BaseUrl(String),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; INTERFACE and PORT choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Builds are to go to GitLab, and there is none.
    #[error(
        "RUN_BUILDS_ON_GITLAB or GITLAB_FOR_LABELS sends builds to GitLab, and the sources are not there: \
         GITLAB_PACKAGES_GROUP names the group of the packages"
    )]
    NoGitLab,
    /// No architecture is given.
    #[error("ARCHITECTURES is empty; name at least one, such as x86_64")]
    NoArchitecture,
    /// One of them is `any`, which no build root is.
    #[error(
        "ARCHITECTURES names `any`; name real ones, such as x86_64: the first also builds packages for any"
    )]
    AnyArchitecture,
    /// The database.
    #[error(transparent)]
    Db(#[from] crate::db::DbError),
    /// The hints.
    #[error(transparent)]
    Hints(#[from] crate::dispatch::hints::HintsError),
    /// The sources.
    #[error(transparent)]
    Sources(#[from] crate::sources::SourcesError),
    /// The base repositories.
    #[error(transparent)]
    Bases(#[from] crate::bases::BasesError),
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::File { what, path, source }
}

/// A server that runs.
pub struct Running {
    /// The address it listens on.
    pub address: SocketAddr,
    /// The server.
    pub server: Server,
    serving: tokio::task::JoinHandle<io::Result<()>>,
    _locks: [std::fs::File; 2],
}

impl Running {
    /// Where it is reached from this machine.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the server has stopped, after its `shutdown` was cancelled. Streams end, polls
    /// are answered, what was begun is finished; after a few seconds the rest is dropped.
    ///
    /// # Errors
    ///
    /// When the listener failed.
    pub async fn stopped(self) -> io::Result<()> {
        let Self {
            server,
            mut serving,
            _locks,
            ..
        } = self;
        tokio::select! {
            result = &mut serving => { result.map_err(io::Error::other)??; }
            () = async { server.shutdown.cancelled().await; tokio::time::sleep(GRACE).await } => {
                tracing::warn!("some requests did not end in time and are dropped");
                serving.abort();
            }
        }
        server.shutdown.cancel();
        server.tasks.close();
        if tokio::time::timeout(Duration::from_secs(2), server.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks did not end in time");
        }
        server.db.close().await;
        Ok(())
    }
}

/// Opens the rooms of a server: folders, token, hints, database, logs, packages, sources and bases. No
/// task is started and nobody listens.
///
/// # Errors
///
/// When a folder or the database cannot be used.
pub async fn open(
    config: Config,
    base_url: String,
    shutdown: CancellationToken,
) -> Result<Server, StartError> {
    open_with(config, base_url, None, shutdown).await
}

async fn open_with(
    config: Config,
    base_url: String,
    gitlab: Option<GitLab>,
    shutdown: CancellationToken,
) -> Result<Server, StartError> {
    let data_dir = &config.data_dir;
    std::fs::create_dir_all(data_dir).map_err(at("cannot make the data folder", data_dir))?;
    let token_file = config
        .worker_token_file
        .clone()
        .unwrap_or_else(|| data_dir.join("worker-token"));
    let worker_token = token(&token_file)?;
    let hints = Hints::read(config.hints_file.as_deref())?;
    for pkgbase in hints.expired(clock::now()) {
        tracing::warn!(pkgbase, "a hint is past its date and does not count");
    }
    let db = Db::open(config.database_url.as_deref(), data_dir).await?;
    let logs =
        Logs::open(data_dir, config.log_limit).map_err(at("cannot open the logs in", data_dir))?;
    let artifacts = Artifacts::open(data_dir, config.upload_limit)
        .map_err(at("cannot open the packages in", data_dir))?;
    let (of_db, stop) = (db.clone(), shutdown.clone());
    let sources = match gitlab {
        Some(gitlab) => Sources::open_with_client(&config, gitlab, of_db, stop).await?,
        None => Sources::open(&config, of_db, stop).await?,
    };
    let bases = Bases::open(&config, db.clone()).await?;
    let lease = Duration::from_secs(config.lease_seconds.into());
    let settings = FleetSettings::new(&config);
    let gitlab = sources.gitlab().map(|gitlab| gitlab.client().clone());
    let fleet = gitlab.map(|gitlab| Fleet::new(settings.clone(), gitlab));
    if fleet.is_none() && (settings.everything || !settings.for_labels.is_empty()) {
        return Err(StartError::NoGitLab);
    }
    Ok(Server(Arc::new(Rooms {
        fleet,
        dispatch: Dispatch::new(lease, hints),
        feed: Feed::default(),
        remembered: crate::planner::Remembered::default(),
        refused_for_space: std::sync::atomic::AtomicBool::new(false),
        planning: tokio::sync::Mutex::default(),
        following: tokio::sync::Mutex::default(),
        namespaces: tokio::sync::Mutex::default(),
        tasks: TaskTracker::new(),
        config,
        base_url,
        worker_token,
        db,
        sources,
        bases,
        artifacts,
        logs,
        shutdown,
    })))
}

/// Starts a server; it runs until `shutdown` is cancelled.
///
/// # Errors
///
/// When a folder, the database or the address cannot be used, or another server uses the data folder.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    start_with(config, None, shutdown).await
}

/// The same on GitLab, with a client whose time and patience are somebody else's.
///
/// # Errors
///
/// As [`start`].
pub async fn start_on_gitlab(
    config: Config,
    gitlab: GitLab,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    start_with(config, Some(gitlab), shutdown).await
}

async fn start_with(
    config: Config,
    gitlab: Option<GitLab>,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    if config.architectures.is_empty() {
        return Err(StartError::NoArchitecture);
    }
    if config
        .architectures
        .iter()
        .any(buildbtw_graph::Architecture::is_any)
    {
        return Err(StartError::AnyArchitecture);
    }
    let data_dir = &config.data_dir;
    match &config.base_url {
        None if !config.interface.is_loopback() => {
            return Err(StartError::NoBaseUrl(config.interface));
        }
        Some(url) if !is_web_address(url) => return Err(StartError::BaseUrl(url.clone())),
        _ => {}
    }
    std::fs::create_dir_all(data_dir).map_err(at("cannot make the data folder", data_dir))?;
    let database = Db::file(config.database_url.as_deref(), data_dir)?;
    let locks = [
        lock(&data_dir.join("lock"), StartError::Locked(data_dir.clone()))?,
        lock(
            &beside(&database),
            StartError::DatabaseLocked(database.clone()),
        )?,
    ];
    let address = SocketAddr::new(config.interface, config.port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address, source })?;
    let base_url = config.base_url.as_deref().map_or_else(
        || format!("http://{address}"),
        |url| url.trim_end_matches('/').to_owned(),
    );
    let server = open_with(config, base_url, gitlab, shutdown.clone()).await?;
    server.sources.keep_up(usize::MAX);
    dispatch::take_up_again(&server).await?;
    server
        .tasks
        .spawn(dispatch::publisher::watch(server.clone()));
    server.tasks.spawn(crate::feed::write_log(server.clone()));
    server.tasks.spawn(dispatch::expiry::watch(server.clone()));
    server
        .tasks
        .spawn(dispatch::superseded::watch(server.clone()));
    server.tasks.spawn(dispatch::fleet::watch(server.clone()));
    server
        .tasks
        .spawn(planner::follow::follow_origins(server.clone()));
    // What is published is served from a full disk, too.
    if let Err(error) = write_address(&server.config.data_dir, address) {
        tracing::warn!(%error, "scripts do not find the address");
    }
    let serving = tokio::spawn({
        let app = api::router(server.clone());
        async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(shutdown.cancelled_owned())
                .await
        }
    });
    tracing::info!("listening on http://{address}");
    Ok(Running {
        address,
        server,
        serving,
        _locks: locks,
    })
}

/// The lock file beside a database, wherever links to it lie.
fn beside(database: &Path) -> PathBuf {
    let real = database
        .canonicalize()
        .unwrap_or_else(|_| database.to_owned());
    let mut name = real.into_os_string();
    name.push(".lock");
    name.into()
}

/// Two servers on one data folder, or on one database, would each hand out the other's builds.
fn lock(path: &Path, taken: StartError) -> Result<std::fs::File, StartError> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(at("cannot open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(taken),
        Err(std::fs::TryLockError::Error(source)) => Err(at("cannot lock", path)(source)),
    }
}

/// The workers' token; made at the first start.
fn token(path: &Path) -> Result<String, StartError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mode = std::fs::metadata(path)
                .map_err(at("cannot read", path))?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(StartError::TokenReadable(path.to_owned()));
            }
            let token = text.trim();
            if token.len() < TOKEN_MIN {
                return Err(StartError::TokenShort(path.to_owned()));
            }
            Ok(token.to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut random = [0_u8; 32];
            io::Read::read_exact(
                &mut std::fs::File::open("/dev/urandom")
                    .map_err(at("cannot open", Path::new("/dev/urandom")))?,
                &mut random,
            )
            .map_err(at("cannot read", Path::new("/dev/urandom")))?;
            let token = hex::encode(random);
            let mut file = std::fs::OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(path)
                .map_err(at("cannot make", path))?;
            writeln!(file, "{token}")
                .and_then(|()| file.sync_all())
                .map_err(at("cannot write", path))?;
            tracing::info!("made a token for workers: {}", path.display());
            Ok(token)
        }
        Err(source) => Err(at("cannot read", path)(source)),
    }
}

/// Scripts that start a server on a free port find its address here.
fn write_address(data_dir: &Path, address: SocketAddr) -> Result<(), StartError> {
    let (path, new) = (data_dir.join("address"), data_dir.join("address.new"));
    // That of an earlier start would lead elsewhere.
    let _ = std::fs::remove_file(&path);
    std::fs::write(&new, format!("http://{address}\n")).map_err(at("cannot write", &new))?;
    std::fs::rename(&new, &path).map_err(at("cannot write", &path))
}

fn is_web_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}
