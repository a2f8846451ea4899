//! Namespaces and their origin changesets.

use buildbtw_api::events::EventKind;
use buildbtw_api::namespaces::NamespaceOptions;
use buildbtw_api::priority::Priority;
use buildbtw_api::{Changeset, NamespaceName, NamespaceStatus};
use sqlx::{FromRow, SqliteConnection};

use super::events::{NewEvent, record};
use super::keys::NamespaceKey;
use super::{DbError, DbResult, Statements, json, now, timestamp, to_json, word};

/// A namespace as it is stored.
#[derive(Debug, Clone)]
pub struct StoredNamespace {
    /// Its row.
    pub key: NamespaceKey,
    /// Its name.
    pub name: NamespaceName,
    /// Where it stands.
    pub status: NamespaceStatus,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// When it came to its status.
    pub changed_at: jiff::Timestamp,
    /// Whose it is.
    pub owner: Option<String>,
    /// What it rebuilds, and how.
    pub options: NamespaceOptions,
    /// Why the newest state of its changesets could not be planned.
    pub origins_problem: Option<String>,
    /// Its weight, while a person raised it.
    pub priority: Option<Priority>,
}

#[derive(FromRow)]
struct Row {
    id: NamespaceKey,
    name: String,
    status: String,
    created_at: i64,
    changed_at: i64,
    owner: Option<String>,
    options: String,
    origins_problem: Option<String>,
    weight: u32,
    weight_reason: Option<String>,
    weight_until: Option<i64>,
}

impl TryFrom<Row> for StoredNamespace {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let holds = row.weight > 1 && row.weight_until.is_none_or(|until| until > now());
        let priority = Priority {
            weight: row.weight,
            reason: row.weight_reason,
            until: row.weight_until.map(timestamp).transpose()?,
        };
        Ok(Self {
            priority: holds.then_some(priority),
            key: row.id,
            name: word("namespace", &row.name)?,
            status: word("namespace status", &row.status)?,
            created_at: timestamp(row.created_at)?,
            changed_at: timestamp(row.changed_at)?,
            owner: row.owner,
            options: json("namespace's options", &row.options)?,
            origins_problem: row.origins_problem,
        })
    }
}

/// Makes a namespace. A taken name shows as [`DbError::is_duplicate`].
pub async fn insert(
    db: &mut SqliteConnection,
    name: &NamespaceName,
    options: &NamespaceOptions,
    changesets: &[Changeset],
) -> DbResult<NamespaceKey> {
    let now = now();
    let key: NamespaceKey = sqlx::query_scalar(
        "INSERT INTO namespace (name, status, created_at, changed_at, options) VALUES (?, 'active', ?, ?, ?) RETURNING id",
    )
    .bind(name.as_str())
    .bind(now)
    .bind(now)
    .bind(to_json(options))
    .fetch_one(&mut *db)
    .await?;
    set_changesets(&mut *db, key, changesets).await?;
    record(
        db,
        EventKind::NamespaceCreated,
        Some(key),
        NewEvent::default(),
    )
    .await?;
    Ok(key)
}

/// Gives a namespace other origin changesets.
pub async fn set_changesets(
    db: &mut SqliteConnection,
    key: NamespaceKey,
    changesets: &[Changeset],
) -> DbResult<()> {
    sqlx::query("DELETE FROM changeset WHERE namespace_id = ?")
        .bind(key)
        .execute(&mut *db)
        .await?;
    for (position, changeset) in (0_i64..).zip(changesets) {
        sqlx::query("INSERT INTO changeset (namespace_id, position, pkgbase, reference) VALUES (?, ?, ?, ?)")
            .bind(key)
            .bind(position)
            .bind(changeset.pkgbase.as_ref())
            .bind(&changeset.reference)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// The namespace of that name: the one that is not archived, else the one archived last.
pub async fn by_name(
    db: &mut SqliteConnection,
    name: &NamespaceName,
) -> DbResult<Option<StoredNamespace>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT * FROM namespace WHERE name = ? ORDER BY status = 'archived', id DESC LIMIT 1",
    )
    .bind(name.as_str())
    .fetch_optional(db)
    .await?;
    row.map(StoredNamespace::try_from).transpose()
}

/// A namespace by its row.
pub async fn by_key(db: &mut SqliteConnection, key: NamespaceKey) -> DbResult<StoredNamespace> {
    let row: Row = sqlx::query_as("SELECT * FROM namespace WHERE id = ?")
        .bind(key)
        .fetch_one(db)
        .await?;
    row.try_into()
}

/// At most `limit` namespaces, newest first, older than `before`.
pub async fn page(
    db: &mut SqliteConnection,
    archived: bool,
    before: Option<i64>,
    limit: u32,
) -> DbResult<Vec<StoredNamespace>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM namespace WHERE (?1 OR status <> 'archived') AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
    )
    .bind(archived)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(StoredNamespace::try_from).collect()
}

/// A namespace that was put away, or another one that has its name.
#[derive(Debug, Clone, FromRow)]
pub struct Namesake {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// When it was made, in microseconds since 1970.
    pub created_at: i64,
    /// When it came to its status, likewise.
    pub changed_at: i64,
    /// The numbers of its first and last iterations.
    pub first: u32,
    /// Likewise.
    pub last: u32,
}

const NAMESAKES: &str = "SELECT name, namespace.status, namespace.created_at, namespace.changed_at, \
     min(number) AS first, max(number) AS last FROM namespace JOIN iteration ON namespace_id = namespace.id";

