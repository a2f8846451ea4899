//! The published states of the repositories of build sets: generations and manifests.

use buildbtw_api::NamespaceName;
use buildbtw_graph::{Architecture, PkgName};
use buildbtw_repo::{Frames, PackageFile, Sha256Digest};
use sqlx::{FromRow, SqliteConnection};

use super::keys::{BuildKey, BuildSetKey, PackageKey};
use super::packages::unpack_without_files;
use super::{DbResult, frames, to_json, word};

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
    Ok(
        sqlx::query_scalar(
            "SELECT coalesce(max(number), 0) FROM generation WHERE build_set_id = ?",
        )
        .bind(set)
        .fetch_one(db)
        .await?,
    )
}

/// The number and the Last-Modified of the newest generation.
pub async fn newest(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<(u32, i64)> {
    let newest: Option<(u32, i64)> = sqlx::query_as(
        "SELECT number, published_at FROM generation WHERE build_set_id = ? ORDER BY number DESC LIMIT 1",
    )
    .bind(set)
    .fetch_optional(&mut *db)
    .await?;
    match newest {
        Some(newest) => Ok(newest),
        None => Ok((0, opened_at(db, set).await?)),
    }
}

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

/// Stores the next generation, and hands back its Last-Modified: a given time, unless anything was
/// published later under the name of the namespace.
pub async fn insert(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
    at: i64,
) -> DbResult<i64> {
    let sql = format!(
        "INSERT INTO generation (build_set_id, number, published_at) \
         SELECT build_set.id, ?, max(?, coalesce((SELECT max(published_at) + 1 FROM {NAMESAKES}), 0)) \
         FROM build_set JOIN iteration ON iteration.id = iteration_id WHERE build_set.id = ? RETURNING published_at"
    );
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(number)
        .bind(at)
        .bind(set)
        .fetch_one(db)
        .await?)
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

/// What is known of a package that may enter a repository.
pub async fn candidate(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    file_name: &str,
    sha256: &Sha256Digest,
) -> DbResult<Candidate> {
    Ok(sqlx::query_as(
        "SELECT (SELECT id FROM package WHERE sha256 = ?) AS package, package_id AS listed, \
         package_id IS NOT NULL AND until IS NULL AS current FROM (SELECT 1) \
         LEFT JOIN published_package ON build_set_id = ? AND file_name = ?",
    )
    .bind(sha256.to_string())
    .bind(set)
    .bind(file_name)
    .fetch_one(db)
    .await?)
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

/// Takes the files of some packages off the list, from a generation on.
pub async fn unlist(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    until: u32,
    pkgnames: &[&PkgName],
) -> DbResult<()> {
    sqlx::query(
        "UPDATE published_package INDEXED BY one_listed_file_a_package SET until = ?, place = NULL WHERE build_set_id = ? AND until IS NULL \
         AND pkgname IN (SELECT value FROM json_each(?))",
    )
    .bind(until)
    .bind(set)
    .bind(to_json(&pkgnames))
    .execute(db)
    .await?;
    Ok(())
}

/// Lists files from a generation on. One that was listed before and left is listed again.
pub async fn list_files(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    since: u32,
    files: &[NewFile<'_>],
) -> DbResult<()> {
    for file in files {
        sqlx::query(
            "INSERT INTO published_package (build_set_id, file_name, package_id, build_id, since, pkgname, place) \
             VALUES (?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (build_set_id, file_name) DO UPDATE SET until = NULL, place = excluded.place",
        )
        .bind(set)
        .bind(file.file_name)
        .bind(file.package)
        .bind(file.build)
        .bind(since)
        .bind(file.pkgname.as_str())
        .bind(file.place)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// The packages of the newest generation, by file name, without their lists of files.
pub async fn packages(db: &mut SqliteConnection, set: BuildSetKey) -> DbResult<Vec<PackageFile>> {
    packages_since(db, set, 0).await
}

/// The names of the packages of a generation that are not in the newest one any more.
pub async fn gone_since(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    generation: u32,
) -> DbResult<Vec<PkgName>> {
    // The index is named: left to itself, SQLite walks over all files of the repository.
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT pkgname FROM published_package INDEXED BY published_package_until \
         WHERE build_set_id = ? AND since <= ? AND until > ?",
    )
    .bind(set)
    .bind(generation)
    .bind(generation)
    .fetch_all(db)
    .await?;
    names.iter().map(|name| word("pkgname", name)).collect()
}

/// The packages of the newest generation that came after another one.
pub async fn packages_since(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    generation: u32,
) -> DbResult<Vec<PackageFile>> {
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT published_package.file_name, metadata FROM published_package INDEXED BY published_package_since \
         JOIN package ON package.id = package_id WHERE build_set_id = ? AND since > ? AND until IS NULL ORDER BY published_package.file_name",
    )
    .bind(set)
    .bind(generation)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(file_name, metadata)| {
            Ok(PackageFile {
                file_name,
                ..unpack_without_files(&metadata)?
            })
        })
        .collect()
}
