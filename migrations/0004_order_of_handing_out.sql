-- How long the builds of a package base took lately: milliseconds of its last successful runs, oldest
-- first.
CREATE TABLE duration (
    pkgbase TEXT NOT NULL,
    architecture TEXT NOT NULL,
    recent TEXT NOT NULL,
    PRIMARY KEY (pkgbase, architecture)
) STRICT, WITHOUT ROWID;

-- What a build's turn goes by: the longest path from its begin to the end of its build set, by what is
-- known of durations when it was planned, and how many builds wait for it, directly or not.
ALTER TABLE build ADD COLUMN remaining_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE build ADD COLUMN unlocks INTEGER NOT NULL DEFAULT 0;
