//! The packages that the builds of a set install, and what each brings along.

use std::borrow::Cow;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::parts::parts;
use super::root::{Member, Root};
use super::row::Row;
use super::worlds::{Pkg, Worlds, satisfiers};
use crate::index::{Numbered, Numbering, SourceIndex};
use crate::names::{Architecture, PkgBase};
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage, SplitPackage};

/// A package that can be installed.
pub(super) struct Node<'w> {
    pub pkg: Pkg<'w>,
    /// The member that makes it new.
    pub member: Option<u32>,
    /// What its needs lead to, every member that would do included.
    pub next: Vec<u32>,
    /// What pacman would choose for them.
    pub chosen: Vec<u32>,
    /// What makes an installation with it special.
    pub marks: Vec<u32>,
}

/// Something special about an installation, besides the members in it.
pub(super) enum Mark<'w> {
    /// Nothing satisfies a relation.
    Unsatisfied {
        relation: &'w Relation,
        /// The sources of the packages that have it.
        owners: Vec<&'w PkgBase>,
    },
    /// A package is in it that nobody has released.
    Unreleased(u32),
}

/// What a relation leads to.
pub(super) struct Lead<'w> {
    pub relation: &'w Relation,
    /// All that counts as installed for it; pacman's choice comes first.
    pub next: Vec<u32>,
    /// The mark that stands for it when nothing satisfies it.
    pub mark: Option<u32>,
}

/// A relation that a build installs.
#[derive(Clone, Copy)]
pub(super) struct Target<'p, 'w> {
    pub kind: RelationKind,
    /// The same for equal relations.
    pub number: u32,
    pub lead: &'p Lead<'w>,
}

/// All that the builds of a set install.
pub(super) struct Packages<'w> {
    pub on: &'w Architecture,
    pub index: &'w SourceIndex,
    pub nodes: Vec<Node<'w>>,
    pub marks: Vec<Mark<'w>>,
    leads: Vec<Lead<'w>>,
    /// By number in the index, the number of each relation's lead.
    led: Vec<Option<u32>>,
    /// What the members' builds install by name, one after the other: the
    /// numbers of leads, which are far fewer.
    targets: Vec<(RelationKind, u32)>,
    /// Where the targets of each member end, after a 0.
    ends: Vec<u32>,
    part: Vec<u32>,
    /// What each part brings along: members and, behind them, marks.
    brings: Vec<Row>,
}

/// The number of a package in its source.
pub(super) fn place_of(source: &SourcePackage, split: &SplitPackage) -> usize {
    let (from, to) = (source.packages.as_ptr(), std::ptr::from_ref(split));
    (to as usize - from as usize) / size_of::<SplitPackage>()
}

struct Gatherer<'g, 'v, 'w> {
    worlds: &'g Worlds<'w>,
    root: &'g Root<'v, 'w>,
    nodes: Vec<Node<'w>>,
    marks: Vec<Mark<'w>>,
    numbers: FxHashMap<usize, u32>,
    numbering: Numbering<'w>,
    /// By member, the numbers of its source's relations.
    of_members: Vec<Cow<'w, Numbered>>,
    leads: Vec<Lead<'w>>,
    /// By number in the index, the number of each relation's lead.
    led: Vec<Option<u32>>,
}

impl<'w> Gatherer<'_, '_, 'w> {
    fn number(&mut self, pkg: Pkg<'w>) -> u32 {
        let free = self.nodes.len() as u32;
        let number = *self.numbers.entry(pkg.key()).or_insert(free);
        if number == free {
            let member = self.root.maker(pkg);
            let mut marks = Vec::new();
            if member.is_some() && !self.worlds.has_released(pkg) {
                marks.push(self.marks.len() as u32);
                self.marks.push(Mark::Unreleased(number));
            }
            self.nodes.push(Node {
                pkg,
                member,
                next: Vec::new(),
                chosen: Vec::new(),
                marks,
            });
        }
        number
    }

    /// The number of the lead of a relation, given its number in the index:
    /// pacman's choice, and members that would do as well.
    fn lead(&mut self, relation: &'w Relation, number: u32) -> u32 {
        let at = number as usize;
        if let Some(Some(known)) = self.led.get(at) {
            return *known;
        }
        let mut next = Vec::new();
        for pkg in satisfiers(self.root, relation, self.worlds.on) {
            if next.is_empty() || self.root.maker(pkg).is_some() {
                next.push(self.number(pkg));
            }
        }
        let mark = next.is_empty().then(|| {
            let owners = Vec::new();
            self.marks.push(Mark::Unsatisfied { relation, owners });
            self.marks.len() as u32 - 1
        });
        self.leads.push(Lead {
            relation,
            next,
            mark,
        });
        let lead = self.leads.len() as u32 - 1;
        if self.led.len() <= at {
            self.led.resize(at + 1, None);
        }
        self.led[at] = Some(lead);
        lead
    }

