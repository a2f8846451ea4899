//! Lists of builds, for people: by page, by filter, or one.

use buildbtw_api::BuildStatus;
use buildbtw_api::OutcomeClass;
use buildbtw_api::builds::{Build, BuildQuery};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, IterationKey};
use super::{DbResult, json, runs, timestamp, word};

#[derive(FromRow)]
struct Row {
    id: BuildKey,
    architecture: String,
    pkgbase: String,
    pass: u8,
    status: String,
    reason: Option<String>,
    version: String,
    commit_id: String,
    pkgnames: String,
    wave: u32,
    nocheck: bool,
    because: String,
    changed_at: i64,
}

const COLUMNS: &str = "SELECT build.id, architecture, pkgbase, pass, build.status, build.reason, version, commit_id, \
     pkgnames, wave, nocheck, because, build.changed_at \
     FROM build JOIN build_set ON build_set.id = build_set_id";

/// Rows as people see them, each with its newest run.
async fn shown(db: &mut SqliteConnection, rows: Vec<Row>) -> DbResult<Vec<Build>> {
    let keys: Vec<BuildKey> = rows.iter().map(|row| row.id).collect();
    let mut runs = runs::newest_of_builds(db, &keys).await?;
    let build = |row: Row| {
        Ok(Build {
            run: runs.remove(&row.id),
            pkgbase: word("pkgbase", &row.pkgbase)?,
            architecture: word("architecture", &row.architecture)?,
            pass: row.pass,
            status: word("build status", &row.status)?,
            reason: row.reason,
            version: word("version", &row.version)?,
            commit: row.commit_id,
            pkgnames: json("build's pkgnames", &row.pkgnames)?,
            wave: row.wave,
            nocheck: row.nocheck,
            because: row.because,
            changed_at: timestamp(row.changed_at)?,
        })
    };
    rows.into_iter().map(build).collect()
}

/// The place of a build in its list, for paging: wave, package base, pass, row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPosition {
    wave: u32,
    pkgbase: String,
    pass: u8,
    key: i64,
}

impl std::fmt::Display for BuildPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}~{}~{}~{}",
            self.wave, self.pkgbase, self.pass, self.key
        )
    }
}

impl std::str::FromStr for BuildPosition {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(4, '~');
        let mut next = || parts.next().ok_or(());
        Ok(Self {
            wave: next()?.parse().map_err(drop)?,
            pkgbase: next()?.to_owned(),
            pass: next()?.parse().map_err(drop)?,
            key: next()?.parse().map_err(drop)?,
        })
    }
}

/// At most `limit` builds of an iteration, by wave and name, and where the next page begins.
pub async fn page(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    query: &BuildQuery,
    after: Option<&BuildPosition>,
    limit: u32,
) -> DbResult<(Vec<Build>, Option<BuildPosition>)> {
    let sql = format!(
        "{COLUMNS} WHERE iteration_id = ?1 AND (?2 IS NULL OR build.status = ?2) AND (?3 IS NULL OR architecture = ?3) \
         AND (?4 IS NULL OR (wave, pkgbase, pass, build.id) > (?4, ?5, ?6, ?7)) \
         ORDER BY wave, pkgbase, pass, build.id LIMIT ?8"
    );
    let mut rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(iteration)
        .bind(query.status.map(BuildStatus::as_str))
        .bind(
            query
                .architecture
                .as_ref()
                .map(|architecture| architecture.as_ref().to_owned()),
        )
        .bind(after.map(|after| after.wave))
        .bind(after.map(|after| after.pkgbase.clone()))
        .bind(after.map(|after| after.pass))
        .bind(after.map(|after| after.key))
        .bind(limit.saturating_add(1))
        .fetch_all(&mut *db)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|last| BuildPosition {
        wave: last.wave,
        pkgbase: last.pkgbase.clone(),
        pass: last.pass,
        key: last.id.0,
    });
    Ok((shown(db, rows).await?, next))
}

/// One build of an iteration.
pub async fn find(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    architecture: &str,
    pkgbase: &str,
    pass: u8,
) -> DbResult<Option<(BuildKey, Build)>> {
    let sql = format!(
        "{COLUMNS} WHERE iteration_id = ? AND architecture = ? AND pkgbase = ? AND pass = ?"
    );
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(iteration)
        .bind(architecture)
        .bind(pkgbase)
        .bind(pass)
        .fetch_optional(&mut *db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let key = row.id;
    let build = shown(db, vec![row]).await?.pop();
    Ok(build.map(|build| (key, build)))
}

/// What a list of builds is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By wave, then name.
    #[default]
    Wave,
    /// By name.
    Name,
    /// By status, then wave.
    Status,
    /// What changed last comes first.
    Changed,
    /// What the most builds wait for comes first.
    Unlocks,
}

/// Which builds to list. What is not given is not asked.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only in this status.
    pub status: Option<BuildStatus>,
    /// Only with this in the name; large and small letters are alike.
    pub text: Option<String>,
    /// Only of this wave.
    pub wave: Option<u32>,
    /// Only those whose newest run ended so.
    pub class: Option<OutcomeClass>,
    /// In which order.
    pub sort: Sort,
}

/// At most `limit` builds of an iteration that a filter picks, without the first `skipped`, and
/// whether there are more.
pub async fn filtered(
    db: &mut SqliteConnection,
    iteration: IterationKey,
    filter: &Filter,
    skipped: u32,
    limit: u32,
) -> DbResult<(Vec<Build>, bool)> {
    let order = match filter.sort {
        Sort::Wave => "wave, pkgbase, pass",
        Sort::Name => "pkgbase, pass",
        Sort::Status => "build.status, wave, pkgbase, pass",
        Sort::Changed => "build.changed_at DESC, wave, pkgbase, pass",
        Sort::Unlocks => "unlocks DESC, wave, pkgbase, pass",
    };
    let sql = format!(
        "{COLUMNS} WHERE iteration_id = ?1 AND (?2 IS NULL OR build.status = ?2) AND (?3 IS NULL OR instr(lower(pkgbase), ?3)) \
         AND (?4 IS NULL OR wave = ?4) AND (?5 IS NULL OR ?5 = (SELECT class FROM run \
         WHERE run.build_id = build.id ORDER BY run.id DESC LIMIT 1)) \
         ORDER BY {order}, build.id LIMIT ?6 OFFSET ?7"
    );
    let mut rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(iteration)
        .bind(filter.status.map(BuildStatus::as_str))
        .bind(filter.text.as_deref().map(str::to_ascii_lowercase))
        .bind(filter.wave)
        .bind(filter.class.map(OutcomeClass::as_str))
        .bind(limit.saturating_add(1))
        .bind(skipped)
        .fetch_all(&mut *db)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    Ok((shown(db, rows).await?, more))
}
