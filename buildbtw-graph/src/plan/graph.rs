//! The build/install graph: which package brings which along when it is
//! installed, and which packages each build installs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use rayon::prelude::*;
use rustc_hash::{FxBuildHasher, FxHashSet};

use super::mixed::{Member, Mixed};
use super::worlds::{Package, Released, Resolution, World, resolve};
use crate::names::PkgBase;
use crate::relation::Relation;
use crate::source::RelationKind;

/// A package that can be installed, with what it brings along.
pub(super) struct Node<'a> {
    pub package: Package<'a>,
    /// The number of the member that makes it.
    pub member: Option<u32>,
    /// The packages that satisfy its run-time dependencies.
    pub strong: Vec<u32>,
    /// Members' packages that would satisfy them as well.
    pub weak: Vec<u32>,
    /// The [`Extra`]s that it stands for by itself.
    pub extras: Vec<u32>,
}

/// Something besides members that an installation can contain.
#[derive(Debug)]
pub(super) enum Extra<'a> {
    /// A relation that nothing satisfies.
    Unresolved(&'a Relation),
    /// A member's package (a node) that has no released form.
    Unreleased(u32),
}

/// A relation that a build begins its installation with.
pub(super) struct Root<'a> {
    pub kind: RelationKind,
    pub relation: &'a Relation,
    /// The node that pacman would take.
    pub chosen: Option<u32>,
    /// Other nodes, of members, that would do as well.
    pub others: Vec<u32>,
    /// The number of the [`Extra`] when nothing satisfies the relation.
    pub extra: Option<u32>,
    /// The chosen package is a member's, and its released form would not do.
    pub needs_new: bool,
}

/// A relation as it resolved, for the plan's lists.
pub(super) struct Finding<'a> {
    /// The source that has it.
    pub pkgbase: &'a PkgBase,
    /// The package that has it; `None` for the pkgbase section.
    pub package: Option<Package<'a>>,
    pub kind: RelationKind,
    pub relation: &'a Relation,
    /// The packages that satisfy it, the chosen one first; more than one, or
    /// none.
    pub candidates: Vec<Package<'a>>,
}

/// The graph of one architecture.
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// What each member's build begins with.
    pub roots: Vec<Vec<Root<'a>>>,
    /// What every build begins with besides.
    pub implicit: Vec<Root<'a>>,
    /// The nodes that a build begins with, or that another node brings along.
    pub is_installed: Vec<bool>,
    /// The members that another architecture builds: nothing is installed
    /// for them here.
    pub elsewhere: Vec<bool>,
    pub extras: Vec<Extra<'a>>,
    /// Relations that nothing satisfies, and members' relations that more than
    /// one package satisfies.
    pub findings: Vec<Finding<'a>>,
}

impl<'a> Graph<'a> {
    /// The number of members and extras together: the numbers that stand for
    /// what an installation contains, members first.
    pub fn universe(&self) -> usize {
        self.roots.len() + self.extras.len()
    }

    /// All relations that a member's build begins with.
    pub fn all_roots(&self, member: usize) -> impl Iterator<Item = &Root<'a>> {
        let implicit = if self.elsewhere[member] {
            &[]
        } else {
            &self.implicit[..]
        };
        self.roots[member].iter().chain(implicit)
    }
}

/// What satisfies a relation.
struct Answer<'a> {
    resolution: Resolution<'a>,
    /// The chosen package is a member's, and its released form would not do.
    needs_new: bool,
}

/// What satisfies a relation, by the numbers of nodes.
struct Resolved<'a> {
    chosen: Option<u32>,
    /// Other nodes that are members'.
    others: Vec<u32>,
    /// All packages that satisfy it, the chosen one first.
    candidates: Vec<Package<'a>>,
    /// The number of the [`Extra`] when nothing does.
    extra: Option<u32>,
    needs_new: bool,
}

