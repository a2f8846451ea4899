-- The frames that make up the dbs of a repository, in order of their places: a frame stands at its place
-- from generation `since` to before `until`. So a new generation writes only what it changes. Before,
-- each one had the list of all frames as JSON.
CREATE TABLE repository_frame (
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER CHECK (until > since),
    db_digest TEXT NOT NULL,
    files_digest TEXT NOT NULL,
    db_len INTEGER NOT NULL,
    files_len INTEGER NOT NULL,
    unpacked INTEGER NOT NULL,
    PRIMARY KEY (build_set_id, place, since)
) STRICT, WITHOUT ROWID;

INSERT INTO repository_frame (build_set_id, place, since, until, db_digest, files_digest, db_len, files_len, unpacked)
WITH listed AS (
    SELECT build_set_id, number, CAST(frame.key AS INTEGER) AS place, frame.value ->> 'db_digest' AS db_digest,
        frame.value ->> 'files_digest' AS files_digest, frame.value ->> 'db_len' AS db_len,
        frame.value ->> 'files_len' AS files_len, frame.value ->> 'unpacked' AS unpacked
    FROM generation, json_each(generation.state, '$.frames') AS frame
), stretches AS (
    -- Equal for generations that follow each other.
    SELECT *, number - row_number() OVER (
        PARTITION BY build_set_id, place, db_digest, files_digest ORDER BY number
    ) AS stretch FROM listed
)
SELECT build_set_id, place, min(number),
    nullif(max(number), (SELECT max(number) FROM generation WHERE generation.build_set_id = stretches.build_set_id)) + 1,
    db_digest, files_digest, db_len, files_len, unpacked
FROM stretches GROUP BY build_set_id, place, db_digest, files_digest, stretch;

CREATE UNIQUE INDEX one_frame_a_place ON repository_frame (build_set_id, place) WHERE until IS NULL;
CREATE INDEX repository_frame_until ON repository_frame (build_set_id, until) WHERE until IS NOT NULL;

-- A listed file's package, of which a repository has one, and the place of the frame that it lies in.
CREATE TABLE published_package_2 (
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    file_name TEXT NOT NULL,
    package_id INTEGER NOT NULL REFERENCES package (id),
    build_id INTEGER NOT NULL REFERENCES build (id),
    since INTEGER NOT NULL,
    until INTEGER CHECK (until > since),
    pkgname TEXT NOT NULL,
    place INTEGER,
    PRIMARY KEY (build_set_id, file_name),
    CHECK (until IS NOT NULL OR place IS NOT NULL)
) STRICT, WITHOUT ROWID;

INSERT INTO published_package_2
WITH newest AS (
    SELECT build_set_id, max(number), state FROM generation GROUP BY build_set_id
), lies AS (
    SELECT build_set_id, name.value AS pkgname, CAST(frame.key AS INTEGER) AS place
    FROM newest, json_each(newest.state, '$.frames') AS frame, json_each(frame.value, '$.packages') AS name
)
SELECT published_package.build_set_id, published_package.file_name, package_id, build_id, since, until, package.pkgname, place
FROM published_package JOIN package ON package.id = package_id
LEFT JOIN lies ON lies.build_set_id = published_package.build_set_id AND lies.pkgname = package.pkgname AND until IS NULL;

DROP TABLE published_package;
ALTER TABLE published_package_2 RENAME TO published_package;
CREATE INDEX published_package_by_build ON published_package (build_id);
CREATE UNIQUE INDEX one_listed_file_a_package ON published_package (build_set_id, pkgname) WHERE until IS NULL;
-- What is new since a generation, and what is gone.
CREATE INDEX published_package_since ON published_package (build_set_id, since);
CREATE INDEX published_package_until ON published_package (build_set_id, until) WHERE until IS NOT NULL;

ALTER TABLE generation DROP COLUMN state;
ALTER TABLE generation DROP COLUMN db_digest;

-- What is ready, in the order in which it is handed out: a claim reads the first of the line and not all.
DROP INDEX build_that_is_ready;
CREATE INDEX build_in_line ON build (build_set_id, remaining_ms DESC, unlocks DESC, id)
    WHERE status = 'pending' AND refers_to IS NULL;
CREATE INDEX build_put_off ON build (not_before) WHERE status = 'pending' AND not_before IS NOT NULL;
