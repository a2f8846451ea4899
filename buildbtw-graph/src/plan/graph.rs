//! The build/install graph: which package brings which along when it is
//! installed, and which packages each build installs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use rayon::prelude::*;
use rustc_hash::FxBuildHasher;

use super::mixed::{Member, Mixed};
use super::worlds::{Package, Released, Resolution, World, resolve};
use crate::index::{Numbered, Numbering};
use crate::names::PkgBase;
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage, SplitPackage};

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
    numbering: Numbering<'a>,
    /// By member, the numbers of its source's relations.
    of_members: Vec<Cow<'a, Numbered>>,
    /// By number, what was answered ahead, and has no nodes yet.
    answers: Vec<Option<Answer<'a>>>,
    /// By number, what has: thousands of packages have the same few relations.
    resolved: Vec<Option<Rc<Resolved<'a>>>>,
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
    let mut numbering = Numbering::new(mixed.index());
    let of_members: Vec<_> = members.iter().map(|it| numbering.of(it.source)).collect();
    let implicit: Vec<(&Relation, u32)> = implicit
        .iter()
        .map(|relation| (relation, numbering.number(relation)))
        .collect();
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
        answers: Vec::new(),
        resolved: Vec::new(),
        numbering,
        of_members,
        looked_at: 0,
    };
    maker.answer_ahead(members, &implicit);
    for (relation, number) in implicit {
        let (root, _) = maker.root(RelationKind::Implicit, relation, number);
        maker.graph.implicit.push(root);
    }
    for (number, member) in members.iter().enumerate() {
        let mut roots = Vec::new();
        if !elsewhere(number) {
            let own = maker.of_members[number].clone();
            roots.reserve(own.build_count());
            for (kind, relation, number) in own.build_relations(member.source, on) {
                let (root, resolved) = maker.root(kind, relation, number);
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
        if member.is_some() && !self.released.has(package.pkgname()) {
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

    /// Answers all relations of members and of their packages, each once. No
    /// answer depends on another, so that is done on all cores; nodes are made
    /// afterwards, in the order of the members.
    fn answer_ahead(&mut self, members: &[Member<'a>], implicit: &[(&'a Relation, u32)]) {
        let on = self.mixed.on();
        let mut asked: Vec<Option<&'a Relation>> = vec![None; self.numbering.bound()];
        let mut ask = |relation: &'a Relation, number: u32| {
            asked[number as usize].get_or_insert(relation);
        };
        implicit
            .iter()
            .for_each(|&(relation, number)| ask(relation, number));
        for (member, own) in members.iter().zip(&self.of_members) {
            let build = own.build_relations(member.source, on);
            build.for_each(|(_, relation, number)| ask(relation, number));
            for (item, package) in member.source.packages.iter().enumerate() {
                if package.is_made_for(on) {
                    let depends = own.depends(member.source, item, on);
                    depends.for_each(|(relation, number)| ask(relation, number));
                }
            }
        }
        let (mixed, released) = (self.mixed, self.released);
        let answers = asked.into_par_iter();
        let answers = answers.map(|relation| Some(answer(mixed, released, relation?)));
        self.answers = answers.collect();
        self.resolved = vec![None; self.answers.len()];
    }

    fn root(
        &mut self,
        kind: RelationKind,
        relation: &'a Relation,
        number: u32,
    ) -> (Root<'a>, Rc<Resolved<'a>>) {
        let resolved = self.resolve(relation, number);
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

    fn resolve(&mut self, relation: &'a Relation, number: u32) -> Rc<Resolved<'a>> {
        let number = number as usize;
        if let Some(Some(known)) = self.resolved.get(number) {
            return Rc::clone(known);
        }
        let ahead = self.answers.get_mut(number).and_then(Option::take);
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
        if self.resolved.len() <= number {
            self.resolved.resize(number + 1, None);
        }
        self.resolved[number] = Some(Rc::clone(&resolved));
        resolved
    }

    /// The run-time dependencies of a node's package, with their numbers.
    fn depends(
        &mut self,
        package: Package<'a>,
        member: Option<u32>,
        found: &mut Vec<(&'a Relation, u32)>,
    ) {
        let on = self.mixed.on();
        let item = |source: &SourcePackage, package: &SplitPackage| {
            let mut packages = source.packages.iter();
            packages.position(|it| std::ptr::eq(it, package))
        };
        match (package, member) {
            (Package::Source(source, package, _), Some(member)) => {
                let own = &self.of_members[member as usize];
                let item = item(source, package).into_iter();
                found.extend(item.flat_map(|item| own.depends(source, item, on)));
            }
            (Package::Source(source, package, _), None) => {
                let own = self.numbering.of(source);
                let item = item(source, package).into_iter();
                found.extend(item.flat_map(|item| own.depends(source, item, on)));
            }
            (Package::Released(package), _) => {
                let depends = package.depends.iter();
                found.extend(depends.map(|it| (it, self.numbering.number(it))));
            }
        }
    }

    /// Resolves the dependencies of all nodes, also of those found on the way.
    fn follow(&mut self) {
        let on = self.mixed.on();
        let mut depends = Vec::new();
        let (mut strong, mut weak) = (Vec::new(), Vec::new());
        while let Some(node) = self.graph.nodes.get(self.looked_at) {
            let (package, member) = (node.package, node.member);
            self.depends(package, member, &mut depends);
            strong.clear();
            weak.clear();
            for (relation, number) in depends.drain(..) {
                if package.satisfies(relation, on) {
                    continue;
                }
                let resolved = self.resolve(relation, number);
                // Where there is a choice in released packages, it was made
                // long ago; but what is missing is missing for all.
                if member.is_some() || resolved.candidates.is_empty() {
                    let kind = RelationKind::Depends;
                    self.note(package.pkgbase(), Some(package), kind, relation, &resolved);
                }
                strong.extend(resolved.chosen);
                weak.extend(&resolved.others);
                let node = &mut self.graph.nodes[self.looked_at];
                node.extras.extend(resolved.extra);
            }
            let node = &mut self.graph.nodes[self.looked_at];
            for list in [&mut strong, &mut weak, &mut node.extras] {
                list.sort_unstable();
                list.dedup();
            }
            (node.strong, node.weak) = (strong.clone(), weak.clone());
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
