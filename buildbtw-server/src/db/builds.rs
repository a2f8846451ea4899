//! Builds: what stands next to each, and every step from one status to another.

use buildbtw_api::builds::Neighbour;
use buildbtw_api::events::EventKind;
use buildbtw_api::{BuildPlace, BuildStatus, IterationStatus, RunId};
use sqlx::{FromRow, SqliteConnection};

use super::events::{self, NewEvent};
use super::keys::{BuildKey, BuildSetKey, IterationKey, NamespaceKey};
use super::publishing::Runs;
use super::{Answers, DbResult, Statements, now, word};

/// Which side of the needs to read.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// What a build waits for.
    Needs,
    /// What waits for it.
    NeededBy,
}

/// The builds next to one in the order, by name.
pub async fn neighbours(
    db: &mut SqliteConnection,
    build: BuildKey,
    side: Side,
) -> DbResult<Vec<Neighbour>> {
    let query = match side {
        Side::Needs => {
            "SELECT pkgbase, pass, status, relation, dropped FROM need JOIN build ON build.id = needs_build_id \
             WHERE build_id = ? ORDER BY pkgbase, pass"
        }
        Side::NeededBy => {
            "SELECT pkgbase, pass, status, relation, dropped FROM need JOIN build ON build.id = build_id \
             WHERE needs_build_id = ? ORDER BY pkgbase, pass"
        }
    };
    let rows: Vec<(String, u8, String, String, bool)> =
        sqlx::query_as(query).bind(build).fetch_all(db).await?;
    rows.into_iter()
        .map(|(pkgbase, pass, status, relation, dropped)| {
            Ok(Neighbour {
                pkgbase: word("pkgbase", &pkgbase)?,
                pass,
                status: word("build status", &status)?,
                relation,
                dropped,
            })
        })
        .collect()
}

/// The most builds that [`front`] names.
const FRONT_MAX: u32 = 20;

