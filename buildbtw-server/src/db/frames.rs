//! The frames of which the dbs of repositories consist: their bytes, and which of them make up which
//! generation.
//!
//! Statements name their indexes: left to itself, SQLite walks over all files of a repository, or all
//! frames that it ever had, in the order of the primary key.

use std::collections::{BTreeMap, HashMap};

use buildbtw_repo::{FrameState, Frames, RepositoryState, Sha256Digest};
use sqlx::{FromRow, SqliteConnection};

use super::generations::NewGeneration;
use super::keys::BuildSetKey;
use super::{Answers, DbError, DbResult, Statements, to_json, word};

#[derive(FromRow)]
struct Row {
    place: u32,
    db_digest: String,
    files_digest: String,
    db_len: i64,
    files_len: i64,
    unpacked: i64,
}

impl Row {
    fn read(self) -> DbResult<(u32, FrameState)> {
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        let frame = FrameState {
            db_digest: word("digest", &self.db_digest)?,
            files_digest: word("digest", &self.files_digest)?,
            db_len: bytes(self.db_len),
            files_len: bytes(self.files_len),
            unpacked: bytes(self.unpacked),
        };
        Ok((self.place, frame))
    }
}

/// The frames of a generation.
pub async fn of_generation(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
) -> DbResult<Frames> {
    // In two halves, each of which an index answers.
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT place, db_digest, files_digest, db_len, files_len, unpacked FROM repository_frame INDEXED BY one_frame_a_place \
         WHERE build_set_id = ?1 AND until IS NULL AND since <= ?2 UNION ALL \
         SELECT place, db_digest, files_digest, db_len, files_len, unpacked \
         FROM repository_frame INDEXED BY repository_frame_until WHERE build_set_id = ?1 AND until > ?2 AND since <= ?2",
    )
    .bind(set)
    .bind(number)
    .fetch_all(db)
    .await?;
    let frames: DbResult<BTreeMap<_, _>> = rows.into_iter().map(Row::read).collect();
    Ok(Frames(frames?))
}

/// The packages of some names that a repository lists.
const OF_PACKAGES: &str = "published_package INDEXED BY one_listed_file_a_package WHERE build_set_id = ? AND until IS NULL \
     AND pkgname IN (SELECT value FROM json_each(?))";

/// Asks for the part of a repository's newest generation that adding packages of some names touches.
pub(super) fn ask_touched(to: &mut Statements, set: BuildSetKey, pkgnames: &[&str]) {
    to.add(&format!("SELECT pkgname, place FROM {OF_PACKAGES}"))
        .bind(set)
        .bind(to_json(&pkgnames));
    // Those of these packages, and the last two of the others.
    let columns = "SELECT place, db_digest, files_digest, db_len, files_len, unpacked \
         FROM repository_frame INDEXED BY one_frame_a_place WHERE build_set_id = ? AND until IS NULL";
    to.add(&format!(
        "WITH given (place) AS MATERIALIZED (SELECT place FROM {OF_PACKAGES}) \
         {columns} AND place IN (SELECT place FROM given) UNION ALL \
         SELECT * FROM ({columns} AND place NOT IN (SELECT place FROM given) ORDER BY place DESC LIMIT 2)"
    ))
    .bind(set)
    .bind(to_json(&pkgnames))
    .bind(set)
    .bind(set);
}

/// What [`ask_touched`] asked for.
pub(super) fn told_touched(answers: &mut Answers) -> DbResult<RepositoryState> {
    let rows: Vec<(String, u32)> = answers.all()?;
    let mut packages = BTreeMap::new();
    for (pkgname, place) in rows {
        packages.insert(word("pkgname", &pkgname)?, place);
    }
    let rows: Vec<Row> = answers.all()?;
    let frames: DbResult<BTreeMap<_, _>> = rows.into_iter().map(Row::read).collect();
    Ok(RepositoryState {
        frames: Frames(frames?),
        packages,
    })
}

