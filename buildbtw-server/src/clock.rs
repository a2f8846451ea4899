//! The server's two clocks: the wall clock for what people read, and the monotonic one for leases.
//!
//! Decisions are handed the time. What hands it to them asks here, so that a simulation can have
//! days pass in a second: it sets the time of its own thread, and nothing else ever does.

use std::cell::Cell;
use std::time::Instant;

use jiff::Timestamp;

/// The time as a simulation has it.
#[derive(Debug, Clone, Copy)]
pub struct Simulated {
    /// What people's clocks say. It may jump.
    pub wall: Timestamp,
    /// What only ever grows.
    pub monotonic: Instant,
}

thread_local! {
    static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
}

/// Sets the time of this thread, or gives it back the machine's.
pub fn simulate(time: Option<Simulated>) {
    SIMULATED.set(time);
}

/// What people's clocks say.
pub fn now() -> Timestamp {
    SIMULATED
        .get()
        .map_or_else(Timestamp::now, |time| time.wall)
}

/// A time that only ever grows.
pub fn instant() -> Instant {
    SIMULATED
        .get()
        .map_or_else(Instant::now, |time| time.monotonic)
}
