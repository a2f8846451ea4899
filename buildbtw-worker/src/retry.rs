//! Reports that must arrive: tried again until they do, or until they may not any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buildbtw_api::ProblemType;
use buildbtw_api::client::{ClientError, UploadError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The wait before the second try.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(15);

/// Waits that grow from try to try, each cut at random so that many workers do not come back to
/// a restarted server in the same moment.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next wait: between half and all of a span that doubles each time.
    pub fn wait(&mut self) -> Duration {
        let span = self.next;
        self.next = (span * 2).min(LONGEST);
        span.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Why one try failed.
#[derive(Debug)]
pub enum Attempt {
    /// The server could not be reached, or did not take it.
    Upload(UploadError),
    /// This machine's disk failed.
    Disk(std::io::Error),
    /// Trying again would not help, whatever the error says of itself.
    Hopeless(ClientError),
}

impl From<UploadError> for Attempt {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl From<ClientError> for Attempt {
    fn from(error: ClientError) -> Self {
        Self::Upload(error.into())
    }
}

/// Why something was not delivered, for good.
#[derive(Debug)]
pub enum Undelivered {
    /// The run is not ours any more.
    Lost,
    /// A part of the log is missing before the one that was sent.
    Gap {
        /// Bytes that the server has.
        length: u64,
    },
    /// The server got it and said no; the same would be refused again.
    Refused(ClientError),
    /// This machine's disk failed.
    Disk(std::io::Error),
}

/// Whether a request may succeed later without anything being changed by this worker.
pub fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken { .. } => true,
        // Something stands between us and the server, or in its place, while it restarts. Only a
        // body that is too large stays so.
        ClientError::NotOurs { status, .. } => status.as_u16() != ProblemType::TooLarge.status(),
        // The token may be mended on the server's side.
        ClientError::Problem(problem) => {
            error.is_passing() || problem.kind == ProblemType::Unauthorized
        }
        ClientError::Address { .. } => false,
    }
}

/// Whether the server can be reached, as far as heartbeats tell.
#[derive(Debug, Default)]
pub struct Reach {
    away: AtomicBool,
    back: Notify,
}

impl Reach {
    /// A heartbeat was not answered. Hands back whether that is news.
    pub fn lose(&self) -> bool {
        !self.away.swap(true, Ordering::Relaxed)
    }

    /// The server answered: everybody who waits to try again does so now, if it was away. Hands
    /// back whether it was.
    pub fn regain(&self) -> bool {
        let was_away = self.away.swap(false, Ordering::Relaxed);
        if was_away {
            self.back.notify_waiters();
        }
        was_away
    }

    /// Whether the last heartbeat was not answered.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }
}

/// Tries to deliver something until it is delivered, refused, or the run is `lost`.
pub async fn deliver<T, E, F>(
    what: &str,
    lost: &CancellationToken,
    reach: &Reach,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Undelivered>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Attempt>,
{
    let mut backoff = Backoff::default();
    loop {
        // Made before the try, so that no notification between it and the wait is missed.
        let returned = reach.back.notified();
        let answer = tokio::select! {
            // Looked at first: by being polled once a try may already be on its way.
            biased;
            () = lost.cancelled() => return Err(Undelivered::Lost),
            answer = attempt() => answer,
        };
        let error = match answer.map_err(Into::into) {
            Ok(value) => return Ok(value),
            Err(Attempt::Disk(error)) => return Err(Undelivered::Disk(error)),
            Err(Attempt::Hopeless(error)) => return Err(Undelivered::Refused(error)),
            Err(Attempt::Upload(UploadError::Lost)) => return Err(Undelivered::Lost),
            Err(Attempt::Upload(UploadError::Gap { length })) => {
                return Err(Undelivered::Gap { length });
            }
            Err(Attempt::Upload(UploadError::Client(error))) => error,
        };
        // A server that does not know the run will not learn of it.
        if error
            .problem()
            .is_some_and(|problem| problem.kind == ProblemType::NotFound)
        {
            return Err(Undelivered::Lost);
        }
        if !may_pass(&error) {
            return Err(Undelivered::Refused(error));
        }
        let wait = backoff.wait();
        tracing::warn!(%error, "cannot deliver {what}; trying again in {wait:.1?}");
        tokio::select! {
            biased;
            () = lost.cancelled() => return Err(Undelivered::Lost),
            () = tokio::time::sleep(wait) => {}
            () = returned => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use buildbtw_api::Problem;

    use super::*;

    fn problem(kind: ProblemType) -> UploadError {
        UploadError::Client(ClientError::Problem(Box::new(Problem::new(kind, "no"))))
    }

    /// Answers the given problems one after the other, then takes what is sent.
    async fn try_against(problems: &[ProblemType]) -> (Result<(), Undelivered>, usize) {
        let tries = Cell::new(0);
        let lost = CancellationToken::new();
        let answer = deliver("a test", &lost, &Reach::default(), || async {
            tries.set(tries.get() + 1);
            match problems.get(tries.get() - 1) {
                Some(kind) => Err(problem(*kind)),
                None => Ok(()),
            }
        })
        .await;
        (answer, tries.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_until_it_does() {
        let (answer, tries) = try_against(&[
            ProblemType::Unavailable,
            ProblemType::StorageFull,
            ProblemType::Unauthorized,
        ])
        .await;
        assert!(answer.is_ok());
        assert_eq!(tries, 4);
    }

    #[tokio::test]
    async fn what_is_refused_is_not_tried_again() {
        let (answer, tries) = try_against(&[ProblemType::UnexpectedPackage]).await;
        assert!(matches!(answer, Err(Undelivered::Refused(_))));
        assert_eq!(tries, 1);
    }

    #[tokio::test]
    async fn a_run_that_the_server_does_not_know_is_lost() {
        let (answer, tries) = try_against(&[ProblemType::NotFound]).await;
        assert!(matches!(answer, Err(Undelivered::Lost)));
        assert_eq!(tries, 1);
    }

    #[tokio::test]
    async fn nothing_of_a_lost_run_is_even_tried() {
        let lost = CancellationToken::new();
        lost.cancel();
        let tries = Cell::new(0);
        // Many times: what is polled first must not be left to chance.
        for _ in 0..100 {
            let attempt = || async {
                tries.set(tries.get() + 1);
                std::future::pending::<Result<(), UploadError>>().await
            };
            let answer = deliver("a test", &lost, &Reach::default(), attempt).await;
            assert!(matches!(answer, Err(Undelivered::Lost)));
        }
        assert_eq!(tries.get(), 0);
    }

    #[test]
    fn waits_grow_to_a_limit() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.wait()).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits[19] >= LONGEST / 2, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST), "{waits:?}");
    }
}
