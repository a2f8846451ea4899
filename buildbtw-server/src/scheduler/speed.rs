//! How fast workers are, learned from their runs.
//!
//! A run's pace is how long its build was expected to take, by earlier runs, beside how long it took. A
//! single one says little, since no two runs of a build take equally long; the mean of many says how
//! fast the machine is, whatever a few of them met with: those at both ends are left out (a trimmed mean, as Tukey
//! has it, of their logarithms). The median of as many is off by half as much again, and a chain that goes to the
//! second fastest for that ends so much later.

use std::fmt;

/// How many paces of a worker are kept: enough that what single runs met with does not show, and few enough
/// that a new machine under an old name is known within a day or two.
pub const KEPT_PACES: usize = 63;

/// Runs that take or were to take less than this say nothing of the machine, in milliseconds: setting up
/// and sending packages take as long everywhere.
pub const TELLING_MS: i64 = 5_000;

/// What every worker is taken to have shown before it did anything: so one run alone changes little,
/// and all speeds together do not drift away from what durations are counted in.
const PRIOR: [i64; 4] = [1_000; 4];

/// What is left out of the paces at each end, in percent.
const TRIMMED: usize = 15;

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

    /// What a worker's paces, in thousandths, come to: their trimmed mean, with a prior of one.
    pub fn of(paces: &[i64]) -> Self {
        let mut all: Vec<i64> = paces.iter().chain(&PRIOR).copied().collect();
        all.sort_unstable();
        let left_out = (all.len() * TRIMMED).div_ceil(100);
        let kept = &all[left_out..all.len() - left_out];
        let logarithms = kept.iter().map(|pace| (*pace).max(1) as f64);
        let sum: f64 = logarithms.map(f64::ln).sum();
        Self::thousandths((sum / kept.len() as f64).exp().round() as i64)
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
        assert_eq!(Speed::of(&[]), Speed::default());
        assert_eq!(Speed::of(&[4_000]), Speed::default());
    }

    #[test]
    fn what_most_runs_say_counts_whatever_some_met_with() {
        let mut paces = vec![2_000; 40];
        paces.extend([10, 20, 30, 9_999_999]);
        assert_eq!(Speed::of(&paces).to_string(), "2.00");
        assert_eq!(Speed::of(&[500; 31]).to_string(), "0.50");
        // Half to twice as fast, by turns: as fast as expected.
        assert_eq!(Speed::of(&[500, 2_000].repeat(20)).to_string(), "1.00");
    }

    #[test]
    fn a_fast_worker_takes_less_and_counts_for_more() {
        let fast = Speed::of(&[2_000; 31]);
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