struct Maker<'a, 'w> {
    mixed: &'w Mixed<'a>,
    released: Released<'a>,
    graph: Graph<'a>,
    numbers: HashMap<usize, u32, FxBuildHasher>,
    /// What was answered ahead, and has no numbers yet.
    answers: HashMap<&'a Relation, Answer<'a>, FxBuildHasher>,
    /// Thousands of packages have the same few relations.
    resolved: HashMap<&'a Relation, Rc<Resolved<'a>>, FxBuildHasher>,
    /// Nodes whose dependencies were looked at already.
    looked_at: usize,
}

/// Makes the graph. `elsewhere` says which members another architecture builds.
pub(super) fn make_graph<'a>(
    mixed: &Mixed<'a>,
    released: Released<'a>,
    members: &[Member<'a>],
    implicit: &'a [Relation],
    elsewhere: impl Fn(usize) -> bool,
) -> Graph<'a> {
    let on = mixed.on();
    let mut maker = Maker {
        mixed,
        released,
        graph: Graph {
            nodes: Vec::new(),
            roots: Vec::with_capacity(members.len()),
            implicit: Vec::new(),
            is_installed: Vec::new(),
            elsewhere: (0..members.len()).map(&elsewhere).collect(),
            extras: Vec::new(),
            findings: Vec::new(),
        },
        numbers: HashMap::default(),
        answers: answers(mixed, released, members, implicit),
        resolved: HashMap::default(),
        looked_at: 0,
    };
    for relation in implicit {
        let (root, _) = maker.root(RelationKind::Implicit, relation);
        maker.graph.implicit.push(root);
    }
    for (number, member) in members.iter().enumerate() {
        let mut roots = Vec::new();
        if !elsewhere(number) {
            for (kind, relation) in member.source.build_relations(on) {
                let (root, resolved) = maker.root(kind, relation);
                roots.push(root);
                let pkgbase = &member.source.pkgbase;
                maker.note(pkgbase, None, kind, relation, &resolved);
            }
        }
        maker.graph.roots.push(roots);
        for package in member.source.pkgnames(on) {
            maker.node(Package::Source(member.source, package, member.version));
        }
    }
    maker.follow();
    maker.graph.is_installed = installed(&maker.graph);
    maker.graph
}

/// Answers all relations of members and of their packages, each once. No answer depends on another,
/// so that is done on all cores; numbers are given afterwards, in the order of the members.
fn answers<'a>(
    mixed: &Mixed<'a>,
    released: Released<'a>,
    members: &[Member<'a>],
    implicit: &'a [Relation],
) -> HashMap<&'a Relation, Answer<'a>, FxBuildHasher> {
    let on = mixed.on();
    let mut asked: FxHashSet<&'a Relation> = implicit.iter().collect();
    for member in members {
        asked.extend(member.source.build_relations(on).map(|(_, it)| it));
        let packages = member.source.pkgnames(on);
        let packages = packages.map(|it| Package::Source(member.source, it, member.version));
        asked.extend(packages.flat_map(|package| package.depends(on)));
    }
    let asked: Vec<&'a Relation> = asked.into_iter().collect();
    let answered = asked.into_par_iter();
    answered
        .map(|relation| (relation, answer(mixed, released, relation)))
        .collect()
}

fn answer<'a>(mixed: &Mixed<'a>, released: Released<'a>, relation: &Relation) -> Answer<'a> {
    let resolution = resolve(mixed, relation);
    let needs_new = resolution.chosen.is_some_and(|chosen| {
        let is_member = mixed.member_of(chosen).is_some();
        let before = || released.package(chosen.pkgname());
        is_member && before().is_some_and(|it| !it.satisfies(relation, mixed.on()))
    });
    Answer {
        resolution,
        needs_new,
    }
}

fn installed(graph: &Graph<'_>) -> Vec<bool> {
    let mut installed = vec![false; graph.nodes.len()];
    let roots = graph.roots.iter().flatten().chain(&graph.implicit);
    let first = roots.flat_map(|root| root.chosen.iter().chain(&root.others));
    let brought = graph.nodes.iter();
    let brought = brought.flat_map(|node| node.strong.iter().chain(&node.weak));
    for &node in first.chain(brought) {
        installed[node as usize] = true;
    }
    installed
}

