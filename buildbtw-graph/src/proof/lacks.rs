//! What an installation lacks, against what the plan says about it.

use super::flaw::Flaw;
use super::packages::{Installation, Mark, Target};
use super::replay::Replay;
use super::row::Row;
use crate::plan::PlannedBuild;
use crate::relation::{Provision, Relation};
use crate::source::RelationKind;

impl Replay<'_, '_> {
    /// What is handed to pacman: all the build's own relations, each once,
    /// less what is assumed.
    pub(super) fn check_install_list(
        &self,
        build: &PlannedBuild,
        member: usize,
        flaws: &mut Vec<Flaw>,
    ) {
        let mut texts = build.install.iter().map(String::as_str).peekable();
        let mut seen: Vec<u32> = Vec::with_capacity(build.install.len());
        let mut wrong = |relation: &str| {
            flaws.push(Flaw::WrongInstall {
                build: build.key(),
                relation: relation.to_owned(),
            });
        };
        for target in self.packages.targets(member) {
            let skipped = build.nocheck && target.kind == RelationKind::Checkdepends;
            if skipped || seen.contains(&target.number) {
                continue;
            }
            seen.push(target.number);
            let relation = target.lead.relation;
            if texts.next_if(|text| relation.is_written(text)).is_none()
                && !self.leaves_out(build, target)
            {
                wrong(&relation.to_string());
            }
        }
        texts.for_each(wrong);
    }

    /// Whether a build declares that it goes without what a relation asks for.
    fn leaves_out(&self, build: &PlannedBuild, target: Target<'_, '_>) -> bool {
        let chosen = target.lead.next.first();
        let chosen = chosen.map(|&node| self.packages.nodes[node as usize].pkg.name());
        assumes(build, target.lead.relation)
            || chosen.is_some_and(|name| assumes_package(build, name.as_str()))
    }

    /// What nothing satisfies, and what nobody has released and comes later.
    pub(super) fn check_missing(
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
            let released = self.worlds.is_released(name.as_str());
            if !released && !assumes_package(build, name.as_str()) {
                missing(name.to_string());
            }
        }
        let Some(given_up) = given_up else {
            return;
        };
        for target in self.packages.targets(member) {
            let Some(&chosen) = target.lead.next.first() else {
                continue;
            };
            let node = &self.packages.nodes[chosen as usize];
            let given_up = node.member.is_some_and(|it| given_up.has(it as usize));
            let skipped = build.nocheck && target.kind == RelationKind::Checkdepends;
            if given_up && !skipped && !self.leaves_out(build, target) {
                let relation = target.lead.relation;
                let old = self.worlds.released_named(node.pkg.name().as_str());
                if old.is_some_and(|old| !old.does(relation, self.packages.on)) {
                    missing(relation.to_string());
                }
            }
        }
    }

    /// Whether a build may go on although nothing satisfies a relation that is
    /// listed: not when it is its own, unless it stands in every root.
    fn may_lack(&self, member: usize, relation: &Relation) -> bool {
        let mut targets = self.packages.targets(member);
        match targets
            .find(|target| target.lead.relation == relation)
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

/// What a build is told to take as installed.
pub(super) fn assumed(build: &PlannedBuild) -> impl Iterator<Item = Provision> + '_ {
    build.assumed.iter().filter_map(|text| text.parse().ok())
}

fn assumes(build: &PlannedBuild, relation: &Relation) -> bool {
    assumed(build).any(|provision| relation.satisfied_by_provision(&provision))
}

fn assumes_package(build: &PlannedBuild, name: &str) -> bool {
    assumed(build).any(|provision| provision.name == name)
}
