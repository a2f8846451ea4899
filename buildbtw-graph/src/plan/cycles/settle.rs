//! From an order of builds to the pairs that are given up for it.
//!
//! What stands against the order and closes no cycle with pairs that hurt at
//! least as much is kept all the same. So a `depends` pair is only ever given
//! up for a cycle of `depends` pairs (and of such that cannot be given up), a
//! `makedepends` pair for one of both, and so on; and at the end no pair that
//! was given up could be put back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::bits::Bits;
use super::tangle::{CHECK, Harm, Tangle};

/// What is given up of a tangle, and what is left.
pub(super) struct Settled {
    /// The pairs that are given up, but for those of a skipped check: class,
    /// build, other.
    pub dropped: Vec<(usize, usize, usize)>,
    /// The builds that skip their check.
    pub nocheck: Vec<bool>,
    /// The pairs of skipped checks whose member comes later: build, other.
    pub unchecked: Vec<(usize, usize)>,
    /// All builds, so that each comes after all it waits for.
    pub line: Vec<u32>,
}

impl Settled {
    /// Nothing is decided yet.
    pub fn new(line: Vec<u32>) -> Self {
        Settled {
            dropped: Vec::new(),
            nocheck: vec![false; line.len()],
            unchecked: Vec::new(),
            line,
        }
    }

    pub fn harm(&self) -> Harm {
        let of = |class: usize| self.dropped.iter().filter(|pair| pair.0 == class).count();
        Harm {
            hard_depends: of(0),
            hard_makedepends: of(1),
            hard_implicit: of(2),
            depends: of(3),
            makedepends: of(4),
            nocheck: self.nocheck.iter().filter(|&&nocheck| nocheck).count(),
            implicit: of(6),
        }
    }
}

/// The pairs that are kept so far.
pub(super) struct Kept {
    /// By build, what comes before it.
    pub rows: Vec<Bits>,
    /// By build, pairs among them that imply all others: far fewer, so whoever
    /// only asks what comes before what asks these.
    pub direct: Vec<Vec<u32>>,
}

impl Kept {
    /// None.
    pub fn new(size: usize) -> Self {
        Kept {
            rows: vec![Bits::new(size); size],
            direct: vec![Vec::new(); size],
        }
    }

    fn unite(&mut self, build: usize, more: &Bits) {
        self.rows[build].unite(more);
        let direct = &mut self.direct[build];
        direct.reserve(more.count());
        more.iter().for_each(|other| direct.push(other as u32));
    }
}

/// Decides what is given up when the builds come in this order.
pub(super) fn settle(tangle: &Tangle, order: &[u32]) -> Settled {
    let size = tangle.size();
    let mut settled = Settled::new(order.to_vec());
    let mut kept = Kept::new(size);
    for (class, wanted) in tangle.pairs.iter().enumerate() {
        if !wanted.is_empty() {
            settle_class(class, wanted, &mut kept, &mut settled);
        }
    }
    note_unchecked(tangle, &kept, &mut settled);
    settled
}

/// Notes what skipped checks give up, once all that is kept is known.
pub(super) fn note_unchecked(tangle: &Tangle, kept: &Kept, settled: &mut Settled) {
    if !settled.nocheck.contains(&true) {
        return;
    }
    let waiting = Waiting::new(kept, &settled.line);
    let unchecked = (0..tangle.size()).filter(|&build| settled.nocheck[build]);
    settled.unchecked = unchecked
        .flat_map(|build| {
            let later = tangle.pairs[CHECK][build].iter();
            let later = later.filter(|&other| waiting.waits(other, build));
            later.map(|other| (build, other)).collect::<Vec<_>>()
        })
        .collect();
}

