//! What must hold in any state of the database, whatever was killed when. Each rule finds the rows
//! that contradict each other; a sound database has none.

use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::DbResult;

/// What a row that breaks a rule is called: `namespace/iteration/architecture/pkgbase`.
const NAMED: &str = "namespace.name || '/' || iteration.number || '/' || architecture || '/' || build.pkgbase || ' ' || build.status";

/// The builds of iterations that are planned to the end.
const PLANNED: &str = "build JOIN build_set ON build_set.id = build.build_set_id \
     JOIN iteration ON iteration.id = iteration_id AND iteration.status <> 'planning' \
     JOIN namespace ON namespace.id = namespace_id";

/// Rules on single builds: what is wrong, and when it is.
const BUILDS: &[(&str, &str)] = &[
    (
        "its count of unmet needs is not that of its needs",
        "waits_for <> (SELECT count(*) FROM need JOIN build AS other ON other.id = needs_build_id \
         WHERE need.build_id = build.id AND NOT dropped AND other.status NOT IN ('built', 'reused', 'waived'))",
    ),
    (
        "it is handed out or ready while it waits for others",
        "build.status IN ('pending', 'scheduled', 'building') AND waits_for > 0",
    ),
    (
        "it waits, but for nothing",
        "build.status = 'blocked' AND waits_for = 0 AND (refers_to IS NULL OR \
         (SELECT other.status FROM build AS other WHERE other.id = build.refers_to) IN ('built', 'reused'))",
    ),
    (
        "it waits in an iteration that nobody works on",
        "iteration.status = 'superseded' AND build.status IN ('blocked', 'pending')",
    ),
    (
        "it is handed out without a run, or has a run without being handed out",
        "(build.status IN ('scheduled', 'building')) <> \
         EXISTS (SELECT 1 FROM run WHERE build_id = build.id AND canary = 0 AND run.status <> 'ended')",
    ),
    (
        "it has more than one open run",
        "1 < (SELECT count(*) FROM run WHERE build_id = build.id AND canary = 0 AND run.status <> 'ended')",
    ),
    (
        "its run stands elsewhere than it does",
        "EXISTS (SELECT 1 FROM run WHERE build_id = build.id AND canary = 0 AND run.status <> 'ended' \
         AND (run.status = 'scheduled') <> (build.status = 'scheduled'))",
    ),
    (
        "it is done, but a package of its is not in the repository",
        "build.status IN ('built', 'reused') AND EXISTS (SELECT 1 FROM json_each(build.pkgnames) WHERE NOT EXISTS \
         (SELECT 1 FROM published_package \
         WHERE published_package.build_set_id = build.build_set_id AND pkgname = json_each.value AND until IS NULL))",
    ),
    (
        "what it needs did not fail, and yet it cannot go on",
        "build.status = 'dependency_failed' AND NOT EXISTS (SELECT 1 FROM need JOIN build AS other \
         ON other.id = needs_build_id WHERE need.build_id = build.id AND NOT dropped \
         AND other.status IN ('failed', 'unbuildable', 'dependency_failed', 'cancelled'))",
    ),
    (
        "the events do not lead to where it stands",
        "build.status <> coalesce((SELECT after FROM event WHERE kind = 'build_status' \
         AND event.namespace_id = namespace.id AND event.iteration = iteration.number \
         AND event.architecture = build_set.architecture AND event.pkgbase = build.pkgbase \
         AND event.pass = build.pass ORDER BY seq DESC LIMIT 1), build.status)",
    ),
];

