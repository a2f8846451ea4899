//! Connections to the database, and the transactions on them.
//!
//! A few connections stand on a shelf; a transaction takes one and puts it back. The pool of the driver
//! does the same, but asks each connection at both times whether it is still there, which for a file
//! costs more than many a query.

use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::statements::{Answers, Statements};
use super::{DbError, DbResult, bell};

/// A place in the program.
pub(super) type Place = &'static Location<'static>;

/// Connections of one kind. Whoever asks first gets one first.
#[derive(Debug)]
pub(super) struct Shelf {
    options: SqliteConnectOptions,
    /// What a transaction begins with.
    begin: &'static str,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Arc<Semaphore>,
    size: u32,
    /// How long somebody waits for a connection.
    patience: Duration,
    /// Who took one last.
    taken_at: Mutex<Option<Place>>,
    commits: AtomicU64,
}

impl Shelf {
    /// At most `size` connections, of which one is opened now.
    pub async fn open(
        options: SqliteConnectOptions,
        begin: &'static str,
        size: u32,
        patience: Duration,
    ) -> DbResult<Arc<Self>> {
        let options = bell::with_bells(options);
        let first = SqliteConnection::connect_with(&options).await?;
        Ok(Arc::new(Self {
            options,
            begin,
            idle: Mutex::new(vec![first]),
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
            patience,
            taken_at: Mutex::new(None),
            commits: AtomicU64::new(0),
        }))
    }

    /// How many transactions were committed.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken_at(&self) -> MutexGuard<'_, Option<Place>> {
        self.taken_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, connection: SqliteConnection, permit: OwnedSemaphorePermit) {
        self.idle().push(connection);
        drop(permit);
    }

    /// The right to a connection. Whoever holds the last one and asks for another waits for itself: that
    /// ends here, with a word about who it is.
    async fn permit(&self, at: Place) -> DbResult<OwnedSemaphorePermit> {
        let closed = |_| DbError::from(sqlx::Error::PoolClosed);
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::Closed) => return Err(sqlx::Error::PoolClosed.into()),
            Err(TryAcquireError::NoPermits) => {}
        }
        let next = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(self.patience, next).await {
            Ok(permit) => permit.map_err(closed),
            Err(_) => Err(DbError::NeverFree {
                waited: self.patience,
                at,
                held_by: *self.taken_at(),
            }),
        }
    }

    /// The next connection that is free, without a transaction: for one statement.
    pub async fn take(self: &Arc<Self>, at: Place) -> DbResult<Tx> {
        let permit = self.permit(at).await?;
        *self.taken_at() = Some(at);
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        Ok(Tx {
            connection: Some(connection),
            open: false,
            shelf: Arc::clone(self),
            permit: Some(permit),
        })
    }

    /// Begins a transaction on the next connection that is free, and carries its first statements out
    /// in the same go.
    pub async fn begin(self: &Arc<Self>, at: Place, first: Statements) -> DbResult<(Tx, Answers)> {
        let mut tx = self.take(at).await?;
        let answers = tx.begin(first).await?;
        Ok((tx, answers))
    }

    /// Closes the connections once all are back; no transaction begins after that.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        drop(all);
        let connections = std::mem::take(&mut *self.idle());
        for connection in connections {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "closing the database");
            }
        }
    }
}