/// Puts the pairs of one class in, next to those that are kept already and
/// agree with the line.
pub(super) fn settle_class(class: usize, wanted: &[Bits], kept: &mut Kept, settled: &mut Settled) {
    let mut place = vec![0; settled.line.len()];
    for (at, &build) in settled.line.iter().enumerate() {
        place[build as usize] = at;
    }
    let mut against = Vec::new();
    let mut later = Vec::new();
    for (build, wanted) in wanted.iter().enumerate() {
        later.clear();
        let at = place[build];
        later.extend(wanted.iter().filter(|&other| place[other] > at));
        // A check is skipped as a whole or not at all.
        if later.is_empty() {
            kept.unite(build, wanted);
        } else if class == CHECK {
            against.push((build, wanted.iter().collect()));
        } else {
            let mut agreeing = wanted.clone();
            later.iter().for_each(|&other| agreeing.remove(other));
            kept.unite(build, &agreeing);
            against.push((build, later.clone()));
        }
    }
    // Nothing to decide: who waits for whom need not be known.
    if against.is_empty() {
        return;
    }
    against.sort_unstable_by_key(|&(build, _)| place[build]);
    let mut waiting = Waiting::new(kept, &settled.line);
    let mut moved = false;
    for (build, others) in against {
        if class == CHECK {
            if others.iter().any(|&other| waiting.waits(other, build)) {
                settled.nocheck[build] = true;
                continue;
            }
            for other in others {
                kept.rows[build].insert(other);
                moved |= waiting.add(build, other);
            }
            continue;
        }
        for other in others {
            if waiting.waits(other, build) {
                settled.dropped.push((class, build, other));
            } else {
                kept.rows[build].insert(other);
                moved |= waiting.add(build, other);
            }
        }
    }
    kept.direct = waiting.direct();
    if moved {
        settled.line = waiting.line();
    }
}

/// Who waits for whom, directly or not.
struct Waiting<'l> {
    line: &'l [u32],
    place: Vec<usize>,
    /// By place in the line, the places of all that is waited for.
    reach: Vec<Bits>,
    /// Pairs of places that imply all others.
    direct: Vec<Vec<usize>>,
}

impl<'l> Waiting<'l> {
    /// Takes in pairs that agree with the line.
    fn new(kept: &Kept, line: &'l [u32]) -> Self {
        let mut place = vec![0; line.len()];
        for (at, &build) in line.iter().enumerate() {
            place[build as usize] = at;
        }
        let mut direct = vec![Vec::new(); line.len()];
        let mut reach: Vec<Bits> = Vec::with_capacity(line.len());
        let mut left = Bits::new(line.len());
        for (at, &build) in line.iter().enumerate() {
            kept.direct[build as usize]
                .iter()
                .for_each(|&other| left.insert(place[other as usize]));
            let mut reached = Bits::new(line.len());
            // What comes last may imply the others, never the other way round.
            while let Some(last) = left.last() {
                reached.insert(last);
                reached.unite(&reach[last]);
                left.remove(last);
                left.subtract(&reach[last]);
                direct[at].push(last);
            }
            reach.push(reached);
        }
        Waiting {
            line,
            place,
            reach,
            direct,
        }
    }

    fn waits(&self, build: usize, other: usize) -> bool {
        self.reach[self.place[build]].contains(self.place[other])
    }

    /// Adds a pair that closes no cycle; says whether it is news.
    fn add(&mut self, build: usize, other: usize) -> bool {
        let (build, other) = (self.place[build], self.place[other]);
        if self.reach[build].contains(other) {
            return false;
        }
        self.direct[build].push(other);
        let mut more = self.reach[other].clone();
        more.insert(other);
        for (at, row) in self.reach.iter_mut().enumerate() {
            // Whoever waits for the other already waits for all of that.
            if (at == build || row.contains(build)) && !row.contains(other) {
                row.unite(&more);
            }
        }
        true
    }

    /// By build, pairs that imply all others.
    fn direct(&self) -> Vec<Vec<u32>> {
        let direct = |&at: &usize| self.direct[at].iter().map(|&other| self.line[other]);
        self.place.iter().map(|at| direct(at).collect()).collect()
    }

    /// A line that all pairs agree with, else as before.
    fn line(&self) -> Vec<u32> {
        let mut after = vec![Vec::new(); self.line.len()];
        let mut open = vec![0; self.line.len()];
        for (at, direct) in self.direct.iter().enumerate() {
            open[at] = direct.len();
            direct.iter().for_each(|&other| after[other].push(at));
        }
        let ready = (0..open.len()).filter(|&at| open[at] == 0).map(Reverse);
        let mut ready: BinaryHeap<Reverse<usize>> = ready.collect();
        let mut line = Vec::with_capacity(self.line.len());
        while let Some(Reverse(at)) = ready.pop() {
            line.push(self.line[at]);
            for &other in &after[at] {
                open[other] -= 1;
                if open[other] == 0 {
                    ready.push(Reverse(other));
                }
            }
        }
        line
    }
}