/// Rules on other rows, each a whole query.
const OTHERS: &[(&str, &str)] = &[
    (
        "an event does not begin where the one before it ended",
        "SELECT pkgbase || ' ' || earlier || ' ' || before || ' ' || after FROM (SELECT *, lag(after) OVER (PARTITION BY namespace_id, \
         iteration, architecture, pkgbase, pass ORDER BY seq) AS earlier FROM event WHERE kind = 'build_status') \
         WHERE earlier IS NOT NULL AND earlier <> before",
    ),
    (
        "the events do not lead to where a namespace stands",
        "SELECT name || ' ' || status FROM namespace WHERE status <> coalesce((SELECT after FROM event \
         WHERE namespace_id = namespace.id AND kind = 'namespace_status' ORDER BY seq DESC LIMIT 1), status)",
    ),
    (
        "the events do not lead to where an iteration stands",
        "SELECT namespace_id || '/' || number || ' ' || status FROM iteration WHERE status <> coalesce((SELECT after \
         FROM event WHERE event.namespace_id = iteration.namespace_id AND kind = 'iteration_status' \
         AND event.iteration = iteration.number ORDER BY seq DESC LIMIT 1), 'planning')",
    ),
    (
        "the events do not lead to where a run stands",
        "SELECT public_id || ' ' || status FROM run WHERE public_id NOT IN (SELECT run FROM event WHERE kind = 'run_claimed') \
         OR (status = 'ended') <> (public_id IN (SELECT run FROM event WHERE kind = 'run_ended')) \
         OR (status IN ('running', 'publishing') AND public_id NOT IN (SELECT run FROM event WHERE kind = 'run_started')) \
         OR (status = 'scheduled' AND public_id IN (SELECT run FROM event WHERE kind = 'run_started'))",
    ),
    (
        "the events do not lead to the mode of a worker",
        "SELECT name || ' ' || mode FROM worker WHERE mode <> coalesce((SELECT after FROM event \
         WHERE kind = 'worker_mode' AND event.worker_id = worker.id ORDER BY seq DESC LIMIT 1), 'active')",
    ),
    (
        "the events do not lead to the mode of the server",
        "SELECT mode FROM server_mode WHERE mode <> coalesce((SELECT after FROM event \
         WHERE kind = 'server_mode' ORDER BY seq DESC LIMIT 1), 'run')",
    ),
    (
        "a finished namespace has builds to do, or an active one has none",
        "SELECT name || ' ' || status FROM namespace WHERE status IN ('active', 'finished') \
         AND (status = 'finished') = (EXISTS (SELECT 1 FROM iteration WHERE namespace_id = namespace.id \
         AND status = 'planning') OR 'refused' = (SELECT status FROM iteration WHERE namespace_id = namespace.id \
         ORDER BY number DESC LIMIT 1) OR EXISTS (SELECT 1 FROM build JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id WHERE namespace_id = namespace.id \
         AND iteration.status = 'current' AND build.status NOT IN ('built', 'reused', 'waived')))",
    ),
    (
        "a listed package lies in a frame that there is not",
        "SELECT file_name FROM published_package WHERE until IS NULL AND NOT EXISTS (SELECT 1 FROM repository_frame \
         WHERE repository_frame.build_set_id = published_package.build_set_id \
         AND repository_frame.place = published_package.place AND repository_frame.until IS NULL)",
    ),
    (
        "a run ended before another of its input began under a lower fencing number",
        "SELECT later.public_id FROM run AS later JOIN run AS earlier ON earlier.input_id = later.input_id \
         AND earlier.fence < later.fence AND NOT earlier.canary AND NOT later.canary \
         WHERE earlier.status IN ('scheduled', 'running')",
    ),
    (
        "what tries out a worker is published, or waits for it",
        "SELECT public_id FROM run WHERE canary AND (status = 'publishing' \
         OR (SELECT build.status FROM build WHERE build.id = build_id) NOT IN ('built', 'reused'))",
    ),
    (
        "a row refers to nothing",
        "SELECT \"table\" || ' ' || coalesce(rowid, '') FROM pragma_foreign_key_check",
    ),
];

/// All rules as one statement: a row for each contradiction.
static ALL: LazyLock<String> = LazyLock::new(|| {
    let builds = BUILDS.iter().map(|(what, condition)| {
        format!("SELECT {NAMED} || ': {what}' FROM {PLANNED} WHERE {condition}")
    });
    // Each has one column, whatever its name; what is wrong is said without quotes.
    let others = OTHERS.iter().map(|(what, sql)| {
        format!("SELECT named || ': {what}' FROM (SELECT NULL AS named WHERE 0 UNION ALL {sql})")
    });
    builds.chain(others).collect::<Vec<_>>().join(" UNION ALL ")
});

/// All contradictions, in words; none in a sound database.
pub async fn contradictions(db: &mut SqliteConnection) -> DbResult<Vec<String>> {
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(ALL.as_str()))
        .fetch_all(db)
        .await?)
}

/// How many rows a connection has inserted, changed and deleted since it was opened.
pub async fn changed_rows(db: &mut SqliteConnection) -> DbResult<i64> {
    Ok(sqlx::query_scalar("SELECT total_changes()")
        .fetch_one(db)
        .await?)
}
