//! Connections to the database, and the transactions on them.
//!
//! A few connections stand on a shelf; a transaction takes one and puts it back. The pool of the driver
//! does the same, but asks each connection at both times whether it is still there, which for a file
//! costs more than many a query.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::DbResult;

/// Connections of one kind. Whoever asks first gets one first.
#[derive(Debug)]
pub(super) struct Shelf {
    options: SqliteConnectOptions,
    /// What a transaction begins with.
    begin: &'static str,
    idle: Mutex<Vec<SqliteConnection>>,
    permits: Arc<Semaphore>,
    size: u32,
}

impl Shelf {
    /// At most `size` connections, of which one is opened now.
    pub async fn open(
        options: SqliteConnectOptions,
        begin: &'static str,
        size: u32,
    ) -> DbResult<Arc<Self>> {
        let first = SqliteConnection::connect_with(&options).await?;
        Ok(Arc::new(Self {
            options,
            begin,
            idle: Mutex::new(vec![first]),
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
        }))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, connection: SqliteConnection, permit: OwnedSemaphorePermit) {
        self.idle().push(connection);
        drop(permit);
    }

    /// The next connection that is free, without a transaction: for one statement.
    pub async fn take(self: &Arc<Self>) -> DbResult<Tx> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
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

    /// Begins a transaction on the next connection that is free.
    pub async fn begin(self: &Arc<Self>) -> DbResult<Tx> {
        let mut tx = self.take().await?;
        tx.open = true;
        if let Err(error) = tx.start().await {
            // A commit that failed, as on a full disk, can leave a connection in a state in which no
            // transaction begins any more. A fresh one takes its place.
            tracing::warn!(%error, "opening the database anew");
            if let Some(broken) = tx.connection.take() {
                broken.close_hard().await?;
            }
            tx.connection = Some(SqliteConnection::connect_with(&self.options).await?);
            tx.start().await?;
        }
        Ok(tx)
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

/// A transaction. Dropping it undoes it.
#[derive(Debug)]
pub struct Tx {
    /// There until the transaction is dropped.
    connection: Option<SqliteConnection>,
    open: bool,
    shelf: Arc<Shelf>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Tx {
    async fn start(&mut self) -> Result<(), sqlx::Error> {
        let begin = self.shelf.begin;
        sqlx::query(begin).execute(&mut **self).await.map(drop)
    }

    /// Commits what was done.
    ///
    /// # Errors
    ///
    /// When that is impossible; nothing is then done.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self).await?;
        self.open = false;
        Ok(())
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
