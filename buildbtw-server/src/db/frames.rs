//! The frames of which the dbs of repositories consist: their bytes, and which of them make up which
//! generation.
//!
//! Statements name their indexes: left to itself, SQLite walks over all files of a repository, or all
//! frames that it ever had, in the order of the primary key.

use std::collections::{BTreeMap, HashMap};

use buildbtw_repo::{FrameState, Frames, RepositoryChange, RepositoryState, Sha256Digest};
use sqlx::{FromRow, SqliteConnection};

use super::keys::BuildSetKey;
use super::{DbError, DbResult, to_json, word};

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

/// The part of a repository's newest generation that adding packages of some names touches.
pub async fn touched(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    pkgnames: &[&str],
) -> DbResult<RepositoryState> {
    let rows: Vec<(String, u32)> = sqlx::query_as(
        "SELECT pkgname, place FROM published_package INDEXED BY one_listed_file_a_package WHERE build_set_id = ? AND until IS NULL \
         AND pkgname IN (SELECT value FROM json_each(?))",
    )
    .bind(set)
    .bind(to_json(&pkgnames))
    .fetch_all(&mut *db)
    .await?;
    let mut packages = BTreeMap::new();
    for (pkgname, place) in rows {
        packages.insert(word("pkgname", &pkgname)?, place);
    }
    let places: Vec<u32> = packages.values().copied().collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT place, db_digest, files_digest, db_len, files_len, unpacked FROM repository_frame INDEXED BY one_frame_a_place \
         WHERE build_set_id = ?1 AND until IS NULL AND place IN (SELECT value FROM json_each(?2)) UNION ALL \
         SELECT * FROM (SELECT place, db_digest, files_digest, db_len, files_len, unpacked \
         FROM repository_frame INDEXED BY one_frame_a_place WHERE build_set_id = ?1 AND until IS NULL AND place NOT IN (SELECT value FROM json_each(?2)) \
         ORDER BY place DESC LIMIT 2)",
    )
    .bind(set)
    .bind(to_json(&places))
    .fetch_all(db)
    .await?;
    let frames: DbResult<BTreeMap<_, _>> = rows.into_iter().map(Row::read).collect();
    Ok(RepositoryState {
        frames: Frames(frames?),
        packages,
    })
}

/// Carries a change of the frames out with the generation of that number.
pub async fn change(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
    change: &RepositoryChange,
) -> DbResult<()> {
    let bytes: HashMap<&Sha256Digest, &[u8]> = change
        .new_frames
        .iter()
        .map(|(digest, bytes)| (digest, &**bytes))
        .collect();
    let bytes = |digest: &Sha256Digest| {
        let found = bytes.get(digest).copied();
        found.ok_or_else(|| missing(digest))
    };
    for (place, frame) in &change.frames {
        let Some(frame) = frame else {
            leave(&mut *db, set, number, *place).await?;
            continue;
        };
        let length = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO frame (digest, content) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING; \
             UPDATE repository_frame SET until = ? WHERE build_set_id = ? AND place = ? AND until IS NULL; \
             INSERT INTO repository_frame (build_set_id, place, since, db_digest, files_digest, db_len, files_len, unpacked) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(frame.db_digest.to_string())
        .bind(bytes(&frame.db_digest)?)
        .bind(frame.files_digest.to_string())
        .bind(bytes(&frame.files_digest)?)
        .bind(number)
        .bind(set)
        .bind(place)
        .bind(set)
        .bind(place)
        .bind(number)
        .bind(frame.db_digest.to_string())
        .bind(frame.files_digest.to_string())
        .bind(length(frame.db_len))
        .bind(length(frame.files_len))
        .bind(length(frame.unpacked))
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}

/// No frame stands at a place any more, from a generation on.
async fn leave(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    number: u32,
    place: u32,
) -> DbResult<()> {
    sqlx::query(
        "UPDATE repository_frame SET until = ? WHERE build_set_id = ? AND place = ? AND until IS NULL",
    )
    .bind(number)
    .bind(set)
    .bind(place)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes where listed packages have come to lie.
pub async fn move_packages(
    db: &mut SqliteConnection,
    set: BuildSetKey,
    moved: &[(&str, u32)],
) -> DbResult<()> {
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE published_package INDEXED BY one_listed_file_a_package \
         SET place = (SELECT value ->> 1 FROM json_each(?1) WHERE value ->> 0 = pkgname) \
         WHERE build_set_id = ?2 AND until IS NULL AND pkgname IN (SELECT value ->> 0 FROM json_each(?1))",
    )
    .bind(to_json(&moved))
    .bind(set)
    .execute(db)
    .await?;
    Ok(())
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

/// The bytes of some frames.
pub async fn load(
    db: &mut SqliteConnection,
    digests: &[Sha256Digest],
) -> DbResult<HashMap<Sha256Digest, Vec<u8>>> {
    if digests.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT digest, content FROM frame WHERE digest IN (SELECT value FROM json_each(?))",
    )
    .bind(to_json(&digests))
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(digest, content)| Ok((word("digest", &digest)?, content)))
        .collect()
}
