//! What is known of a watched namespace, and what an event makes of it. Nothing here asks or
//! prints.

use std::collections::{BTreeMap, BTreeSet};

use buildbtw_api::builds::Build;
use buildbtw_api::events::{Event, EventKind};
use buildbtw_api::namespaces::{Iteration, NamespaceDetails};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus};
use buildbtw_graph::{Architecture, PkgBase};
use serde::Serialize;

use crate::asking;

/// What names a build inside an iteration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The architecture.
    pub architecture: Architecture,
    /// The package base.
    pub pkgbase: PkgBase,
    /// The pass.
    pub pass: u8,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything is built, reused or waived.
    Built,
    /// Something failed or cannot be built, and nothing is running any more.
    Failed,
    /// No plan could be made for the newest iteration, and nothing is running any more.
    Refused,
    /// The namespace was cancelled.
    Cancelled,
    /// The namespace was archived.
    Archived,
}

/// How a namespace ended, or that it goes on.
pub fn verdict(details: &NamespaceDetails) -> Option<Verdict> {
    match details.namespace.status {
        NamespaceStatus::Cancelled => return Some(Verdict::Cancelled),
        NamespaceStatus::Archived => return Some(Verdict::Archived),
        NamespaceStatus::Active | NamespaceStatus::Paused | NamespaceStatus::Finished => {}
    }
    let newest = details.iterations.first()?;
    if newest.status == IterationStatus::Planning {
        return None;
    }
    let refused = newest.status == IterationStatus::Refused;
    let Some(followed) = followed(details) else {
        return refused.then_some(Verdict::Refused);
    };
    let count = |pick: &dyn Fn(BuildStatus) -> bool| -> u32 {
        followed
            .build_sets
            .values()
            .map(|set| set.count(pick))
            .sum()
    };
    if count(&|status| !status.is_final()) > 0 {
        return None;
    }
    Some(match () {
        () if refused => Verdict::Refused,
        () if count(&BuildStatus::is_failure) > 0 => Verdict::Failed,
        () if count(&|status| status == BuildStatus::Cancelled) > 0 => Verdict::Cancelled,
        () => Verdict::Built,
    })
}

/// The iteration whose builds are followed: the newest that has some.
pub fn followed(details: &NamespaceDetails) -> Option<&Iteration> {
    details
        .iterations
        .iter()
        .find(|one| asking::has_builds(one))
}

/// What an event made of what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A build that is followed took another status.
    Build {
        /// Which build.
        key: Key,
        /// Its status now.
        status: BuildStatus,
        /// Why, where that was said.
        reason: Option<String>,
    },
    /// The namespace or one of its iterations changed: it is to be looked at again.
    Look,
    /// The server hands out runs again, or no more.
    Mode,
    /// A build took a status that this version does not know: everything is to be read again.
    Unclear,
    /// Nothing that is followed.
    Nothing,
}

/// The builds of the iteration that is followed.
#[derive(Debug, Default)]
pub struct Builds {
    /// The iteration's number.
    pub iteration: u32,
    statuses: BTreeMap<Key, BuildStatus>,
    /// Failures that were told already.
    pub told: BTreeSet<Key>,
}

impl Builds {
    /// The builds of an iteration as they were read.
    pub fn new(iteration: u32, builds: &[Build]) -> Self {
        let status = |build: &Build| {
            let key = Key {
                architecture: build.architecture.clone(),
                pkgbase: build.pkgbase.clone(),
                pass: build.pass,
            };
            (key, build.status)
        };
        Self {
            iteration,
            statuses: builds.iter().map(status).collect(),
            told: BTreeSet::new(),
        }
    }

    /// Whether events are followed at all yet.
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }

    /// Takes in an event.
    ///
    /// Events that happened between the opening of the stream and the reading of the builds come
    /// although the builds have them in already. They lead to the status that was read, so one
    /// that does not begin at the status that is known is an old one.
    pub fn apply(&mut self, event: &Event) -> Change {
        match event.kind {
            EventKind::NamespaceStatus
            | EventKind::IterationCreated
            | EventKind::IterationStatus => Change::Look,
            EventKind::ServerMode => Change::Mode,
            EventKind::BuildStatus => self.build(event).unwrap_or(Change::Nothing),
            _ => Change::Nothing,
        }
    }

    fn build(&mut self, event: &Event) -> Option<Change> {
        if event.iteration != Some(self.iteration) {
            return None;
        }
        let key = Key {
            architecture: event.architecture.clone()?,
            pkgbase: event.pkgbase.clone()?,
            pass: event.pass?,
        };
        let known = self.statuses.get_mut(&key)?;
        let Ok(status) = event.to.as_deref()?.parse() else {
            return Some(Change::Unclear);
        };
        if *known == status || event.from.is_some_and(|from| from != *known) {
            return None;
        }
        *known = status;
        if !BuildStatus::is_failure(status) {
            // It may fail again.
            self.told.remove(&key);
        }
        Some(Change::Build {
            key,
            status,
            reason: event.message.clone(),
        })
    }

    /// How many builds there are.
    pub fn total(&self) -> usize {
        self.statuses.len()
    }

    /// How many builds stand in statuses that a test picks.
    pub fn count(&self, pick: impl Fn(BuildStatus) -> bool) -> usize {
        self.statuses
            .values()
            .filter(|status| pick(**status))
            .count()
    }

    /// Where a build stands.
    pub fn status(&self, key: &Key) -> Option<BuildStatus> {
        self.statuses.get(key).copied()
    }

    /// The builds in statuses that a test picks.
    pub fn keys(&self, pick: impl Fn(BuildStatus) -> bool) -> impl Iterator<Item = &Key> {
        self.statuses
            .iter()
            .filter(move |(_, status)| pick(**status))
            .map(|(key, _)| key)
    }

    /// How many builds stand in each status; statuses without builds are left out.
    pub fn counts(&self) -> BTreeMap<BuildStatus, usize> {
        let mut counts = BTreeMap::new();
        for status in self.statuses.values() {
            *counts.entry(*status).or_default() += 1;
        }
        counts
    }

    /// Whether nothing more happens unless somebody asks.
    pub fn are_final(&self) -> bool {
        self.statuses.values().all(|status| status.is_final())
    }

    /// How a build is called: its package base, and what else is needed to tell it from others.
    pub fn name(&self, key: &Key) -> String {
        let mut remarks = Vec::new();
        let several = self.statuses.keys().next().is_some_and(|first| {
            self.statuses
                .keys()
                .any(|other| other.architecture != first.architecture)
        });
        if several {
            remarks.push(key.architecture.to_string());
        }
        if key.pass > 1 {
            remarks.push(format!("pass {}", key.pass));
        }
        match remarks.len() {
            0 => key.pkgbase.to_string(),
            _ => format!("{} ({})", key.pkgbase, remarks.join(", ")),
        }
    }
}
