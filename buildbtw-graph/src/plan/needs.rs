//! What each build installs: which members, and how badly it needs them.
//!
//! What a package brings along is worked out once for all packages, from the
//! bottom up; packages that need each other are one step. A build's needs are
//! the union over the packages it begins with. Only builds whose installation
//! contains one of their own packages need a walk of their own: their closure
//! stops there.

use rayon::prelude::*;

use super::bits::Bits;
use super::components::components;
use super::graph::{Graph, Root};
use crate::source::RelationKind;

/// What one build installs, as numbers of members and, behind them, extras.
/// Each number stands only in the set of the strongest kind that leads to it,
/// except that what a build installs anyway is not counted for its check.
pub(super) struct Needs {
    pub depends: Bits,
    pub makedepends: Bits,
    /// What is only installed for check().
    pub check: Bits,
    /// By implicit packages, or by a provider that pacman would not choose.
    pub implicit: Bits,
    /// The build's own packages (nodes) that it installs, sorted.
    pub own: Vec<u32>,
}

impl Needs {
    /// Whether it installs that member.
    pub fn contains(&self, member: u32) -> bool {
        let parts = [
            &self.depends,
            &self.makedepends,
            &self.implicit,
            &self.check,
        ];
        parts.iter().any(|part| part.contains(member as usize))
    }

