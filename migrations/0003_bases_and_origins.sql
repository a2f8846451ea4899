-- A base repository that is a namespace's: the build set that published it. Its packages are found by
-- that, since a name can come to mean another namespace.
ALTER TABLE base_snapshot ADD COLUMN published_by INTEGER REFERENCES build_set (id);

-- Why the newest state of a namespace's changesets could not be planned, if so: a branch that is gone,
-- a `.SRCINFO` that cannot be read.
ALTER TABLE namespace ADD COLUMN origins_problem TEXT;
