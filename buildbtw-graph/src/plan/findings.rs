//! What a plan found, in words, for everybody who shows plans to people.

use std::collections::BTreeMap;

use super::output::{BuildSet, UnbuildableReason};

/// What somebody should know of a plan, what cannot work first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Relations that were satisfied before the change.
    Broken,
    /// Builds that are known to be impossible.
    Unbuildable,
    /// Relations that nothing satisfies.
    Unresolved,
    /// Needs that were given up to break cycles.
    GivenUp,
    /// Builds that skip their check to break cycles.
    Unchecked,
    /// Needs that builds do without.
    Assumed,
    /// Relations that several packages satisfy.
    Ambiguous,
    /// What a build installs that its packager may not expect.
    Risks,
}

impl FindingKind {
    /// What such findings are, as the heading of a list, in small letters.
    pub fn title(self) -> &'static str {
        match self {
            Self::Broken => "broken by the change",
            Self::Unbuildable => "cannot be built",
            Self::Unresolved => "satisfied by nothing",
            Self::GivenUp => "built against released packages to break cycles",
            Self::Unchecked => "built without their check",
            Self::Assumed => "needs left out",
            Self::Ambiguous => "satisfied by several",
            Self::Risks => "risks",
        }
    }

    /// Nothing is wrong with it: it is said for those who want to know everything.
    pub fn is_remark(self) -> bool {
        matches!(self, Self::Ambiguous | Self::Risks)
    }
}

/// Findings of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What they are.
    pub kind: FindingKind,
    /// Each in words, beginning with the package that it is about; relations stand in backticks.
    pub lines: Vec<String>,
}

/// All that a build set has to say, by kind. Kinds of which there is nothing are left out. A line names
/// at most so many packages and counts the others.
pub fn findings(set: &BuildSet, names: usize) -> Vec<Findings> {
    let all = [
        (FindingKind::Broken, broken(set)),
        (FindingKind::Unbuildable, unbuildable(set)),
        (FindingKind::Unresolved, unresolved(set)),
        (FindingKind::GivenUp, given_up(set, names)),
        (FindingKind::Unchecked, unchecked(set)),
        (FindingKind::Assumed, assumed(set)),
        (FindingKind::Ambiguous, ambiguous(set, names)),
        (FindingKind::Risks, risks(set)),
    ];
    let some = all.into_iter().filter(|(_, lines)| !lines.is_empty());
    some.map(|(kind, mut lines)| {
        // A package and its pkgbase section may have the same thing to say.
        lines.dedup();
        Findings { kind, lines }
    })
    .collect()
}

fn broken(set: &BuildSet) -> Vec<String> {
    let lines = set.broken.iter().map(|one| {
        let owner = one
            .pkgname
            .as_ref()
            .map_or(one.pkgbase.as_str(), |name| name.as_str());
        let kind = one.kind.as_str();
        format!("{owner}: {kind} `{}`: {}", one.relation, one.reason)
    });
    lines.collect()
}

fn unbuildable(set: &BuildSet) -> Vec<String> {
    let lines = set.builds.iter().filter_map(|build| {
        let why = build.unbuildable.as_ref()?;
        let reason = match why.reason {
            UnbuildableReason::Broken => "broken",
            UnbuildableReason::Unresolved => "unresolved",
            UnbuildableReason::Cycle => "cycle",
            UnbuildableReason::Conflict => "conflict",
        };
        Some(format!("{} ({reason}): {}", build.pkgbase, why.hint))
    });
    lines.collect()
}

fn unresolved(set: &BuildSet) -> Vec<String> {
    let lines = set
        .unresolved
        .iter()
        .map(|one| format!("{}: {} `{}`", one.pkgbase, one.kind.as_str(), one.relation));
    lines.collect()
}

/// A line for each build and kind of relation.
fn given_up(set: &BuildSet, names: usize) -> Vec<String> {
    let mut dropped: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for edge in set.edges.iter().filter(|edge| edge.dropped) {
        dropped
            .entry((edge.after.clone(), edge.kind))
            .or_default()
            .push(edge.before.pkgbase.as_str());
    }
    let lines = dropped.into_iter().map(|((after, kind), released)| {
        let released = some_of(&released, names);
        format!("{}: {} {released}", after.pkgbase, kind.as_str())
    });
    lines.collect()
}

fn unchecked(set: &BuildSet) -> Vec<String> {
    let builds = set.builds.iter().filter(|build| build.nocheck);
    builds.map(|build| build.pkgbase.to_string()).collect()
}

fn assumed(set: &BuildSet) -> Vec<String> {
    let builds = set.builds.iter().filter(|build| !build.assumed.is_empty());
    let lines = builds.map(|build| format!("{}: {}", build.pkgbase, build.assumed.join(", ")));
    lines.collect()
}

fn ambiguous(set: &BuildSet, names: usize) -> Vec<String> {
    let lines = set.ambiguous.iter().map(|one| {
        let candidates: Vec<&str> = one.candidates.iter().map(|name| name.as_str()).collect();
        let candidates = some_of(&candidates, names);
        format!(
            "{}: `{}` is {} (of {candidates})",
            one.pkgbase, one.relation, one.chosen
        )
    });
    lines.collect()
}

fn risks(set: &BuildSet) -> Vec<String> {
    let lines = set
        .risks
        .iter()
        .map(|one| format!("{} installs {}: {}", one.pkgbase, one.installs, one.reason));
    lines.collect()
}

/// The first names of a list, and how many there are besides.
fn some_of(names: &[&str], most: usize) -> String {
    let shown = names.iter().take(most).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
