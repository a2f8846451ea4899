//! How the worker introduces itself, what it is told in return, and how it stays in touch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buildbtw_api::client::ClientError;
use buildbtw_api::workers::{RegisterWorker, Registered, WorkerOffer};
use buildbtw_api::{WORKER_PROTOCOL, WorkerId};
use tokio::sync::{Mutex, watch};

use buildbtw_worker::folder::FolderError;
use buildbtw_worker::heartbeat::{self, Beaten};

use crate::Worker;

/// How long the server may take to hear that the worker ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why the worker could not introduce itself.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The server did not answer or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The id cannot be read or kept.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// What the server said at the last registration.
#[derive(Debug)]
pub struct Registration {
    offer: WorkerOffer,
    answer: watch::Sender<Option<Registered>>,
    /// Set when the server may not know this worker, or may think that it has runs it never got.
    stale: AtomicBool,
    /// One registration at a time.
    turn: Mutex<()>,
}

impl Registration {
    /// Not registered yet; this is what will be offered.
    pub fn new(offer: WorkerOffer) -> Self {
        Self {
            offer,
            answer: watch::Sender::new(None),
            stale: AtomicBool::new(true),
            turn: Mutex::default(),
        }
    }

    /// The next claim is to be preceded by a registration.
    pub fn doubt(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Whether the server has to be told anew.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// The worker's id, once it is registered.
    pub fn id(&self) -> Option<WorkerId> {
        self.answer.borrow().as_ref().map(|answer| answer.id)
    }

    /// Waits until the worker is registered.
    pub async fn done(&self) {
        // An error would mean that the sender is gone, and it is borrowed here.
        let _ = self.answer.subscribe().wait_for(Option::is_some).await;
    }

    /// The time between two heartbeats.
    pub fn heartbeat(&self) -> Duration {
        let answer = self.answer.borrow();
        let millis = answer.as_ref().map_or(1000, |answer| answer.heartbeat_ms);
        heartbeat::interval(millis)
    }
}

/// Sends signs of life for ever, and introduces the worker anew to a server that lost it.
pub async fn stay_in_touch(worker: &Worker) {
    let registration = &worker.registration;
    loop {
        let Some(id) = registration.id() else {
            registration.done().await;
            continue;
        };
        match heartbeat::send(&worker.place, id, registration.heartbeat()).await {
            Beaten::Heard { drain: None } | Beaten::Missed => {}
            Beaten::Heard {
                drain: Some(reason),
            } => {
                let why = format!("the server drains this worker: {reason}");
                worker.stopping.drain(&why);
            }
            Beaten::Unknown => {
                registration.doubt();
                if let Err(error) = register(worker).await {
                    heartbeat::missed(&worker.place, &error.to_string());
                }
            }
        }
        tokio::time::sleep(registration.heartbeat()).await;
    }
}

/// Tells the server that this program ends, so that nobody counts on it. A server that does not hear of it
/// notices by itself, a while later.
pub async fn leave(worker: &Worker) {
    if let Some(id) = worker.registration.id() {
        last_word(GOODBYE, worker.place.client.leave(id)).await;
    }
}

/// Tells the server something while the program ends, if it hears it within a while.
pub async fn last_word<E: std::fmt::Display>(
    within: Duration,
    telling: impl Future<Output = Result<(), E>>,
) {
    match tokio::time::timeout(within, telling).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "cannot tell the server that this worker ends"),
        Err(_) => tracing::debug!("the server does not answer"),
    }
}

/// Introduces the worker with the runs it holds, and stops those that the server gave up.
///
/// No claim may be on its way meanwhile: the server takes back every run that is not named here.
///
/// # Errors
///
/// When the server cannot be reached or refuses the worker.
pub async fn register(worker: &Worker) -> Result<(), RegistrationError> {
    let registration = &worker.registration;
    let _turn = registration.turn.lock().await;
    let known = worker.place.folder.id()?;
    let running = worker.place.held.list();
    let request = RegisterWorker {
        id: known,
        name: worker.name.clone(),
        protocol: WORKER_PROTOCOL,
        offer: registration.offer.clone(),
        running: running.clone(),
    };
    let answer = worker.place.client.register_worker(&request).await?;
    if known != Some(answer.id) {
        worker.place.folder.keep_id(answer.id)?;
    }
    tracing::info!(id = %answer.id, name = worker.name, server = %worker.place.client.base(), "registered");
    for held in running
        .iter()
        .filter(|held| !answer.carry_on.contains(&held.run))
    {
        worker.place.held.give_up(held.run);
    }
    registration.stale.store(false, Ordering::Relaxed);
    worker.place.limit_uploads(answer.upload_limit);
    registration.answer.send_replace(Some(answer));
    worker.place.reach.regain();
    Ok(())
}
