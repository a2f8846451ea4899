//! What changed from one plan to another.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::bits::Bits;
use super::output::{BuildKey, BuildSet, Plan, PlannedBuild};
use crate::names::{Architecture, PkgBase};
use crate::version::Version;

/// What changed from one plan to another, for each architecture of either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What changed, by architecture; those where nothing did are left out.
    pub architectures: BTreeMap<Architecture, SetDifference>,
}

impl Difference {
    /// Whether both plans have the same builds of the same sources in the same order.
    pub fn is_empty(&self) -> bool {
        self.architectures.is_empty()
    }
}

/// What changed from one build set to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDifference {
    /// Builds that only the later plan has.
    pub added: Vec<BuildKey>,
    /// Builds that only the earlier plan has.
    pub removed: Vec<BuildKey>,
    /// Builds of both whose source, version or way to be built changed.
    pub changed: Vec<ChangedBuild>,
    /// Builds of both that wait for other builds of both than before.
    pub order: Vec<ChangedOrder>,
}

/// A build that both plans have, and that is not the same any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedBuild {
    /// The build.
    #[serde(flatten)]
    pub build: BuildKey,
    /// The commits before and after, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<(String, String)>,
    /// The versions before and after, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<(Version, Version)>,
    /// Whether its check is skipped, before and after, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nocheck: Option<(bool, bool)>,
}

/// A build that waits for other builds than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedOrder {
    /// The build.
    #[serde(flatten)]
    pub build: BuildKey,
    /// What it did not wait for before.
    pub now_after: Vec<BuildKey>,
    /// What it does not wait for any more.
    pub no_longer_after: Vec<BuildKey>,
}

/// What a build of an architecture is made from.
pub type Commits = BTreeMap<(Architecture, PkgBase), String>;

/// Compares two plans; each comes with the commits of its builds.
///
/// Of what changed in the order, only pairs that others do not imply are named.
pub fn difference(before: (&Plan, &Commits), after: (&Plan, &Commits)) -> Difference {
    let nothing = BuildSet::default();
    let mut architectures = BTreeMap::new();
    let names = before.0.architectures.keys();
    for on in names.chain(after.0.architectures.keys()) {
        if architectures.contains_key(on) {
            continue;
        }
        let set = |plan: &Plan| plan.architectures.get(on).cloned();
        let (old, new) = (set(before.0), set(after.0));
        let of_sets = compare(
            on,
            (old.as_ref().unwrap_or(&nothing), before.1),
            (new.as_ref().unwrap_or(&nothing), after.1),
        );
        architectures.insert(on.clone(), of_sets);
    }
    architectures.retain(|_, set| *set != SetDifference::default());
    Difference { architectures }
}

fn compare(
    on: &Architecture,
    (old, old_commits): (&BuildSet, &Commits),
    (new, new_commits): (&BuildSet, &Commits),
) -> SetDifference {
    let old_builds = by_key(old);
    let new_builds = by_key(new);
    let mut set = SetDifference::default();
    for (key, before) in &old_builds {
        let Some(after) = new_builds.get(key) else {
            set.removed.push(key.clone());
            continue;
        };
        let commit = |commits: &Commits| {
            let name = (on.clone(), key.pkgbase.clone());
            commits.get(&name).cloned()
        };
        let commit = match (commit(old_commits), commit(new_commits)) {
            (Some(old), Some(new)) if old != new => Some((old, new)),
            _ => None,
        };
        let version = (before.version != after.version)
            .then(|| (before.version.clone(), after.version.clone()));
        let nocheck = (before.nocheck != after.nocheck).then_some((before.nocheck, after.nocheck));
        if commit.is_some() || version.is_some() || nocheck.is_some() {
            set.changed.push(ChangedBuild {
                build: key.clone(),
                commit,
                version,
                nocheck,
            });
        }
    }
    let added = new_builds
        .keys()
        .filter(|key| !old_builds.contains_key(*key));
    set.added = added.cloned().collect();
    set.order = compare_order(old, new);
    set
}

fn by_key(set: &BuildSet) -> BTreeMap<BuildKey, &PlannedBuild> {
    set.builds
        .iter()
        .map(|build| (build.key(), build))
        .collect()
}

fn compare_order(old: &BuildSet, new: &BuildSet) -> Vec<ChangedOrder> {
    let mut changed: BTreeMap<BuildKey, ChangedOrder> = BTreeMap::new();
    let mut change = |after: &BuildKey, before: &BuildKey, is_new: bool| {
        let change = changed
            .entry(after.clone())
            .or_insert_with(|| ChangedOrder {
                build: after.clone(),
                now_after: Vec::new(),
                no_longer_after: Vec::new(),
            });
        let list = match is_new {
            true => &mut change.now_after,
            false => &mut change.no_longer_after,
        };
        list.push(before.clone());
    };
    for (edges, other, is_new) in [(new, old, true), (old, new, false)] {
        let other = Reach::of(other);
        for edge in edges.edges.iter().filter(|edge| !edge.dropped) {
            if other.waits(&edge.after, &edge.before) == Some(false) {
                change(&edge.after, &edge.before, is_new);
            }
        }
    }
    changed.into_values().collect()
}

/// What each build of a build set waits for, directly or not.
struct Reach {
    numbers: HashMap<BuildKey, usize>,
    rows: Vec<Bits>,
}

impl Reach {
    fn of(set: &BuildSet) -> Self {
        let numbers: HashMap<BuildKey, usize> = set
            .builds
            .iter()
            .enumerate()
            .map(|(number, build)| (build.key(), number))
            .collect();
        let mut direct = vec![Vec::new(); set.builds.len()];
        for edge in set.edges.iter().filter(|edge| !edge.dropped) {
            if let (Some(&before), Some(&after)) =
                (numbers.get(&edge.before), numbers.get(&edge.after))
            {
                direct[after].push(before);
            }
        }
        // What a build waits for lies in lower waves, so it is known already.
        let mut line: Vec<usize> = (0..set.builds.len()).collect();
        line.sort_by_key(|&number| set.builds[number].wave);
        let mut rows = vec![Bits::new(set.builds.len()); set.builds.len()];
        for after in line {
            let mut row = Bits::new(set.builds.len());
            for &before in &direct[after] {
                row.insert(before);
                row.unite(&rows[before]);
            }
            rows[after] = row;
        }
        Reach { numbers, rows }
    }

    /// Whether one build waits for another; `None` where the set lacks one.
    fn waits(&self, after: &BuildKey, before: &BuildKey) -> Option<bool> {
        let (&after, &before) = (self.numbers.get(after)?, self.numbers.get(before)?);
        Some(self.rows[after].contains(before))
    }
}