/// The builds at the front of the chains that a build waits at the end of: the first that do not wait
/// for others themselves. By name, and not more than a person would read.
pub async fn front(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<Neighbour>> {
    let rows: Vec<NeighbourRow> = sqlx::query_as(
        "WITH RECURSIVE before (id) AS (\
         SELECT needs_build_id FROM need WHERE build_id = ? AND NOT dropped UNION \
         SELECT needs_build_id FROM before JOIN build ON build.id = before.id \
         JOIN need ON need.build_id = before.id \
         WHERE NOT dropped AND build.status IN ('blocked', 'dependency_failed')) \
         SELECT pkgbase, pass, status FROM before JOIN build ON build.id = before.id \
         WHERE status NOT IN ('blocked', 'dependency_failed', 'built', 'reused', 'waived') \
         ORDER BY pkgbase, pass LIMIT ?",
    )
    .bind(build)
    .bind(FRONT_MAX)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(neighbour).collect()
}

/// Package base, pass and status.
type NeighbourRow = (String, u8, String);

fn neighbour((pkgbase, pass, status): NeighbourRow) -> DbResult<Neighbour> {
    Ok(Neighbour {
        pkgbase: word("pkgbase", &pkgbase)?,
        pass,
        status: word("build status", &status)?,
        relation: String::new(),
        dropped: false,
    })
}

/// The builds that one waits for directly and that are still to come, those that could go on first. Not more than
/// a person would read.
pub async fn waited_for(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<Neighbour>> {
    let rows: Vec<NeighbourRow> = sqlx::query_as(
        "SELECT pkgbase, pass, status FROM need JOIN build ON build.id = needs_build_id \
         WHERE build_id = ? AND NOT dropped AND status NOT IN ('built', 'reused', 'waived') \
         ORDER BY status = 'blocked', pkgbase, pass LIMIT ?",
    )
    .bind(build)
    .bind(FRONT_MAX)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(neighbour).collect()
}

/// When a build may be handed out, in stored form, and the architecture that it stands for.
pub async fn obstacles(
    db: &mut SqliteConnection,
    build: BuildKey,
) -> DbResult<(Option<i64>, Option<String>)> {
    Ok(sqlx::query_as(
        "SELECT not_before, (SELECT architecture FROM build AS other \
         JOIN build_set ON build_set.id = other.build_set_id WHERE other.id = build.refers_to) \
         FROM build WHERE id = ?",
    )
    .bind(build)
    .fetch_one(db)
    .await?)
}

/// What a step from one status to another needs to know of a build.
#[derive(Debug, Clone, FromRow)]
pub struct BuildState {
    /// Its row.
    #[sqlx(rename = "id")]
    pub key: BuildKey,
    /// Its build set.
    #[sqlx(rename = "build_set_id")]
    pub set: BuildSetKey,
    /// Its namespace.
    #[sqlx(rename = "namespace_id")]
    pub namespace: NamespaceKey,
    /// The name of that.
    pub namespace_name: String,
    /// Its iteration's number.
    pub iteration: u32,
    /// Its architecture.
    pub architecture: String,
    /// Its package base.
    pub pkgbase: String,
    /// Its pass.
    pub pass: u8,
    /// How many needs are not met.
    pub waits_for: u32,
    status: String,
    iteration_status: String,
    place: Option<String>,
}

impl BuildState {
    /// Where its namespace wants its builds to be carried out.
    pub fn place(&self) -> DbResult<Option<BuildPlace>> {
        let place = self.place.as_deref();
        place.map(|place| word("place", place)).transpose()
    }

    /// Where it stands.
    pub fn status(&self) -> DbResult<BuildStatus> {
        word("build status", &self.status)
    }

    /// Whether a newer iteration took the place of its own.
    pub fn is_superseded(&self) -> DbResult<bool> {
        let status: IterationStatus = word("iteration status", &self.iteration_status)?;
        Ok(status == IterationStatus::Superseded)
    }
}

const STATE: &str = "SELECT build.id, build_set_id, refers_to, namespace_id, namespace.name AS namespace_name, \
     iteration.number AS iteration, architecture, pkgbase, pass, waits_for, build.status, \
     iteration.status AS iteration_status, namespace.options ->> 'on' AS place FROM build JOIN build_set ON build_set.id = build_set_id \
     JOIN iteration ON iteration.id = iteration_id JOIN namespace ON namespace.id = namespace_id";

/// A build that stands for another one and waits for its packages.
const WAITING_REFERENCE: &str = "build.status IN ('blocked', 'pending')";

/// A build's state.
pub async fn state(db: &mut SqliteConnection, build: BuildKey) -> DbResult<BuildState> {
    Ok(
        sqlx::query_as(sqlx::AssertSqlSafe(format!("{STATE} WHERE build.id = ?")))
            .bind(build)
            .fetch_one(db)
            .await?,
    )
}

/// Asks for a build's state.
pub(super) fn ask_state(to: &mut Statements, build: BuildKey) {
    to.add(&format!("{STATE} WHERE build.id = ?")).bind(build);
}

/// Asks for the state of a run's build.
pub(super) fn ask_state_of_run(to: &mut Statements, run: RunId) {
    to.add(&format!(
        "{STATE} WHERE build.id = (SELECT build_id FROM run WHERE public_id = ?)"
    ))
    .bind(run.to_string());
}

/// Asks for the builds of runs whose packages still wait to be published, and for those that stand for
/// them on further architectures.
pub(super) fn ask_to_publish(to: &mut Statements, runs: Runs) {
    let built = format!("SELECT build_id FROM run WHERE id IN ({})", runs.sql);
    to.add(&format!(
        "{STATE} WHERE build.id IN ({built}) AND build.status = 'building'"
    ))
    .bind(runs.value);
    to.add(&format!(
        "{STATE} WHERE {WAITING_REFERENCE} AND refers_to IN ({built}) ORDER BY build.id"
    ))
    .bind(runs.value);
}

/// What [`ask_to_publish`] asked for: each build with those that stand for it.
pub(super) fn told_to_publish(
    answers: &mut Answers,
) -> DbResult<Vec<(BuildState, Vec<BuildState>)>> {
    #[derive(FromRow)]
    struct Reference {
        refers_to: BuildKey,
        #[sqlx(flatten)]
        state: BuildState,
    }
    let builds: Vec<BuildState> = answers.all()?;
    let references: Vec<Reference> = answers.all()?;
    let with_references = builds.into_iter().map(|build| {
        let own = references
            .iter()
            .filter(|reference| reference.refers_to == build.key);
        let own = own.map(|reference| reference.state.clone()).collect();
        (build, own)
    });
    Ok(with_references.collect())
}

/// The builds of an iteration in any of some statuses.
pub async fn in_statuses(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    statuses: &[BuildStatus],
) -> DbResult<Vec<BuildState>> {
    let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    let sql = format!(
        "{STATE} WHERE iteration_id = ? AND build.status IN (SELECT value FROM json_each(?)) ORDER BY build.id"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(iteration)
        .bind(super::to_json(&words))
        .fetch_all(db)
        .await?)
}

/// The builds that stand for another one on a further architecture and wait for its packages.
pub async fn references(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<BuildState>> {
    let sql = format!("{STATE} WHERE {WAITING_REFERENCE} AND refers_to = ?");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(build)
        .fetch_all(db)
        .await?)
}

/// Moves a build to another status and records it. A step that is not legal is refused by the
/// database, so a mistake in the caller shows as an error and changes nothing.
pub async fn set_status(
    db: &mut SqliteConnection,
    build: &BuildState,
    status: BuildStatus,
    reason: Option<&str>,
) -> DbResult<()> {
    let mut all = Statements::default();
    add_status(&mut all, build, status, reason);
    all.carry_out(db).await
}

/// The statements of [`set_status`].
pub fn add_status(
    to: &mut Statements,
    build: &BuildState,
    status: BuildStatus,
    reason: Option<&str>,
) {
    to.add(
        "UPDATE build SET previous_status = status, status = ?, reason = ?, not_before = NULL, changed_at = ? WHERE id = ?",
    )
    .bind(status.as_str())
    .bind(reason)
    .bind(now())
    .bind(build.key);
    let event = NewEvent {
        iteration: Some(build.iteration),
        architecture: Some(&build.architecture),
        pkgbase: Some(&build.pkgbase),
        pass: Some(build.pass),
        before: Some(&build.status),
        after: Some(status.to_string()),
        message: reason,
        ..NewEvent::default()
    };
    events::add(to, EventKind::BuildStatus, Some(build.namespace), event);
}

/// Says anew why a build stands where it stands.
pub async fn set_reason(
    db: &mut SqliteConnection,
    build: &BuildState,
    reason: &str,
) -> DbResult<()> {
    sqlx::query("UPDATE build SET reason = ? WHERE id = ?")
        .bind(reason)
        .bind(build.key)
        .execute(db)
        .await?;
    Ok(())
}

/// Keeps a pending build from being handed out before a time, in stored form.
pub async fn delay(db: &mut SqliteConnection, build: BuildKey, not_before: i64) -> DbResult<()> {
    sqlx::query("UPDATE build SET not_before = ? WHERE id = ?")
        .bind(not_before)
        .bind(build)
        .execute(db)
        .await?;
    Ok(())
}

/// Counts one met need off every build that waits for this one; those that wait for nothing more are
/// ready.
pub async fn release_dependents(db: &mut SqliteConnection, build: BuildKey) -> DbResult<()> {
    let mut all = Statements::default();
    add_release(&mut all, build);
    all.carry_out(db).await
}

/// The statements of [`release_dependents`].
pub fn add_release(to: &mut Statements, build: BuildKey) {
    // The rows that only count on are not written twice.
    to.add(
        "UPDATE build SET waits_for = waits_for - 1 \
         WHERE id IN (SELECT build_id FROM need WHERE needs_build_id = ? AND NOT dropped)",
    )
    .bind(build);
    to.add(
        "INSERT INTO event (at, kind, namespace_id, iteration, architecture, pkgbase, pass, before, after) \
         SELECT ?, 'build_status', namespace_id, number, architecture, pkgbase, pass, 'blocked', 'pending' FROM build \
         JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id \
         WHERE build.id IN (SELECT build_id FROM need WHERE needs_build_id = ? AND NOT dropped) \
         AND waits_for = 0 AND build.status = 'blocked' ORDER BY build.id",
    )
    .bind(now())
    .bind(build);
    to.add(
        "UPDATE build SET previous_status = status, status = 'pending', reason = NULL, not_before = NULL, changed_at = ? \
         WHERE id IN (SELECT build_id FROM need WHERE needs_build_id = ? AND NOT dropped) \
         AND waits_for = 0 AND status = 'blocked'",
    )
    .bind(now())
    .bind(build);
}

/// Whether something that waited for a build was handed out or built.
pub async fn went_on(db: &mut SqliteConnection, build: BuildKey) -> DbResult<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM need JOIN build ON build.id = build_id WHERE needs_build_id = ? AND NOT dropped \
         AND build.status IN ('scheduled', 'building', 'built', 'reused'))",
    )
    .bind(build)
    .fetch_one(db)
    .await?)
}

