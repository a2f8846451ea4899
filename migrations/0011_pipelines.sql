-- Hosts of GitLab's runners are workers that never ask for a run: GitLab gives them jobs. Each is known by
-- its name.
ALTER TABLE worker ADD COLUMN kind TEXT NOT NULL DEFAULT 'worker' CHECK (kind IN ('worker', 'runner'));
CREATE UNIQUE INDEX runner_by_name ON worker (name) WHERE kind = 'runner';

-- Runs that are carried out by pipelines on GitLab. The row is there before the pipeline: `mark` is the name
-- under which that is found again, `asked_at` says that there may be one already. `stage`: still to be made;
-- made and not over as far as was heard; nothing more to do. A run has no worker and no lease until a job of
-- its pipeline claims it.
CREATE TABLE pipeline (
    run_id INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    -- GitLab's numbers of the project and the pipeline.
    project INTEGER NOT NULL,
    pipeline INTEGER,
    mark TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    tags TEXT NOT NULL,
    stage TEXT NOT NULL DEFAULT 'wanted' CHECK (stage IN ('wanted', 'open', 'over')),
    -- What the job is handed that claims the run, as JSON; nothing once the run is over.
    assignment TEXT,
    asked_at INTEGER,
    url TEXT,
    commit_id TEXT,
    -- GitLab's own word, and since when it was heard.
    status TEXT,
    status_since INTEGER,
    -- Why GitLab did not do what was asked, since when, and how often in a row.
    problem TEXT,
    problem_since INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    -- When it is looked at next.
    due_at INTEGER NOT NULL,
    -- When GitLab was told to end it.
    end_asked_at INTEGER,
    job INTEGER,
    job_url TEXT,
    claimed_at INTEGER,
    -- When the executor said how the run ended; its job ends by itself a moment later.
    reported_at INTEGER,
    CHECK (stage <> 'open' OR pipeline IS NOT NULL),
    CHECK ((job IS NULL) = (claimed_at IS NULL))
) STRICT;
CREATE INDEX pipeline_that_is_open ON pipeline (run_id) WHERE stage <> 'over';
CREATE INDEX pipeline_by_number ON pipeline (pipeline) WHERE pipeline IS NOT NULL;

-- What GitLab was told last of the commits of origin changesets.
CREATE TABLE commit_status (
    namespace_id INTEGER NOT NULL REFERENCES namespace (id) ON DELETE CASCADE,
    pkgbase TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    state TEXT NOT NULL,
    said_at INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, pkgbase, commit_id)
) STRICT, WITHOUT ROWID;
