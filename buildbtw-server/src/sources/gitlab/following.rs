//! When is looked: the first reading, hooks as they come, the poll, the sweep.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::GitLabSources;
use crate::clock;
use crate::sources::Shared;

/// How long after the first hook of a burst is waited for more.
const BURST: Duration = Duration::from_millis(50);

/// How often is looked for what no hook told.
const POLL: Duration = Duration::from_secs(120);

/// How often all commits are compared: some hundred requests of a group of 14,000.
const SWEEP: Duration = Duration::from_secs(4 * 3600);

/// How long is waited after GitLab did not answer. The client has tried several times by then.
const AGAIN: Duration = Duration::from_secs(30);

impl GitLabSources {
    /// Reads everything once, then follows. Never ends by itself.
    pub async fn follow(self: &Arc<Self>, shared: &Arc<Shared>) {
        let started = Instant::now();
        while let Err(error) = self.read_all(shared).await {
            tracing::warn!(%error, "the first reading of GitLab broke off, and goes on soon");
            tokio::time::sleep(AGAIN).await;
        }
        // The index is whole, if perhaps a little old where GitLab does not answer now.
        shared.whole.send_replace(true);
        let polled = self.poll(shared).await;
        let (total, problems) = shared.state.heads().counts();
        tracing::info!(repositories = total, problems, took = ?started.elapsed(), "the sources are read");
        shared.in_sync.send_replace(true);
        let mut poll_at = Instant::now() + if polled.is_ok() { POLL } else { AGAIN };
        let sweeps = Arc::clone(self);
        let swept = Arc::clone(shared);
        let sweeping = tokio::spawn(async move { sweeps.sweep_again_and_again(&swept).await });
        // The task of the sweeps ends with this one.
        let _sweeping = AbortOnDrop(sweeping);
        loop {
            tokio::select! {
                () = self.wake.notified() => {
                    tokio::time::sleep(BURST).await;
                    if self.attend(shared).await.is_err() {
                        // The client said why; what was noticed is asked for with the next poll.
                        poll_at = poll_at.min(Instant::now() + AGAIN);
                    }
                }
                () = tokio::time::sleep_until(poll_at) => {
                    let went = match self.attend(shared).await {
                        Ok(()) => self.poll(shared).await.is_ok(),
                        Err(_) => false,
                    };
                    poll_at = Instant::now() + if went { POLL } else { AGAIN };
                }
            }
        }
    }

    async fn sweep_again_and_again(&self, shared: &Arc<Shared>) {
        let swept = self.state().swept_at;
        let since = swept.map(|at| clock::now().duration_since(at).unsigned_abs());
        tokio::time::sleep(since.map_or(Duration::ZERO, |since| SWEEP.saturating_sub(since))).await;
        loop {
            let pause = match self.sweep(shared).await {
                Ok(()) => SWEEP,
                Err(_) => AGAIN * 10,
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// A task that ends with whoever began it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
