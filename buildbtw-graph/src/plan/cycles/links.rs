//! Pairs as lists of neighbours, and the price of each.

use super::super::bits::Bits;
use super::tangle::{CHECK, CLASSES, Tangle};

/// What giving something up costs. Each class of pairs has its own digit, so
/// that sums over the pairs of a few builds compare like lists of numbers, the
/// class that hurts most first.
pub(super) type Price = i128;

/// The bits of a digit.
const DIGIT: u32 = 18;

/// Sums of so many prices may run over into the next digit.
pub(super) const LARGEST_SUM: usize = 1 << (DIGIT - 1);

/// The price of a pair of each class; that of [`CHECK`] is for a skipped check.
pub(super) const PRICES: [Price; CLASSES.len()] = {
    let mut prices = [1; CLASSES.len()];
    let mut class = CLASSES.len() - 1;
    while class > 0 {
        prices[class - 1] = prices[class] << DIGIT;
        class -= 1;
    }
    prices
};

/// How much of each class a price stands for.
pub(super) fn digits(mut price: Price) -> [i64; CLASSES.len()] {
    let mut digits = [0; CLASSES.len()];
    for digit in digits.iter_mut().rev() {
        let low = price << (Price::BITS - DIGIT) >> (Price::BITS - DIGIT);
        *digit = low as i64;
        price = (price - low) >> DIGIT;
    }
    digits
}

/// The neighbours of each node, in one piece.
pub(super) struct Links {
    start: Vec<u32>,
    to: Vec<u32>,
}

impl Links {
    fn new(rows: &[Bits]) -> Self {
        let count = rows.iter().map(Bits::count).sum();
        let lists = rows.iter().map(|row| row.iter().map(|other| other as u32));
        Links::of_lists(lists, count)
    }

    /// The links of each node, one node after the other; not many more than `about` of them.
    pub fn of_lists<L: Iterator<Item = u32>>(lists: impl Iterator<Item = L>, about: usize) -> Self {
        let mut links = Links {
            start: vec![0],
            to: Vec::with_capacity(about),
        };
        for list in lists {
            list.for_each(|other| links.to.push(other));
            links.start.push(links.to.len() as u32);
        }
        links
    }

    /// The number of nodes.
    pub fn size(&self) -> usize {
        self.start.len() - 1
    }

    /// The same links in the opposite direction.
    pub fn reversed(&self) -> Links {
        let size = self.size();
        let mut start = vec![0u32; size + 1];
        for &other in &self.to {
            start[other as usize + 1] += 1;
        }
        for at in 0..size {
            start[at + 1] += start[at];
        }
        let mut next = start.clone();
        let mut to = vec![0; self.to.len()];
        for node in 0..size {
            for &other in self.of(node) {
                let at = &mut next[other as usize];
                to[*at as usize] = node as u32;
                *at += 1;
            }
        }
        Links { start, to }
    }

    pub fn of(&self, node: usize) -> &[u32] {
        &self.to[self.start[node] as usize..self.start[node + 1] as usize]
    }
}

/// The pairs of one class in both directions.
pub(super) struct Class {
    pub number: usize,
    pub price: Price,
    /// What should come before each build.
    pub needs: Links,
    /// What each build should come before.
    pub helps: Links,
}

impl Class {
    /// No class hurts less.
    pub fn is_least(&self) -> bool {
        self.number + 1 == CLASSES.len()
    }
}

/// The classes that have any pairs.
pub(super) fn classes(tangle: &Tangle) -> Vec<Class> {
    let class = |(number, rows): (usize, &Vec<Bits>)| {
        let needs = Links::new(rows);
        let helps = needs.reversed();
        Class {
            number,
            price: PRICES[number],
            needs,
            helps,
        }
    };
    let filled = tangle
        .pairs
        .iter()
        .enumerate()
        .filter(|(_, rows)| !rows.is_empty());
    filled.map(class).collect()
}

/// The pairs that are only needed for checks.
pub(super) fn check_of(classes: &[Class]) -> Option<&Class> {
    classes.iter().find(|class| class.number == CHECK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_a_list_of_numbers() {
        let many = LARGEST_SUM as i64 - 1;
        for counts in [
            [0; 7],
            [1, -1, 1, -1, 1, -1, 1],
            [many; 7],
            [-many; 7],
            [many, -many, 0, 5, -many, many, -1],
        ] {
            let price = counts
                .iter()
                .zip(PRICES)
                .map(|(&count, price)| Price::from(count) * price);
            assert_eq!(digits(price.sum()), counts);
        }
    }
}
