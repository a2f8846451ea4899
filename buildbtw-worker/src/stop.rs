//! How a worker is asked to end.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What was asked of the worker.
#[derive(Debug, Clone, Default)]
pub struct Stopping {
    /// Take no more runs; end when those that go on are over.
    pub drain: CancellationToken,
    /// Stop the builds, give them back and end. Implies `drain`.
    pub now: CancellationToken,
}

impl Stopping {
    /// Takes no more runs, and ends when those that go on are over.
    pub fn drain(&self, why: &str) {
        if !self.drain.is_cancelled() {
            tracing::info!("{why}");
            tracing::info!("taking no more runs; ending when those that go on are over");
            self.drain.cancel();
        }
    }
}

/// Listens for signals from now on: SIGUSR1 drains, the first SIGTERM or SIGINT stops, a second
/// one ends the process at once.
///
/// # Errors
///
/// When the system does not let us listen.
pub fn listen(stopping: Stopping) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut user = signal(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = either(&mut interrupt, &mut terminate) => break,
                _ = user.recv() => stopping.drain("a signal asks this worker to end"),
            }
        }
        tracing::info!("stopping the builds and giving them back; a second signal ends at once");
        // In this order: who is woken by the second sees the first.
        stopping.now.cancel();
        stopping.drain.cancel();
        either(&mut interrupt, &mut terminate).await;
        // Builds die with this process. What they leave in the worker's folder the next start
        // sweeps, and the server gives the runs to others when the lease ends.
        tracing::warn!("ending at once");
        std::process::exit(130);
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
