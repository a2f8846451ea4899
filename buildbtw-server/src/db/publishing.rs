//! Runs whose packages are published: what is read with the begin of that transaction, and its end.

use std::collections::HashMap;

use buildbtw_repo::PackageFile;

use super::builds::{self, BuildState};
use super::keys::{BuildKey, RunKey, WorkerKey};
use super::workers::{self, Paces};
use super::{Db, DbResult, Statements, Tx, packages, suspicions};

/// A build whose packages wait to be published.
#[derive(Debug, Clone)]
pub struct ToPublish {
    /// The build.
    pub build: BuildState,
    /// The builds that stand for it on further architectures.
    pub references: Vec<BuildState>,
    /// The packages that make up the result of its run, by file name.
    pub packages: Vec<PackageFile>,
}

/// Begins a transaction that writes, with the builds of some runs whose packages still wait to be
/// published: a cancel may have come in between.
///
/// With it comes what the paces of the runs are reckoned from.
pub async fn begin(
    db: &Db,
    runs: &[RunKey],
) -> DbResult<(Tx, HashMap<BuildKey, ToPublish>, Paces)> {
    let mut asked = Statements::default();
    builds::ask_to_publish(&mut asked, runs);
    packages::ask_kept(&mut asked, runs);
    workers::ask_paces(&mut asked, runs);
    let (tx, mut answers) = db.write_with(asked).await?;
    let builds = builds::told_to_publish(&mut answers)?;
    let mut found: HashMap<BuildKey, ToPublish> = builds
        .into_iter()
        .map(|(build, references)| {
            let to_publish = ToPublish {
                build,
                references,
                packages: Vec::new(),
            };
            (to_publish.build.key, to_publish)
        })
        .collect();
    for (build, package) in packages::told_kept(&mut answers)? {
        if let Some(to_publish) = found.get_mut(&build) {
            to_publish.packages.push(package);
        }
    }
    Ok((tx, found, workers::told_paces(&mut answers)?))
}

/// Carries the last statements of that transaction out and commits; hands back the workers about which
/// the builds that passed with it may decide something.
pub async fn commit(tx: Tx, mut last: Statements, passed: &[BuildKey]) -> DbResult<Vec<WorkerKey>> {
    let before = last.count();
    suspicions::ask_to_review(&mut last, passed);
    let mut answers = tx.commit_with(last).await?;
    suspicions::told_to_review(answers.skip(before))
}