    /// What a package needs to run, with the numbers of the relations.
    fn needs(&mut self, pkg: Pkg<'w>, member: Option<u32>) -> Vec<(&'w Relation, u32)> {
        match pkg {
            Pkg::Made { source, split, .. } => {
                let item = place_of(source, split);
                let of_branch = || self.numbering.of(source);
                let own = member.map(|member| &self.of_members[member as usize]);
                let own = own.map_or_else(of_branch, |own| Cow::Borrowed(&**own));
                own.depends(source, item, self.worlds.on).collect()
            }
            Pkg::Stored(package) => {
                let depends = package.depends.iter();
                depends.map(|it| (it, self.numbering.number(it))).collect()
            }
        }
    }

    fn follow_all(&mut self) {
        let mut at = 0;
        while at < self.nodes.len() {
            let (pkg, member) = (self.nodes[at].pkg, self.nodes[at].member);
            let (mut next, mut chosen) = (Vec::new(), Vec::new());
            for (relation, number) in self.needs(pkg, member) {
                // Of equal relations one is read, which stays in the cache.
                let known = self.led.get(number as usize).copied().flatten();
                let known = known.map(|lead| self.leads[lead as usize].relation);
                let relation = known.unwrap_or(relation);
                // What a package provides itself needs nobody else.
                if pkg.does(relation, self.worlds.on) {
                    continue;
                }
                let lead = self.lead(relation, number);
                let lead = &self.leads[lead as usize];
                chosen.extend(lead.next.first());
                next.extend(&lead.next);
                self.nodes[at].marks.extend(lead.mark);
                let mark = lead.mark.map(|mark| &mut self.marks[mark as usize]);
                if let Some(Mark::Unsatisfied { owners, .. }) = mark {
                    owners.push(pkg.base());
                }
            }
            for list in [&mut next, &mut chosen] {
                list.sort_unstable();
                list.dedup();
            }
            self.nodes[at].next = next;
            self.nodes[at].chosen = chosen;
            at += 1;
        }
    }
}

impl<'w> Packages<'w> {
    /// Gathers what the members' builds install. A build that another
    /// architecture does installs nothing here.
    pub fn gather(
        worlds: &Worlds<'w>,
        root: &Root<'_, 'w>,
        members: &'w [Member<'w>],
        implicit: &'w [Relation],
        elsewhere: &[bool],
    ) -> Packages<'w> {
        let mut numbering = Numbering::new(worlds.sources);
        let of_members = members.iter().map(|it| numbering.of(&it.source)).collect();
        let mut gatherer = Gatherer {
            worlds,
            root,
            nodes: Vec::new(),
            marks: Vec::new(),
            numbers: FxHashMap::default(),
            numbering,
            of_members,
            leads: Vec::new(),
            led: Vec::new(),
        };
        let everywhere: Vec<(RelationKind, &Relation, u32)> = implicit
            .iter()
            .map(|it| (RelationKind::Implicit, it, gatherer.numbering.number(it)))
            .collect();
        let mut targets = Vec::new();
        let mut ends = vec![0];
        for (number, (member, &elsewhere)) in members.iter().zip(elsewhere).enumerate() {
            if !elsewhere {
                let numbered = gatherer.of_members[number].clone();
                let named = numbered.build_relations(&member.source, worlds.on);
                let all = named.chain(everywhere.iter().copied());
                targets.extend(all.map(|(kind, it, number)| (kind, gatherer.lead(it, number))));
            }
            ends.push(targets.len() as u32);
        }
        gatherer.follow_all();
        let mut packages = Packages {
            on: worlds.on,
            index: worlds.sources,
            nodes: gatherer.nodes,
            marks: gatherer.marks,
            leads: gatherer.leads,
            led: gatherer.led,
            targets,
            ends,
            part: Vec::new(),
            brings: Vec::new(),
        };
        packages.work_out_parts();
        packages
    }

    /// What pacman would choose for those of a build's targets that are handed to it, in order.
    pub fn chosen_targets(
        &self,
        member: usize,
        is_handed: impl Fn(&Target<'_, '_>) -> bool,
    ) -> Vec<u32> {
        let targets = self.targets(member).filter(is_handed);
        let chosen = targets.filter_map(|target| target.lead.next.first());
        chosen.copied().collect()
    }

    /// What a relation leads to, by its number in the index, if anybody needs it.
    pub fn lead_of(&self, number: u32) -> Option<&Lead<'w>> {
        let lead = self.led.get(number as usize).copied().flatten()?;
        self.leads.get(lead as usize)
    }

    /// What a member's build installs by name.
    pub fn targets(&self, member: usize) -> impl Iterator<Item = Target<'_, 'w>> {
        let own = self.ends[member] as usize..self.ends[member + 1] as usize;
        let own = self.targets[own].iter();
        own.map(|&(kind, number)| {
            let lead = &self.leads[number as usize];
            Target { kind, number, lead }
        })
    }

    /// What the members' builds install.
    pub fn installations(&self) -> Vec<Both> {
        let members = (0..self.members()).into_par_iter();
        let installations = members.map_init(
            || Installer::new(self),
            |installer, member| installer.installations(member),
        );
        installations.collect()
    }

    /// The number of members; what is above stands for marks.
    pub fn members(&self) -> usize {
        self.ends.len() - 1
    }

    fn universe(&self) -> usize {
        self.members() + self.marks.len()
    }

    fn add_itself(&self, node: u32, row: &mut Row) {
        let node = &self.nodes[node as usize];
        node.member
            .iter()
            .for_each(|&member| row.add(member as usize));
        let marks = node.marks.iter();
        marks.for_each(|&mark| row.add(self.members() + mark as usize));
    }

    /// Which nodes are in anybody's installation.
    pub fn installed(&self) -> Vec<bool> {
        let mut installed = vec![false; self.nodes.len()];
        for &node in self.leads.iter().flat_map(|lead| &lead.next) {
            installed[node as usize] = true;
        }
        installed
    }

    fn work_out_parts(&mut self) {
        let parts = parts(self.nodes.len(), |node| &self.nodes[node].next);
        let mut brings: Vec<Row> = Vec::with_capacity(parts.ends.len());
        let mut start = 0;
        let mut taken: Vec<u32> = vec![u32::MAX; parts.ends.len()];
        let installed = self.installed();
        for (number, &end) in parts.ends.iter().enumerate() {
            let nodes = &parts.nodes[start..end as usize];
            start = end as usize;
            // Nobody asks what is brought along by what nobody installs.
            if !nodes.iter().any(|&node| installed[node as usize]) {
                brings.push(Row::default());
                continue;
            }
            let mut row = Row::new(self.universe());
            for &node in nodes {
                self.add_itself(node, &mut row);
                for &next in &self.nodes[node as usize].next {
                    let next = parts.of[next as usize] as usize;
                    if next != number && taken[next] != number as u32 {
                        taken[next] = number as u32;
                        row.absorb(&brings[next]);
                    }
                }
            }
            brings.push(row);
        }
        self.part = parts.of;
        self.brings = brings;
    }
}

