//! The published states of the repositories of build sets: generations and manifests.

use std::collections::HashMap;

use buildbtw_api::NamespaceName;
use buildbtw_graph::{Architecture, PkgName};
use buildbtw_repo::{Frames, PackageFile, RepositoryChange, RepositoryState, Sha256Digest};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, BuildSetKey, PackageKey};
use super::packages::unpack_without_files;
use super::{Answers, DbResult, Statements, Tx, frames, to_json, word};

const MICROSECONDS: i64 = 1_000_000;

/// Which iteration of a namespace an address means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IterationName {
    /// The one of that number.
    Number(u32),
    /// The one that is worked on, or was last.
    Latest,
    /// The newest that has published anything; one that is complete rather than a newer one that is
    /// not.
    Published,
}

/// The repository of a build set, as it is found by its address.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct RepositoryRow {
    /// The build set.
    pub set: BuildSetKey,
    /// The number of its iteration.
    pub iteration: u32,
}

/// Finds a repository. An archived namespace is found under its name until another one has it.
pub async fn repository(
    db: &mut SqliteConnection,
    namespace: &NamespaceName,
    iteration: IterationName,
    architecture: &Architecture,
) -> DbResult<Option<RepositoryRow>> {
    let (number, published) = match iteration {
        IterationName::Number(number) => (Some(number), false),
        IterationName::Latest => (None, false),
        IterationName::Published => (None, true),
    };
    Ok(sqlx::query_as(
        "SELECT build_set.id AS \"set\", number AS iteration FROM iteration \
         JOIN build_set ON build_set.iteration_id = iteration.id AND architecture = ?3 \
         WHERE CASE WHEN ?2 IS NOT NULL THEN namespace_id IN (SELECT id FROM namespace WHERE name = ?1) \
         ELSE namespace_id = (SELECT id FROM namespace WHERE name = ?1 ORDER BY status = 'archived', id DESC LIMIT 1) END \
         AND CASE WHEN ?2 IS NOT NULL THEN number = ?2 \
         WHEN ?4 THEN EXISTS (SELECT 1 FROM generation WHERE build_set_id = build_set.id) \
         ELSE iteration.status IN ('current', 'superseded') END \
         ORDER BY CASE WHEN ?4 THEN NOT EXISTS (SELECT 1 FROM build WHERE build_set_id = build_set.id \
         AND build.status NOT IN ('built', 'reused', 'waived')) ELSE iteration.status = 'current' END DESC, \
         number DESC LIMIT 1",
    )
    .bind(namespace.as_str())
    .bind(number)
    .bind(architecture.as_ref())
    .bind(published)
    .fetch_optional(db)
    .await?)
}

/// One published state of a repository.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its number, from 1; 0 is the empty repository from before the first.
    pub number: u32,
    /// Its Last-Modified: seconds since 1970.
    pub published_at: i64,
    /// What its dbs consist of.
    pub frames: Frames,
}

