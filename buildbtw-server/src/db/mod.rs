//! The database: the only room with SQL. One file a table or two that belong together.
//!
//! Functions take a connection, so that the caller decides what belongs into one transaction.
//! Several may read at once; writing goes through one connection, whose transactions begin
//! immediately, so that none ever waits for another in the middle.
//!
//! Each statement is carried out by a thread of its connection, and going there and back costs more
//! than a small statement itself. So what belongs together on the way of a build goes together
//! ([`Statements`]): what is read first, with the begin of the transaction; what is written last, with its end.

pub mod audit;
pub mod base_snapshots;
mod bell;
pub mod broken;
pub mod build_list;
pub mod builds;
pub mod chains;
pub mod commit_statuses;
mod connections;
pub mod events;
pub mod faults;
pub mod flaky;
pub mod frames;
pub mod generations;
pub mod inputs;
pub mod iterations;
pub mod keys;
pub mod made;
pub mod members;
pub mod modes;
pub mod namespaces;
pub mod overview;
pub mod packages;
pub mod pins;
pub mod pipelines;
pub mod plans;
pub mod publishing;
pub mod ready;
pub mod reported;
pub mod runs;
pub mod shares;
pub mod source_sync;
pub mod sources;
mod statements;
pub mod status_tables;
pub mod superseded;
pub mod suspicions;
pub mod waivers;
pub mod workers;

use std::future::Future;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

pub use connections::Tx;
use connections::{Place, Shelf};
pub use statements::{Answers, Statements};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite or the driver says no.
    #[error("the database: {0}")]
    Sqlx(#[from] sqlx::Error),
    /// The tables could not be brought to this version.
    #[error("cannot bring the database to this version: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// No connection became free: a transaction is held open somewhere.
    #[error(
        "{at} waited {} s for the database: {}. One within another waits for itself, which is a defect of the server",
        waited.as_secs(),
        held_by.map(|place| format!("the transaction begun at {place} is still open")).unwrap_or_default()
    )]
    NeverFree {
        /// For how long it was waited.
        waited: Duration,
        /// Who waited.
        at: Place,
        /// Where the transaction began that began last.
        held_by: Option<Place>,
    },
    /// The URL is that of another database.
    #[error(
        "the database is one of SQLite, not of `{0}`; write DATABASE_URL as sqlite:/path/to/buildbtw.db"
    )]
    NotSqlite(String),
    /// A row holds what this version cannot read.
    #[error("the database holds a {what} that cannot be read: {reason}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl DbError {
    /// The disk, or the file system's quota, is full (SQLITE_FULL).
    pub fn is_full(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(error)) = self else {
            return false;
        };
        error.code().is_some_and(|code| code == "13")
    }

    /// A row of that unique key is there already (SQLITE_CONSTRAINT_UNIQUE).
    pub fn is_duplicate(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(error)) = self else {
            return false;
        };
        error.is_unique_violation()
    }
}

/// What every function of this room hands back.
pub type DbResult<T> = Result<T, DbError>;

/// The database.
#[derive(Debug, Clone)]
pub struct Db {
    writer: Arc<Shelf>,
    readers: Arc<Shelf>,
}

/// How many transactions may read at once.
const READERS: u32 = 4;

/// How long a transaction waits for its turn. Nothing in the server takes a fraction of that, so whoever
/// waits for longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many prepared statements each connection keeps: more than there are.
const STATEMENTS: usize = 500;

impl Db {
    /// The file of the database at a URL, or that of a folder.
    ///
    /// # Errors
    ///
    /// When the URL is none of SQLite's.
    pub fn file(url: Option<&str>, data_dir: &Path) -> DbResult<PathBuf> {
        let Some(url) = url else {
            return Ok(data_dir.join("buildbtw.db"));
        };
        // The driver takes whatever has no scheme of its own for a path. The rest of the URL may hold a password.
        match url.split_once("://") {
            Some((scheme, _)) if scheme != "sqlite" => Err(DbError::NotSqlite(scheme.to_owned())),
            _ => Ok(SqliteConnectOptions::from_str(url)?
                .get_filename()
                .to_owned()),
        }
    }

    /// Opens the database at a URL (`sqlite:...`), or the file `buildbtw.db` of a folder, and brings
    /// its tables to this version.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or a migration fails; the tables are then as before.
    pub async fn open(url: Option<&str>, data_dir: &Path) -> DbResult<Self> {
        let options = match url {
            Some(url) => SqliteConnectOptions::from_str(url)?,
            None => SqliteConnectOptions::new().filename(Self::file(None, data_dir)?),
        }
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .pragma("cache_size", "-8000")
        .pragma("temp_store", "memory")
        .statement_cache_capacity(STATEMENTS)
        // Slow ones still are.
        .log_statements(log::LevelFilter::Off);
        let mut first = SqliteConnection::connect_with(&options).await?;
        MIGRATIONS.run(&mut first).await?;
        first.close().await?;
        let writing = options.clone().optimize_on_close(true, None);
        Ok(Self {
            writer: Shelf::open(writing, "BEGIN IMMEDIATE", 1, PATIENCE).await?,
            readers: Shelf::open(options.read_only(true), "BEGIN", READERS, PATIENCE).await?,
        })
    }

    /// Begins a transaction that writes. There is one at a time; dropping it undoes it.
    ///
    /// # Errors
    ///
    /// When it cannot begin; also when the one before does not end for a minute, which is the error
    /// that a transaction within another gets.
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = DbResult<Tx>> + Send {
        let begun = self.write_with(Statements::default());
        async move { Ok(begun.await?.0) }
    }

    /// Begins a transaction that writes with its first statements, in one go.
    #[track_caller]
    fn write_with(
        &self,
        first: Statements,
    ) -> impl Future<Output = DbResult<(Tx, Answers)>> + Send {
        let at = Location::caller();
        async move { self.writer.begin(at, first).await }
    }

    /// The connection that writes, without a transaction. Until it is given back nobody else writes, so that what is read
    /// holds when a transaction begins on it; where none does, none has to be undone.
    #[track_caller]
    fn hold(&self) -> impl Future<Output = DbResult<Tx>> + Send {
        let at = Location::caller();
        async move { self.writer.take(at).await }
    }

    /// How many transactions that write were committed since it was opened.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Begins a transaction that reads one state of the database.
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = DbResult<Tx>> + Send {
        let at = Location::caller();
        async move { Ok(self.readers.begin(at, Statements::default()).await?.0) }
    }

    /// A connection for what is read in a single go.
    #[track_caller]
    pub fn glance(&self) -> impl Future<Output = DbResult<Tx>> + Send {
        let at = Location::caller();
        async move { self.readers.take(at).await }
    }

    /// Closes all connections, so that the write-ahead log is folded into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Now, as it is stored.
pub(crate) fn now() -> i64 {
    crate::clock::now().as_microsecond()
}

/// A stored time.
pub(crate) fn timestamp(micros: i64) -> DbResult<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|error| DbError::Unreadable {
        what: "time",
        reason: error.to_string(),
    })
}

/// A stored word that must be one of ours.
pub(crate) fn word<T: FromStr>(what: &'static str, text: &str) -> DbResult<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| DbError::Unreadable {
        what,
        reason: error.to_string(),
    })
}

/// A stored JSON value.
pub(crate) fn json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> DbResult<T> {
    serde_json::from_str(text).map_err(|error| DbError::Unreadable {
        what,
        reason: error.to_string(),
    })
}

/// A value as JSON text. Our own types always have one.
pub(crate) fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("types of the vocabulary are JSON")
}
