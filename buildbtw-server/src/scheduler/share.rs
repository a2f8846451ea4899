//! A fair share of the workers for every namespace that has something ready.
//!
//! Who has the fewest slots for its weight comes first; between equals, who was served least. The
//! account of what was served is that of start-time fair queueing (Goyal, Vin, Cheng 1996): it never
//! stands before a virtual time, which is that of the account that is furthest behind among those who
//! wait. So nobody saves up turns by having nothing to do.

/// What a namespace has of the workers, and had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many of its builds are handed out.
    pub running: u32,
    /// Its part of the workers while others wait too: twice the weight gets twice the slots.
    pub weight: u32,
    /// What it was served so far: milliseconds of expected building, divided by its weight.
    pub served: i64,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            running: 0,
            weight: 1,
            served: 0,
        }
    }
}

impl Share {
    /// What its turn goes by at a virtual time; the smallest is next.
    pub fn turn(&self, virtual_time: i64) -> (u64, i64) {
        // Slots by weight, in parts fine enough to tell all weights apart.
        let slots = u64::from(self.running) * 1_000_000 / u64::from(self.weight.max(1));
        (slots, self.start(virtual_time))
    }

    /// Where its account stands: never before the virtual time.
    pub fn start(&self, virtual_time: i64) -> i64 {
        self.served.max(virtual_time)
    }

    /// Its account after a build was handed out that is expected to take `cost_ms`.
    pub fn served_after(&self, cost_ms: i64, virtual_time: i64) -> i64 {
        let cost = cost_ms.max(1) / i64::from(self.weight.max(1));
        self.start(virtual_time).saturating_add(cost.max(1))
    }
}
