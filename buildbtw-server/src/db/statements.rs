//! Statements that are carried out in one go.
//!
//! Each statement is carried out by a thread of its connection, and going there and back wakes two
//! threads, which costs more than many a statement. The driver carries out all statements of one text in
//! one go: here such texts are put together, and what comes back is told apart by statement.
//!
//! Values are bound in the order of the statements, so these have no numbered parameters (`?1`), which
//! would be those of the whole text. Texts are kept ready by the connection, so there should be few
//! of them: many rows go in by `json_each` and not as many statements.

use std::task::{Context, Poll, Waker};

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Either, Encode, Executor, FromRow, Sqlite, SqliteConnection, Type,
};

use super::DbResult;
use super::bell::{self, Bell};

/// Statements with their values, in order.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    text: String,
    values: SqliteArguments,
    count: usize,
    /// Why a value cannot be bound.
    unfit: Option<String>,
}

impl Statements {
    /// The next statement. Its values are bound next.
    pub(super) fn add(&mut self, sql: &str) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push_str("; ");
        }
        self.text.push_str(sql);
        self.count += 1;
        self
    }

    /// The next value.
    pub(super) fn bind<'q>(&mut self, value: impl Encode<'q, Sqlite> + Type<Sqlite>) -> &mut Self {
        if let Err(error) = self.values.add(value) {
            self.unfit.get_or_insert_with(|| error.to_string());
        }
        self
    }

    /// The same behind a statement without values.
    pub(super) fn behind(mut self, first: &str) -> Self {
        match self.text.is_empty() {
            true => self.text.push_str(first),
            false => self.text.insert_str(0, &format!("{first}; ")),
        }
        self.count += 1;
        self
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn query(self) -> DbResult<Query<'static, Sqlite, SqliteArguments>> {
        if let Some(unfit) = self.unfit {
            return Err(sqlx::Error::Encode(unfit.into()).into());
        }
        Ok(sqlx::query_with(AssertSqlSafe(self.text), self.values))
    }

    /// Carries them out, and hands back what each of them said. One that fails ends it: those behind it
    /// are not carried out.
    pub async fn fetch(mut self, db: &mut SqliteConnection) -> DbResult<Answers> {
        let count = self.count;
        let mut answers = Vec::with_capacity(count);
        let mut rows = Vec::new();
        let mut bell = Bell::hang();
        self.add(bell::RING).bind(bell.number().to_owned());
        let mut stream = db.fetch_many(self.query()?);
        while answers.len() < count {
            // Whatever comes wakes nobody: the bell does.
            let come = stream
                .as_mut()
                .poll_next(&mut Context::from_waker(Waker::noop()));
            match come {
                Poll::Ready(Some(part)) => match part? {
                    Either::Right(row) => rows.push(row),
                    Either::Left(_) => answers.push(std::mem::take(&mut rows)),
                },
                // The driver's thread is gone when it stops in the middle without a word.
                Poll::Ready(None) => return Err(sqlx::Error::WorkerCrashed.into()),
                Poll::Pending => bell.ring().await,
            }
        }
        Ok(Answers(answers.into_iter()))
    }

    /// Carries them out.
    ///
    /// # Errors
    ///
    /// When one of them fails; those behind it are not carried out.
    pub async fn carry_out(self, db: &mut SqliteConnection) -> DbResult<()> {
        if self.count == 0 {
            return Ok(());
        }
        self.fetch(db).await.map(drop)
    }
}

/// What statements said, in order. Each call is about the next statement.
#[derive(Debug)]
pub struct Answers(std::vec::IntoIter<Vec<SqliteRow>>);

impl Answers {
    /// Leaves some statements out that have nothing to say.
    pub(super) fn skip(&mut self, statements: usize) -> &mut Self {
        for _ in 0..statements {
            self.0.next();
        }
        self
    }

    /// All rows.
    pub(super) fn all<T>(&mut self) -> DbResult<Vec<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        let rows = self.0.next().unwrap_or_default();
        Ok(rows.iter().map(T::from_row).collect::<Result<_, _>>()?)
    }

    /// The first row, if there is any.
    pub(super) fn optional<T>(&mut self) -> DbResult<Option<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        let rows = self.0.next().unwrap_or_default();
        Ok(rows.first().map(T::from_row).transpose()?)
    }

    /// The first row.
    pub(super) fn one<T>(&mut self) -> DbResult<T>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        let row = self.optional()?;
        Ok(row.ok_or(sqlx::Error::RowNotFound)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use sqlx::Connection;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;

    async fn connection() -> SqliteConnection {
        let options = bell::with_bells(SqliteConnectOptions::new().in_memory(true));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    #[tokio::test]
    async fn answers_are_told_apart_by_statement() {
        let mut db = connection().await;
        let mut all = Statements::default();
        all.add("SELECT ? UNION ALL SELECT ?").bind(1).bind(2);
        all.add("SELECT 'none' WHERE ?").bind(false);
        all.add("SELECT ?, ?").bind("a").bind(Some(3_i64));
        let mut answers = all.behind("SELECT 0").fetch(&mut db).await.unwrap();
        assert_eq!(answers.skip(1).all::<(i64,)>().unwrap(), [(1,), (2,)]);
        assert_eq!(answers.optional::<(String,)>().unwrap(), None);
        assert_eq!(answers.one::<(String, i64)>().unwrap(), ("a".to_owned(), 3));
    }

    #[tokio::test]
    async fn what_is_behind_a_failure_is_not_carried_out() {
        let mut db = connection().await;
        let mut all = Statements::default();
        all.add("CREATE TABLE t (n INTEGER NOT NULL) STRICT");
        all.add("INSERT INTO t VALUES (1)");
        all.add("INSERT INTO t VALUES (?)").bind(None::<i64>);
        all.add("INSERT INTO t VALUES (2)");
        assert!(all.carry_out(&mut db).await.is_err());
        let mut rest = Statements::default();
        rest.add("SELECT n FROM t");
        let mut answers = rest.fetch(&mut db).await.unwrap();
        assert_eq!(answers.all::<(i64,)>().unwrap(), [(1,)]);
        Statements::default().carry_out(&mut db).await.unwrap();
    }

    /// Passes wakes on, and counts them.
    struct Counting(AtomicU32, Waker);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1.wake_by_ref();
        }
    }

    #[tokio::test]
    async fn nobody_is_woken_for_each_row() {
        let mut db = connection().await;
        let mut many = Statements::default();
        many.add("WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 2000) SELECT n FROM n");
        let mut counting: Option<Arc<Counting>> = None;
        let mut fetched = std::pin::pin!(many.fetch(&mut db));
        let mut answers = std::future::poll_fn(|context| {
            let waker = counting.get_or_insert_with(|| {
                Arc::new(Counting(AtomicU32::new(0), context.waker().clone()))
            });
            let waker = Waker::from(Arc::clone(waker));
            fetched.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
        .unwrap();
        assert_eq!(answers.all::<(i64,)>().unwrap().len(), 2_000);
        let woken = counting.unwrap().0.load(Ordering::SeqCst);
        assert!(woken < 40, "{woken} times");
    }
}
