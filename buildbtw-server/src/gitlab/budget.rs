//! The budget of requests that all who ask GitLab share.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::time::Time;

/// So many requests of GitLab's own limit are left to others with the same token.
const RESERVE: u64 = 20;

/// The longest that a limit of GitLab's is waited out in one go.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// How many requests are open, and how many were made of late.
#[derive(Debug)]
pub struct Budget {
    open: Semaphore,
    pace: Mutex<Pace>,
}

/// What GitLab says about its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many requests are left.
    pub remaining: u64,
    /// When there are more.
    pub resets_in: Duration,
}

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(at_once: usize, a_minute: u32, now: Instant) -> Self {
        Self {
            open: Semaphore::new(at_once.max(1)),
            pace: Mutex::new(Pace::new(a_minute, now)),
        }
    }

    /// Waits for a turn, which lasts as long as what comes back.
    pub async fn turn(&self, time: &dyn Time) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        let turn = self.open.acquire().await.ok();
        loop {
            let wait = {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                pace.take(time.now())
            };
            match wait {
                None => return turn,
                Some(wait) => time.pause(wait).await,
            }
        }
    }

    /// Nobody asks before then: GitLab wants it so.
    pub fn hold(&self, until: Instant) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.hold(until);
    }

    /// Heeds what GitLab says about its limits.
    pub fn heed(&self, limits: Limits, now: Instant) {
        if limits.remaining <= RESERVE {
            self.hold(now + limits.resets_in.min(LONGEST_HOLD));
        }
    }
}

/// A bucket that fills by itself, and gives one for every request.
#[derive(Debug)]
struct Pace {
    full: f64,
    left: f64,
    filled_at: Instant,
    not_before: Option<Instant>,
}

impl Pace {
    fn new(a_minute: u32, now: Instant) -> Self {
        let full = f64::from(a_minute.max(1));
        Self {
            full,
            left: (full / 4.0).max(1.0),
            filled_at: now,
            not_before: None,
        }
    }

    /// Takes one, or says how long to wait until there may be one.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        if let Some(not_before) = self.not_before {
            let wait = not_before.saturating_duration_since(now);
            if !wait.is_zero() {
                return Some(wait);
            }
            self.not_before = None;
        }
        let a_second = self.full / 60.0;
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        // A quarter of a minute's requests may come at once.
        self.left = (self.left + passed * a_second).min((self.full / 4.0).max(1.0));
        self.filled_at = self.filled_at.max(now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return None;
        }
        // Rounded up: what is waited for is there then.
        Some(Duration::from_secs_f64((1.0 - self.left) / a_second) + Duration::from_millis(1))
    }

    fn hold(&mut self, until: Instant) {
        if self.not_before.is_none_or(|before| before < until) {
            self.not_before = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_so_many_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::new(60, start);
        let mut now = start;
        let mut made = 0;
        while now < start + Duration::from_secs(120) {
            match pace.take(now) {
                None => made += 1,
                Some(wait) => now += wait,
            }
        }
        // Two minutes' worth, and what may come at once.
        assert!((120..=136).contains(&made), "{made}");
    }

    #[test]
    fn gitlabs_own_limit_holds_all_up() {
        let start = Instant::now();
        let budget = Budget::new(4, 600, start);
        let limits = |remaining| Limits {
            remaining,
            resets_in: Duration::from_secs(40),
        };
        budget.heed(limits(RESERVE + 1), start);
        assert_eq!(budget.pace.lock().unwrap().take(start), None);
        budget.heed(limits(RESERVE), start);
        assert_eq!(
            budget.pace.lock().unwrap().take(start),
            Some(Duration::from_secs(40))
        );
        let later = start + Duration::from_secs(40);
        assert_eq!(budget.pace.lock().unwrap().take(later), None);
    }
}
