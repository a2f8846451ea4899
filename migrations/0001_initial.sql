-- The whole house in tables. Conventions:
--   * Times are UTC microseconds since 1970. Integer keys never leave the server's `db` folder.
--   * `status` and `previous_status` together refer to the table of legal steps, so that the database
--     refuses a step that is not in it. A fresh row has no previous status, and the pair is not checked.
--   * `actor` is who wanted a thing, `owner` whose it is; both are empty until there are logins.
--   * JSON columns hold what is only ever read and written as a whole.

-- Statuses and the steps between them ---------------------------------------------------------

CREATE TABLE namespace_status (status TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE namespace_step (
    before TEXT NOT NULL REFERENCES namespace_status (status),
    after TEXT NOT NULL REFERENCES namespace_status (status),
    PRIMARY KEY (before, after)
) STRICT, WITHOUT ROWID;

CREATE TABLE iteration_status (status TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE iteration_step (
    before TEXT NOT NULL REFERENCES iteration_status (status),
    after TEXT NOT NULL REFERENCES iteration_status (status),
    PRIMARY KEY (before, after)
) STRICT, WITHOUT ROWID;

CREATE TABLE build_status (status TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE build_step (
    before TEXT NOT NULL REFERENCES build_status (status),
    after TEXT NOT NULL REFERENCES build_status (status),
    PRIMARY KEY (before, after)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_status (status TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE run_step (
    before TEXT NOT NULL REFERENCES run_status (status),
    after TEXT NOT NULL REFERENCES run_status (status),
    PRIMARY KEY (before, after)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome_class (class TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;

INSERT INTO namespace_status VALUES ('active'), ('paused'), ('finished'), ('cancelled'), ('archived');
INSERT INTO namespace_step VALUES
    ('active', 'paused'), ('active', 'finished'), ('active', 'cancelled'), ('active', 'archived'),
    ('paused', 'active'), ('paused', 'cancelled'), ('paused', 'archived'),
    ('finished', 'active'), ('finished', 'cancelled'), ('finished', 'archived'),
    ('cancelled', 'active'), ('cancelled', 'archived');

INSERT INTO iteration_status VALUES ('planning'), ('current'), ('superseded'), ('refused');
INSERT INTO iteration_step VALUES
    ('planning', 'current'), ('planning', 'superseded'), ('planning', 'refused'),
    ('current', 'superseded'), ('refused', 'superseded');

INSERT INTO build_status VALUES
    ('blocked'), ('pending'), ('scheduled'), ('building'), ('built'), ('reused'), ('failed'),
    ('dependency_failed'), ('unbuildable'), ('waived'), ('cancelled');
INSERT INTO build_step VALUES
    ('blocked', 'pending'), ('blocked', 'dependency_failed'), ('blocked', 'reused'), ('blocked', 'waived'),
    ('blocked', 'cancelled'),
    ('pending', 'scheduled'), ('pending', 'reused'), ('pending', 'waived'), ('pending', 'cancelled'),
    ('pending', 'dependency_failed'), ('pending', 'failed'),
    ('scheduled', 'building'), ('scheduled', 'pending'), ('scheduled', 'failed'), ('scheduled', 'cancelled'),
    ('building', 'built'), ('building', 'pending'), ('building', 'failed'), ('building', 'cancelled'),
    ('failed', 'pending'), ('failed', 'waived'), ('failed', 'cancelled'),
    ('dependency_failed', 'blocked'), ('dependency_failed', 'pending'), ('dependency_failed', 'waived'),
    ('dependency_failed', 'cancelled'),
    ('unbuildable', 'blocked'), ('unbuildable', 'pending'), ('unbuildable', 'waived'), ('unbuildable', 'cancelled'),
    ('waived', 'blocked'), ('waived', 'pending'),
    ('cancelled', 'blocked'), ('cancelled', 'pending');

INSERT INTO run_status VALUES ('scheduled'), ('running'), ('publishing'), ('ended');
INSERT INTO run_step VALUES
    ('scheduled', 'running'), ('scheduled', 'ended'), ('running', 'publishing'), ('running', 'ended'),
    ('publishing', 'ended');

INSERT INTO outcome_class VALUES
    ('success'), ('package'), ('sources'), ('dependencies'), ('timeout'), ('infrastructure'), ('cancelled');

-- Sources -------------------------------------------------------------------------------------

-- One source repository a pkgbase. `fingerprint` is what its references looked like when it was read:
-- an unchanged one is not read again. `srcinfo` is the text at the default branch.
CREATE TABLE source_repository (
    id INTEGER PRIMARY KEY,
    pkgbase TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    location TEXT NOT NULL,
    fingerprint TEXT,
    default_branch TEXT,
    commit_id TEXT,
    tree_id TEXT,
    committed_at INTEGER,
    srcinfo TEXT,
    problem TEXT,
    read_at INTEGER NOT NULL
) STRICT;

-- Workers -------------------------------------------------------------------------------------

CREATE TABLE worker (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    offer TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    registered_at INTEGER NOT NULL
) STRICT;

-- Namespaces and iterations -------------------------------------------------------------------

CREATE TABLE namespace (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL REFERENCES namespace_status (status),
    previous_status TEXT,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    owner TEXT,
    actor TEXT,
    options TEXT NOT NULL,
    FOREIGN KEY (previous_status, status) REFERENCES namespace_step (before, after)
) STRICT;
CREATE UNIQUE INDEX namespace_name_is_unique ON namespace (name) WHERE status <> 'archived';
CREATE INDEX namespace_by_name ON namespace (name, id);

CREATE TABLE changeset (
    namespace_id INTEGER NOT NULL REFERENCES namespace (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    pkgbase TEXT NOT NULL,
    reference TEXT NOT NULL,
    PRIMARY KEY (namespace_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX changeset_by_pkgbase ON changeset (pkgbase);

CREATE TABLE iteration (
    id INTEGER PRIMARY KEY,
    namespace_id INTEGER NOT NULL REFERENCES namespace (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    status TEXT NOT NULL REFERENCES iteration_status (status),
    previous_status TEXT,
    reason TEXT NOT NULL,
    refusal TEXT,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    actor TEXT,
    UNIQUE (namespace_id, number),
    FOREIGN KEY (previous_status, status) REFERENCES iteration_step (before, after)
) STRICT;
CREATE UNIQUE INDEX one_current_iteration ON iteration (namespace_id) WHERE status = 'current';
CREATE INDEX iteration_being_planned ON iteration (id) WHERE status = 'planning';

CREATE TABLE iteration_changeset (
    iteration_id INTEGER NOT NULL REFERENCES iteration (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    pkgbase TEXT NOT NULL,
    reference TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    tree_id TEXT NOT NULL,
    PRIMARY KEY (iteration_id, position)
) STRICT, WITHOUT ROWID;

-- The plan as it was made: JSON, compressed with zstd, never changed.
CREATE TABLE plan (
    iteration_id INTEGER NOT NULL PRIMARY KEY REFERENCES iteration (id) ON DELETE CASCADE,
    format INTEGER NOT NULL,
    digest TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE build_set (
    id INTEGER PRIMARY KEY,
    iteration_id INTEGER NOT NULL REFERENCES iteration (id) ON DELETE CASCADE,
    architecture TEXT NOT NULL,
    waves INTEGER NOT NULL,
    unresolved INTEGER NOT NULL,
    broken INTEGER NOT NULL,
    UNIQUE (iteration_id, architecture)
) STRICT;

-- The base repositories as an iteration saw them. The db with that digest lies in the data folder.
CREATE TABLE base_snapshot (
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    digest TEXT NOT NULL,
    packages_url TEXT NOT NULL,
    PRIMARY KEY (build_set_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX base_snapshot_by_digest ON base_snapshot (digest);

-- What is built from what. Builds of equal inputs share one row, so that they may wait for one run.
CREATE TABLE input (
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    ingredients TEXT
) STRICT;

CREATE TABLE build (
    id INTEGER PRIMARY KEY,
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    input_id INTEGER NOT NULL REFERENCES input (id),
    -- The build of the primary architecture that an `any` package's build stands for.
    refers_to INTEGER REFERENCES build (id),
    pkgbase TEXT NOT NULL,
    pass INTEGER NOT NULL,
    status TEXT NOT NULL REFERENCES build_status (status),
    previous_status TEXT,
    reason TEXT,
    version TEXT NOT NULL,
    pkgrel TEXT,
    commit_id TEXT NOT NULL,
    tree_id TEXT NOT NULL,
    committed_at INTEGER NOT NULL,
    wave INTEGER NOT NULL,
    nocheck INTEGER NOT NULL CHECK (nocheck IN (0, 1)),
    pkgnames TEXT NOT NULL,
    because TEXT NOT NULL,
    install TEXT NOT NULL,
    assumed TEXT NOT NULL,
    -- How many needs, dropped ones apart, are not met yet.
    waits_for INTEGER NOT NULL CHECK (waits_for >= 0),
    -- Not handed out before this time: the backoff after a failure of the machinery.
    not_before INTEGER,
    changed_at INTEGER NOT NULL,
    UNIQUE (build_set_id, pkgbase, pass),
    FOREIGN KEY (previous_status, status) REFERENCES build_step (before, after)
) STRICT;
CREATE INDEX build_in_order ON build (build_set_id, wave, pkgbase, pass);
CREATE INDEX build_by_status ON build (build_set_id, status);
CREATE INDEX build_that_is_ready ON build (id) WHERE status = 'pending';
CREATE INDEX build_by_input ON build (input_id);
CREATE INDEX build_by_reference ON build (refers_to) WHERE refers_to IS NOT NULL;

CREATE TABLE need (
    build_id INTEGER NOT NULL REFERENCES build (id) ON DELETE CASCADE,
    needs_build_id INTEGER NOT NULL REFERENCES build (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('depends', 'makedepends', 'checkdepends', 'implicit')),
    relation TEXT NOT NULL,
    through TEXT NOT NULL,
    dropped INTEGER NOT NULL CHECK (dropped IN (0, 1)),
    PRIMARY KEY (build_id, needs_build_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX need_by_needed ON need (needs_build_id, build_id);

-- Runs ----------------------------------------------------------------------------------------

-- Fencing numbers, and whatever else must only grow.
CREATE TABLE counter (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('fence', 0);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE,
    input_id INTEGER NOT NULL REFERENCES input (id),
    -- The build it was handed out for.
    build_id INTEGER NOT NULL REFERENCES build (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    worker_id INTEGER REFERENCES worker (id),
    fence INTEGER NOT NULL,
    status TEXT NOT NULL REFERENCES run_status (status),
    previous_status TEXT,
    class TEXT REFERENCES outcome_class (class),
    message TEXT,
    exit_code INTEGER,
    failed_step TEXT,
    claimed_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    expected TEXT NOT NULL DEFAULT '[]',
    steps TEXT NOT NULL DEFAULT '[]',
    installed TEXT NOT NULL DEFAULT '[]',
    UNIQUE (build_id, attempt),
    CHECK ((status = 'ended') = (class IS NOT NULL AND ended_at IS NOT NULL)),
    FOREIGN KEY (previous_status, status) REFERENCES run_step (before, after)
) STRICT;
-- At most one run of an input holds a lease, and this is what keeps it so.
CREATE UNIQUE INDEX one_lease_an_input ON run (input_id) WHERE status IN ('scheduled', 'running');
CREATE INDEX run_that_is_open ON run (id) WHERE status <> 'ended';
CREATE INDEX run_by_worker ON run (worker_id) WHERE status <> 'ended';

-- Artifacts -----------------------------------------------------------------------------------

-- Packages by digest; the bytes lie in the data folder. `metadata` is what the repository's dbs say of it.
CREATE TABLE package (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    content_digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    file_name TEXT NOT NULL,
    pkgname TEXT NOT NULL,
    version TEXT NOT NULL,
    architecture TEXT NOT NULL,
    metadata BLOB NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;

CREATE TABLE run_package (
    run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    file_name TEXT NOT NULL,
    package_id INTEGER NOT NULL REFERENCES package (id),
    -- Named by the report that ended the run: part of its result.
    kept INTEGER NOT NULL DEFAULT 0 CHECK (kept IN (0, 1)),
    PRIMARY KEY (run_id, file_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_package_by_package ON run_package (package_id);

-- One published state of a build set's repository. `state` lists the frames that make up the dbs.
-- `published_at` is in whole seconds and grows strictly, since pacman only asks for what is newer.
CREATE TABLE generation (
    id INTEGER PRIMARY KEY,
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    db_digest TEXT NOT NULL,
    UNIQUE (build_set_id, number),
    UNIQUE (build_set_id, published_at)
) STRICT;

CREATE TABLE frame (
    digest TEXT NOT NULL PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- The manifests: a file name belongs to the generations from `since` to before `until`, and never
-- gets other bytes.
CREATE TABLE published_package (
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    file_name TEXT NOT NULL,
    package_id INTEGER NOT NULL REFERENCES package (id),
    build_id INTEGER NOT NULL REFERENCES build (id),
    since INTEGER NOT NULL,
    until INTEGER CHECK (until > since),
    PRIMARY KEY (build_set_id, file_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX published_package_by_build ON published_package (build_id);

-- Events --------------------------------------------------------------------------------------

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    namespace_id INTEGER REFERENCES namespace (id) ON DELETE CASCADE,
    iteration INTEGER,
    architecture TEXT,
    pkgbase TEXT,
    pass INTEGER,
    run TEXT,
    before TEXT,
    after TEXT,
    message TEXT,
    actor TEXT
) STRICT;
CREATE INDEX event_by_namespace ON event (namespace_id, seq);
