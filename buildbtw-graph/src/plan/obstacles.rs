//! What stands in the way of single builds, and what is left out because of it.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::build_set::Ground;
use super::conflicts::{Conflict, Conflicts};
use super::cycles::{Acyclic, Dropped};
use super::graph::{Extra, Graph, Root};
use super::mixed::{Member, Mixed};
use super::needs::{Needs, own_without_check};
use super::output::{Risk, Unbuildable, UnbuildableReason};
use super::worlds::{Package, resolve};
use crate::relation::{Comparison, Provision, Relation};
use crate::source::RelationKind;
use crate::version::Version;

/// What is special about one pass of a build.
#[derive(Default)]
pub(super) struct Obstacles {
    pub unbuildable: Option<Unbuildable>,
    /// Provisions that are taken as installed.
    pub assumed: Vec<String>,
    /// Relations that are not handed to pacman.
    pub left_out: Vec<String>,
}

impl Obstacles {
    fn tidy(mut self) -> Self {
        for list in [&mut self.assumed, &mut self.left_out] {
            list.sort();
            list.dedup();
        }
        self
    }
}

/// What was found about both passes of a build, and its risks.
type Found = ([Obstacles; 2], Vec<Risk>);

/// All that the builds of a set are looked at with.
pub(super) struct Lookout<'l, 'a> {
    pub ground: &'l Ground<'a>,
    pub mixed: &'l Mixed<'a>,
    pub graph: &'l Graph<'a>,
    pub members: &'l [Member<'a>],
    pub needs: &'l [Needs],
}

impl Lookout<'_, '_> {
    /// Looks at every build as if nothing had to be given up. That is so for
    /// most of them, and known while cycles are still being broken.
    pub fn look_ahead(&self, conflicts: &Conflicts) -> Vec<Found> {
        let builds = (0..self.members.len()).into_par_iter();
        let look = |build| self.look(build, false, &[], conflicts);
        builds.map(look).collect()
    }

    /// Looks again at those that give something up, and finds the risks.
    pub fn obstacles(
        &self,
        mut found: Vec<Found>,
        acyclic: &Acyclic,
        conflicts: &Conflicts,
    ) -> (Vec<[Obstacles; 2]>, Vec<Risk>) {
        let mut later: Vec<Vec<u32>> = vec![Vec::new(); self.members.len()];
        let installed = |pair: &&Dropped| pair.kind != RelationKind::Checkdepends;
        for pair in acyclic.dropped.iter().filter(installed) {
            later[pair.build as usize].push(pair.later);
        }
        let again = found.par_iter_mut().zip(later).enumerate();
        again.for_each(|(build, (found, later))| {
            let nocheck = acyclic.nocheck[build];
            if nocheck || !later.is_empty() {
                *found = self.look(build, nocheck, &later, conflicts);
            }
        });
        let (found, risks): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        (found, risks.into_iter().flatten().collect())
    }

    /// Looks at a build that skips its check or not, and that gives these
    /// members up.
    fn look(&self, build: usize, nocheck: bool, later: &[u32], conflicts: &Conflicts) -> Found {
        let (graph, members) = (self.graph, self.members);
        let needs = &self.needs[build];
        let mut risks = Vec::new();
        let pass = |nocheck: bool, unbuildable: Option<Unbuildable>| Look {
            ground: self.ground,
            mixed: self.mixed,
            graph,
            member: &members[build],
            number: build as u32,
            roots: graph.all_roots(build).collect(),
            nocheck,
            found: Obstacles {
                unbuildable,
                ..Obstacles::default()
            },
        };
        let mut first = pass(nocheck, None);
        first.unresolved(needs, &mut risks);
        if nocheck && !needs.own.is_empty() {
            first.own(&own_without_check(graph, build), &mut risks);
        } else {
            first.own(&needs.own, &mut risks);
        }
        first.missing(needs, members, later);
        first.conflict(conflicts);
        let first = first.found.tidy();
        let built_twice = self.ground.options.passes > 1 && (nocheck || !later.is_empty());
        if !built_twice {
            return ([first, Obstacles::default()], risks);
        }
        // The second pass finds all that the plan makes, and runs its check.
        // Its transaction is another one, so other packages may conflict.
        let stays = |why: &Unbuildable| why.reason != UnbuildableReason::Conflict;
        let mut second = pass(false, first.unbuildable.clone().filter(stays));
        second.unresolved(needs, &mut risks);
        second.conflict(conflicts);
        ([first, second.found.tidy()], risks)
    }
}

