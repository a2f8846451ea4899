-- What only a built package shows: relations of other packages that it no longer satisfies, such as
-- those to a soname of the number before. `found_by` is the build that made it.
CREATE TABLE broken_by_package (
    build_set_id INTEGER NOT NULL REFERENCES build_set (id) ON DELETE CASCADE,
    found_by INTEGER NOT NULL REFERENCES build (id) ON DELETE CASCADE,
    pkgbase TEXT NOT NULL,
    pkgname TEXT NOT NULL,
    relation TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (build_set_id, pkgname, relation)
) STRICT, WITHOUT ROWID;
CREATE INDEX broken_by_package_by_build ON broken_by_package (found_by);
