-- Whether a run's installation is the one that was expected is told by digests. The list of what is
-- expected was written with every run and read only for that; what was installed is kept, and shown.
ALTER TABLE run ADD COLUMN expected_digest TEXT;
ALTER TABLE run DROP COLUMN expected;

-- What is known to be broken of a package base is over when that is built: found without walking over all that
-- is broken in its build set.
CREATE INDEX broken_by_package_by_pkgbase ON broken_by_package (build_set_id, pkgbase);
