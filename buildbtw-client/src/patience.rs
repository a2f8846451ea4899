//! How long to wait for a server that went away.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// The first pause before another attempt.
const FIRST: Duration = Duration::from_millis(100);

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(10);

/// How long a server may be away. A restart or an upgrade is over by then.
const LIMIT: Duration = Duration::from_secs(600);

/// Waits between attempts, longer and longer, until it has been enough.
#[derive(Debug, Default)]
pub struct Patience {
    pause: Option<Duration>,
    away_since: Option<Instant>,
}

impl Patience {
    /// The server answered. Pauses still grow: it may end every answer at once.
    pub fn answered(&mut self) {
        self.away_since = None;
    }

    /// There was progress: the next pause is a short one again.
    pub fn renew(&mut self) {
        *self = Self::default();
    }

    /// Whether the server is away.
    pub fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// Waits before another attempt. Without a failure, an answer ended in order but too early.
    ///
    /// # Errors
    ///
    /// When another attempt cannot help, or the server has been away for too long.
    pub async fn wait(&mut self, failure: Option<Failure>) -> Result<(), Failure> {
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if let Some(failure) = failure
            && (!failure.is_passing() || since.elapsed() > LIMIT)
        {
            return Err(failure);
        }
        let pause = self.pause.map_or(FIRST, |pause| (pause * 2).min(LONGEST));
        self.pause = Some(pause);
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
