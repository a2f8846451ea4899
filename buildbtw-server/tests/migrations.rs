//! Every migration keeps the rows that are there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Row, SqlitePool};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// One row in each table that others refer to, as the first version of the server writes them.
const ROWS: &str = r#"
INSERT INTO namespace (id, name, status, created_at, changed_at, options) VALUES (1, 'n', 'active', 1, 1, '{}');
INSERT INTO changeset VALUES (1, 0, 'lib', 'main');
INSERT INTO iteration (id, namespace_id, number, status, reason, created_at, changed_at) VALUES (1, 1, 1, 'current', '{}', 1, 1);
INSERT INTO iteration_changeset VALUES (1, 0, 'lib', 'main', 'c', 't');
INSERT INTO build_set VALUES (1, 1, 'x86_64', 1, 0, 0);
INSERT INTO base_snapshot VALUES (1, 0, 'core', 'core=http://x', 'd', 'http://x');
INSERT INTO input (id) VALUES (1);
INSERT INTO build (id, build_set_id, input_id, pkgbase, pass, status, version, commit_id, tree_id, committed_at, wave,
    nocheck, pkgnames, because, install, assumed, waits_for, changed_at)
    VALUES (1, 1, 1, 'lib', 1, 'built', '1-1', 'c', 't', 1, 1, 0, '[]', '', '[]', '[]', 0, 1),
           (2, 1, 1, 'app', 1, 'pending', '1-1', 'c', 't', 1, 2, 0, '[]', 'app-cli needs lib>=1, which lib makes', '[]', '[]', 0, 1);
INSERT INTO build (id, build_set_id, input_id, pkgbase, pass, status, reason, version, commit_id, tree_id, committed_at, wave,
    nocheck, pkgnames, because, install, assumed, waits_for, changed_at)
    VALUES (3, 1, 1, 'left', 1, 'waived', 'waived: not now', '1-1', 'cc', 't', 1, 1, 0, '[]', 'its sources changed', '[]', '[]', 0, 7);
INSERT INTO need VALUES (2, 1, 'depends', 'lib', '[]', 0);
INSERT INTO worker VALUES (1, 'w', 'w', '{}', 1, 1);
INSERT INTO run (id, public_id, input_id, build_id, attempt, worker_id, fence, status, class, claimed_at, ended_at,
    expected, installed)
    VALUES (1, 'r', 1, 1, 1, 1, 1, 'ended', 'success', 1, 2, '[{"pkgname":"a"}]', '[{"pkgname":"a","version":"1-1"}]');
INSERT INTO package VALUES (1, 'aa', 'bb', 1, 'f', 'lib', '1-1', 'any', x'00', 1);
INSERT INTO run_package VALUES (1, 'f', 1, 1);
INSERT INTO package VALUES (2, 'ab', 'bb', 1, 'g', 'app', '1-1', 'any', x'00', 1);
INSERT INTO package VALUES (3, 'ac', 'bb', 1, 'h', 'lib', '2-1', 'any', x'00', 1);
INSERT INTO generation VALUES
    (1, 1, 1, 1, '{"frames":[{"db_digest":"d1","files_digest":"e1","db_len":1,"files_len":2,"unpacked":3,"packages":[]}]}', 'd'),
    (2, 1, 2, 2, '{"frames":[{"db_digest":"d1","files_digest":"e1","db_len":1,"files_len":2,"unpacked":3,"packages":[]},
        {"db_digest":"d2","files_digest":"e2","db_len":1,"files_len":2,"unpacked":3,"packages":[]}]}', 'd'),
    (3, 1, 3, 3, '{"frames":[{"db_digest":"d2","files_digest":"e2","db_len":1,"files_len":2,"unpacked":3,"packages":[]}]}', 'd'),
    (4, 1, 4, 4, '{"frames":[{"db_digest":"d2","files_digest":"e2","db_len":1,"files_len":2,"unpacked":3,"packages":["app"]},
        {"db_digest":"d4","files_digest":"e4","db_len":1,"files_len":2,"unpacked":3,"packages":["other","lib"]}]}', 'd');
INSERT INTO published_package VALUES (1, 'f', 1, 1, 1, 3), (1, 'g', 2, 2, 2, NULL), (1, 'h', 3, 1, 4, NULL);
INSERT INTO source_repository (id, pkgbase, provider, location, srcinfo, read_at) VALUES (1, 'lib', 'directory', '/l', 's', 1);
INSERT INTO event (at, kind, namespace_id) VALUES (1, 'namespace_created', 1);
"#;

async fn counts(db: &SqlitePool) -> BTreeMap<String, i64> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    )
    .fetch_all(db)
    .await
    .unwrap();
    let mut counts = BTreeMap::new();
    for table in tables {
        let sql = format!("SELECT count(*) FROM \"{table}\"");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(db).await;
        counts.insert(table, row.unwrap().get(0));
    }
    counts
}

