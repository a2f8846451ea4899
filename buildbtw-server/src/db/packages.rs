//! Packages that were received. Their bytes lie in the data folder, under their digest.
//!
//! What a repository says of a package is kept as two zstd frames of JSON: the package without its
//! files, and the files. Most readers want only the first, and the second may have megabytes.

use std::cell::RefCell;

use buildbtw_api::RunId;
use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;
use zstd::bulk::{Compressor, Decompressor};

use super::keys::{BuildKey, RunKey};
use super::publishing::Runs;
use super::{Answers, DbError, DbResult, Statements, now, to_json};

/// Fast: the rows are written while others wait for the database.
const LEVEL: i32 = 1;

/// The largest list of files that is read back, in bytes: well above what the reader of packages
/// lets through.
const FILES_MAX: usize = 1 << 30;

thread_local! {
    // Each thread keeps its own: to make one takes longer than the metadata of most packages.
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(LEVEL).expect("memory is all that it needs"));
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("memory is all that it needs"));
}

fn pack(package: &PackageFile) -> Vec<u8> {
    let compress = |text: String| {
        let compressed =
            COMPRESSOR.with_borrow_mut(|compressor| compressor.compress(text.as_bytes()));
        compressed.expect("memory is all that compression needs")
    };
    let without_files = PackageFile {
        files: Vec::new(),
        ..package.clone()
    };
    let mut bytes = compress(to_json(&without_files));
    bytes.extend(compress(to_json(&package.files)));
    bytes
}

fn unreadable(reason: impl ToString) -> DbError {
    DbError::Unreadable {
        what: "package",
        reason: reason.to_string(),
    }
}

fn unpack_json<T: serde::de::DeserializeOwned>(frame: &[u8]) -> DbResult<T> {
    // The writer above puts the size into the frame, which the decoder then goes by.
    let text =
        DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.decompress(frame, FILES_MAX));
    let text = text.map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(unreadable)
}

/// The two frames of a package's metadata.
fn frames(metadata: &[u8]) -> DbResult<(&[u8], &[u8])> {
    let first = zstd::zstd_safe::find_frame_compressed_size(metadata)
        .map_err(|code| unreadable(zstd::zstd_safe::get_error_name(code)))?;
    metadata
        .split_at_checked(first)
        .ok_or_else(|| unreadable("it is cut off"))
}

/// A package without its list of files.
pub(super) fn unpack_without_files(metadata: &[u8]) -> DbResult<PackageFile> {
    unpack_json(frames(metadata)?.0)
}

/// A package with its list of files.
pub(super) fn unpack(metadata: &[u8]) -> DbResult<PackageFile> {
    let (package, files) = frames(metadata)?;
    Ok(PackageFile {
        files: unpack_json(files)?,
        ..unpack_json(package)?
    })
}

/// Notes a package that was received. One of the same bytes is noted once.
pub async fn insert(db: &mut SqliteConnection, package: &PackageFile) -> DbResult<()> {
    let mut all = Statements::default();
    add(&mut all, package)?;
    all.carry_out(db).await
}

fn add(to: &mut Statements, package: &PackageFile) -> DbResult<()> {
    let size = i64::try_from(package.size).map_err(unreadable)?;
    let info = &package.info;
    to.add(
        "INSERT INTO package (sha256, content_digest, size, file_name, pkgname, version, architecture, metadata, received_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
    )
    .bind(package.sha256.to_string())
    .bind(package.content_digest.to_string())
    .bind(size)
    .bind(&package.file_name)
    .bind(&info.pkgname)
    .bind(&info.version)
    .bind(&info.arch)
    .bind(pack(package))
    .bind(now());
    Ok(())
}

/// Notes a package that a run uploaded.
pub fn add_of_run(
    to: &mut Statements,
    run: RunId,
    file_name: &str,
    package: &PackageFile,
) -> DbResult<()> {
    add(to, package)?;
    to.add(
        "INSERT INTO run_package (run_id, file_name, package_id) \
         SELECT run.id, ?, package.id FROM run CROSS JOIN package WHERE public_id = ? AND sha256 = ? \
         ON CONFLICT (run_id, file_name) DO UPDATE SET package_id = excluded.package_id",
    )
    .bind(file_name)
    .bind(run.to_string())
    .bind(package.sha256.to_string());
    Ok(())
}

/// The packages that make up a run's result, by file name, under the names they were sent with.
pub async fn kept_of_run(db: &mut SqliteConnection, run: RunKey) -> DbResult<Vec<PackageFile>> {
    let mut asked = Statements::default();
    ask_kept(&mut asked, Runs::one(run));
    let kept = told_kept(&mut asked.fetch(db).await?)?;
    Ok(kept.into_iter().map(|(_, package)| package).collect())
}

/// Asks for the packages that make up the results of runs.
pub(super) fn ask_kept(to: &mut Statements, runs: Runs) {
    to.add(&format!(
        "SELECT build_id, run_package.file_name, metadata FROM run CROSS JOIN run_package ON run_id = run.id \
         CROSS JOIN package ON package.id = package_id WHERE run.id IN ({}) AND kept = 1 \
         ORDER BY run_id, run_package.file_name",
        runs.sql
    ))
    .bind(runs.value);
}

/// What [`ask_kept`] asked for, each with its build.
pub(super) fn told_kept(answers: &mut Answers) -> DbResult<Vec<(BuildKey, PackageFile)>> {
    let rows: Vec<(BuildKey, String, Vec<u8>)> = answers.all()?;
    rows.into_iter()
        .map(|(build, file_name, metadata)| {
            let package = PackageFile {
                file_name,
                ..unpack(&metadata)?
            };
            Ok((build, package))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_back_whole() {
        let mut package: PackageFile = serde_json::from_value(serde_json::json!({
            "info": buildbtw_repo::read_pkginfo("pkgname = a\npkgver = 1-1\narch = any\nsize = 3\nbuilddate = 1\ndepend = b>=2\n").unwrap(),
            "file_name": "a-1-1-any.pkg.tar.zst", "size": 7, "sha256": "00".repeat(32), "md5": "11".repeat(16),
            "content_digest": "22".repeat(32), "files": [],
        }))
        .unwrap();
        package.files = (0..1000)
            .map(|number| format!("usr/share/{number}"))
            .collect();
        let metadata = pack(&package);
        assert_eq!(unpack(&metadata).unwrap(), package);
        let without = unpack_without_files(&metadata).unwrap();
        assert_eq!(
            without,
            PackageFile {
                files: Vec::new(),
                ..package
            }
        );
        assert!(unpack(&metadata[..metadata.len() - 1]).is_err());
        assert!(unpack_without_files(b"rubbish").is_err());
    }
}
