//! The replay: before each build, what is installed against what is there.

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::conflicts::conflict;
use super::flaw::Flaw;
use super::order::{Builds, Order};
use super::packages::{Installation, Installer, Mark, Packages, Target};
use super::row::Row;
use super::worlds::{Base, Worlds};
use crate::names::PkgBase;
use crate::plan::{PlanOptions, PlanWarning, PlannedBuild, UnbuildableReason};
use crate::relation::{Provision, Relation};
use crate::source::RelationKind;

/// All that is known about one build set.
pub(super) struct Replay<'r, 'w> {
    pub options: &'r PlanOptions,
    pub warnings: &'r [PlanWarning],
    pub worlds: &'r Worlds<'w>,
    pub builds: &'r Builds<'r>,
    pub order: &'r Order,
    pub packages: &'r Packages<'w>,
}

impl Replay<'_, '_> {
    /// Replays every build.
    pub fn run(&self, flaws: &mut Vec<Flaw>) {
        let reported = self.reported();
        let members = 0..self.builds.members();
        let found: Vec<Flaw> = members
            .into_par_iter()
            .map_init(
                || Installer::new(self.packages),
                |installer, member| {
                    let mut flaws = Vec::new();
                    let [without, with] = installer.installations(member);
                    self.check_passes(member, &mut flaws);
                    let first = &self.builds.set.builds[self.builds.at[member]];
                    let installs = if first.nocheck { &without } else { &with };
                    self.check_pass(member, member, installs, &reported, &mut flaws);
                    self.check_dropped(member, &without, &with, &mut flaws);
                    if let Some(second) = self.builds.second[member] {
                        let second = second as usize;
                        self.check_pass(second, member, &with, &reported, &mut flaws);
                    }
                    flaws
                },
            )
            .flatten_iter()
            .collect();
        flaws.extend(found);
    }

    fn build(&self, number: usize) -> &PlannedBuild {
        &self.builds.set.builds[self.builds.at[number]]
    }