/// Asks for the frames that adding packages of some names will most likely ask for: the last one, to go on in it, and
/// those that have packages of the same names.
pub(super) fn ask_likely(to: &mut Statements, set: BuildSetKey, pkgnames: &[&str]) {
    let current =
        "repository_frame INDEXED BY one_frame_a_place WHERE build_set_id = ? AND until IS NULL";
    to.add(&format!(
        "SELECT digest, content FROM (SELECT db_digest, files_digest FROM {current} AND place IN \
         (SELECT place FROM {OF_PACKAGES} UNION SELECT (SELECT max(place) FROM {current}))) \
         CROSS JOIN frame ON digest IN (db_digest, files_digest)"
    ))
    .bind(set)
    .bind(set)
    .bind(to_json(&pkgnames))
    .bind(set);
}

/// What [`ask_likely`] asked for.
pub(super) fn told_likely(answers: &mut Answers) -> DbResult<HashMap<Sha256Digest, Vec<u8>>> {
    let rows: Vec<(String, Vec<u8>)> = answers.all()?;
    rows.into_iter()
        .map(|(digest, content)| Ok((word("digest", &digest)?, content)))
        .collect()
}

/// Another frame stands at a place from a generation on; or none any more.
pub(super) fn add_frame(
    to: &mut Statements,
    new: &NewGeneration<'_>,
    place: u32,
    frame: Option<&FrameState>,
) -> DbResult<()> {
    to.add("UPDATE repository_frame SET until = ? WHERE build_set_id = ? AND place = ? AND until IS NULL")
        .bind(new.number)
        .bind(new.set)
        .bind(place);
    let Some(frame) = frame else {
        return Ok(());
    };
    let bytes = |digest: &Sha256Digest| {
        let mut frames = new.change.new_frames.iter();
        let found = frames.find(|(other, _)| other == digest);
        let found = found.map(|(_, bytes)| &**bytes);
        found.ok_or_else(|| missing(digest))
    };
    to.add("INSERT INTO frame (digest, content) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING")
        .bind(frame.db_digest.to_string())
        .bind(bytes(&frame.db_digest)?)
        .bind(frame.files_digest.to_string())
        .bind(bytes(&frame.files_digest)?);
    let length = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    to.add(
        "INSERT INTO repository_frame (build_set_id, place, since, db_digest, files_digest, db_len, files_len, unpacked) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.set)
    .bind(place)
    .bind(new.number)
    .bind(frame.db_digest.to_string())
    .bind(frame.files_digest.to_string())
    .bind(length(frame.db_len))
    .bind(length(frame.files_len))
    .bind(length(frame.unpacked));
    Ok(())
}

/// Notes where listed packages have come to lie.
pub(super) fn add_moved(to: &mut Statements, set: BuildSetKey, moved: &[(&str, u32)]) {
    if moved.is_empty() {
        return;
    }
    let moved = to_json(&moved);
    to.add(
        "UPDATE published_package INDEXED BY one_listed_file_a_package \
         SET place = (SELECT value ->> 1 FROM json_each(?) WHERE value ->> 0 = pkgname) \
         WHERE build_set_id = ? AND until IS NULL AND pkgname IN (SELECT value ->> 0 FROM json_each(?))",
    )
    .bind(&moved)
    .bind(set)
    .bind(&moved);
}

/// The bytes of a frame.
pub async fn bytes(db: &mut SqliteConnection, digest: &Sha256Digest) -> DbResult<Vec<u8>> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT content FROM frame WHERE digest = ?")
        .bind(digest.to_string())
        .fetch_optional(db)
        .await?;
    found.ok_or_else(|| missing(digest))
}

fn missing(digest: &Sha256Digest) -> DbError {
    DbError::Unreadable {
        what: "generation",
        reason: format!("its frame {digest} is missing"),
    }
}
