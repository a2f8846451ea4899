//! Sets of small numbers as rows of bits.
//!
//! What a build installs is a set of members; with thousands of builds and
//! thousands of members the pairs go into the millions, and as bits they still
//! fit into a few megabytes and are united 64 at a time.

/// A set of numbers below a bound that is fixed when it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// An empty set for numbers below `bound`.
    pub fn new(bound: usize) -> Self {
        Bits {
            words: vec![0; bound.div_ceil(64)],
        }
    }

    pub fn contains(&self, number: usize) -> bool {
        self.words[number / 64] >> (number % 64) & 1 == 1
    }

    pub fn insert(&mut self, number: usize) {
        self.words[number / 64] |= 1 << (number % 64);
    }

    pub fn remove(&mut self, number: usize) {
        self.words[number / 64] &= !(1 << (number % 64));
    }

    /// The set of all numbers below `bound`.
    pub fn full(bound: usize) -> Self {
        let all = Bits {
            words: vec![u64::MAX; bound.div_ceil(64)],
        };
        all.below(bound)
    }

    /// The smallest number that is in both sets and not below `from`.
    pub fn next_in_both(&self, other: &Bits, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut mask = u64::MAX << (from % 64);
        while let (Some(word), Some(other)) = (self.words.get(at), other.words.get(at)) {
            let both = word & other & mask;
            if both != 0 {
                return Some(at * 64 + both.trailing_zeros() as usize);
            }
            mask = u64::MAX;
            at += 1;
        }
        None
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// The numbers in it that are not in the other set, rising.
    pub fn iter_without(&self, other: &Bits) -> impl Iterator<Item = usize> {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.flat_map(|(at, (&word, &other))| each_of_word(at, word & !other))
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    pub fn count(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// Whether some number is in both sets.
    pub fn meets(&self, other: &Bits) -> bool {
        // Eight words at a time are looked at together, which compilers make few instructions of.
        let bound = self.words.len().min(other.words.len());
        let (one, one_rest) = self.words[..bound].as_chunks::<8>();
        let (other, other_rest) = other.words[..bound].as_chunks::<8>();
        let meet = |(one, other): (&[u64; 8], &[u64; 8])| {
            let both = one.iter().zip(other).map(|(word, other)| word & other);
            both.fold(0, |all, both| all | both) != 0
        };
        let rest = one_rest.iter().zip(other_rest);
        one.iter().zip(other).any(meet) || rest.into_iter().any(|(word, other)| word & other != 0)
    }

    pub fn unite(&mut self, other: &Bits) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    pub fn subtract(&mut self, other: &Bits) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Leaves only what is in the other set as well.
    pub fn intersect(&mut self, other: &Bits) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// The greatest number in it.
    pub fn last(&self) -> Option<usize> {
        let at = self.words.iter().rposition(|&word| word != 0)?;
        Some(at * 64 + 63 - self.words[at].leading_zeros() as usize)
    }

    /// Only the numbers in it that are below `bound`.
    pub fn below(&self, bound: usize) -> Bits {
        let mut below = Bits {
            words: self.words[..bound.div_ceil(64)].to_vec(),
        };
        below.cut(bound);
        below
    }

    /// Takes out what is not below `bound`, which ends in the last word.
    pub fn cut(&mut self, bound: usize) {
        if let Some(last) = self.words.last_mut()
            && !bound.is_multiple_of(64)
        {
            *last &= (1 << (bound % 64)) - 1;
        }
    }

    /// The smallest number in it that is not below `from`.
    pub fn next_from(&self, from: usize) -> Option<usize> {
        let mut at = from / 64;
        let mut word = self.words.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    /// The numbers that are in both sets, rising.
    pub fn iter_both(&self, other: &Bits) -> impl Iterator<Item = usize> {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.flat_map(|(at, (&word, &other))| each_of_word(at, word & other))
    }

    /// The numbers in it that are not below `from`, rising.
    pub fn iter_from(&self, from: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.next_from(from), |&at| self.next_from(at + 1))
    }

    /// The numbers in it that are below `bound`, falling.
    pub fn iter_down(&self, bound: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.last_below(bound), |&at| self.last_below(at))
    }

    /// The greatest number in it that is below `bound`.
    fn last_below(&self, bound: usize) -> Option<usize> {
        let mut at = bound / 64;
        let mut mask = (1 << (bound % 64)) - 1;
        loop {
            let word = self.words.get(at).map_or(0, |word| word & mask);
            if word != 0 {
                return Some(at * 64 + 63 - word.leading_zeros() as usize);
            }
            mask = u64::MAX;
            at = at.checked_sub(1)?;
        }
    }

    /// The numbers in it, rising.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().enumerate();
        words.flat_map(|(at, &word)| each_of_word(at, word))
    }
}

/// The numbers that a word of a set stands for, rising.
fn each_of_word(at: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            at * 64 + bit
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut bits = Bits::new(200);
        for number in [0, 63, 64, 130, 199] {
            bits.insert(number);
        }
        bits.remove(64);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 63, 130, 199]);
        assert_eq!(bits.count(), 4);
        let mut other = Bits::new(200);
        other.insert(0);
        other.insert(63);
        assert_eq!(bits.next_from(64), Some(130));
        assert_eq!(bits.next_from(200), None);
        assert_eq!(bits.iter_from(63).collect::<Vec<_>>(), [63, 130, 199]);
        assert_eq!(bits.iter_down(130).collect::<Vec<_>>(), [63, 0]);
        assert_eq!(bits.iter_down(0).count(), 0);
        assert_eq!(bits.iter_down(256).count(), 4);
        assert_eq!(bits.iter_both(&Bits::full(130)).count(), 2);
        assert_eq!(bits.iter_without(&other).collect::<Vec<_>>(), [130, 199]);
        assert_eq!(bits.last(), Some(199));
        assert_eq!(bits.below(130).last(), Some(63));
        assert_eq!(bits.below(128).last(), Some(63));
        bits.subtract(&other);
        assert!(!bits.contains(63) && bits.contains(199));
    }
}
