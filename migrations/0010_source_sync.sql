-- How far the projects of a GitLab's group are read. `source` names the GitLab, the group and the branch,
-- so other settings begin anew. `cursor` is where the first reading goes on; once that is `complete`, changes are
-- looked for down to a little before `newest_activity`.
CREATE TABLE source_sync (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL UNIQUE,
    complete INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)),
    cursor TEXT,
    projects_read INTEGER NOT NULL DEFAULT 0,
    newest_activity INTEGER,
    swept_at INTEGER,
    changed_at INTEGER NOT NULL
) STRICT;