    /// What it installs of what has no number below `bound`, rising.
    pub fn beyond(&self, bound: usize, with_check: bool) -> Vec<usize> {
        let check = with_check.then_some(&self.check);
        let always = [&self.depends, &self.makedepends, &self.implicit];
        let rows = always.into_iter().chain(check);
        let mut found: Vec<usize> = rows.flat_map(|row| row.iter_from(bound)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// All it installs of what has a number below `bound`.
    pub fn all_below(&self, bound: usize) -> Bits {
        let mut all = self.depends.below(bound);
        for part in [&self.makedepends, &self.implicit, &self.check] {
            all.unite(part);
        }
        all.cut(bound);
        all
    }
}

/// What each package brings along.
pub(super) struct Reach {
    /// Through the packages that pacman would choose.
    strong: Vec<Bits>,
    strong_part: Vec<u32>,
    /// Through every member that would do.
    full: Vec<Bits>,
    full_part: Vec<u32>,
}

impl Reach {
    /// Works it out for all packages.
    pub fn new(graph: &Graph<'_>) -> Self {
        let ((strong, strong_part), (full, full_part)) =
            rayon::join(|| reach(graph, false), || reach(graph, true));
        Reach {
            strong,
            strong_part,
            full,
            full_part,
        }
    }

    pub fn of(&self, node: u32, full: bool) -> &Bits {
        if full {
            &self.full[self.full_part[node as usize] as usize]
        } else {
            &self.strong[self.strong_part[node as usize] as usize]
        }
    }
}

fn reach(graph: &Graph<'_>, full: bool) -> (Vec<Bits>, Vec<u32>) {
    let successor = |node: usize, at: usize| {
        let node = &graph.nodes[node];
        let weak = at.checked_sub(node.strong.len()).filter(|_| full);
        let next = node.strong.get(at).or_else(|| node.weak.get(weak?));
        next.map(|&next| (next as usize, at + 1))
    };
    let parts = components(graph.nodes.len(), successor);
    let mut rows: Vec<Bits> = Vec::with_capacity(parts.count);
    for (part, nodes) in parts.members().into_iter().enumerate() {
        // Most packages are installed by nobody, and no row of theirs is read.
        if !nodes.iter().any(|&node| graph.is_installed[node as usize]) {
            rows.push(Bits::default());
            continue;
        }
        let mut row = Bits::new(graph.universe());
        for &node in &nodes {
            insert_own(graph, node, &mut row);
            let node = &graph.nodes[node as usize];
            let weak = if full { &node.weak[..] } else { &[] };
            for &next in node.strong.iter().chain(weak) {
                let next = parts.of[next as usize] as usize;
                if next != part {
                    row.unite(&rows[next]);
                }
            }
        }
        rows.push(row);
    }
    (rows, parts.of)
}

/// What installing a package contains by itself.
fn insert_own(graph: &Graph<'_>, node: u32, row: &mut Bits) {
    let node = &graph.nodes[node as usize];
    if let Some(member) = node.member {
        row.insert(member as usize);
    }
    for &extra in &node.extras {
        row.insert(graph.roots.len() + extra as usize);
    }
}

/// Works out the needs of all members.
pub(super) fn all_needs(graph: &Graph<'_>, reach: &Reach) -> Vec<Needs> {
    let nodes = graph.nodes.len();
    (0..graph.roots.len())
        .into_par_iter()
        .map_init(
            || Walk::new(graph, reach, nodes),
            |walk, member| walk.needs(member),
        )
        .collect()
}

/// The build's own packages that it installs even when its check is skipped.
pub(super) fn own_without_check(graph: &Graph<'_>, member: usize) -> Vec<u32> {
    let roots = graph.all_roots(member);
    let roots = roots.filter(|root| root.kind != RelationKind::Checkdepends);
    let mut stack: Vec<u32> = roots
        .flat_map(|root| root.chosen.iter().chain(&root.others))
        .copied()
        .collect();
    let mut seen = vec![false; graph.nodes.len()];
    let mut own = Vec::new();
    while let Some(number) = stack.pop() {
        if std::mem::replace(&mut seen[number as usize], true) {
            continue;
        }
        let node = &graph.nodes[number as usize];
        if node.member == Some(member as u32) {
            own.push(number);
        } else {
            stack.extend(node.strong.iter().chain(&node.weak));
        }
    }
    own.sort_unstable();
    own
}

/// The walk through the installation of one build after the other.
struct Walk<'g, 'a> {
    graph: &'g Graph<'a>,
    reach: &'g Reach,
    /// When each node was last visited: strongly, and fully.
    visited: [Vec<u32>; 2],
    now: u32,
    stack: Vec<u32>,
}

impl<'g, 'a> Walk<'g, 'a> {
    fn new(graph: &'g Graph<'a>, reach: &'g Reach, nodes: usize) -> Self {
        Walk {
            graph,
            reach,
            visited: [vec![0; nodes], vec![0; nodes]],
            now: 0,
            stack: Vec::new(),
        }
    }

    fn needs(&mut self, member: usize) -> Needs {
        self.now += 1;
        let mut own = Vec::new();
        let mut collect = |walk: &mut Self, full: bool, wanted: &dyn Fn(&Root<'_>) -> bool| {
            let mut row = Bits::new(walk.graph.universe());
            for root in walk.graph.all_roots(member).filter(|root| wanted(root)) {
                if let Some(extra) = root.extra {
                    row.insert(walk.graph.roots.len() + extra as usize);
                }
                let others = if full { &root.others[..] } else { &[] };
                for &node in root.chosen.iter().chain(others) {
                    walk.visit(member, node, full, &mut row, &mut own);
                }
            }
            row
        };
        let depends = collect(self, false, &|root| root.kind == RelationKind::Depends);
        let mut makedepends = collect(self, false, &|root| root.kind == RelationKind::Makedepends);
        // All that is installed with or without the check.
        let mut implicit = collect(self, true, &|root| root.kind != RelationKind::Checkdepends);
        let mut check = collect(self, true, &|root| root.kind == RelationKind::Checkdepends);
        check.subtract(&implicit);
        makedepends.subtract(&depends);
        implicit.subtract(&depends);
        implicit.subtract(&makedepends);
        own.sort_unstable();
        own.dedup();
        Needs {
            depends,
            makedepends,
            check,
            implicit,
            own,
        }
    }

    /// Adds a package and what it brings along, up to the build's own packages.
    fn visit(&mut self, member: usize, node: u32, full: bool, row: &mut Bits, own: &mut Vec<u32>) {
        self.stack.push(node);
        while let Some(number) = self.stack.pop() {
            let visited = &mut self.visited[usize::from(full)][number as usize];
            if *visited == self.now {
                continue;
            }
            *visited = self.now;
            let node = &self.graph.nodes[number as usize];
            if node.member == Some(member as u32) {
                own.push(number);
                continue;
            }
            let reach = self.reach.of(number, full);
            if !reach.contains(member) {
                row.unite(reach);
                continue;
            }
            insert_own(self.graph, number, row);
            self.stack.extend(&node.strong);
            if full {
                self.stack.extend(&node.weak);
            }
        }
    }
}
