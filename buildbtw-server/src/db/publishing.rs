//! Runs whose packages are published: what is read of them before that transaction begins, and its end.

use std::collections::HashMap;

use buildbtw_repo::PackageFile;

use super::builds::{self, BuildState};
use super::keys::{BuildKey, BuildSetKey, RunKey, WorkerKey};
use super::runs::{self, RunState};
use super::workers::{self, Paces};
use super::{Db, DbResult, Statements, Tx, packages, suspicions};

/// A build with the packages that are to be published as its own.
#[derive(Debug, Clone)]
pub struct ToPublish {
    /// The build.
    pub build: BuildState,
    /// The builds that stand for it on further architectures.
    pub references: Vec<BuildState>,
    /// The packages, by file name.
    pub packages: Vec<PackageFile>,
}

/// Which of the runs that wait to be published are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// Those of the first build set that has any; of those behind this one, if one is named.
    Next(Option<BuildSetKey>),
    /// One run.
    Run(RunKey),
}

/// Runs of one build set that wait to be published.
#[derive(Debug)]
pub struct Waiting {
    /// Their build set.
    pub set: BuildSetKey,
    /// Each with what it is to publish, oldest first. One whose build does not want it any more is left out.
    pub runs: Vec<(RunState, ToPublish)>,
    /// What the paces of the runs are reckoned from.
    pub paces: Paces,
    /// Whether there are some of build sets behind that one.
    pub more: bool,
}

/// Rows of `run`: a query for their numbers, with one value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    pub(super) sql: &'static str,
    pub(super) value: i64,
}

impl Runs {
    /// One run, whatever its status.
    pub(super) fn one(run: RunKey) -> Self {
        Self {
            sql: "SELECT ?",
            value: run.0,
        }
    }

    fn that_wait(which: Which) -> Self {
        match which {
            Which::Next(behind) => Self {
                // Said twice, for the index.
                sql: "SELECT run.id FROM run CROSS JOIN build ON build.id = build_id \
                     WHERE run.status <> 'ended' AND run.status = 'publishing' AND build_set_id > ?",
                value: behind.map_or(0, |set| set.0),
            },
            Which::Run(run) => Self {
                sql: "SELECT id FROM run WHERE id = ? AND status = 'publishing'",
                value: run.0,
            },
        }
    }
}

/// Reads what waits to be published, on the connection on which it then is: nobody else writes until that is
/// given back. `None` if nothing waits.
pub async fn look(db: &Db, which: Which) -> DbResult<(Tx, Option<Waiting>)> {
    let runs = Runs::that_wait(which);
    let mut asked = Statements::default();
    runs::ask(&mut asked, runs);
    builds::ask_to_publish(&mut asked, runs);
    packages::ask_kept(&mut asked, runs);
    workers::ask_paces(&mut asked, runs);
    let mut tx = db.hold().await?;
    let mut answers = asked.fetch(&mut tx).await?;
    let mut waiting: Vec<RunState> = answers.all()?;
    let Some(set) = waiting.first().map(|run| run.set) else {
        return Ok((tx, None));
    };
    let count = waiting.len();
    waiting.retain(|run| run.set == set);
    let more = waiting.len() < count;
    let mut builds: HashMap<BuildKey, ToPublish> = HashMap::new();
    for (build, references) in builds::told_to_publish(&mut answers)? {
        let to_publish = ToPublish {
            build,
            references,
            packages: Vec::new(),
        };
        builds.insert(to_publish.build.key, to_publish);
    }
    for (build, package) in packages::told_kept(&mut answers)? {
        if let Some(to_publish) = builds.get_mut(&build) {
            to_publish.packages.push(package);
        }
    }
    let runs = waiting.into_iter();
    let runs = runs.filter_map(|run| builds.remove(&run.build).map(|found| (run, found)));
    let waiting = Waiting {
        set,
        runs: runs.collect(),
        paces: workers::told_paces(&mut answers)?,
        more,
    };
    Ok((tx, Some(waiting)))
}

/// Carries the last statements of the transaction out and commits; hands back the workers about which
/// the builds that passed with it may decide something.
pub async fn commit(tx: Tx, mut last: Statements, passed: &[BuildKey]) -> DbResult<Vec<WorkerKey>> {
    let before = last.count();
    suspicions::ask_to_review(&mut last, passed);
    let mut answers = tx.commit_with(last).await?;
    suspicions::told_to_review(answers.skip(before))
}
