-- To find what was built of a package base before, and what differs from it.
CREATE INDEX build_by_pkgbase ON build (pkgbase, pass);
CREATE INDEX run_by_input ON run (input_id);

-- A run that failed by itself although another one of the same input succeeded later.
CREATE TABLE flaky (
    failed_run_id INTEGER NOT NULL PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    passed_run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    pkgbase TEXT NOT NULL,
    architecture TEXT NOT NULL,
    noticed_at INTEGER NOT NULL
) STRICT;
CREATE INDEX flaky_by_pkgbase ON flaky (pkgbase, architecture, noticed_at);
CREATE INDEX flaky_by_passed_run ON flaky (passed_run_id);
