//! The replay: before each build, what is installed against what is there.

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::conflicts::{Conflicts, Refused};
use super::flaw::Flaw;
use super::order::{Builds, Order};
use super::packages::{Both, Installation, Mark, Packages};
use super::parts::parts;
use super::row::Row;
use super::worlds::Worlds;
use crate::names::PkgBase;
use crate::plan::{PlanOptions, PlanWarning, PlannedBuild, UnbuildableReason};

/// All that is known about one build set.
pub(super) struct Replay<'r, 'w> {
    pub options: &'r PlanOptions,
    pub warnings: &'r [PlanWarning],
    pub worlds: &'r Worlds<'w>,
    pub builds: &'r Builds<'r>,
    pub order: &'r Order,
    /// The members that are built twice, with the number of their second pass.
    pub twice: Vec<(usize, usize)>,
    pub packages: &'r Packages<'w>,
    /// By member.
    pub installs: &'r [Both],
    /// By member, what pacman refuses when nothing is given up.
    pub refused: &'r [Option<Refused<'w>>],
    pub conflicts: &'r Conflicts<'r, 'w>,
}

impl Replay<'_, '_> {
    /// Replays every build.
    pub fn run(&self, flaws: &mut Vec<Flaw>) {
        let reported = self.reported();
        let cycles = self.cycles();
        let check = |member: usize| {
            let mut flaws = Vec::new();
            let both = &self.installs[member];
            let (without, with) = (both.without(), both.with());
            self.check_passes(member, &mut flaws);
            let first = &self.builds.set.builds[self.builds.at[member]];
            let installs = if first.nocheck { without } else { with };
            self.check_pass(member, member, installs, &reported, &mut flaws);
            self.check_edges(member, member, installs, &mut flaws);
            self.check_dropped(member, without, with, &mut flaws);
            self.check_which_pass(member, installs, with, &cycles, &mut flaws);
            if let Some(second) = self.builds.second[member] {
                let second = second as usize;
                self.check_pass(second, member, with, &reported, &mut flaws);
                self.check_edges(second, member, with, &mut flaws);
            }
            flaws
        };
        let members = (0..self.builds.members()).into_par_iter();
        let found: Vec<Flaw> = members.flat_map_iter(check).collect();
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
        let dropped = &self.order.dropped[number];
        let gives_up = !dropped.is_empty();
        let mut given_up = Row::new(if gives_up { members } else { 0 });
        for &dropped in dropped {
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
        let build = self.build(number);
        self.check_install_list(build, member, flaws);
        let given_up = Some(&given_up).filter(|_| number == member && gives_up);
        self.check_missing(build, member, installs, given_up, reported, flaws);
        let conflict = self.conflicts.conflict(member, build, self.refused);
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

    /// Every edge has a reason: the build installs what it waits for, or is a
    /// second pass, and what it waits for installs the first.
    fn check_edges(
        &self,
        number: usize,
        member: usize,
        installs: &Installation,
        flaws: &mut Vec<Flaw>,
    ) {
        for &before in &self.order.direct[number] {
            let before = before as usize;
            let other = self.builds.member[before] as usize;
            let must_find_the_first = || {
                let both = &self.installs[other];
                let checks = !self.build(before).nocheck;
                both.without().row.has(member) || (checks && both.with().row.has(member))
            };
            let has_reason = installs.row.has(other) || (number != member && must_find_the_first());
            if !has_reason {
                flaws.push(Flaw::EdgeWithoutReason {
                    before: self.builds.key(before),
                    after: self.builds.key(number),
                });
            }
        }
    }

    /// The cycle of installations that each member sits in; needed only when
    /// something is built twice.
    fn cycles(&self) -> Vec<u32> {
        let members = self.builds.members();
        if self.twice.is_empty() {
            return vec![0; members];
        }
        let all = self.installs.par_iter().map(|both| {
            let empty = Row::default();
            let needs = both.with().row.beyond(members, [&empty, &empty]);
            needs.map(|need| need as u32).collect()
        });
        let needs: Vec<Vec<u32>> = all.collect();
        parts(members, |member| &needs[member]).of
    }

    /// Which pass of a member that is built twice a build finds must not depend
    /// on who is faster. Outside its cycle that is the second one. Inside it
    /// only second passes wait for that, for what their first ones waited for;
    /// else the second pass may also come after whoever installs the first.
    fn check_which_pass(
        &self,
        member: usize,
        first: &Installation,
        with: &Installation,
        cycles: &[u32],
        flaws: &mut Vec<Flaw>,
    ) {
        for &(twice, again) in &self.twice {
            let outside = cycles[twice] != cycles[member];
            let given_up = self.order.dropped[member].contains(&(twice as u32));
            let mut check = |number: usize, newest: bool| {
                let after = self.order.waits[number].has(again);
                let before = !newest && self.order.waits[again].has(number);
                if !after && !before {
                    flaws.push(Flaw::EitherPass {
                        build: self.builds.key(number),
                        member: self.builds.pkgbase(twice).clone(),
                    });
                }
            };
            // What the first pass gives up comes after it, both times.
            let installs = first.row.has(twice) && !given_up;
            if installs {
                check(member, outside);
            }
            if let Some(second) = self.builds.second[member]
                && with.row.has(twice)
            {
                check(second as usize, outside || installs);
            }
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
        if build.nocheck {
            let declared = &self.order.dropped[member];
            let all = with
                .row
                .beyond(self.builds.members(), [&without.row, &without.row]);
            let later = all.filter(|&need| self.order.waits[need].has(member));
            for need in later.filter(|&need| !declared.contains(&(need as u32))) {
                flaws.push(Flaw::SkippedUndeclared {
                    build: build.key(),
                    member: self.builds.pkgbase(need).clone(),
                });
            }
        }
        if build.nocheck && !check_given_up {
            let pkgbase = build.pkgbase.clone();
            flaws.push(Flaw::NocheckWithoutReason { pkgbase });
        }
        // A second pass gives up nothing.
        if let Some(second) = self.builds.second[member] {
            if self.build(second as usize).nocheck {
                let pkgbase = build.pkgbase.clone();
                flaws.push(Flaw::NocheckWithoutReason { pkgbase });
            }
            for &dropped in &self.order.dropped[second as usize] {
                flaws.push(Flaw::DroppedWithoutNeed {
                    build: self.builds.key(second as usize),
                    member: self.builds.pkgbase(dropped as usize).clone(),
                });
            }
        }
    }
}
