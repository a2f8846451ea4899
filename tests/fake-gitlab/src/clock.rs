//! The time as the fake has it. Tests hand it in and move it on, so that an hour passes at once.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A clock that moves only when it is told to. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Mutex<Timestamp>>);

impl Clock {
    /// A clock that shows this time.
    pub fn at(time: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}

impl Default for Clock {
    /// Saturday, 21 November 2026, seven in the morning.
    fn default() -> Self {
        Self::at(Timestamp::constant(1_795_244_400, 0))
    }
}

/// A time as GraphQL has it.
pub fn graphql_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as REST has it, with milliseconds.
pub fn rest_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A time as pipeline hooks have it.
pub fn hook_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_its_own_form() {
        let clock = Clock::default();
        clock.advance(SignedDuration::from_millis(1_250));
        assert_eq!(graphql_time(clock.now()), "2026-11-21T07:00:01Z");
        assert_eq!(rest_time(clock.now()), "2026-11-21T07:00:01.250Z");
        assert_eq!(hook_time(clock.now()), "2026-11-21 07:00:01 UTC");
    }
}
