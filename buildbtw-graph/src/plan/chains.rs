//! Why a build waits for another: the relation it begins with, and the
//! packages that are installed on the way.

use super::bits::Bits;
use super::graph::{Graph, Root};
use super::needs::Reach;
use crate::relation::Relation;
use crate::source::RelationKind;

/// The shortest way from a build to a member in its installation, of the
/// strongest kind there is.
pub(super) struct Chain<'a> {
    /// The member that is reached.
    pub to: u32,
    pub kind: RelationKind,
    pub relation: &'a Relation,
    /// The nodes on the way; the last one is the member's.
    pub through: Vec<u32>,
}

/// The steps in which an installation is walked through, as
/// [`super::needs::Needs`] counts them: first what pacman would choose.
const STEPS: [(RelationKind, bool); 4] = [
    (RelationKind::Depends, false),
    (RelationKind::Makedepends, false),
    (RelationKind::Implicit, true),
    (RelationKind::Checkdepends, true),
];

fn belongs(root: Root<'_, '_>, step: RelationKind) -> bool {
    match step {
        RelationKind::Implicit => root.kind != RelationKind::Checkdepends,
        step => root.kind == step,
    }
}

/// Up to so many targets are looked up one by one.
const FEW: usize = 8;

const NOWHERE: u32 = u32::MAX;

/// How a node was come by in the walk of that number.
#[derive(Clone, Copy, Default)]
struct Visit {
    walk: u32,
    from: u32,
    root: u32,
}

/// Finds chains, for one build after the other.
pub(super) struct Chains<'g, 'a> {
    graph: &'g Graph<'a>,
    reach: &'g Reach,
    visits: [Vec<Visit>; 2],
    walk: u32,
    queue: Vec<u32>,
    /// The members that are still to be found.
    left: Vec<u32>,
}

impl<'g, 'a> Chains<'g, 'a> {
    pub fn new(graph: &'g Graph<'a>, reach: &'g Reach) -> Self {
        let nodes = graph.nodes.len();
        Chains {
            graph,
            reach,
            visits: [vec![Visit::default(); nodes], vec![Visit::default(); nodes]],
            walk: 0,
            queue: Vec::new(),
            left: Vec::new(),
        }
    }

    /// The chains from a build to the given members, sorted by member.
    pub fn find(&mut self, build: u32, mut targets: Bits) -> Vec<Chain<'a>> {
        self.walk += 1;
        let mut chains = Vec::new();
        let mut left = std::mem::take(&mut self.left);
        left.clear();
        left.extend(targets.iter().map(|to| to as u32));
        let graph = self.graph;
        let roots: Vec<Root<'_, 'a>> = graph.all_roots(build as usize).collect();
        for (step, full) in STEPS {
            if left.is_empty() {
                break;
            }
            self.queue.clear();
            for (number, &root) in roots.iter().enumerate() {
                if belongs(root, step) {
                    let others = if full { &root.to.others[..] } else { &[] };
                    for &node in root.to.chosen.iter().chain(others) {
                        self.enter(node, NOWHERE, number as u32, full);
                    }
                }
            }
            // Most targets are near: all that is equally far away is looked at
            // before anything goes on from there.
            let mut level = 0..self.queue.len();
            while !level.is_empty() {
                for at in level.clone() {
                    let number = self.queue[at];
                    let member = graph.nodes[number as usize].member;
                    let Some(to) = member.filter(|&to| targets.contains(to as usize)) else {
                        continue;
                    };
                    targets.remove(to as usize);
                    left.retain(|&other| other != to);
                    let root = self.visits[usize::from(full)][number as usize].root;
                    chains.push(Chain {
                        to,
                        kind: step,
                        relation: roots[root as usize].to.relation,
                        through: self.way_to(number, full),
                    });
                }
                if left.is_empty() {
                    break;
                }
                for at in level.clone() {
                    self.go_on(self.queue[at], build, full, &left, &targets);
                }
                level = level.end..self.queue.len();
            }
        }
        chains.sort_by_key(|chain| chain.to);
        self.left = left;
        chains
    }

    /// Enters what a package brings along, if a member that is still to be
    /// found is among it: what leads to none leads to nothing on the way to
    /// one.
    fn go_on(&mut self, number: u32, build: u32, full: bool, left: &[u32], targets: &Bits) {
        let node = &self.graph.nodes[number as usize];
        if node.member == Some(build) {
            return;
        }
        // A row is long: few targets are looked up one by one.
        let reach = self.reach.of(number, full);
        let leads_on = match left.len() <= FEW {
            true => left.iter().any(|&to| reach.contains(to as usize)),
            false => reach.meets(targets),
        };
        if !leads_on {
            return;
        }
        let root = self.visits[usize::from(full)][number as usize].root;
        let weak = if full { &node.weak[..] } else { &[] };
        for &next in node.strong.iter().chain(weak) {
            self.enter(next, number, root, full);
        }
    }

    fn enter(&mut self, node: u32, from: u32, root: u32, full: bool) {
        let visit = &mut self.visits[usize::from(full)][node as usize];
        if visit.walk != self.walk {
            *visit = Visit {
                walk: self.walk,
                from,
                root,
            };
            self.queue.push(node);
        }
    }

    fn way_to(&self, node: u32, full: bool) -> Vec<u32> {
        let visits = &self.visits[usize::from(full)];
        let back = |&node: &u32| {
            let from = visits[node as usize].from;
            (from != NOWHERE).then_some(from)
        };
        let mut way: Vec<u32> = std::iter::successors(Some(node), back).collect();
        way.reverse();
        way
    }
}