/// The number of the newest generation; 0 before the first.
pub async fn newest_number(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<u32> {
    Ok(sqlx::query_scalar(NEWEST_NUMBER)
        .bind(set)
        .fetch_one(db)
        .await?)
}

const NEWEST_NUMBER: &str =
    "SELECT coalesce(max(number), 0) FROM generation WHERE build_set_id = ?";

/// A generation by its number. That of number 0 is there for every build set.
pub async fn get(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
) -> DbResult<Option<Generation>> {
    let Some(published_at) = published_at(&mut *db, set, number).await? else {
        return Ok(None);
    };
    Ok(Some(Generation {
        number,
        published_at,
        frames: frames::of_generation(db, set, number).await?,
    }))
}

/// The Last-Modified of a generation, if there is one of that number.
pub async fn published_at(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
) -> DbResult<Option<i64>> {
    if number == 0 {
        return opened_at(db, set).await.map(Some);
    }
    Ok(sqlx::query_scalar(
        "SELECT published_at FROM generation WHERE build_set_id = ? AND number = ?",
    )
    .bind(set)
    .bind(number)
    .fetch_optional(db)
    .await?)
}

/// The Last-Modified of the empty repository that a build set begins with: when its iteration was
/// made, but later than anything that earlier iterations published.
async fn opened_at(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<i64> {
    let sql = format!(
        "SELECT created_at / ?, (SELECT max(published_at) FROM {NAMESAKES} AND other_iteration.id < iteration.id) \
         FROM build_set JOIN iteration ON iteration.id = iteration_id WHERE build_set.id = ?"
    );
    let (made, earlier): (i64, Option<i64>) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(MICROSECONDS)
        .bind(set)
        .fetch_one(db)
        .await?;
    Ok(made.max(earlier.map_or(0, |at| at + 1)))
}

/// When all iterations of the name of a build set's namespace published last for its architecture.
const NAMESAKES: &str = "(SELECT other_iteration.id, (SELECT max(published_at) FROM generation \
     WHERE build_set_id = other.id) AS published_at FROM namespace AS own_namespace \
     JOIN namespace AS namesake ON namesake.name = own_namespace.name \
     JOIN iteration AS other_iteration ON other_iteration.namespace_id = namesake.id \
     JOIN build_set AS other ON other.iteration_id = other_iteration.id \
     WHERE own_namespace.id = iteration.namespace_id AND other.architecture = build_set.architecture) \
     AS other_iteration WHERE true";

/// The row of the next generation. Its Last-Modified is a given time, unless anything was published later under the
/// name of the namespace.
fn add_row(to: &mut Statements, set: BuildSetKey, number: u32, at: i64) {
    to.add(&format!(
        "INSERT INTO generation (build_set_id, number, published_at) \
         SELECT build_set.id, ?, max(?, coalesce((SELECT max(published_at) + 1 FROM {NAMESAKES}), 0)) \
         FROM build_set JOIN iteration ON iteration.id = iteration_id WHERE build_set.id = ?"
    ))
    .bind(number)
    .bind(at)
    .bind(set);
}

/// A file of a repository, and its package.
#[derive(Debug, Clone, FromRow)]
struct ManifestRow {
    package_id: PackageKey,
    sha256: String,
    size: i64,
    received_at: i64,
    since: u32,
    until: Option<u32>,
}

/// A file of a repository: which bytes it has, and in which generations it is listed.
#[derive(Debug, Clone)]
pub struct PublishedFile {
    /// The package.
    pub package: PackageKey,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Its bytes.
    pub size: u64,
    /// When it was received: seconds since 1970.
    pub received_at: i64,
    /// The first generation that lists it.
    pub since: u32,
    /// The first generation after that which does not.
    pub until: Option<u32>,
}

/// A file of a build set's repository, also of an older generation.
pub async fn file(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    file_name: &str,
) -> DbResult<Option<PublishedFile>> {
    let row: Option<ManifestRow> = sqlx::query_as(
        "SELECT package_id, sha256, size, received_at, since, until FROM published_package \
         JOIN package ON package.id = package_id WHERE build_set_id = ? AND published_package.file_name = ?",
    )
    .bind(set)
    .bind(file_name)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(PublishedFile {
            package: row.package_id,
            sha256: word("digest", &row.sha256)?,
            size: row.size.try_into().unwrap_or(0),
            received_at: row.received_at / MICROSECONDS,
            since: row.since,
            until: row.until,
        })
    })
    .transpose()
}

/// A package that may enter a repository, under a file name.
#[derive(Debug, Clone, FromRow)]
pub struct Candidate {
    /// Its row, if it was received.
    pub package: Option<PackageKey>,
    /// The package that has the file name in this repository.
    pub listed: Option<PackageKey>,
    /// Whether that is listed in the newest generation.
    pub current: bool,
}

/// The newest generation of a repository, and what is known of packages that may enter it.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// The number of the newest generation; 0 before the first.
    pub newest: u32,
    /// Its Last-Modified.
    pub published_at: i64,
    /// The packages, in the order in which they were asked for.
    pub candidates: Vec<Candidate>,
    /// The part of the newest generation that adding them touches.
    pub touched: RepositoryState,
    /// The frames of it that are likely to be gone on with or to change.
    pub frames: HashMap<Sha256Digest, Vec<u8>>,
}

/// Reads what is to be known before packages enter a repository: each with its file name and digest,
/// and the names of all of them; and what changed in it since a generation. The transaction begins with it, if it has not begun.
pub async fn entrance(
    tx: &mut Tx,
    set: BuildSetKey,
    entering: &[(&str, &Sha256Digest)],
    pkgnames: &[&str],
    since: u32,
) -> DbResult<(Entrance, Changes)> {
    let mut asked = Statements::default();
    asked
        .add("SELECT number, published_at FROM generation WHERE build_set_id = ? ORDER BY number DESC LIMIT 1")
        .bind(set);
    asked
        .add(
            "SELECT (SELECT id FROM package WHERE sha256 = given.value ->> 1) AS package, package_id AS listed, \
             package_id IS NOT NULL AND until IS NULL AS current FROM json_each(?) AS given \
             LEFT JOIN published_package ON build_set_id = ? AND file_name = given.value ->> 0 ORDER BY given.key",
        )
        .bind(to_json(&entering))
        .bind(set);
    frames::ask_touched(&mut asked, set, pkgnames);
    frames::ask_likely(&mut asked, set, pkgnames);
    ask_changes(&mut asked, set, since);
    let mut answers = tx.begin(asked).await?;
    let newest = answers.optional()?;
    let (candidates, touched) = (answers.all()?, frames::told_touched(&mut answers)?);
    let frames = frames::told_likely(&mut answers)?;
    let changes = told_changes(&mut answers, since)?;
    let (newest, published_at) = match newest {
        Some(newest) => newest,
        None => (0, opened_at(tx, set).await?),
    };
    let entrance = Entrance {
        newest,
        published_at,
        candidates,
        touched,
        frames,
    };
    Ok((entrance, changes))
}