/// A transaction, or a connection on which one may begin. Dropping it undoes it.
#[derive(Debug)]
pub struct Tx {
    /// There until the transaction is dropped.
    connection: Option<SqliteConnection>,
    open: bool,
    shelf: Arc<Shelf>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Tx {
    /// Begins the transaction, if it has not begun, and carries its first statements out in the same go.
    ///
    /// # Errors
    ///
    /// When it cannot begin, or one of them fails.
    pub async fn begin(&mut self, first: Statements) -> DbResult<Answers> {
        if self.open {
            return first.fetch(self).await;
        }
        self.open = true;
        let first = first.behind(self.shelf.begin);
        let mut answers = match first.clone().fetch(self).await {
            Ok(answers) => answers,
            Err(error) => {
                // A commit that failed, as on a full disk, can leave a connection in a state in which no
                // transaction begins any more. A fresh one takes its place.
                tracing::warn!(%error, "opening the database anew");
                if let Some(broken) = self.connection.take() {
                    broken.close_hard().await?;
                }
                self.connection = Some(SqliteConnection::connect_with(&self.shelf.options).await?);
                first.fetch(self).await?
            }
        };
        answers.skip(1);
        Ok(answers)
    }

    /// Commits what was done.
    ///
    /// # Errors
    ///
    /// When that is impossible; nothing is then done.
    pub async fn commit(self) -> DbResult<()> {
        self.commit_with(Statements::default()).await.map(drop)
    }

    /// Carries last statements out and commits, in one go.
    ///
    /// # Errors
    ///
    /// When one of them fails or the commit is impossible; nothing of the transaction is then done.
    pub async fn commit_with(mut self, mut last: Statements) -> DbResult<Answers> {
        last.add("COMMIT");
        let answers = last.fetch(&mut self).await?;
        self.open = false;
        self.shelf.commits.fetch_add(1, Ordering::SeqCst);
        Ok(answers)
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        self.connection
            .as_ref()
            .expect("it is there until the drop")
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection
            .as_mut()
            .expect("it is there until the drop")
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let (Some(mut connection), Some(permit)) = (self.connection.take(), self.permit.take())
        else {
            return;
        };
        let shelf = Arc::clone(&self.shelf);
        if !self.open {
            shelf.put_back(connection, permit);
            return;
        }
        // Without a runtime nothing begins any more either; a connection that is dropped undoes what
        // was not committed.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                match sqlx::query("ROLLBACK").execute(&mut connection).await {
                    Ok(_) => shelf.put_back(connection, permit),
                    Err(error) => tracing::debug!(%error, "a connection is given up"),
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn writer(folder: &tempfile::TempDir, patience: Duration) -> Arc<Shelf> {
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("test.db"))
            .create_if_missing(true);
        Shelf::open(options, "BEGIN IMMEDIATE", 1, patience)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_transaction_within_another_is_an_error_that_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = writer(&folder, Duration::ZERO).await;
        let (outer, inner) = (Location::caller(), Location::caller());
        let tx = shelf.begin(outer, Statements::default()).await.unwrap();
        let nested = shelf.begin(inner, Statements::default()).await;
        let error = nested.map(drop).unwrap_err().to_string();
        assert!(
            error.contains(&format!("transaction begun at {outer}")),
            "{error}"
        );
        assert!(error.contains("a defect of the server"), "{error}");
        // Nothing is broken by it.
        tx.0.commit().await.unwrap();
        let next = shelf.begin(inner, Statements::default()).await.unwrap();
        next.0.commit().await.unwrap();
        shelf.close().await;
    }

    #[tokio::test]
    async fn who_waits_gets_its_turn_when_the_one_before_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = writer(&folder, Duration::from_secs(60)).await;
        let place = Location::caller();
        let mut make = Statements::default();
        make.add("CREATE TABLE t (n INTEGER) STRICT");
        let (tx, _) = shelf.begin(place, make).await.unwrap();
        tx.commit().await.unwrap();
        let mut insert = Statements::default();
        insert.add("INSERT INTO t VALUES (?)").bind(1);
        let (undone, _) = shelf.begin(place, insert).await.unwrap();
        let waiting = {
            let shelf = Arc::clone(&shelf);
            tokio::spawn(async move {
                let mut count = Statements::default();
                count.add("SELECT count(*) FROM t");
                let (tx, mut answers) = shelf.begin(place, count).await.unwrap();
                let (count,): (i64,) = answers.one().unwrap();
                tx.commit().await.unwrap();
                count
            })
        };
        drop(undone);
        assert_eq!(waiting.await.unwrap(), 0);
        shelf.close().await;
    }

    #[tokio::test]
    async fn a_transaction_begins_once_on_a_connection_that_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = writer(&folder, Duration::ZERO).await;
        let place = Location::caller();
        let statement = |sql: &str| {
            let mut statements = Statements::default();
            statements.add(sql);
            statements
        };
        let mut held = shelf.take(place).await.unwrap();
        statement("CREATE TABLE t (n INTEGER) STRICT")
            .carry_out(&mut held)
            .await
            .unwrap();
        for _ in 0..2 {
            held.begin(statement("INSERT INTO t VALUES (1)"))
                .await
                .unwrap();
        }
        held.commit().await.unwrap();
        let mut undone = shelf.take(place).await.unwrap();
        undone.begin(statement("DELETE FROM t")).await.unwrap();
        drop(undone);
        // Given back without a transaction: nothing is to be undone.
        let free = async { shelf.permits.acquire().await.map(drop) };
        free.await.unwrap();
        drop(shelf.take(place).await.unwrap());
        let mut held = shelf.take(place).await.unwrap();
        let mut answers = statement("SELECT count(*) FROM t")
            .fetch(&mut held)
            .await
            .unwrap();
        assert_eq!(answers.one::<(i64,)>().unwrap(), (2,));
        drop(held);
        shelf.close().await;
    }
}
