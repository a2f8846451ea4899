//! Sets of small numbers, 64 to a word.

/// A set of numbers below a bound.
#[derive(Clone, Default)]
pub(super) struct Row(Vec<u64>);

impl Row {
    /// An empty set for numbers below `bound`.
    pub fn new(bound: usize) -> Self {
        Row(vec![0; bound.div_ceil(64)])
    }

    pub fn add(&mut self, number: usize) {
        self.0[number >> 6] |= 1 << (number & 63);
    }

    pub fn has(&self, number: usize) -> bool {
        self.0[number >> 6] & (1 << (number & 63)) != 0
    }

    /// Takes in all of another set of the same bound.
    pub fn absorb(&mut self, other: &Row) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Whether a number is in both of two sets of the same bound.
    pub fn meets(&self, other: &Row) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// The numbers below `bound` that are in this set and in none of the
    /// others, which may have lower bounds.
    pub fn beyond<'r>(
        &'r self,
        bound: usize,
        others: [&'r Row; 2],
    ) -> impl Iterator<Item = usize> + 'r {
        let words = self.0.iter().enumerate().take(bound.div_ceil(64));
        words
            .flat_map(move |(at, &word)| {
                let known = others.map(|row| row.0.get(at).copied().unwrap_or(0));
                each_bit(at, word & !known[0] & !known[1])
            })
            .take_while(move |&number| number < bound)
    }

    /// The numbers from `start` on.
    pub fn from(&self, start: usize) -> impl Iterator<Item = usize> + '_ {
        let words = self.0.iter().enumerate().skip(start >> 6);
        words
            .flat_map(|(at, &word)| each_bit(at, word))
            .skip_while(move |&number| number < start)
    }
}

fn each_bit(at: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            (at << 6) + bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bound: usize, numbers: &[usize]) -> Row {
        let mut row = Row::new(bound);
        numbers.iter().for_each(|&number| row.add(number));
        row
    }

    #[test]
    fn differences_and_ends() {
        let all = row(200, &[0, 5, 63, 64, 130, 199]);
        let (few, other) = (row(100, &[5, 64]), row(200, &[199]));
        assert_eq!(
            all.beyond(200, [&few, &other]).collect::<Vec<_>>(),
            [0, 63, 130]
        );
        assert_eq!(all.beyond(63, [&few, &other]).collect::<Vec<_>>(), [0]);
        assert_eq!(all.from(64).collect::<Vec<_>>(), [64, 130, 199]);
        assert_eq!(all.from(131).collect::<Vec<_>>(), [199]);
        assert!(all.has(64) && !all.has(65));
    }
}
