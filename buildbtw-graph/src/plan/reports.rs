//! What a person should know about the members' relations: which ones the
//! change breaks, which ones nothing satisfies, and where there was a choice.

use super::build_set::Ground;
use super::differs::no_longer;
use super::graph::Graph;
use super::output::{Ambiguous, Broken, BuildSet, PlanWarning, Unresolved};
use super::worlds::{Released, resolve};
use crate::relation::Relation;

/// Fills the lists of broken, unresolved and ambiguous relations.
pub(super) fn report_findings(
    ground: &Ground<'_>,
    graph: &Graph<'_>,
    set: &mut BuildSet,
    warnings: &mut Vec<PlanWarning>,
) {
    for finding in &graph.findings {
        let pkgbase = finding.pkgbase.clone();
        let resolved = &graph.resolved[finding.number as usize];
        let relation = resolved.relation.text();
        match resolved.candidates.first() {
            Some(chosen) => set.ambiguous.push(Ambiguous {
                pkgbase,
                relation,
                chosen: chosen.pkgname().clone(),
                candidates: resolved
                    .candidates
                    .iter()
                    .map(|c| c.pkgname().clone())
                    .collect(),
            }),
            None => match was_satisfied(ground, resolved.relation) {
                Some(reason) => set.broken.push(Broken {
                    pkgbase,
                    pkgname: finding.package.map(|package| package.pkgname().clone()),
                    kind: finding.kind,
                    relation,
                    reason,
                }),
                None => set.unresolved.push(Unresolved {
                    pkgbase,
                    relation,
                    kind: finding.kind,
                }),
            },
        }
    }
    for root in graph.implicit().filter(|root| root.to.chosen.is_none()) {
        warnings.push(PlanWarning {
            pkgbase: None,
            message: format!(
                "nothing satisfies {}, which is to be installed into every build root on {}",
                root.to.relation, ground.sources.on
            ),
        });
    }
    set.broken.sort();
    set.broken.dedup();
    set.unresolved.sort();
    set.unresolved.dedup();
    set.ambiguous.sort();
    set.ambiguous.dedup();
}

/// What satisfied a relation before the change, if anything did.
pub(super) fn was_satisfied(ground: &Ground<'_>, relation: &Relation) -> Option<String> {
    if matches!(ground.released, Released::Nothing(_)) {
        return None;
    }
    let was = resolve(&ground.released, relation).chosen?;
    Some(no_longer(was, &ground.sources))
}
