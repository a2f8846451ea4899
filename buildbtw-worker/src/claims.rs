//! Asks for runs as long as there are free slots, and starts what comes.

use std::sync::Arc;
use std::time::Duration;

use buildbtw_api::runs::Assignment;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use buildbtw_worker::retry::{Backoff, may_pass};
use buildbtw_worker::run;

use crate::Worker;
use crate::registration::{self, RegistrationError};

/// An answer without a run that comes sooner is no long poll but a server that is stopping.
const SHORT_POLL: Duration = Duration::from_millis(500);

/// How long the reports of stopped runs may take when the worker ends.
const LAST_REPORTS: Duration = Duration::from_secs(10);

/// How long runs that report nothing any more may take to clear up.
const CLEARING: Duration = Duration::from_secs(5);

/// Takes runs until it is asked to end, then waits for those that go on.
///
/// One claim is on its way at any time, however many slots are free: so the runs that the server
/// thinks this worker has can be compared with those it has.
///
/// # Errors
///
/// When the server refuses this worker for good, at the start.
pub async fn take(worker: &Arc<Worker>) -> Result<(), RegistrationError> {
    let slots = Arc::new(Semaphore::new(worker.slots));
    let mut runs = JoinSet::new();
    let asked = tokio::select! {
        answer = ask(worker, &slots, &mut runs) => answer,
        () = worker.stopping.drain.cancelled() => Ok(()),
    };
    let why = format!("worker {} was shut down", worker.name);
    if worker.stopping.now.is_cancelled() {
        worker.place.held.give_back(&why);
    }
    // The claim that was given up may have been answered: what came of it goes back at once.
    if asked.is_ok() && worker.registration.id().is_some() {
        // It tells the server which runs this worker has, so that it need not wait for the leases of others.
        registration::last_word(LAST_REPORTS / 2, registration::register(worker)).await;
    }
    tokio::select! {
        () = join(&mut runs) => return asked,
        () = worker.stopping.now.cancelled() => {}
    }
    worker.place.held.give_back(&why);
    if tokio::time::timeout(LAST_REPORTS, join(&mut runs))
        .await
        .is_err()
    {
        tracing::warn!("not everything could be reported; the server will notice");
        worker.place.held.abandon();
        // They only have to clear up.
        if tokio::time::timeout(CLEARING, join(&mut runs))
            .await
            .is_err()
        {
            tracing::warn!("not everything could be cleared away; the next start does it");
        }
    }
    asked
}

/// Waits for runs to be over. A run that panicked is lost; its lease ends by itself.
async fn join(runs: &mut JoinSet<()>) {
    while let Some(ended) = runs.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a run was lost by a fault of this program");
        }
    }
}

async fn ask(
    worker: &Arc<Worker>,
    slots: &Arc<Semaphore>,
    runs: &mut JoinSet<()>,
) -> Result<(), RegistrationError> {
    let mut backoff = Backoff::default();
    let mut registered = false;
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(slots).acquire_owned() => slot,
            Some(ended) = runs.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a run was lost by a fault of this program");
                }
                continue;
            }
        };
        let Ok(slot) = slot else {
            // Nobody closes the slots.
            return Ok(());
        };
        if worker.registration.is_stale() {
            match registration::register(worker).await {
                Ok(()) => registered = true,
                Err(error) if !registered && !is_passing(&error) => return Err(error),
                Err(error) => {
                    let wait = backoff.wait();
                    tracing::warn!(%error, "cannot register; trying again in {wait:.1?}");
                    tokio::time::sleep(wait).await;
                    continue;
                }
            }
        }
        let Some(id) = worker.registration.id() else {
            continue;
        };
        let asked = Instant::now();
        match worker.place.client.claim(id).await {
            Ok(Some(assignment)) => {
                backoff = Backoff::default();
                start(worker, runs, slot, assignment);
            }
            Ok(None) if asked.elapsed() < SHORT_POLL => tokio::time::sleep(backoff.wait()).await,
            Ok(None) => backoff = Backoff::default(),
            Err(error) => {
                // Perhaps a run was handed out in the answer that did not come.
                worker.registration.doubt();
                let wait = backoff.wait();
                tracing::warn!(%error, "cannot ask for a run; trying again in {wait:.1?}");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

fn is_passing(error: &RegistrationError) -> bool {
    match error {
        RegistrationError::Client(error) => {
            // At the start a wrong token or a wrong address is a mistake in the settings.
            error.is_passing() && may_pass(error)
        }
        RegistrationError::Folder(_) => false,
    }
}

fn start(
    worker: &Arc<Worker>,
    runs: &mut JoinSet<()>,
    slot: OwnedSemaphorePermit,
    assignment: Assignment,
) {
    let Some(hold) = worker.place.held.hold(assignment.run, assignment.fence) else {
        tracing::warn!(run = %assignment.run, "the server handed out a run that this worker has");
        return;
    };
    let worker = Arc::clone(worker);
    runs.spawn(async move {
        run::carry_out(&worker.place, assignment, hold, None).await;
        drop(slot);
    });
}