#[tokio::test]
async fn rows_of_the_first_version_are_kept_by_each_that_follows() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("buildbtw.db"))
        .create_if_missing(true)
        .foreign_keys(true);
    let db = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let all: Vec<_> = MIGRATIONS.migrations.iter().cloned().collect();
    let upto = |number: usize| sqlx::migrate::Migrator {
        migrations: Cow::Owned(all[..number].to_vec()),
        ..sqlx::migrate::Migrator::DEFAULT
    };
    upto(1).run(&db).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&db).await.unwrap();
    let before = counts(&db).await;
    for number in 2..=all.len() {
        if number == 16 {
            let events = "INSERT INTO event (at, kind, worker) VALUES (2, 'worker_mode', 'w'), (3, 'worker_mode', 'gone')";
            sqlx::raw_sql(events).execute(&db).await.unwrap();
        }
        if number == 17 {
            // Nobody knows how fast the workers are that were there before paces were kept.
            let paces: String = sqlx::query_scalar("SELECT paces FROM worker WHERE id = 1")
                .fetch_one(&db)
                .await
                .unwrap();
            assert_eq!(paces, "[]");
            let workers = "UPDATE worker SET paces = '[500,2100,2000]' WHERE id = 1; \
                 INSERT INTO worker (public_id, name, offer, protocol, registered_at) VALUES ('new', 'n', '{}', 1, 1)";
            sqlx::raw_sql(workers).execute(&db).await.unwrap();
        }
        upto(number).run(&db).await.unwrap();
        let after = counts(&db).await;
        for (table, count) in &before {
            assert!(after[table] >= *count, "{table}, migration {number}");
        }
        let foreign = sqlx::query("PRAGMA foreign_key_check").fetch_all(&db).await;
        assert!(foreign.unwrap().is_empty(), "migration {number}");
    }
    // Generations have the frames that they had, and packages are found in those of the newest.
    for (number, expected) in [(1, "d1"), (2, "d1 d2"), (3, "d2"), (4, "d2 d4")] {
        let frames: String = sqlx::query_scalar(
            "SELECT group_concat(db_digest, ' ' ORDER BY place) FROM repository_frame WHERE build_set_id = 1 \
             AND since <= ?1 AND (until IS NULL OR until > ?1)",
        )
        .bind(number)
        .fetch_one(&db)
        .await
        .unwrap();
        assert_eq!(frames, expected, "generation {number}");
    }
    let listed: String = sqlx::query_scalar(
        "SELECT group_concat(file_name || ' ' || pkgname || ' ' || coalesce(place, '-'), ', ' ORDER BY file_name) \
         FROM published_package",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(listed, "f lib -, g app 0, h lib 1");
    // Who was there before asks for runs; a run of a build may go to GitLab.
    let kind: String = sqlx::query_scalar("SELECT kind FROM worker WHERE id = 1")
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(kind, "worker");
    // What is said of a worker is said of its row.
    let about: Vec<Option<i64>> =
        sqlx::query_scalar("SELECT worker_id FROM event WHERE kind = 'worker_mode' ORDER BY at")
            .fetch_all(&db)
            .await
            .unwrap();
    assert_eq!(about, [Some(1), None]);
    // What was known of how fast workers are is kept.
    let told: Vec<(f64, u32)> = sqlx::query_as("SELECT speed, runs_told FROM worker ORDER BY id")
        .fetch_all(&db)
        .await
        .unwrap();
    assert_eq!(told, [(2.0, 3), (1.0, 0)]);
    let wanted = "INSERT INTO pipeline (run_id, project, mark, reference, tags, due_at) VALUES (1, 15, 'm', 'main', '[]', 1)";
    sqlx::raw_sql(wanted).execute(&db).await.unwrap();
    for impossible in [
        "UPDATE worker SET speed = 0.0",
        "UPDATE pipeline SET stage = 'open'",
        "UPDATE pipeline SET stage = 'done'",
        "UPDATE pipeline SET job = 7",
        "INSERT INTO pipeline (run_id, project, mark, reference, tags, due_at) VALUES (2, 15, 'n', 'main', '[]', 1)",
        "INSERT INTO worker (public_id, name, offer, protocol, registered_at, kind) VALUES ('x', 'h', '{}', 1, 1, 'other')",
    ] {
        let refused = sqlx::raw_sql(impossible).execute(&db).await;
        assert!(refused.is_err(), "{impossible}");
    }
    // Of what was read before it is not known what its PKGBUILD states.
    let source: (String, Option<String>) =
        sqlx::query_as("SELECT srcinfo, stated_version FROM source_repository WHERE id = 1")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(source, ("s".to_owned(), None));
    // Who is in the plan because of whom is known, and what is left out stays so.
    let because: String = sqlx::query_scalar(
        "SELECT group_concat(pkgbase || ' ' || coalesce(because_of, '-'), ', ' ORDER BY id) FROM build",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(because, "lib -, app lib, left -");
    let waivers: String = sqlx::query_scalar(
        "SELECT group_concat(pkgbase || ' ' || commit_id || ' ' || reason || ' ' || iteration || ' ' || given_at) FROM waiver",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(waivers, "left cc not now 1 7");
    // What was installed is kept; what was to be is told by a digest, where that was written down.
    let run: (Option<String>, String) =
        sqlx::query_as("SELECT expected_digest, installed FROM run WHERE id = 1")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(
        run,
        (None, r#"[{"pkgname":"a","version":"1-1"}]"#.to_owned())
    );
    // And what it now is can be used.
    let status: String =
        sqlx::query_scalar("UPDATE build SET previous_status = status, status = 'scheduled' WHERE id = 2 RETURNING status")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(status, "scheduled");
}
