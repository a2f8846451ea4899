//! What workers report of their runs: what a report is checked against, read with the begin of its
//! transaction, and what it writes.

use std::collections::BTreeSet;

use buildbtw_api::BuildStatus;
use buildbtw_api::RunId;
use buildbtw_api::events::EventKind;
use buildbtw_api::runs::{InstalledPackage, Step};
use sha2::{Digest, Sha256};
use sqlx::FromRow;

use super::builds::{self, BuildState};
use super::inputs::{self, BuildInput};
use super::keys::RunKey;
use super::runs::{self, RunState};
use super::{Db, DbResult, Statements, Tx, now, to_json};

/// A run that somebody reports of.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The run.
    pub run: RunState,
    /// Its build.
    pub build: BuildState,
}

/// Begins a transaction that writes, with the run that is reported of; `None` if there is no such run.
pub async fn begin(db: &Db, run: RunId) -> DbResult<(Tx, Option<Reported>)> {
    let mut asked = Statements::default();
    runs::ask_state(&mut asked, run);
    builds::ask_state_of_run(&mut asked, run);
    let (tx, mut answers) = db.write_with(asked).await?;
    let (run, build) = (answers.optional()?, answers.optional()?);
    Ok((
        tx,
        run.zip(build).map(|(run, build)| Reported { run, build }),
    ))
}

/// Begins a transaction that writes, with the run that a package is sent for and what its build is
/// made from; `None` if there is no such run.
pub async fn begin_package(db: &Db, run: RunId) -> DbResult<(Tx, Option<(RunState, BuildInput)>)> {
    let mut asked = Statements::default();
    runs::ask_state(&mut asked, run);
    inputs::ask_of_run(&mut asked, run);
    let (tx, mut answers) = db.write_with(asked).await?;
    let (run, input): (Option<RunState>, _) = (answers.optional()?, answers.optional()?);
    Ok((tx, run.zip(input)))
}

/// A package that was sent for a run.
#[derive(Debug, Clone, FromRow)]
pub struct SentPackage {
    /// The name that it was sent under.
    pub file_name: String,
    /// Its package's name.
    pub pkgname: String,
    /// Its version.
    pub version: String,
}

/// A run that its worker says is over.
#[derive(Debug, Clone)]
pub struct Finishing {
    /// The run.
    pub run: RunState,
    /// Its build.
    pub build: BuildState,
    /// What that is made from.
    pub input: BuildInput,
    /// All packages that were sent for it.
    pub packages: Vec<SentPackage>,
    /// The digest of what was to be installed for it, if that was written down.
    expected: Option<String>,
}

/// Begins a transaction that writes, with the run that is said to be over; `None` if there is no such run.
pub async fn begin_finish(db: &Db, run: RunId) -> DbResult<(Tx, Option<Finishing>)> {
    let mut asked = Statements::default();
    runs::ask_state(&mut asked, run);
    builds::ask_state_of_run(&mut asked, run);
    inputs::ask_of_run(&mut asked, run);
    asked
        .add(
            "SELECT run_package.file_name, pkgname, version FROM run JOIN run_package ON run_id = run.id \
             JOIN package ON package.id = package_id WHERE public_id = ?",
        )
        .bind(run.to_string());
    asked
        .add("SELECT expected_digest FROM run WHERE public_id = ?")
        .bind(run.to_string());
    let (tx, mut answers) = db.write_with(asked).await?;
    let Some(run) = answers.optional()? else {
        return Ok((tx, None));
    };
    let finishing = Finishing {
        run,
        build: answers.one()?,
        input: answers.one()?,
        packages: answers.all()?,
        expected: answers.one::<(Option<String>,)>()?.0,
    };
    Ok((tx, Some(finishing)))
}

impl Finishing {
    /// Whether just those packages were installed for it that were expected. What nothing is written down
    /// of was handed out by an older version, and counts as something else.
    pub fn is_installed_as_expected(&self, installed: &[InstalledPackage]) -> bool {
        let installed = installed.iter();
        let installed = installed.map(|package| (&*package.pkgname, &*package.version));
        self.expected.as_ref() == Some(&installation_digest(installed))
    }
}

/// What an installation is told by: names and versions of its packages, in any order.
pub(super) fn installation_digest<'a>(
    packages: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut digest = Sha256::new();
    for (pkgname, version) in packages.collect::<BTreeSet<_>>() {
        // Neither has a blank or a line's end.
        digest.update(pkgname);
        digest.update(" ");
        digest.update(version);
        digest.update("\n");
    }
    hex::encode(digest.finalize())
}

/// The worker began.
pub fn add_begin(to: &mut Statements, run: &RunState, build: &BuildState) -> DbResult<()> {
    to.add(
        "UPDATE run SET previous_status = status, status = 'running', started_at = ? WHERE id = ?",
    )
    .bind(now())
    .bind(run.key);
    runs::add_event(to, EventKind::RunStarted, build, run.id()?, None);
    if build.status()? == BuildStatus::Scheduled {
        builds::add_status(to, build, BuildStatus::Building, None);
    }
    Ok(())
}

/// Keeps the steps so far.
pub fn add_steps(to: &mut Statements, run: RunKey, steps: &[Step]) {
    to.add("UPDATE run SET steps = ? WHERE id = ?")
        .bind(to_json(&steps))
        .bind(run);
}

/// Keeps what a worker reports of a run that ended: its steps, what was installed, and which packages
/// make up its result.
pub fn add_result(
    to: &mut Statements,
    run: RunKey,
    steps: &[Step],
    installed: &[InstalledPackage],
    file_names: &[String],
) {
    to.add("UPDATE run SET steps = ?, installed = ? WHERE id = ?")
        .bind(to_json(&steps))
        .bind(to_json(&installed))
        .bind(run);
    to.add("UPDATE pipeline SET reported_at = ? WHERE run_id = ?")
        .bind(now())
        .bind(run);
    to.add("UPDATE run_package SET kept = file_name IN (SELECT value FROM json_each(?)) WHERE run_id = ?")
        .bind(to_json(&file_names))
        .bind(run);
}

/// The run succeeded; its packages wait to be published. It gives up its lease, and what its worker
/// failed before is in a row with nothing that follows.
pub fn add_awaits_publishing(to: &mut Statements, run: RunKey) {
    to.add("UPDATE run SET previous_status = status, status = 'publishing' WHERE id = ?")
        .bind(run);
    to.add(
        "UPDATE worker_failure SET in_a_row = 0 WHERE in_a_row = 1 \
         AND worker_id = (SELECT worker_id FROM run WHERE id = ?)",
    )
    .bind(run);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installations_are_equal_in_any_order_and_differ_by_any_version() {
        let digest = |packages: &[(&'static str, &'static str)]| {
            installation_digest(packages.iter().copied())
        };
        let one = digest(&[("a", "1-1"), ("b", "2-1")]);
        assert_eq!(one, digest(&[("b", "2-1"), ("a", "1-1"), ("a", "1-1")]));
        assert_ne!(one, digest(&[("a", "1-1"), ("b", "2-2")]));
        assert_ne!(one, digest(&[("a", "1-1")]));
        assert_ne!(one, digest(&[]));
    }
}
