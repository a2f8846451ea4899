//! What a build made, and what was made of the same name before.

use buildbtw_api::builds::MadeBy;
use buildbtw_api::runs::RunPackage;
use buildbtw_repo::PackageFile;
use sqlx::{FromRow, SqliteConnection};

use super::keys::BuildKey;
use super::packages::{unpack, unpack_without_files};
use super::{DbResult, word};

/// Above this size of its metadata the files of a package are not compared, in bytes: a page is to
/// come at once.
const FILES_MAX: usize = 1 << 20;

/// A package, with what is known of it as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct Made {
    id: i64,
    /// The name of its file in the repository.
    pub file_name: String,
    pkgname: String,
    architecture: String,
    metadata: Vec<u8>,
}

impl Made {
    /// What is known of it. Takes a moment for one of many files: not for async threads.
    pub fn package(&self) -> DbResult<PackageFile> {
        match self.metadata.len() > FILES_MAX {
            true => unpack_without_files(&self.metadata),
            false => unpack(&self.metadata),
        }
    }
}

/// A package of the same name that was made before.
#[derive(Debug, Clone, FromRow)]
pub struct Before {
    /// The package.
    #[sqlx(flatten)]
    pub made: Made,
    /// The namespace of its build.
    pub namespace: String,
    /// The number of its iteration.
    pub iteration: u32,
    /// The package base.
    pub pkgbase: String,
    /// The pass.
    pub pass: u8,
    /// The architecture that it was built for.
    pub built_for: String,
}

/// The packages of a build: those that are published, else those that its newest run sent.
pub async fn of_build(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<Made>> {
    let published: Vec<Made> = sqlx::query_as(
        "SELECT package.id, published_package.file_name, package.pkgname, package.architecture, metadata \
         FROM published_package JOIN package ON package.id = package_id \
         WHERE build_id = ? AND until IS NULL ORDER BY published_package.file_name",
    )
    .bind(build)
    .fetch_all(&mut *db)
    .await?;
    if !published.is_empty() {
        return Ok(published);
    }
    Ok(sqlx::query_as(
        "SELECT package.id, run_package.file_name, package.pkgname, package.architecture, metadata \
         FROM run_package JOIN package ON package.id = package_id WHERE run_id = \
         (SELECT id FROM run WHERE build_id = ? AND NOT canary ORDER BY attempt DESC LIMIT 1) ORDER BY run_package.file_name",
    )
    .bind(build)
    .fetch_all(db)
    .await?)
}

/// The packages of a build that the newest generation of its repository has, by name.
pub async fn published(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Vec<RunPackage>> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT published_package.file_name, sha256, size \
         FROM published_package JOIN package ON package.id = package_id \
         WHERE build_id = ? AND until IS NULL ORDER BY published_package.file_name",
    )
    .bind(build)
    .fetch_all(db)
    .await?;
    let packages = rows
        .into_iter()
        .map(|(file_name, sha256, size)| RunPackage {
            file_name,
            sha256,
            size: size.unsigned_abs(),
        });
    Ok(packages.collect())
}

/// The run whose packages a build took over; `None` where a run of its own made them, or nothing is published.
pub async fn made_by(db: &mut SqliteConnection, build: BuildKey) -> DbResult<Option<MadeBy>> {
    let row: Option<(String, String, u32, String)> = sqlx::query_as(
        "SELECT run.public_id, namespace.name, iteration.number, architecture FROM published_package \
         JOIN run_package ON run_package.package_id = published_package.package_id AND kept \
         JOIN run ON run.id = run_id AND run.class = 'success' AND NOT canary JOIN build ON build.id = run.build_id \
         JOIN build_set ON build_set.id = build.build_set_id JOIN iteration ON iteration.id = iteration_id \
         JOIN namespace ON namespace.id = namespace_id \
         WHERE published_package.build_id = ?1 AND until IS NULL AND run.build_id <> ?1 AND NOT EXISTS \
         (SELECT 1 FROM run AS own WHERE own.build_id = ?1 AND own.class = 'success' AND NOT own.canary) \
         ORDER BY run.id DESC LIMIT 1",
    )
    .bind(build)
    .fetch_optional(db)
    .await?;
    row.map(|(run, namespace, iteration, architecture)| {
        Ok(MadeBy {
            run: word("run", &run)?,
            namespace: word("namespace", &namespace)?,
            iteration,
            architecture: word("architecture", &architecture)?,
        })
    })
    .transpose()
}

/// The package of the same name and architecture that a run made before this one, with its build.
pub async fn before(db: &mut SqliteConnection, made: &Made) -> DbResult<Option<Before>> {
    Ok(sqlx::query_as(
        "SELECT package.id, run_package.file_name, package.pkgname, package.architecture, metadata, \
         namespace.name AS namespace, iteration.number AS iteration, build.pkgbase, build.pass, \
         build_set.architecture AS built_for FROM package \
         JOIN run_package ON package_id = package.id AND kept JOIN run ON run.id = run_id \
         JOIN build ON build.id = run.build_id JOIN build_set ON build_set.id = build_set_id \
         JOIN iteration ON iteration.id = iteration_id JOIN namespace ON namespace.id = namespace_id \
         WHERE package.pkgname = ? AND package.architecture = ? AND package.id < ? \
         ORDER BY package.id DESC, run.id DESC LIMIT 1",
    )
    .bind(&made.pkgname)
    .bind(&made.architecture)
    .bind(made.id)
    .fetch_optional(db)
    .await?)
}
