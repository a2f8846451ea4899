-- Turns between namespaces. `weight` is a namespace's share of the workers while others wait too, and
-- a person may raise it for a time; `served` is what it had so far, in milliseconds of expected
-- building divided by its weight.
ALTER TABLE namespace ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100);
ALTER TABLE namespace ADD COLUMN weight_reason TEXT;
ALTER TABLE namespace ADD COLUMN weight_until INTEGER;
ALTER TABLE namespace ADD COLUMN served INTEGER NOT NULL DEFAULT 0;

INSERT INTO counter VALUES ('virtual_time', 0);

-- How long it was expected to take when it was planned.
ALTER TABLE build ADD COLUMN expected_ms INTEGER NOT NULL DEFAULT 0;

-- Whether a worker gets runs, and who said so why.
ALTER TABLE worker ADD COLUMN mode TEXT NOT NULL DEFAULT 'active'
    CHECK (mode IN ('active', 'draining', 'paused', 'set_aside'));
ALTER TABLE worker ADD COLUMN mode_reason TEXT;
ALTER TABLE worker ADD COLUMN mode_actor TEXT;
ALTER TABLE worker ADD COLUMN mode_since INTEGER;

-- Whether the server hands out runs: one row.
CREATE TABLE server_mode (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    mode TEXT NOT NULL CHECK (mode IN ('run', 'drain', 'stopped')),
    reason TEXT,
    actor TEXT,
    since INTEGER
) STRICT;
INSERT INTO server_mode (one, mode) VALUES (1, 'run');
