//! The time as the client has it, so that tests need not wait.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Where the client has its time from.
pub trait Time: Debug + Send + Sync {
    /// A time that only ever grows.
    fn now(&self) -> Instant;

    /// Waits so long.
    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealTime;

impl Time for RealTime {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(time))
    }
}