/// Has everything that waits for a build count it as unmet again; what was ready is not any more. The
/// other way round from [`release_dependents`].
pub async fn hold_dependents(
    db: &mut SqliteConnection,
    build: BuildKey,
    reason: &str,
) -> DbResult<()> {
    sqlx::query(
        "UPDATE build SET waits_for = waits_for + 1 \
         WHERE id IN (SELECT build_id FROM need WHERE needs_build_id = ? AND NOT dropped)",
    )
    .bind(build)
    .execute(&mut *db)
    .await?;
    let sql = format!(
        "{STATE} WHERE build.status = 'pending' \
         AND build.id IN (SELECT build_id FROM need WHERE needs_build_id = ? AND NOT dropped) ORDER BY build.id"
    );
    let ready: Vec<BuildState> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(build)
        .fetch_all(&mut *db)
        .await?;
    for waiting in ready {
        set_status(&mut *db, &waiting, BuildStatus::Blocked, Some(reason)).await?;
    }
    Ok(())
}

/// What waits for a build comes to wait for what that build itself waits for: its own needs become
/// theirs. Stored pairs leave out what others imply, so this has to come before a build is passed
/// over without being built.
pub async fn hand_on_needs(db: &mut SqliteConnection, build: BuildKey) -> DbResult<()> {
    let handed_on: Vec<(BuildKey, BuildKey)> = sqlx::query_as(
        "INSERT INTO need (build_id, needs_build_id, kind, relation, through, dropped) \
         SELECT waiting.build_id, own.needs_build_id, waiting.kind, waiting.relation, \
         (SELECT json_group_array(value) FROM (SELECT value FROM json_each(waiting.through) \
          UNION ALL SELECT value FROM json_each(own.through))), 0 \
         FROM need AS waiting JOIN need AS own ON own.build_id = waiting.needs_build_id \
         WHERE waiting.needs_build_id = ? AND NOT waiting.dropped AND NOT own.dropped \
         AND waiting.build_id <> own.needs_build_id \
         ON CONFLICT DO NOTHING RETURNING build_id, needs_build_id",
    )
    .bind(build)
    .fetch_all(&mut *db)
    .await?;
    if handed_on.is_empty() {
        return Ok(());
    }
    let pairs: Vec<[i64; 2]> = handed_on
        .iter()
        .map(|(one, other)| [one.0, other.0])
        .collect();
    sqlx::query(
        "WITH unmet AS (SELECT pair.value ->> 0 AS waiting, count(*) AS many FROM json_each(?) AS pair \
         JOIN build ON build.id = pair.value ->> 1 WHERE status NOT IN ('built', 'reused', 'waived') GROUP BY 1) \
         UPDATE build SET waits_for = waits_for + many FROM unmet WHERE build.id = waiting",
    )
    .bind(super::to_json(&pairs))
    .execute(db)
    .await?;
    Ok(())
}

/// Everything that waits, directly or not, for one of some builds, in any of some statuses.
pub async fn transitive_dependents(
    db: &mut SqliteConnection,
    builds: &[BuildKey],
    statuses: &[BuildStatus],
) -> DbResult<Vec<BuildState>> {
    let keys: Vec<i64> = builds.iter().map(|build| build.0).collect();
    let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    let sql = format!(
        "WITH RECURSIVE reached (id) AS (SELECT value FROM json_each(?1) UNION \
         SELECT build_id FROM need JOIN reached ON needs_build_id = reached.id WHERE NOT dropped UNION \
         SELECT build.id FROM build JOIN reached ON refers_to = reached.id) \
         {STATE} JOIN reached ON reached.id = build.id WHERE build.id NOT IN (SELECT value FROM json_each(?1)) \
         AND build.status IN (SELECT value FROM json_each(?2)) ORDER BY build.id"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(super::to_json(&keys))
        .bind(super::to_json(&words))
        .fetch_all(db)
        .await?)
}
