-- Whether a run's installation is the one that was expected is told by digests. The list of what is
-- expected was written with every run and read only for that; what was installed is kept, and shown.
ALTER TABLE run ADD COLUMN expected_digest TEXT;
ALTER TABLE run DROP COLUMN expected;
