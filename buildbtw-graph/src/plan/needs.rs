//! What each build installs: which members, and how badly it needs them.
//!
//! What a package brings along is worked out once for all packages, from the
//! bottom up; packages that need each other are one step. A build's needs are
//! the union over the packages it begins with. Only builds whose installation
//! contains one of their own packages need a walk of their own: their closure
//! stops there.

use rayon::prelude::*;

use super::bits::Bits;
use super::components::{Components, components};
use super::graph::Graph;
use crate::source::RelationKind;

/// What one build installs.
pub(super) struct Needs {
    /// All members, by number.
    pub all: Bits,
    /// Those members that are only installed for check(), rising.
    pub check: Vec<u32>,
    /// The extras, rising, and those that are only installed for check().
    extras: Vec<u32>,
    check_extras: Vec<u32>,
    /// The build's own packages (nodes) that it installs, sorted.
    pub own: Vec<u32>,
}

impl Needs {
    /// The needs of a build that installs no extras.
    #[cfg(test)]
    pub fn of_members(all: Bits, check: Vec<u32>) -> Self {
        Needs {
            all,
            check,
            extras: Vec::new(),
            check_extras: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Whether it installs that member.
    pub fn contains(&self, member: u32) -> bool {
        self.all.contains(member as usize)
    }

    /// The extras that it installs, rising.
    pub fn extras(&self, with_check: bool) -> Vec<usize> {
        let check = if with_check {
            &self.check_extras[..]
        } else {
            &[]
        };
        let all = self.extras.iter().chain(check);
        let mut all: Vec<usize> = all.map(|&extra| extra as usize).collect();
        all.sort_unstable();
        all
    }
}

/// The members that a build installs, each only in the set of the strongest
/// kind that leads to it; what is left of [`Needs::all`] is implicit, or comes
/// by a provider that pacman would not choose.
#[derive(Clone)]
pub(super) struct Strong {
    pub depends: Bits,
    pub makedepends: Bits,
}

/// What each package brings along.
pub(super) struct Reach {
    rows: Vec<Bits>,
    /// By node, the number of the row: through the packages that pacman would
    /// choose.
    strong: Vec<u32>,
    /// Through every member that would do.
    full: Vec<u32>,
    /// The parts of what pacman would choose.
    pub parts: Components,
}

impl Reach {
    /// Works it out for all packages. For most both rows are the same.
    pub fn new(graph: &Graph<'_>) -> Self {
        let ((mut rows, full, plain), parts) =
            rayon::join(|| full_reach(graph), || strong_parts(graph));
        let strong = strong_reach(graph, &parts, &mut rows, |node| {
            plain[node].then(|| full[node])
        });
        Reach {
            rows,
            strong,
            full,
            parts,
        }
    }

    pub fn of(&self, node: u32, full: bool) -> &Bits {
        let number = if full { &self.full } else { &self.strong };
        &self.rows[number[node as usize] as usize]
    }
}

/// Rows; by node, the number of the row of all it leads to, and whether that is just
/// what pacman would choose.
fn full_reach(graph: &Graph<'_>) -> (Vec<Bits>, Vec<u32>, Vec<bool>) {
    let mut rows = Vec::new();
    let successor = |node: usize, at: usize| {
        let node = &graph.nodes[node];
        let weak = at.checked_sub(node.strong.len());
        let next = node.strong.get(at).or_else(|| node.weak.get(weak?));
        next.map(|&next| (next as usize, at + 1))
    };
    let parts = components(graph.nodes.len(), successor);
    let mut plain = vec![true; parts.count];
    for (part, nodes) in parts.members().iter().enumerate() {
        for &node in nodes {
            let node = &graph.nodes[node as usize];
            let mut next = node.strong.iter().map(|&next| parts.of[next as usize]);
            // A part that is being looked at counts as plain until it is not.
            plain[part] &= node.weak.is_empty() && next.all(|next| plain[next as usize]);
        }
        let leads_to = |node: u32| {
            let node = &graph.nodes[node as usize];
            node.strong.iter().chain(&node.weak)
        };
        rows.push(row_of(
            graph,
            nodes,
            &rows,
            &parts.of,
            part as u32,
            &parts.of,
            leads_to,
        ));
    }
    let plain = parts.of.iter().map(|&part| plain[part as usize]).collect();
    (rows, parts.of, plain)
}

fn strong_parts(graph: &Graph<'_>) -> Components {
    components(graph.nodes.len(), |node, at| {
        let next = graph.nodes[node].strong.get(at);
        next.map(|&next| (next as usize, at + 1))
    })
}

/// By node, the number of the row of what pacman would choose; a row that is
/// known already is not made again.
fn strong_reach(
    graph: &Graph<'_>,
    parts: &Components,
    rows: &mut Vec<Bits>,
    known: impl Fn(usize) -> Option<u32>,
) -> Vec<u32> {
    let mut number = vec![0; graph.nodes.len()];
    for (part, nodes) in parts.members().iter().enumerate() {
        // What leads nowhere else is so for all of a part.
        let row = nodes.first().and_then(|&node| known(node as usize));
        let row = row.unwrap_or_else(|| {
            let leads_to = |node: u32| graph.nodes[node as usize].strong.iter();
            let row = row_of(
                graph,
                nodes,
                rows,
                &number,
                part as u32,
                &parts.of,
                leads_to,
            );
            rows.push(row);
            rows.len() as u32 - 1
        });
        for &node in nodes {
            number[node as usize] = row;
        }
    }
    number
}

/// What a part of the graph brings along, when the rows of all that it leads to
/// are there.
fn row_of<'g, L: Iterator<Item = &'g u32>>(
    graph: &'g Graph<'_>,
    nodes: &[u32],
    rows: &[Bits],
    number: &[u32],
    part: u32,
    part_of: &[u32],
    leads_to: impl Fn(u32) -> L,
) -> Bits {
    // Most packages are installed by nobody, and no row of theirs is read.
    if !nodes.iter().any(|&node| graph.is_installed[node as usize]) {
        return Bits::default();
    }
    let mut row = Bits::new(graph.universe());
    for &node in nodes {
        insert_own(graph, node, &mut row);
        let others = leads_to(node).filter(|&&next| part_of[next as usize] != part);
        others.for_each(|&next| row.unite(&rows[number[next as usize] as usize]));
    }
    row
}

/// What installing a package contains by itself.
fn insert_own(graph: &Graph<'_>, node: u32, row: &mut Bits) {
    let node = &graph.nodes[node as usize];
    if let Some(member) = node.member {
        row.insert(member as usize);
    }
    for &extra in &node.extras {
        row.insert(graph.members() + extra as usize);
    }
}

/// Works out the needs of all members.
pub(super) fn all_needs(graph: &Graph<'_>, reach: &Reach) -> Vec<Needs> {
    (0..graph.members())
        .into_par_iter()
        .map_init(
            || Walk::new(graph, reach),
            |walk, member| walk.needs(member),
        )
        .collect()
}

/// Works out by which kinds some of the members install others.
pub(super) fn strong_needs(graph: &Graph<'_>, reach: &Reach, members: &[u32]) -> Vec<Strong> {
    members
        .par_iter()
        .map_init(
            || Walk::new(graph, reach),
            |walk, &member| walk.strong(member as usize),
        )
        .collect()
}

/// The build's own packages that it installs even when its check is skipped.
pub(super) fn own_without_check(graph: &Graph<'_>, member: usize) -> Vec<u32> {
    let roots = graph.all_roots(member);
    let roots = roots.filter(|root| root.kind != RelationKind::Checkdepends);
    let mut stack: Vec<u32> = roots
        .flat_map(|root| root.to.chosen.iter().chain(&root.to.others))
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
    /// When each node was last visited.
    visited: Vec<u32>,
    now: u32,
    stack: Vec<u32>,
    /// Members and, behind them, extras.
    row: Bits,
    /// The build's own packages that were met.
    own: Vec<u32>,
}

impl<'g, 'a> Walk<'g, 'a> {
    fn new(graph: &'g Graph<'a>, reach: &'g Reach) -> Self {
        Walk {
            graph,
            reach,
            visited: vec![0; graph.nodes.len()],
            now: 0,
            stack: Vec::new(),
            row: Bits::new(graph.universe()),
            own: Vec::new(),
        }
    }

    /// Everything, through every member that would do.
    fn needs(&mut self, member: usize) -> Needs {
        self.begin();
        let members = self.graph.members();
        let of_row = |row: &Bits| -> Vec<u32> {
            let extras = row.iter_from(members);
            extras.map(|number| (number - members) as u32).collect()
        };
        self.collect(member, true, |kind| kind != RelationKind::Checkdepends);
        let extras = of_row(&self.row);
        let (mut check, mut check_extras) = (Vec::new(), Vec::new());
        let mut roots = self.graph.all_roots(member);
        if roots.any(|root| root.kind == RelationKind::Checkdepends) {
            let before = self.row.clone();
            self.collect(member, true, |kind| kind == RelationKind::Checkdepends);
            let only = self.row.iter_without(&before);
            check = only.map(|number| number as u32).collect();
            let from = check.partition_point(|&number| (number as usize) < members);
            check_extras = check.split_off(from);
            check_extras
                .iter_mut()
                .for_each(|extra| *extra -= members as u32);
        }
        let mut own = std::mem::take(&mut self.own);
        own.sort_unstable();
        own.dedup();
        Needs {
            all: self.row.below(members),
            check,
            extras,
            check_extras,
            own,
        }
    }

    /// What pacman would choose, by kind.
    fn strong(&mut self, member: usize) -> Strong {
        self.begin();
        let members = self.graph.members();
        self.collect(member, false, |kind| kind == RelationKind::Depends);
        let depends = self.row.below(members);
        self.collect(member, false, |kind| kind == RelationKind::Makedepends);
        let mut makedepends = self.row.below(members);
        makedepends.subtract(&depends);
        Strong {
            depends,
            makedepends,
        }
    }

    fn begin(&mut self) {
        self.now += 1;
        self.row.clear();
        self.own.clear();
    }

    fn collect(&mut self, member: usize, full: bool, wanted: impl Fn(RelationKind) -> bool) {
        let graph = self.graph;
        for root in graph.all_roots(member).filter(|root| wanted(root.kind)) {
            if let Some(extra) = root.to.extra {
                self.row.insert(graph.members() + extra as usize);
            }
            let others = if full { &root.to.others[..] } else { &[] };
            for &node in root.to.chosen.iter().chain(others) {
                self.visit(member, node, full);
            }
        }
    }

    /// Adds a package and what it brings along, up to the build's own packages.
    fn visit(&mut self, member: usize, node: u32, full: bool) {
        self.stack.push(node);
        while let Some(number) = self.stack.pop() {
            let visited = &mut self.visited[number as usize];
            if *visited == self.now {
                continue;
            }
            *visited = self.now;
            let node = &self.graph.nodes[number as usize];
            if node.member == Some(member as u32) {
                self.own.push(number);
                continue;
            }
            let reach = self.reach.of(number, full);
            if !reach.contains(member) {
                self.row.unite(reach);
                continue;
            }
            insert_own(self.graph, number, &mut self.row);
            self.stack.extend(&node.strong);
            if full {
                self.stack.extend(&node.weak);
            }
        }
    }
}
