//! What newly built packages break: the check of the plan again, with what they really provide.

use buildbtw_graph::{MadePackages, PkgBase, ReleasedPackage, broken_by_packages};
use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;

use super::stack::{as_released, brought_up};
use crate::Server;
use crate::db::broken::{self, BrokenBy};
use crate::db::builds::BuildState;
use crate::db::generations::Changes;
use crate::db::{DbResult, Statements, members, word};

/// Notes what the packages of some builds break that go into their build set's repository next. It is
/// found out before they are published, and written with what else follows from that. It goes by what changed in that
/// repository since a generation ([`brought_up`]).
pub async fn note(
    server: &Server,
    db: &mut SqliteConnection,
    writes: &mut Statements,
    additions: &[(BuildState, Vec<PackageFile>)],
    changes: Changes,
) -> DbResult<()> {
    let Some((first, _)) = additions.first() else {
        return Ok(());
    };
    let stack = match brought_up(server, &mut *db, first, changes).await? {
        Ok(stack) => stack,
        // Without the base repositories nothing can be said, and publishing needs none of them.
        Err(reason) => {
            tracing::warn!(%reason, "cannot tell what new packages break");
            return Ok(());
        }
    };
    let replaced = |package: &ReleasedPackage, _: usize| {
        let own = |(_, made): &(BuildState, Vec<PackageFile>)| {
            made.iter()
                .any(|made| made.info.pkgname == package.pkgname.as_str())
        };
        additions.iter().any(own)
    };
    let mut all = Vec::with_capacity(additions.len());
    for (build, made) in additions {
        let released = made.iter().map(as_released).collect::<DbResult<Vec<_>>>()?;
        let name: PkgBase = word("pkgbase", &build.pkgbase)?;
        let mut found = broken_by_packages(&MadePackages {
            stack: &stack.index,
            pkgbase: &name,
            made: &released,
            replaced: &replaced,
        });
        // What is still to be built is not broken for long.
        if !found.is_empty() {
            let owners: Vec<&str> = found.iter().map(|one| one.pkgbase.as_str()).collect();
            let unfinished = members::unfinished_of(&mut *db, build.set, &owners).await?;
            found.retain(|one| !unfinished.contains(one.pkgbase.as_str()));
        }
        all.push(BrokenBy {
            build: build.key,
            pkgbase: &build.pkgbase,
            broken: found,
        });
    }
    broken::add_replaced(writes, first.set, &all);
    Ok(())
}