    /// Which marks stand for something that the plan lists.
    fn reported(&self) -> Vec<bool> {
        let set = self.builds.set;
        let unresolved = set
            .unresolved
            .iter()
            .map(|u| (&u.pkgbase, u.relation.as_str()));
        let broken = set.broken.iter().map(|b| (&b.pkgbase, b.relation.as_str()));
        let listed: FxHashSet<(&PkgBase, &str)> = unresolved.chain(broken).collect();
        let one = |mark: &Mark<'_>| match mark {
            Mark::Unsatisfied { relation, owners } => {
                let text = relation.to_string();
                owners
                    .iter()
                    .all(|&owner| listed.contains(&(owner, text.as_str())))
            }
            _ => true,
        };
        self.packages.marks.iter().map(one).collect()
    }

    /// A second pass is there when, and only when, the first gives up something.
    fn check_passes(&self, member: usize, flaws: &mut Vec<Flaw>) {
        let first = self.build(member);
        let gives_up = first.nocheck || !self.order.dropped[member].is_empty();
        match self.builds.second[member] {
            Some(second) if !gives_up || self.options.passes < 2 => {
                let build = self.builds.key(second as usize);
                flaws.push(Flaw::ExtraPass { build });
            }
            None if gives_up && self.options.passes > 1 => {
                let pkgbase = first.pkgbase.clone();
                flaws.push(Flaw::MissingPass { pkgbase });
            }
            _ => {}
        }
    }

    /// One pass: what is installed comes before it, or is given up, or is said
    /// to be missing.
    fn check_pass(
        &self,
        number: usize,
        member: usize,
        installs: &Installation,
        reported: &[bool],
        flaws: &mut Vec<Flaw>,
    ) {
        let members = self.builds.members();
        let key = || self.builds.key(number);
        let mut given_up = Row::new(members);
        for &dropped in &self.order.dropped[number] {
            given_up.add(dropped as usize);
        }
        // Second passes stand behind their first ones, so these are enough.
        let waits = &self.order.waits[number];
        for stale in installs.row.beyond(members, [waits, &given_up]) {
            let member = self.builds.pkgbase(stale).clone();
            flaws.push(Flaw::Stale {
                build: key(),
                member,
            });
        }
        if number != member && !waits.has(member) {
            let member = self.builds.pkgbase(member).clone();
            flaws.push(Flaw::Stale {
                build: key(),
                member,
            });
        }
        for &before in &self.order.direct[number] {
            if !installs
                .row
                .has(self.builds.member[before as usize] as usize)
            {
                flaws.push(Flaw::EdgeWithoutReason {
                    before: self.builds.key(before as usize),
                    after: key(),
                });
            }
        }
        let build = self.build(number);
        self.check_install_list(build, member, flaws);
        let given_up = Some(&given_up).filter(|_| number == member);
        self.check_missing(build, member, installs, given_up, reported, flaws);
        let check = !build.nocheck;
        let conflict = conflict(self.packages, member, check, &installs.row);
        match (&build.unbuildable, conflict) {
            (None, Some([one, other])) => flaws.push(Flaw::Conflict {
                build: key(),
                one: one.clone(),
                other: other.clone(),
            }),
            (Some(why), None) if why.reason == UnbuildableReason::Conflict => {
                flaws.push(Flaw::NoConflict { build: key() });
            }
            _ => {}
        }
    }

    fn check_dropped(
        &self,
        member: usize,
        without: &Installation,
        with: &Installation,
        flaws: &mut Vec<Flaw>,
    ) {
        let build = self.build(member);
        let mut check_given_up = false;
        for &dropped in &self.order.dropped[member] {
            let later = dropped as usize;
            let only_check = !without.row.has(later) && with.row.has(later);
            check_given_up |= only_check;
            let key = build.key();
            let member_name = self.builds.pkgbase(later).clone();
            if !(without.row.has(later) || (only_check && build.nocheck)) {
                flaws.push(Flaw::DroppedWithoutNeed {
                    build: key,
                    member: member_name,
                });
            } else if !self.order.waits[later].has(member) {
                flaws.push(Flaw::DroppedWithoutCycle {
                    build: key,
                    member: member_name,
                });
            }
        }
        if build.nocheck && !check_given_up {
            let pkgbase = build.pkgbase.clone();
            flaws.push(Flaw::NocheckWithoutReason { pkgbase });
        }
        // A second pass gives up nothing.
        if let Some(second) = self.builds.second[member] {
            for &dropped in &self.order.dropped[second as usize] {
                flaws.push(Flaw::DroppedWithoutNeed {
                    build: self.builds.key(second as usize),
                    member: self.builds.pkgbase(dropped as usize).clone(),
                });
            }
        }
    }

    /// What is handed to pacman: all the build's own relations, each once,
    /// less what is assumed.
    fn check_install_list(&self, build: &PlannedBuild, member: usize, flaws: &mut Vec<Flaw>) {
        let mut texts = build.install.iter().map(String::as_str).peekable();
        let mut seen: Vec<&Relation> = Vec::new();
        let mut text = String::new();
        let mut wrong = |relation: &str| {
            flaws.push(Flaw::WrongInstall {
                build: build.key(),
                relation: relation.to_owned(),
            });
        };
        for target in &self.packages.targets[member] {
            let skipped = build.nocheck && target.kind == RelationKind::Checkdepends;
            if skipped || seen.contains(&target.relation) {
                continue;
            }
            seen.push(target.relation);
            text.clear();
            // Writing into a string cannot fail.
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{}", target.relation));
            if texts.peek() == Some(&text.as_str()) {
                texts.next();
            } else if !self.leaves_out(build, target) {
                wrong(&text);
            }
        }
        texts.for_each(wrong);
    }

    /// Whether a build declares that it goes without what a relation asks for.
    fn leaves_out(&self, build: &PlannedBuild, target: &Target<'_>) -> bool {
        let chosen = target.next.first();
        let chosen = chosen.map(|&node| self.packages.nodes[node as usize].pkg.name());
        assumes(build, target.relation)
            || chosen.is_some_and(|name| assumes_package(build, name.as_str()))
    }

    /// What nothing satisfies, and what nobody has released and comes later.
    fn check_missing(
        &self,
        build: &PlannedBuild,
        member: usize,
        installs: &Installation,
        given_up: Option<&Row>,
        reported: &[bool],
        flaws: &mut Vec<Flaw>,
    ) {
        if build.unbuildable.is_some() {
            return;
        }
        let mut missing = |what: String| {
            let build = build.key();
            flaws.push(Flaw::Missing { build, what });
        };
        let assuming = self.options.bootstrap || self.options.host_tools;
        let members = self.packages.members();
        for mark in installs.row.from(members).map(|number| number - members) {
            match &self.packages.marks[mark] {
                Mark::Quarrels => {}
                Mark::Unsatisfied { relation, .. } => {
                    let said = if assuming {
                        assumes(build, relation)
                    } else {
                        reported[mark] && self.may_lack(member, relation)
                    };
                    if !said {
                        missing(relation.to_string());
                    }
                }
                Mark::Unreleased(node) => {
                    let node = &self.packages.nodes[*node as usize];
                    let later = node.member.is_some_and(|later| {
                        given_up.is_some_and(|given_up| given_up.has(later as usize))
                    });
                    if later && !assumes_package(build, node.pkg.name().as_str()) {
                        missing(node.pkg.name().to_string());
                    }
                }
            }
        }
        // The first pass made what the second one needs of its own packages.
        for &own in installs.own.iter().filter(|_| build.pass == 1) {
            let name = self.packages.nodes[own as usize].pkg.name();
            let released = !matches!(self.worlds.base, Base::Nothing)
                && self.worlds.released_named(name.as_str()).is_some();
            if !released && !assumes_package(build, name.as_str()) {
                missing(name.to_string());
            }
        }
        for target in &self.packages.targets[member] {
            let Some(&chosen) = target.next.first() else {
                continue;
            };
            let node = &self.packages.nodes[chosen as usize];
            let given_up = given_up
                .zip(node.member)
                .is_some_and(|(g, m)| g.has(m as usize));
            let skipped = build.nocheck && target.kind == RelationKind::Checkdepends;
            if given_up && !skipped && !self.leaves_out(build, target) {
                let old = self.worlds.released_named(node.pkg.name().as_str());
                if old.is_some_and(|old| !old.does(target.relation, self.packages.on)) {
                    missing(target.relation.to_string());
                }
            }
        }
    }

    /// Whether a build may go on although nothing satisfies a relation that is
    /// listed: not when it is its own, unless it stands in every root.
    fn may_lack(&self, member: usize, relation: &Relation) -> bool {
        let mut targets = self.packages.targets[member].iter();
        match targets
            .find(|target| target.relation == relation)
            .map(|t| t.kind)
        {
            None => true,
            Some(RelationKind::Implicit) => {
                let text = relation.to_string();
                let mut general = self.warnings.iter().filter(|w| w.pkgbase.is_none());
                general.any(|warning| warning.message.contains(&text))
            }
            Some(_) => false,
        }
    }
}

fn assumed(build: &PlannedBuild) -> impl Iterator<Item = Provision> + '_ {
    build.assumed.iter().filter_map(|text| text.parse().ok())
}

fn assumes(build: &PlannedBuild, relation: &Relation) -> bool {
    assumed(build).any(|provision| relation.satisfied_by_provision(&provision))
}

fn assumes_package(build: &PlannedBuild, name: &str) -> bool {
    assumed(build).any(|provision| provision.name == name)
}
