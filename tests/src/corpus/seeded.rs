//! Numbers that look random and are the same each time.

/// A generator of numbers (xorshift64*, by Sebastiano Vigna).
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        // Zero would only ever give zeros.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a limit, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let number = (self.next() >> 16) % limit as u64;
        usize::try_from(number).expect("it is below a usize")
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of some things.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}
