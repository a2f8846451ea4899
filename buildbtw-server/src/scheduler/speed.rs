//! How fast workers are, learned from their runs.
//!
//! A run's pace is how long its build was expected to take, by earlier runs, beside how long it took. A
//! single one says little, since no two runs of a build take equally long; the mean of many (of their logarithms) says
//! how fast the machine is. What one run met with moves it only so far: whatever is further off counts as
//! no more (Huber 1964), and each pace is taken in as it comes (Robbins and Monro 1951), so that none has to be kept.
//! Of runs that are off by up to a factor of two, 63 leave an error of five percent and 200 one of two: a
//! chain that goes to the second fastest worker for that ends so much later.

use std::fmt;

/// How many runs a speed rests on at most: enough that what single runs met with does not show, and few enough
/// that a new machine under an old name is known within some days.
pub const TELLING_RUNS: u32 = 200;

/// Runs that take or were to take less than this say nothing of the machine, in milliseconds: setting up
/// and sending packages take as long everywhere.
pub const TELLING_MS: i64 = 5_000;

/// How many runs every worker is taken to have had as long as expected before it did anything: so one run
/// alone changes little, and all speeds together do not drift away from what durations are counted in.
const PRIOR: u32 = 4;

/// How far off a run counts at most: as a factor e.
const FAR: f64 = 1.0;

/// The slowest and the fastest that a worker is taken for, in thousandths.
const BOUNDS: (i64, i64) = (100, 10_000);

/// How fast a worker is, in thousandths of one on which builds take as long as is expected of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Speed(u32);

impl Default for Speed {
    /// That of a worker of which nothing is known.
    fn default() -> Self {
        Self(1_000)
    }
}

impl Speed {
    /// So many thousandths; those that no worker has count as the nearest that one may have.
    pub fn thousandths(count: i64) -> Self {
        let count = count.clamp(BOUNDS.0, BOUNDS.1);
        Self(u32::try_from(count).unwrap_or(1_000))
    }

    /// As a factor.
    pub fn factor(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// How long a build takes on such a worker, in milliseconds.
    pub fn takes(self, expected_ms: i64) -> i64 {
        expected_ms.max(0).saturating_mul(1_000) / i64::from(self.0)
    }

    /// How long a worker of speed one would have taken for what took this one so long, in milliseconds.
    pub fn normal(self, took_ms: i64) -> i64 {
        took_ms.max(0).saturating_mul(i64::from(self.0)) / 1_000
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.factor())
    }
}

/// What the runs of a worker told of its speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// How fast it is, as a factor.
    pub speed: f64,
    /// How many runs told something.
    pub runs: u32,
}

impl Default for Told {
    /// Of a worker that did nothing so far.
    fn default() -> Self {
        Self {
            speed: 1.0,
            runs: 0,
        }
    }
}

impl Told {
    /// Takes in the pace of one more run, in thousandths.
    pub fn add(&mut self, pace: i64) {
        self.runs = self.runs.saturating_add(1);
        let off = (pace.max(1) as f64 / 1_000.0 / self.speed).ln();
        let counted = f64::from(self.runs.min(TELLING_RUNS) + PRIOR);
        self.speed *= (off.clamp(-FAR, FAR) / counted).exp();
    }

    /// The speed to reckon with.
    pub fn speed(self) -> Speed {
        Speed::thousandths((self.speed * 1_000.0).round() as i64)
    }
}

/// The pace of a run, in thousandths; none where it is too short to tell.
pub fn pace(expected_ms: i64, took_ms: i64) -> Option<i64> {
    let telling = expected_ms >= TELLING_MS && took_ms >= TELLING_MS;
    telling.then(|| {
        let pace = expected_ms.saturating_mul(1_000) / took_ms;
        pace.clamp(BOUNDS.0, BOUNDS.1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_of_a_new_worker_and_little_after_one_run() {
        assert_eq!(after(&[]), Speed::default());
        assert_eq!(after(&[1_500]).to_string(), "1.08");
        assert_eq!(after(&[9_999_999]).to_string(), "1.22");
    }

    #[test]
    fn what_most_runs_say_counts_whatever_some_met_with() {
        let mut paces = vec![2_000; 400];
        paces.extend([10, 20, 30, 9_999_999]);
        assert_eq!(after(&paces).to_string(), "1.97");
        // Half to twice as fast, by turns: as fast as expected.
        assert_eq!(after(&[500, 2_000].repeat(20)).to_string(), "1.00");
        // However far from what it was taken for.
        assert!(after(&[8_000; 400]).factor() > 7.5);
        assert!(after(&[125; 400]).factor() < 0.133);
    }

    #[test]
    fn a_new_machine_under_an_old_name_is_found_out() {
        let mut told = Told {
            speed: 0.5,
            runs: u32::MAX,
        };
        for _ in 0..500 {
            told.add(2_000);
        }
        assert!(told.speed > 1.7, "{told:?}");
    }

    #[test]
    fn the_more_runs_the_less_is_it_off() {
        // Paces of half to twice the speed, as many of each; the same ones in another order.
        let paces: Vec<i64> = (0..200_i32)
            .map(|run| (2_000.0 * 2.0_f64.powf(f64::from(run * 77 % 200) / 100.0 - 1.0)) as i64)
            .collect();
        let speed = after(&paces).factor();
        assert!((1.90..2.02).contains(&speed), "{speed}");
    }

    /// What is known after some paces.
    fn after(paces: &[i64]) -> Speed {
        let mut told = Told::default();
        paces.iter().for_each(|pace| told.add(*pace));
        told.speed()
    }

    #[test]
    fn a_fast_worker_takes_less_and_counts_for_more() {
        let fast = Speed::thousandths(2_000);
        assert_eq!(fast.takes(60_000), 30_000);
        assert_eq!(fast.normal(30_000), 60_000);
        assert_eq!(Speed::default().takes(-5), 0);
        assert_eq!(Speed::thousandths(0).takes(i64::MAX), i64::MAX / 100);
    }

    #[test]
    fn short_runs_tell_nothing() {
        assert_eq!(pace(60_000, 30_000), Some(2_000));
        assert_eq!(pace(60_000, 4_999), None);
        assert_eq!(pace(4_999, 60_000), None);
        assert_eq!(pace(i64::MAX, TELLING_MS), Some(10_000));
    }
}
