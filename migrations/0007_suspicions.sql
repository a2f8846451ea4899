-- The worker that an event is about, by name.
ALTER TABLE event ADD COLUMN worker TEXT;

-- Failures that a worker reported itself, each of which may be its own fault. `in_a_row`: it did not
-- succeed with anything since. `verdict` is what came of trying the build on others: not tried yet, being
-- tried, passed there (so the worker's fault), failed there as well (so the package's).
CREATE TABLE worker_failure (
    run_id INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    worker_id INTEGER NOT NULL REFERENCES worker (id),
    build_id INTEGER NOT NULL REFERENCES build (id) ON DELETE CASCADE,
    failed_at INTEGER NOT NULL,
    in_a_row INTEGER NOT NULL DEFAULT 1 CHECK (in_a_row IN (0, 1)),
    verdict TEXT NOT NULL DEFAULT 'unknown' CHECK (verdict IN ('unknown', 'elsewhere', 'passed', 'failed')),
    passed_run_id INTEGER REFERENCES run (id) ON DELETE SET NULL,
    CHECK (verdict = 'passed' OR passed_run_id IS NULL)
) STRICT;
CREATE INDEX worker_failure_by_worker ON worker_failure (worker_id, failed_at);
CREATE INDEX worker_failure_by_build ON worker_failure (build_id);
CREATE INDEX worker_failure_tried_elsewhere ON worker_failure (build_id) WHERE verdict = 'elsewhere';

-- Workers that get nothing because of their failures: first while these are tried elsewhere, then,
-- once that proved the worker wrong (`proved`), until somebody or something brings it back.
CREATE TABLE suspicion (
    worker_id INTEGER PRIMARY KEY REFERENCES worker (id),
    since INTEGER NOT NULL,
    proved INTEGER NOT NULL DEFAULT 0 CHECK (proved IN (0, 1)),
    -- When it may be tried with a canary next, and for how long to wait after that one, in microseconds.
    canary_at INTEGER,
    canary_wait INTEGER NOT NULL DEFAULT 3600000000
) STRICT;

-- A canary: a build that passed elsewhere, run once more on the worker that failed it. Nothing of it is
-- published, and it is no part of its build's progress, so it takes nobody's lease.
ALTER TABLE run ADD COLUMN canary INTEGER NOT NULL DEFAULT 0 CHECK (canary IN (0, 1));
-- Its class is the machinery's by what came of it elsewhere; the worker reported another one.
ALTER TABLE run ADD COLUMN acquitted INTEGER NOT NULL DEFAULT 0 CHECK (acquitted IN (0, 1));
DROP INDEX one_lease_an_input;
CREATE UNIQUE INDEX one_lease_an_input ON run (input_id) WHERE status IN ('scheduled', 'running') AND canary = 0;