impl<'a> Maker<'a, '_> {
    fn node(&mut self, package: Package<'a>) -> u32 {
        let number = match self.numbers.entry(package.address()) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(free) => *free.insert(self.graph.nodes.len() as u32),
        };
        let member = self.mixed.member_of(package);
        let mut extras = Vec::new();
        if member.is_some() && self.released.package(package.pkgname()).is_none() {
            extras.push(self.graph.extras.len() as u32);
            self.graph.extras.push(Extra::Unreleased(number));
        }
        self.graph.nodes.push(Node {
            package,
            member,
            strong: Vec::new(),
            weak: Vec::new(),
            extras,
        });
        number
    }

    fn root(&mut self, kind: RelationKind, relation: &'a Relation) -> (Root<'a>, Rc<Resolved<'a>>) {
        let resolved = self.resolve(relation);
        let root = Root {
            kind,
            relation,
            chosen: resolved.chosen,
            others: resolved.others.clone(),
            extra: resolved.extra,
            needs_new: resolved.needs_new,
        };
        (root, resolved)
    }

    fn resolve(&mut self, relation: &'a Relation) -> Rc<Resolved<'a>> {
        if let Some(known) = self.resolved.get(relation) {
            return Rc::clone(known);
        }
        let ahead = self.answers.remove(relation);
        let answer = ahead.unwrap_or_else(|| answer(self.mixed, self.released, relation));
        let resolution = answer.resolution;
        let chosen = resolution.chosen.map(|package| self.node(package));
        let mut others = Vec::new();
        for &package in &resolution.others {
            if self.mixed.member_of(package).is_some() {
                others.push(self.node(package));
            }
        }
        let extra = chosen.is_none().then(|| {
            self.graph.extras.push(Extra::Unresolved(relation));
            self.graph.extras.len() as u32 - 1
        });
        let candidates = resolution.chosen.into_iter().chain(resolution.others);
        let resolved = Rc::new(Resolved {
            chosen,
            others,
            candidates: candidates.collect(),
            extra,
            needs_new: answer.needs_new,
        });
        self.resolved.insert(relation, Rc::clone(&resolved));
        resolved
    }

    /// Resolves the dependencies of all nodes, also of those found on the way.
    fn follow(&mut self) {
        let on = self.mixed.on();
        while let Some(node) = self.graph.nodes.get(self.looked_at) {
            let (package, member) = (node.package, node.member);
            for relation in package.depends(on) {
                if package.satisfies(relation, on) {
                    continue;
                }
                let resolved = self.resolve(relation);
                // Where there is a choice in released packages, it was made
                // long ago; but what is missing is missing for all.
                if member.is_some() || resolved.candidates.is_empty() {
                    let kind = RelationKind::Depends;
                    self.note(package.pkgbase(), Some(package), kind, relation, &resolved);
                }
                let node = &mut self.graph.nodes[self.looked_at];
                node.strong.extend(resolved.chosen);
                node.weak.extend(&resolved.others);
                node.extras.extend(resolved.extra);
            }
            let node = &mut self.graph.nodes[self.looked_at];
            for list in [&mut node.strong, &mut node.weak, &mut node.extras] {
                list.sort_unstable();
                list.dedup();
            }
            self.looked_at += 1;
        }
    }

    fn note(
        &mut self,
        pkgbase: &'a PkgBase,
        package: Option<Package<'a>>,
        kind: RelationKind,
        relation: &'a Relation,
        resolved: &Resolved<'a>,
    ) {
        if resolved.candidates.len() != 1 {
            self.graph.findings.push(Finding {
                pkgbase,
                package,
                kind,
                relation,
                candidates: resolved.candidates.clone(),
            });
        }
    }
}
