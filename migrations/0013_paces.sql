-- How fast a worker is: of its last runs how long their builds were expected to take beside how long they
-- took, in thousandths, oldest first.
ALTER TABLE worker ADD COLUMN paces TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(paces));
