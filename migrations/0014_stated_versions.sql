-- The version that the PKGBUILD beside a stored .SRCINFO states, if its text alone tells: a .SRCINFO of another one is
-- stale.
ALTER TABLE source_repository ADD COLUMN stated_version TEXT;
