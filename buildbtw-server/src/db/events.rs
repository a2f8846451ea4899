//! The log of events: what happened, to what, when, why. Rows are only ever added, in the
//! transaction that makes them true.

use buildbtw_api::events::{Event, EventKind};
use buildbtw_api::{BuildStatus, NamespaceName};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{NamespaceKey, WorkerKey};
use super::{DbError, DbResult, Statements, now, timestamp, word};

/// An event to be recorded. Fields that do not apply stay empty.
#[derive(Debug, Clone, Default)]
pub struct NewEvent<'a> {
    /// In which iteration.
    pub iteration: Option<u32>,
    /// On which architecture.
    pub architecture: Option<&'a str>,
    /// To which package base.
    pub pkgbase: Option<&'a str>,
    /// In which pass.
    pub pass: Option<u8>,
    /// In which run.
    pub run: Option<String>,
    /// The status or mode before.
    pub before: Option<&'a str>,
    /// The status or mode after, or a generation's number.
    pub after: Option<String>,
    /// To which worker, with its name.
    pub worker: Option<(WorkerKey, &'a str)>,
    /// Why, in words.
    pub message: Option<&'a str>,
    /// Who wanted it.
    pub actor: Option<&'a str>,
}

const RECORD: &str = "INSERT INTO event (at, kind, namespace_id, iteration, architecture, pkgbase, pass, run, before, after, \
     message, worker, worker_id, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Records an event.
pub async fn record(
    db: &mut SqliteConnection,
    kind: EventKind,
    namespace: Option<NamespaceKey>,
    event: NewEvent<'_>,
) -> DbResult<()> {
    let mut all = Statements::default();
    add(&mut all, kind, namespace, event);
    all.carry_out(db).await
}

/// Records an event behind the statements that make it true.
pub(super) fn add(
    to: &mut Statements,
    kind: EventKind,
    namespace: Option<NamespaceKey>,
    event: NewEvent<'_>,
) {
    let kind = serde_json::to_value(kind)
        .ok()
        .and_then(|kind| kind.as_str().map(str::to_owned));
    to.add(RECORD)
        .bind(now())
        .bind(kind)
        .bind(namespace)
        .bind(event.iteration)
        .bind(event.architecture)
        .bind(event.pkgbase)
        .bind(event.pass)
        .bind(event.run)
        .bind(event.before)
        .bind(event.after)
        .bind(event.message)
        .bind(event.worker.map(|(_, name)| name))
        .bind(event.worker.map(|(key, _)| key))
        .bind(event.actor);
}

#[derive(FromRow)]
struct EventRow {
    seq: i64,
    at: i64,
    kind: String,
    namespace: Option<String>,
    iteration: Option<u32>,
    architecture: Option<String>,
    pkgbase: Option<String>,
    pass: Option<u8>,
    run: Option<String>,
    before: Option<String>,
    after: Option<String>,
    worker: Option<String>,
    message: Option<String>,
    actor: Option<String>,
}

impl TryFrom<EventRow> for Event {
    type Error = DbError;

    fn try_from(row: EventRow) -> DbResult<Self> {
        let kind = serde_json::from_value(serde_json::Value::String(row.kind))
            .unwrap_or(EventKind::Unknown);
        // A generation's event has no status before it; other kinds of things have other statuses.
        let from = match kind {
            EventKind::BuildStatus => row
                .before
                .as_deref()
                .and_then(|text| text.parse::<BuildStatus>().ok()),
            _ => None,
        };
        Ok(Self {
            seq: row.seq,
            at: timestamp(row.at)?,
            kind,
            namespace: row
                .namespace
                .map(|text| word::<NamespaceName>("namespace", &text))
                .transpose()?,
            iteration: row.iteration,
            architecture: row
                .architecture
                .map(|text| word("architecture", &text))
                .transpose()?,
            pkgbase: row.pkgbase.map(|text| word("pkgbase", &text)).transpose()?,
            pass: row.pass,
            run: row.run.map(|text| word("run", &text)).transpose()?,
            from,
            to: row.after,
            worker: row.worker,
            message: row.message,
            actor: row.actor,
        })
    }
}

/// The number of the newest event, 0 before the first.
pub async fn last(db: &mut SqliteConnection) -> DbResult<i64> {
    Ok(
        sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM event")
            .fetch_one(db)
            .await?,
    )
}

/// At most `limit` events behind a place in the sequence, oldest first: all, or those of a namespace
/// and what concerns every one.
pub async fn after(
    db: &mut SqliteConnection,
    namespace: Option<NamespaceKey>,
    after: i64,
    limit: u32,
) -> DbResult<Vec<Event>> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "SELECT event.*, namespace.name AS namespace FROM event LEFT JOIN namespace ON namespace.id = namespace_id \
         WHERE seq > ?1 AND (?2 IS NULL OR namespace_id = ?2 OR kind = 'server_mode') ORDER BY seq LIMIT ?3",
    )
    .bind(after)
    .bind(namespace)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Event::try_from).collect()
}

/// The newest events of a namespace, newest first.
pub async fn newest(
    db: &mut SqliteConnection,
    namespace: NamespaceKey,
    limit: u32,
) -> DbResult<Vec<Event>> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "SELECT event.*, namespace.name AS namespace FROM event JOIN namespace ON namespace.id = namespace_id \
         WHERE namespace_id = ? ORDER BY seq DESC LIMIT ?",
    )
    .bind(namespace)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Event::try_from).collect()
}