/// A file that is to be listed.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Its name.
    pub file_name: &'a str,
    /// Its package.
    pub package: PackageKey,
    /// The name of that.
    pub pkgname: &'a PkgName,
    /// The build that it comes from.
    pub build: BuildKey,
    /// The place of the frame in which the package lies.
    pub place: u32,
}

/// What enters a repository with a generation.
#[derive(Debug, Clone, Copy)]
pub struct NewGeneration<'a> {
    /// The repository's build set.
    pub set: BuildSetKey,
    /// Its number.
    pub number: u32,
    /// The time that it is published, if nothing was later: seconds since 1970.
    pub at: i64,
    /// The packages whose files leave the list.
    pub replaced: &'a [&'a PkgName],
    /// The files that are listed. One that was listed before and left is listed again.
    pub files: &'a [NewFile<'a>],
    /// Packages that have come to lie in another frame.
    pub moved: &'a [(&'a str, u32)],
    /// The frames that change.
    pub change: &'a RepositoryChange,
}

/// How many frames are written with one text of statements: mostly one or two change, and a connection
/// keeps each text.
const FRAMES_AT_ONCE: usize = 2;

/// Adds the next generation to what is to be written. Where many frames change, all but the last of it is written at once.
pub async fn add(
    db: &mut SqliteConnection,
    to: &mut Statements,
    new: &NewGeneration<'_>,
) -> DbResult<()> {
    add_row(to, new.set, new.number, new.at);
    if !new.replaced.is_empty() {
        to.add(
            "UPDATE published_package INDEXED BY one_listed_file_a_package SET until = ?, place = NULL \
             WHERE build_set_id = ? AND until IS NULL AND pkgname IN (SELECT value FROM json_each(?))",
        )
        .bind(new.number)
        .bind(new.set)
        .bind(to_json(&new.replaced));
    }
    let files: Vec<_> = new
        .files
        .iter()
        .map(|file| {
            (
                file.file_name,
                file.package.0,
                file.build.0,
                file.pkgname,
                file.place,
            )
        })
        .collect();
    to.add(
        "INSERT INTO published_package (build_set_id, file_name, package_id, build_id, since, pkgname, place) \
         SELECT ?, value ->> 0, value ->> 1, value ->> 2, ?, value ->> 3, value ->> 4 FROM json_each(?) WHERE true \
         ON CONFLICT (build_set_id, file_name) DO UPDATE SET until = NULL, place = excluded.place",
    )
    .bind(new.set)
    .bind(new.number)
    .bind(to_json(&files));
    frames::add_moved(to, new.set, new.moved);
    for (count, (place, frame)) in new.change.frames.iter().enumerate() {
        if count > 0 && count % FRAMES_AT_ONCE == 0 {
            std::mem::take(to).carry_out(&mut *db).await?;
        }
        frames::add_frame(to, new, *place, frame.as_ref())?;
    }
    Ok(())
}

/// The packages of the newest generation, by file name, without their lists of files.
pub async fn packages(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<Vec<PackageFile>> {
    Ok(changes_since(db, set, 0).await?.new)
}

/// What changed in a repository since a generation.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The number of that generation.
    pub since: u32,
    /// The number of the newest generation.
    pub newest: u32,
    /// The names of the packages that are not in it any more.
    pub gone: Vec<PkgName>,
    /// Its packages that came since, without their lists of files.
    pub new: Vec<PackageFile>,
}

/// What changed in a repository since a generation.
pub async fn changes_since(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    generation: u32,
) -> DbResult<Changes> {
    let mut asked = Statements::default();
    ask_changes(&mut asked, set, generation);
    told_changes(&mut asked.fetch(db).await?, generation)
}

/// Asks for what changed in a repository since a generation.
pub(super) fn ask_changes(to: &mut Statements, set: BuildSetKey, generation: u32) {
    to.add(NEWEST_NUMBER).bind(set);
    // The index is named: left to itself, SQLite walks over all files of the repository.
    to.add(
        "SELECT pkgname FROM published_package INDEXED BY published_package_until \
         WHERE build_set_id = ? AND since <= ? AND until > ?",
    )
    .bind(set)
    .bind(generation)
    .bind(generation);
    to.add(
        "SELECT published_package.file_name, metadata FROM published_package INDEXED BY published_package_since \
         JOIN package ON package.id = package_id WHERE build_set_id = ? AND since > ? AND until IS NULL ORDER BY published_package.file_name",
    )
    .bind(set)
    .bind(generation);
}

/// What [`ask_changes`] asked for.
pub(super) fn told_changes(answers: &mut Answers, since: u32) -> DbResult<Changes> {
    let (newest,) = answers.one()?;
    let gone: Vec<(String,)> = answers.all()?;
    let new: Vec<(String, Vec<u8>)> = answers.all()?;
    let gone = gone.iter().map(|(name,)| word("pkgname", name));
    let new = new.into_iter().map(|(file_name, metadata)| {
        Ok(PackageFile {
            file_name,
            ..unpack_without_files(&metadata)?
        })
    });
    Ok(Changes {
        since,
        newest,
        gone: gone.collect::<DbResult<_>>()?,
        new: new.collect::<DbResult<_>>()?,
    })
}
