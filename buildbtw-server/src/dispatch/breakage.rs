//! What newly built packages break: the check of the plan again, with what they really provide.

use buildbtw_graph::{MadePackages, PkgBase, ReleasedPackage, broken_by_packages};
use buildbtw_repo::PackageFile;
use sqlx::SqliteConnection;

use super::stack::{as_released, stack};
use crate::Server;
use crate::db::keys::{BuildKey, BuildSetKey};
use crate::db::{DbResult, broken, builds, inputs, word};

/// Notes what the packages of some builds break that go into a build set's repository next. Comes
/// before they are published.
pub async fn note(
    server: &Server,
    db: &mut SqliteConnection,
    set: BuildSetKey,
    additions: &[(BuildKey, Vec<PackageFile>)],
) -> DbResult<()> {
    let Some((first, _)) = additions.first() else {
        return Ok(());
    };
    let state = builds::state(&mut *db, *first).await?;
    let input = inputs::input(&mut *db, *first).await?;
    let stack = match stack(server, &mut *db, &state, &input).await? {
        Ok(stack) => stack,
        // Without the base repositories nothing can be said, and publishing needs none of them.
        Err(reason) => {
            tracing::warn!(%reason, "cannot tell what new packages break");
            return Ok(());
        }
    };
    let unfinished = builds::unfinished_pkgbases(&mut *db, set).await?;
    let replaced = |package: &ReleasedPackage, _: usize| {
        let own = |(_, made): &(BuildKey, Vec<PackageFile>)| {
            made.iter()
                .any(|made| made.info.pkgname == package.pkgname.as_str())
        };
        unfinished.contains(package.pkgbase.as_str()) || additions.iter().any(own)
    };
    for (build, made) in additions {
        let pkgbase = builds::state(&mut *db, *build).await?.pkgbase;
        let released = made.iter().map(as_released).collect::<DbResult<Vec<_>>>()?;
        let name: PkgBase = word("pkgbase", &pkgbase)?;
        let found = broken_by_packages(&MadePackages {
            stack: &stack.index,
            pkgbase: &name,
            made: &released,
            replaced: &replaced,
        });
        broken::forget(&mut *db, set, &pkgbase).await?;
        broken::replace(&mut *db, set, *build, &found).await?;
    }
    Ok(())
}