/// What one build installs.
#[derive(Clone)]
pub(super) struct Installation {
    /// Members and marks.
    pub row: Row,
    /// The build's own packages (nodes); their needs are not followed.
    pub own: Vec<u32>,
}

/// What one build installs without its check, and with it.
pub(super) struct Both {
    with: Installation,
    /// Where it is something else.
    without: Option<Installation>,
}

impl Both {
    pub fn with(&self) -> &Installation {
        &self.with
    }

    pub fn without(&self) -> &Installation {
        self.without.as_ref().unwrap_or(&self.with)
    }
}

/// Works out installations, one after the other.
struct Installer<'p, 'w> {
    packages: &'p Packages<'w>,
    seen: Vec<u32>,
    now: u32,
    open: Vec<u32>,
}

impl<'p, 'w> Installer<'p, 'w> {
    fn new(packages: &'p Packages<'w>) -> Self {
        Installer {
            packages,
            seen: vec![0; packages.nodes.len()],
            now: 0,
            open: Vec::new(),
        }
    }

    /// What a member's build installs, without its check, and with it.
    fn installations(&mut self, member: usize) -> Both {
        self.now += 1;
        let mut installation = Installation {
            row: Row::new(self.packages.universe()),
            own: Vec::new(),
        };
        self.install(member, &mut installation, false);
        let mut targets = self.packages.targets(member);
        let has_check = targets.any(|target| target.kind == RelationKind::Checkdepends);
        let without = has_check.then(|| installation.clone());
        if has_check {
            self.install(member, &mut installation, true);
        }
        Both {
            with: installation,
            without,
        }
    }

    fn install(&mut self, member: usize, into: &mut Installation, check: bool) {
        let packages = self.packages;
        for target in packages.targets(member) {
            if (target.kind == RelationKind::Checkdepends) == check {
                let marks = target.lead.mark.iter();
                marks.for_each(|&mark| into.row.add(packages.members() + mark as usize));
                self.open.extend(&target.lead.next);
            }
        }
        while let Some(number) = self.open.pop() {
            if std::mem::replace(&mut self.seen[number as usize], self.now) == self.now {
                continue;
            }
            let node = &packages.nodes[number as usize];
            if node.member == Some(member as u32) {
                into.own.push(number);
                continue;
            }
            let brings = &packages.brings[packages.part[number as usize] as usize];
            if brings.has(member) {
                // Somewhere behind it the build itself stands in the way.
                packages.add_itself(number, &mut into.row);
                self.open.extend(&node.next);
            } else {
                into.row.absorb(brings);
            }
        }
    }
}
