-- How fast a worker is, beside one on which builds take as long as is expected of them, and how many of its
-- runs that rests on: a mean that goes on, where the last paces were kept and reckoned through each time.
ALTER TABLE worker ADD COLUMN speed REAL NOT NULL DEFAULT 1.0 CHECK (speed > 0);
ALTER TABLE worker ADD COLUMN runs_told INTEGER NOT NULL DEFAULT 0 CHECK (runs_told >= 0);
-- The median of what was kept is what they went by.
UPDATE worker SET runs_told = json_array_length(paces), speed = max(0.1, (
    SELECT value FROM (SELECT value, row_number() OVER (ORDER BY value) AS place FROM json_each(paces))
    WHERE place = json_array_length(paces) / 2 + 1
) / 1000.0) WHERE json_array_length(paces) > 0;
ALTER TABLE worker DROP COLUMN paces;
