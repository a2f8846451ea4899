//! The build/install graph: which package brings which along when it is
//! installed, and which packages each build installs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

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

/// A relation as it resolves where builds install, by the numbers of nodes.
pub(super) struct Resolved<'a> {
    pub relation: &'a Relation,
    /// The node that pacman would take.
    pub chosen: Option<u32>,
    /// Other nodes, of members, that would do as well.
    pub others: Vec<u32>,
    /// The packages that satisfy it, the chosen one first.
    pub candidates: Vec<Package<'a>>,
    /// The number of the [`Extra`] when nothing satisfies the relation.
    pub extra: Option<u32>,
    /// The chosen package is a member's, and its released form would not do.
    pub needs_new: bool,
}

/// A relation that a build begins its installation with.
#[derive(Clone, Copy)]
pub(super) struct Root<'g, 'a> {
    pub kind: RelationKind,
    /// The number of what it resolves to.
    pub number: u32,
    pub to: &'g Resolved<'a>,
}

/// A relation that more than one package satisfies, or none, for the plan's lists.
pub(super) struct Finding<'a> {
    /// The source that has it.
    pub pkgbase: &'a PkgBase,
    /// The package that has it; `None` for the pkgbase section.
    pub package: Option<Package<'a>>,
    pub kind: RelationKind,
    /// The number of what it resolves to.
    pub number: u32,
}

/// The graph of one architecture.
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// Relations, by the numbers that stand for them here.
    pub resolved: Vec<Resolved<'a>>,
    /// By number in the index, the numbers of relations here.
    known: Vec<Option<u32>>,
    /// What the members' builds begin with, one member after the other. Many
    /// begin with the same relations, so they only have its number.
    roots: Vec<(RelationKind, u32)>,
    /// Where each member's roots end, after a 0.
    ends: Vec<u32>,
    /// What every build begins with besides.
    implicit: Vec<(RelationKind, u32)>,
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
    /// The number of members.
    pub fn members(&self) -> usize {
        self.elsewhere.len()
    }

    /// The number of members and extras together: the numbers that stand for
    /// what an installation contains, members first.
    pub fn universe(&self) -> usize {
        self.members() + self.extras.len()
    }

    /// What a relation resolves to, by its number in the index, if anybody asks
    /// for it.
    pub fn resolved_of(&self, number: u32) -> Option<&Resolved<'a>> {
        let known = self.known.get(number as usize).copied().flatten()?;
        self.resolved.get(known as usize)
    }

    /// All relations that a member's build begins with.
    pub fn all_roots(&self, member: usize) -> impl Iterator<Item = Root<'_, 'a>> {
        let own = &self.roots[self.ends[member] as usize..self.ends[member + 1] as usize];
        let implicit = if self.elsewhere[member] {
            &[]
        } else {
            &self.implicit[..]
        };
        own.iter().chain(implicit).map(|&root| self.root(root))
    }

    /// What every build begins with, besides its own relations.
    pub fn implicit(&self) -> impl Iterator<Item = Root<'_, 'a>> {
        self.implicit.iter().map(|&root| self.root(root))
    }

    fn root(&self, (kind, number): (RelationKind, u32)) -> Root<'_, 'a> {
        let to = &self.resolved[number as usize];
        Root { kind, number, to }
    }
}

