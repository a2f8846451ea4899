//! Known heuristics for the minimum feedback arc problem, on their own. What
//! plans use is in the library; these are here to be compared with.

use buildbtw_graph::{Pair, RelationKind, Tangle};

/// Prices that compare like lists of numbers, the worst class first.
type Price = i128;

fn price(pair: &Pair) -> Price {
    let class = match (pair.kind, pair.hard) {
        (RelationKind::Depends, true) => 6,
        (RelationKind::Makedepends, true) => 5,
        (RelationKind::Implicit, true) => 4,
        (RelationKind::Depends, false) => 3,
        (RelationKind::Makedepends, false) => 2,
        (RelationKind::Checkdepends, _) => 1,
        (RelationKind::Implicit, false) => 0,
    };
    1 << (18 * class)
}

/// What each build should come after and before, with the price of each pair.
/// A skipped check counts as often as it has pairs against it.
pub struct Weights {
    needs: Vec<Vec<(usize, Price)>>,
    helps: Vec<Vec<(usize, Price)>>,
}

impl Weights {
    pub fn new(tangle: &Tangle) -> Self {
        let mut weights = Weights {
            needs: vec![Vec::new(); tangle.size()],
            helps: vec![Vec::new(); tangle.size()],
        };
        for pair in tangle.pairs() {
            let (build, other) = (pair.build as usize, pair.other as usize);
            weights.needs[build].push((other, price(&pair)));
            weights.helps[other].push((build, price(&pair)));
        }
        weights
    }

    fn sums(&self) -> (Vec<Price>, Vec<Price>) {
        let sum = |row: &Vec<(usize, Price)>| row.iter().map(|&(_, price)| price).sum();
        (
            self.needs.iter().map(sum).collect(),
            self.helps.iter().map(sum).collect(),
        )
    }
}

/// Who helps most beyond what it needs comes first.
pub fn by_degree(weights: &Weights) -> Vec<u32> {
    let (needed, helped) = weights.sums();
    let mut line: Vec<u32> = (0..needed.len() as u32).collect();
    line.sort_by_key(|&build| needed[build as usize] - helped[build as usize]);
    line
}

/// Ailon, Charikar and Newman, "Aggregating Inconsistent Information: Ranking
/// and Clustering" (2005): sorting by a pivot, here always the middle one; who
/// has no pair with it stays on the side where degrees put it.
pub fn kwik_sort(weights: &Weights) -> Vec<u32> {
    let mut line = by_degree(weights);
    let mut open = vec![(0, line.len())];
    while let Some((from, end)) = open.pop() {
        if end - from < 2 {
            continue;
        }
        let middle = from + (end - from) / 2;
        let pivot = line[middle] as usize;
        let mut side = vec![0; weights.needs.len()];
        for &(other, price) in &weights.needs[pivot] {
            side[other] -= price;
        }
        for &(other, price) in &weights.helps[pivot] {
            side[other] += price;
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (at, &build) in line.iter().enumerate().take(end).skip(from) {
            match side[build as usize] {
                _ if at == middle => {}
                side if side < 0 || (side == 0 && at < middle) => before.push(build),
                _ => after.push(build),
            }
        }
        let place = from + before.len();
        before.push(pivot as u32);
        before.extend(after);
        line[from..end].copy_from_slice(&before);
        open.push((from, place));
        open.push((place + 1, end));
    }
    line
}

/// Eades, Lin and Smyth, "A Fast and Effective Heuristic for the Feedback Arc
/// Set Problem" (1993).
pub fn eades_lin_smyth(weights: &Weights) -> Vec<u32> {
    let mut back = Vec::new();
    let mut front = greedy(
        weights,
        |left, needed, helped| {
            if let Some(at) = left.iter().position(|&build| needed[build] == 0) {
                return (at, true);
            }
            if let Some(at) = left.iter().position(|&build| helped[build] == 0) {
                return (at, false);
            }
            let best = (0..left.len()).max_by_key(|&at| helped[left[at]] - needed[left[at]]);
            (best.unwrap_or(0), true)
        },
        &mut back,
    );
    front.extend(back.into_iter().rev());
    front
}

/// Who gives up least comes next; of several, who helps most.
pub fn least_harm_first(weights: &Weights) -> Vec<u32> {
    greedy(
        weights,
        |left, needed, helped| {
            let best = (0..left.len()).min_by_key(|&at| (needed[left[at]], -helped[left[at]]));
            (best.unwrap_or(0), true)
        },
        &mut Vec::new(),
    )
}

/// Chooses one after the other for the front (true) or the back.
fn greedy(
    weights: &Weights,
    mut choose: impl FnMut(&[usize], &[Price], &[Price]) -> (usize, bool),
    back: &mut Vec<u32>,
) -> Vec<u32> {
    let (mut needed, mut helped) = weights.sums();
    let mut left: Vec<usize> = (0..needed.len()).collect();
    let mut front = Vec::new();
    while !left.is_empty() {
        let (at, to_front) = choose(&left, &needed, &helped);
        let build = left.remove(at);
        let to = if to_front { &mut front } else { &mut *back };
        to.push(build as u32);
        for &(other, price) in &weights.helps[build] {
            needed[other] -= price;
        }
        for &(other, price) in &weights.needs[build] {
            helped[other] -= price;
        }
    }
    front
}

/// Each build moves to its best place, in so many rounds.
pub fn sifted(weights: &Weights, mut line: Vec<u32>, rounds: usize) -> Vec<u32> {
    let mut place = vec![0; line.len()];
    for (at, &build) in line.iter().enumerate() {
        place[build as usize] = at;
    }
    let mut cost = vec![0; line.len()];
    let builds = line.len();
    for build in (0..rounds).flat_map(|_| 0..builds) {
        cost.fill(0);
        for &(other, price) in &weights.needs[build] {
            cost[place[other]] += price;
        }
        for &(other, price) in &weights.helps[build] {
            cost[place[other]] -= price;
        }
        let from: usize = place[build];
        let (mut best, mut to, mut sum) = (0, from, 0);
        for at in (0..from).rev() {
            sum += cost[at];
            if sum < best {
                (best, to) = (sum, at);
            }
        }
        sum = 0;
        for (at, cost) in cost.iter().enumerate().skip(from + 1) {
            sum -= cost;
            if sum < best {
                (best, to) = (sum, at);
            }
        }
        let moved = line.remove(from);
        line.insert(to, moved);
        for at in from.min(to)..=from.max(to) {
            place[line[at] as usize] = at;
        }
    }
    line
}
