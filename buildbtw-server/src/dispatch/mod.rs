//! Handing out runs and taking reports.
//!
//! Everything that decides who may build what goes through one lock, [`Dispatch::turn`], so that
//! two claims never race; everything else is rows and the [`leases::Leases`] in memory.

pub mod breakage;
pub mod canary;
pub mod claim;
pub mod expected;
pub mod expiry;
pub mod facts;
pub mod fleet;
pub mod hints;
pub mod ingredients;
pub mod leases;
pub mod modes;
pub mod outlook;
pub mod publisher;
pub mod quiet;
pub mod rebuilt;
pub mod reports;
pub mod reuse;
pub mod roster;
pub mod situation;
pub mod stack;
pub mod steps;
pub mod superseded;
pub mod suspicion;
pub mod workers;

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use buildbtw_api::RunId;
use tokio::sync::{Mutex, Notify};

use crate::db::inputs::KnownRun;
use crate::db::keys::{BuildKey, RunKey};
use crate::db::{DbResult, runs};
use crate::{Server, clock};
use hints::Hints;
use leases::Leases;

/// How many heartbeats fit into one lease: a worker may miss some before it is given up.
const HEARTBEATS_A_LEASE: u32 = 6;

/// The longest time between two heartbeats. A worker learns from the answer that a run was called
/// off, and that must not take longer than people wait.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(2);

/// What the handing out of runs needs beside the database.
#[derive(Debug)]
pub struct Dispatch {
    /// Who holds what.
    pub leases: Leases,
    /// What some packages ask of a worker.
    pub hints: Hints,
    /// Workers that are to end.
    pub draining: modes::Draining,
    /// One claim at a time.
    turn: Mutex<()>,
    /// Who would get nothing.
    pub quiet: quiet::Quiet,
    /// Who registered.
    pub roster: roster::Roster,
    /// Something may be ready that was not.
    ready: Notify,
    /// Something waits to be published.
    finished: Notify,
    /// A lease was given that may end before the others.
    granted: Notify,
    /// A run goes on although a newer iteration took the place of its own.
    kept: Notify,
    /// What installations are resolved against.
    stacks: stack::Stacks,
    /// Ready builds for which a run of an equal input is waited for; to be told to people.
    equal_inputs: std::sync::Mutex<HashMap<BuildKey, KnownRun>>,
}

impl Dispatch {
    /// Nothing is handed out yet.
    pub fn new(lease: Duration, hints: Hints) -> Self {
        Self {
            hints,
            draining: modes::Draining::default(),
            leases: Leases::new(lease),
            turn: Mutex::default(),
            quiet: quiet::Quiet::default(),
            roster: roster::Roster::default(),
            ready: Notify::new(),
            finished: Notify::new(),
            granted: Notify::new(),
            kept: Notify::new(),
            stacks: stack::Stacks::default(),
            equal_inputs: std::sync::Mutex::default(),
        }
    }

    /// How often workers are to send heartbeats.
    pub fn heartbeat_interval(&self) -> Duration {
        (self.leases.term() / HEARTBEATS_A_LEASE).min(LONGEST_HEARTBEAT)
    }

    /// Notes that a ready build waits for the run of another, or no longer does.
    fn waits_for_equal_input(&self, build: BuildKey, run: Option<KnownRun>) {
        let mut equal = self
            .equal_inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match run {
            Some(run) => equal.insert(build, run),
            None => equal.remove(&build),
        };
    }

    /// The builds that wait for what a run makes, as far as they asked since the server started.
    fn waiting_for(&self, run: RunKey) -> Vec<BuildKey> {
        let equal = self
            .equal_inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waiting = equal.iter().filter(|(_, known)| known.id == run);
        waiting.map(|(build, _)| *build).collect()
    }

    /// Namespace and iteration of the run that a ready build waits for, if it waits for one.
    pub fn equal_input(&self, build: BuildKey) -> Option<(String, u32)> {
        let equal = self
            .equal_inputs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let run = equal.get(&build)?;
        Some((run.namespace.clone(), run.iteration))
    }

    /// A worker registered, or some mode changed.
    pub fn workers_changed(&self) {
        self.roster.outdated();
        self.quiet.forget_all();
    }

    /// Builds may have become ready: waiting workers look again.
    pub fn wake(&self) {
        self.quiet.stir();
        self.ready.notify_waiters();
    }

    /// Runs of a superseded iteration may go on. To be said once that is committed.
    pub fn watch_kept(&self) {
        self.kept.notify_one();
    }

    /// Runs wait to be published.
    pub fn wake_publisher(&self) {
        self.finished.notify_one();
    }

    /// Takes a run away from its worker, which learns the reason at its next heartbeat.
    pub async fn stop(&self, run: RunId, reason: &str) {
        self.leases.end(run, reason);
    }
}

/// After a start: every run that was handed out gets a fresh term, in which its worker may report
/// back; what was finished but not published is published.
pub async fn take_up_again(server: &Server) -> DbResult<()> {
    let mut tx = server.db.read().await?;
    let now = clock::instant();
    for run in runs::open(&mut tx).await? {
        if run.status()? == buildbtw_api::RunStatus::Publishing {
            continue;
        }
        if let Some(worker) = run.worker()? {
            server
                .dispatch
                .leases
                .grant(run.id()?, worker, run.fence(), now);
        }
    }
    for (run, since, expected) in runs::expectations(&mut tx).await? {
        let elapsed = u64::try_from(crate::db::now().saturating_sub(since)).unwrap_or(0);
        let since = now.checked_sub(Duration::from_micros(elapsed));
        server
            .dispatch
            .leases
            .expect(run, since.unwrap_or(now), expected);
    }
    modes::take_up_again(server, &mut tx).await?;
    server.dispatch.granted.notify_one();
    server.dispatch.wake_publisher();
    Ok(())
}