/// The other namespaces that have or had the name of one, newest first.
pub async fn namesakes(db: &mut SqliteConnection, key: NamespaceKey) -> DbResult<Vec<Namesake>> {
    let sql = format!(
        "{NAMESAKES} WHERE name = (SELECT name FROM namespace WHERE id = ?1) AND namespace.id <> ?1 \
         GROUP BY namespace.id ORDER BY namespace.id DESC"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(key)
        .fetch_all(db)
        .await?)
}

/// At most `limit` archived namespaces, those put away last first, without the first `skipped`.
pub async fn archived(
    db: &mut SqliteConnection,
    skipped: u32,
    limit: u32,
) -> DbResult<Vec<Namesake>> {
    let sql = format!(
        "{NAMESAKES} WHERE namespace.status = 'archived' GROUP BY namespace.id \
         ORDER BY namespace.changed_at DESC, namespace.id DESC LIMIT ? OFFSET ?"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(limit)
        .bind(skipped)
        .fetch_all(db)
        .await?)
}

/// How many namespaces are archived.
pub async fn count_archived(db: &mut SqliteConnection) -> DbResult<u32> {
    Ok(
        sqlx::query_scalar("SELECT count(*) FROM namespace WHERE status = 'archived'")
            .fetch_one(db)
            .await?,
    )
}

/// The origin changesets of a namespace, in order.
pub async fn changesets(db: &mut SqliteConnection, key: NamespaceKey) -> DbResult<Vec<Changeset>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT pkgbase, reference FROM changeset WHERE namespace_id = ? ORDER BY position",
    )
    .bind(key)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(pkgbase, reference)| {
            Ok(Changeset {
                pkgbase: word("pkgbase", &pkgbase)?,
                reference,
            })
        })
        .collect()
}

/// The namespaces whose origins are followed: all of them, or those with a changeset of that package.
pub async fn followed(
    db: &mut SqliteConnection,
    pkgbase: Option<&str>,
) -> DbResult<Vec<NamespaceKey>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM namespace WHERE status IN ('active', 'finished') AND (?1 IS NULL OR EXISTS \
         (SELECT 1 FROM changeset WHERE namespace_id = namespace.id AND pkgbase = ?1)) ORDER BY id",
    )
    .bind(pkgbase)
    .fetch_all(db)
    .await?)
}

/// Moves a namespace to another status. A step that is not legal is refused by the database.
pub async fn set_status(
    db: &mut SqliteConnection,
    key: NamespaceKey,
    status: NamespaceStatus,
    message: Option<&str>,
) -> DbResult<()> {
    let before: String = sqlx::query_scalar("SELECT status FROM namespace WHERE id = ?")
        .bind(key)
        .fetch_one(&mut *db)
        .await?;
    if before == status.as_str() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE namespace SET previous_status = status, status = ?, changed_at = ? WHERE id = ?",
    )
    .bind(status.as_str())
    .bind(now())
    .bind(key)
    .execute(&mut *db)
    .await?;
    let event = NewEvent {
        before: Some(&before),
        after: Some(status.to_string()),
        message,
        ..NewEvent::default()
    };
    record(db, EventKind::NamespaceStatus, Some(key), event).await?;
    Ok(())
}

/// Notes why the newest state of a namespace's changesets could not be planned, or that it could.
pub async fn set_origins_problem(
    db: &mut SqliteConnection,
    key: NamespaceKey,
    problem: Option<&str>,
) -> DbResult<()> {
    let changed = sqlx::query(
        "UPDATE namespace SET origins_problem = ?1 WHERE id = ?2 AND origins_problem IS NOT ?1",
    )
    .bind(problem)
    .bind(key)
    .execute(&mut *db)
    .await?;
    if changed.rows_affected() > 0 {
        let event = NewEvent {
            message: problem,
            ..NewEvent::default()
        };
        record(db, EventKind::OriginsProblem, Some(key), event).await?;
    }
    Ok(())
}

/// Marks a namespace as finished if every build of its current iteration is built, reused or
/// waived, and as active again if it was finished and that is no longer so. One whose newest
/// iteration was refused is not finished: somebody has to do something.
pub async fn settle(db: &mut SqliteConnection, key: NamespaceKey) -> DbResult<()> {
    let mut all = Statements::default();
    add_settled(&mut all, key);
    all.carry_out(db).await
}

/// The statements of [`settle`].
pub fn add_settled(to: &mut Statements, key: NamespaceKey) {
    // The statuses are named one by one, so that an index finds the first unfinished build. The event goes
    // first: whether there is one says whether there is a change.
    to.add(
        "INSERT INTO event (at, kind, namespace_id, before, after) \
         SELECT ?, 'namespace_status', id, status, iif(status = 'active', 'finished', 'active') FROM (\
         SELECT id, status, EXISTS (SELECT 1 FROM iteration WHERE namespace_id = namespace.id AND status = 'planning') \
         OR 'refused' = (SELECT status FROM iteration WHERE namespace_id = namespace.id ORDER BY number DESC LIMIT 1) \
         OR EXISTS (SELECT 1 FROM iteration CROSS JOIN build_set ON iteration_id = iteration.id \
         CROSS JOIN build ON build_set_id = build_set.id \
         WHERE namespace_id = namespace.id AND iteration.status = 'current' \
         AND build.status IN ('pending', 'blocked', 'building', 'scheduled', 'failed', 'dependency_failed', \
         'unbuildable', 'cancelled')) AS open FROM namespace WHERE id = ?) \
         WHERE (status = 'active' AND NOT open) OR (status = 'finished' AND open)",
    )
    .bind(now())
    .bind(key);
    to.add(
        "UPDATE namespace SET previous_status = status, status = iif(status = 'active', 'finished', 'active'), \
         changed_at = ? WHERE id = ? AND changes() > 0",
    )
    .bind(now())
    .bind(key);
}