struct Look<'l, 'a> {
    ground: &'l Ground<'a>,
    mixed: &'l Mixed<'a>,
    graph: &'l Graph<'a>,
    member: &'l Member<'a>,
    number: u32,
    roots: Vec<Root<'l, 'a>>,
    nocheck: bool,
    found: Obstacles,
}

impl<'a> Look<'_, 'a> {
    /// Needs that nothing satisfies.
    fn unresolved(&mut self, needs: &Needs, risks: &mut Vec<Risk>) {
        let options = self.ground.options;
        for extra in needs.extras(!self.nocheck) {
            let Extra::Unresolved(relation) = self.graph.extras[extra] else {
                continue;
            };
            let root = self.roots.iter().find(|root| root.to.relation == relation);
            let text = relation.to_string();
            if options.bootstrap || options.host_tools {
                let Some(assumption) = assumption_for(relation) else {
                    let hint = format!("{relation} asks for a version older than any; edit it");
                    self.stop(UnbuildableReason::Unresolved, hint);
                    continue;
                };
                self.found.assumed.push(assumption.to_string());
                self.found.left_out.push(text.clone());
                if root.is_none() {
                    continue;
                }
                let reason = match options.host_tools {
                    true => "nothing provides it; it is taken to be on the host",
                    false => "nobody has released it; it is left out",
                };
                risks.push(Risk {
                    pkgbase: self.member.source.pkgbase.clone(),
                    installs: text,
                    reason: reason.to_owned(),
                });
                continue;
            }
            if let Some(root) = root
                && root.kind != RelationKind::Implicit
            {
                let (reason, hint) = self.why_unresolved(*root);
                self.stop(reason, hint);
            }
        }
    }

    fn why_unresolved(&self, root: Root<'_, '_>) -> (UnbuildableReason, String) {
        let (kind, relation) = (root.kind.as_str(), root.to.relation);
        let was = resolve(&self.ground.released, relation).chosen;
        if let Some(was) = was {
            return (
                UnbuildableReason::Broken,
                format!(
                    "{kind} has {relation}, which {} {} satisfied before the change; edit the \
                     package, or add what satisfies it to the changesets",
                    was.pkgname(),
                    was.version()
                ),
            );
        }
        let maker = resolve(&self.ground.sources, relation).chosen;
        let hint = match maker {
            Some(maker) => format!(
                "{kind} has {relation}, which {} would satisfy, but nobody has released it; add \
                 {} to the changesets",
                maker.pkgname(),
                maker.pkgbase()
            ),
            None => format!(
                "{kind} has {relation}, which nothing satisfies; edit the package, or add what \
                 satisfies it to the changesets"
            ),
        };
        (UnbuildableReason::Unresolved, hint)
    }

    /// The build's own packages that are installed to build it.
    fn own(&mut self, own: &[u32], risks: &mut Vec<Risk>) {
        for &node in own {
            let package = self.graph.nodes[node as usize].package;
            if self.is_released(package) {
                risks.push(Risk {
                    pkgbase: self.member.source.pkgbase.clone(),
                    installs: package.pkgname().to_string(),
                    reason: "its released package is installed to build it".to_owned(),
                });
            } else if self.ground.options.bootstrap {
                self.leave_out(node);
            } else {
                self.stop(
                    UnbuildableReason::Cycle,
                    format!(
                        "building it installs its own package {}, which nobody has released; \
                         release one that was built elsewhere, or plan with --bootstrap",
                        package.pkgname()
                    ),
                );
            }
        }
    }

    /// Packages of members that come later and that nobody has released in a
    /// form that would do.
    fn missing(&mut self, needs: &Needs, members: &[Member<'_>], later: &[u32]) {
        if later.is_empty() {
            return;
        }
        let nodes = self.missing_nodes(needs, later);
        if self.ground.options.bootstrap {
            nodes.into_iter().for_each(|node| self.leave_out(node));
            return;
        }
        let makers = nodes
            .iter()
            .filter_map(|&node| self.graph.nodes[node as usize].member);
        let makers: BTreeSet<u32> = makers.collect();
        if makers.is_empty() {
            return;
        }
        let names: Vec<&str> = makers
            .iter()
            .map(|&maker| members[maker as usize].source.pkgbase.as_str())
            .collect();
        self.stop(
            UnbuildableReason::Cycle,
            format!(
                "it needs {}, which {} for it and {} not released in a form that would do; \
                 plan with --bootstrap to leave the need out, or break the cycle in the \
                 package",
                names.join(", "),
                if names.len() == 1 { "waits" } else { "wait" },
                if names.len() == 1 { "is" } else { "are" }
            ),
        );
    }

    fn missing_nodes(&self, needs: &Needs, later: &[u32]) -> Vec<u32> {
        let extras = needs.extras(!self.nocheck).into_iter();
        let unreleased = extras.filter_map(|at| match self.graph.extras[at] {
            Extra::Unreleased(node) => Some(node),
            Extra::Unresolved(_) => None,
        });
        let skipped = |root: &Root<'_, '_>| self.nocheck && root.kind == RelationKind::Checkdepends;
        let too_old = self
            .roots
            .iter()
            .filter(|root| root.to.needs_new && !skipped(root))
            .filter_map(|root| root.to.chosen);
        let comes_later = |node: &u32| {
            let member = self.graph.nodes[*node as usize].member;
            member.is_some_and(|member| later.contains(&member))
        };
        let mut nodes: Vec<u32> = unreleased.chain(too_old).filter(comes_later).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    fn is_released(&self, package: Package<'_>) -> bool {
        self.ground.released.has(package.pkgname())
    }

    /// Builds without a package, as if it and all it provides were there.
    fn leave_out(&mut self, node: u32) {
        let package = self.graph.nodes[node as usize].package;
        let own = Provision {
            name: package.pkgname().to_string(),
            version: Some(package.version().clone()),
        };
        self.found.assumed.push(own.to_string());
        if let Package::Source(_, split, _) = package {
            // Only what the package would be taken for: assuming more would
            // keep other providers from being installed.
            let is_taken = |provision: &&Provision| {
                let relation = Relation {
                    name: provision.name.clone(),
                    constraint: None,
                };
                let chosen = resolve(self.mixed, &relation).chosen;
                chosen.is_some_and(|chosen| chosen.is(package))
            };
            let provided = split.provides.on(self.ground.sources.on).filter(is_taken);
            self.found.assumed.extend(provided.map(ToString::to_string));
        }
        let led_here = self
            .roots
            .iter()
            .filter(|root| root.to.chosen == Some(node));
        self.found
            .left_out
            .extend(led_here.map(|root| root.to.relation.to_string()));
    }

    /// Two packages that pacman refuses to install together.
    fn conflict(&mut self, conflicts: &Conflicts) {
        if self.found.unbuildable.is_some() {
            return;
        }
        let left_out = &self.found.left_out;
        let handed_over = |root: &&Root<'_, 'a>| {
            let skipped = self.nocheck && root.kind == RelationKind::Checkdepends;
            !skipped && (left_out.is_empty() || !left_out.contains(&root.to.relation.to_string()))
        };
        let roots: Vec<Root<'_, 'a>> = self.roots.iter().filter(handed_over).copied().collect();
        let assumed = self.found.assumed.iter();
        let assumed: Vec<Provision> = assumed.filter_map(|text| text.parse().ok()).collect();
        let found = conflicts.find(self.number, &roots, &assumed, self.graph, self.mixed);
        if let Some(Conflict { one, other }) = found {
            let ((one, by_one), (other, by_other)) = (one, other);
            if one.pkgname() == other.pkgname() {
                let way_out = match by_one == by_other {
                    true => format!("take {by_one} out of the package"),
                    false => format!("take {by_one} or {by_other} out of the package"),
                };
                self.stop(
                    UnbuildableReason::Conflict,
                    format!(
                        "{by_one} leads to {name} {}, and {by_other} leads to {name} {}; pacman \
                         installs one package of a name; {way_out}, or change what needs which",
                        one.version(),
                        other.version(),
                        name = one.pkgname(),
                    ),
                );
                return;
            }
            let (one, other) = (one.pkgname(), other.pkgname());
            let (both, way_out) = if by_one == by_other {
                let both = format!("{by_one} installs both {one} and {other}");
                (both, format!("take {by_one} out of the package"))
            } else {
                let both = format!("{by_one} installs {one}, and {by_other} installs {other}");
                let way_out = format!("take {by_one} or {by_other} out of the package");
                (both, way_out)
            };
            self.stop(
                UnbuildableReason::Conflict,
                format!(
                    "{both}; the two conflict, and pacman installs neither; {way_out}, change \
                     what leads to {one} or {other} on the way, or add a changeset in which they \
                     do not conflict"
                ),
            );
        }
    }

    /// The first obstacle is the one that is shown.
    fn stop(&mut self, reason: UnbuildableReason, hint: String) {
        self.found
            .unbuildable
            .get_or_insert(Unbuildable { reason, hint });
    }
}

/// The provision that satisfies a relation and says as little more as possible;
/// `None` when no version is old enough.
fn assumption_for(relation: &Relation) -> Option<Provision> {
    let provision = |version| Provision {
        name: relation.name.clone(),
        version,
    };
    let Some(constraint) = &relation.constraint else {
        return Some(provision(None));
    };
    let at = &constraint.version;
    let near = match constraint.op {
        Comparison::LessEqual | Comparison::Equal | Comparison::GreaterEqual => vec![at.clone()],
        Comparison::Greater => close_to(at, [".1"]),
        Comparison::Less => close_to(at, ["alpha", ".alpha"]),
    };
    near.into_iter()
        .map(|version| provision(Some(version)))
        .find(|provision| relation.satisfied_by_provision(provision))
}

/// Versions just beside another: with more at its end it is newer, with letters
/// at its end mostly older, and without its end, or epoch, too.
fn close_to<const N: usize>(version: &Version, endings: [&str; N]) -> Vec<Version> {
    let pkgver = version.pkgver();
    let mut near: Vec<String> = endings.map(|ending| format!("{pkgver}{ending}")).to_vec();
    let ends = pkgver.char_indices().rev().map(|(end, _)| end);
    near.extend(ends.map(|end| pkgver[..end].to_owned()));
    near.push("A".to_owned());
    let epoch = version.epoch().map(|epoch| format!("{epoch}:"));
    let epoch = epoch.unwrap_or_default();
    let with_epoch = near.iter().map(|near| format!("{epoch}{near}"));
    let texts = with_epoch.chain(std::iter::once("A".to_owned()));
    texts.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumption_satisfies_its_relation() {
        for text in [
            "foo",
            "foo=1:2-3",
            "foo>=2",
            "foo<=2.0",
            "foo>2",
            "foo<2",
            "foo<1:0",
            "foo>1.0-4",
            "foo<0-1",
            "foo<erl",
            "foo<a",
            "foo>erl",
        ] {
            let relation: Relation = text.parse().unwrap();
            let assumed = assumption_for(&relation).unwrap();
            assert!(
                relation.satisfied_by_provision(&assumed),
                "{text}: {assumed}"
            );
        }
        assert_eq!(assumption_for(&"foo<A".parse().unwrap()), None);
    }
}
