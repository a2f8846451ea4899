-- The source for which a build was planned, so that the chain from a change to a build can be followed.
-- Older rows say it in words only: "NAME needs RELATION, which SOURCE makes".
ALTER TABLE build ADD COLUMN because_of TEXT;
UPDATE build SET because_of = substr(because, instr(because, ', which ') + 8, length(because) - instr(because, ', which ') - 13)
    WHERE because LIKE '% needs %, which % makes';

-- A person's word that a source is left out of a namespace, for as long as it stays at that commit.
-- `iteration` is the number of the one in which it was given.
CREATE TABLE waiver (
    namespace_id INTEGER NOT NULL REFERENCES namespace (id) ON DELETE CASCADE,
    pkgbase TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    iteration INTEGER NOT NULL,
    given_at INTEGER NOT NULL,
    actor TEXT,
    PRIMARY KEY (namespace_id, pkgbase)
) STRICT, WITHOUT ROWID;
INSERT INTO waiver (namespace_id, pkgbase, commit_id, reason, iteration, given_at)
    SELECT namespace_id, pkgbase, min(commit_id), substr(min(build.reason), 9), number, max(build.changed_at)
    FROM build JOIN build_set ON build_set.id = build_set_id JOIN iteration ON iteration.id = iteration_id
    WHERE build.status = 'waived' AND iteration.status = 'current' AND build.reason LIKE 'waived: %'
    GROUP BY namespace_id, pkgbase;

-- Who waits for what is left out goes on; when that is taken back, it waits again.
INSERT INTO build_step VALUES ('pending', 'blocked');

-- The newest published package of a name.
CREATE INDEX package_by_name ON package (pkgname, id);