/// What satisfies a relation.
struct Answer<'a> {
    resolution: Resolution<'a>,
    /// The chosen package is a member's, and its released form would not do.
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
    /// By number in the index, the relations of members and their packages:
    /// thousands of packages have the same few.
    asked: Vec<Option<&'a Relation>>,
    /// By number in the index, what was answered ahead, and has no nodes yet.
    answers: Vec<Option<Answer<'a>>>,
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
            resolved: Vec::new(),
            known: Vec::new(),
            roots: Vec::new(),
            ends: Vec::with_capacity(members.len() + 1),
            implicit: Vec::new(),
            is_installed: Vec::new(),
            elsewhere: (0..members.len()).map(&elsewhere).collect(),
            extras: Vec::new(),
            findings: Vec::new(),
        },
        numbers: HashMap::default(),
        asked: vec![None; numbering.bound()],
        answers: Vec::new(),
        numbering,
        of_members,
        looked_at: 0,
    };
    for &(relation, number) in &implicit {
        maker.asked[number as usize] = Some(relation);
    }
    maker.ask(members);
    maker.answer_ahead();
    for (relation, number) in implicit {
        let number = maker.resolve(relation, number);
        let implicit = &mut maker.graph.implicit;
        implicit.push((RelationKind::Implicit, number));
    }
    for (number, member) in members.iter().enumerate() {
        maker.resolve_roots(number, &member.source.pkgbase);
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
    // Where any version will do, so will that of the name that is released.
    let any = |chosen: Package<'a>| {
        relation.constraint.is_none() && chosen.pkgname().as_str() == relation.name
    };
    let constrained = resolution.chosen.filter(|&chosen| !any(chosen));
    let needs_new = constrained.is_some_and(|chosen| {
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
    let resolved = graph.resolved.iter();
    for &node in resolved.flat_map(|to| to.chosen.iter().chain(&to.others)) {
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
        if member.is_some() && !self.released.has_form_of(package) {
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

    /// Notes all relations of members and of their packages, and which of them
    /// the members' builds begin with, by their numbers in the index for now.
    fn ask(&mut self, members: &[Member<'a>]) {
        let on = self.mixed.on();
        let graph = &mut self.graph;
        let count = self.of_members.iter().map(|own| own.build_count()).sum();
        graph.roots.reserve(count);
        graph.ends.push(0);
        for (member, own) in members.iter().zip(&self.of_members) {
            let build = own.build_relations(member.source, on);
            let here = !graph.elsewhere[graph.ends.len() - 1];
            for (kind, relation, number) in build {
                self.asked[number as usize].get_or_insert(relation);
                graph.roots.extend(here.then_some((kind, number)));
            }
            graph.ends.push(graph.roots.len() as u32);
            for (item, package) in member.source.packages.iter().enumerate() {
                if package.is_made_for(on) {
                    let depends = own.depends(member.source, item, on);
                    for (relation, number) in depends {
                        self.asked[number as usize].get_or_insert(relation);
                    }
                }
            }
        }
    }

    /// Answers all that is asked, each once. No answer depends on another, so
    /// that is done on all cores; nodes are made afterwards, in the order of
    /// the members.
    fn answer_ahead(&mut self) {
        let (mixed, released) = (self.mixed, self.released);
        let answers = self.asked.par_iter();
        let answers = answers.map(|relation| Some(answer(mixed, released, (*relation)?)));
        self.answers = answers.collect();
        self.graph.known = vec![None; self.answers.len()];
    }

    /// Gives the relations that a member's build begins with their numbers in
    /// the graph.
    fn resolve_roots(&mut self, member: usize, pkgbase: &'a PkgBase) {
        let ends = [self.graph.ends[member], self.graph.ends[member + 1]];
        for at in ends[0] as usize..ends[1] as usize {
            let (kind, number) = self.graph.roots[at];
            if let Some(relation) = self.asked[number as usize] {
                let number = self.resolve(relation, number);
                self.graph.roots[at].1 = number;
                self.note(pkgbase, None, kind, number);
            }
        }
    }

    /// The number in the graph of what a relation resolves to, given its number
    /// in the index.
    fn resolve(&mut self, relation: &'a Relation, number: u32) -> u32 {
        let at = number as usize;
        if let Some(Some(known)) = self.graph.known.get(at) {
            return *known;
        }
        let ahead = self.answers.get_mut(at).and_then(Option::take);
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
        self.graph.resolved.push(Resolved {
            relation,
            chosen,
            others,
            candidates: candidates.collect(),
            extra,
            needs_new: answer.needs_new,
        });
        let resolved = self.graph.resolved.len() as u32 - 1;
        let known = &mut self.graph.known;
        if known.len() <= at {
            known.resize(at + 1, None);
        }
        known[at] = Some(resolved);
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
                // Equal relations are read in one place, which stays in the cache.
                let asked = self.asked.get(number as usize).copied().flatten();
                let relation = asked.unwrap_or(relation);
                if package.satisfies(relation, on) {
                    continue;
                }
                let number = self.resolve(relation, number);
                let resolved = &self.graph.resolved[number as usize];
                strong.extend(resolved.chosen);
                weak.extend(&resolved.others);
                self.graph.nodes[self.looked_at]
                    .extras
                    .extend(resolved.extra);
                // Where there is a choice in released packages, it was made
                // long ago; but what is missing is missing for all.
                if member.is_some() || resolved.candidates.is_empty() {
                    let kind = RelationKind::Depends;
                    self.note(package.pkgbase(), Some(package), kind, number);
                }
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
        number: u32,
    ) {
        if self.graph.resolved[number as usize].candidates.len() != 1 {
            self.graph.findings.push(Finding {
                pkgbase,
                package,
                kind,
                number,
            });
        }
    }
}
