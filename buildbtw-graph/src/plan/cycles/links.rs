//! Pairs as lists of neighbours, and the price of each.

use super::super::bits::Bits;
use super::tangle::{CHECK, CLASSES, Tangle};

/// What giving something up costs. Each class of pairs has sixteen bits of its
/// own, so that sums over the pairs of one build compare like lists of numbers,
/// the class that hurts most first. (There are never 2^15 builds.)
pub(super) type Price = i128;

/// The price of a pair of each class; that of [`CHECK`] is for a skipped check.
pub(super) const PRICES: [Price; CLASSES.len()] =
    [1 << 96, 1 << 80, 1 << 64, 1 << 48, 1 << 32, 1 << 16, 1];

/// The neighbours of each node, in one piece.
pub(super) struct Links {
    start: Vec<u32>,
    to: Vec<u32>,
}

impl Links {
    fn new(rows: &[Bits]) -> Self {
        let mut links = Links {
            start: vec![0],
            to: Vec::new(),
        };
        for row in rows {
            links.to.extend(row.iter().map(|other| other as u32));
            links.start.push(links.to.len() as u32);
        }
        links
    }

    /// The same links in the opposite direction.
    fn reversed(&self) -> Links {
        let size = self.start.len() - 1;
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
