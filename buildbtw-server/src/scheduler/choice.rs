//! Which ready build a worker gets next.

use std::cmp::Reverse;
use std::collections::HashMap;

use buildbtw_api::{BuildPlace, ServerMode, WorkerMode};
use buildbtw_graph::Architecture;

use super::faster::{Left, WEIGHED, left};
use super::fits::misfit;
use super::{Misfit, Requirements, Share, Speed, UnderWay, Weight};

/// A build that may be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyBuild<K> {
    /// What names it to the caller.
    pub key: K,
    /// Its architecture.
    pub architecture: Architecture,
    /// Its namespace.
    pub namespace: i64,
    /// What its turn goes by inside its namespace.
    pub weight: Weight,
    /// Since when it is ready; smaller is longer.
    pub ready_since: i64,
    /// For how long it is ready, in milliseconds.
    pub waited_ms: i64,
    /// What it asks of a worker.
    pub requirements: Requirements,
    /// Workers on which the machinery failed it since its last other ending, or that may be at fault
    /// themselves for its failure.
    pub failed_on: Vec<i64>,
    /// Whether what comes of it says if a worker is at fault that failed it. That worker gets nothing until then, so
    /// it goes first; there are no more of them than it takes for a suspicion.
    pub evidence: bool,
}

/// A worker that was heard of lately; or all runners of GitLab, whose slots are the pipelines that may be
/// open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workplace {
    /// What names it to the caller.
    pub key: i64,
    /// Its name, for people.
    pub name: String,
    /// The architectures it builds for.
    pub architectures: Vec<Architecture>,
    /// How many runs it carries out at once.
    pub slots: u32,
    /// How many it carries out now.
    pub running: u32,
    /// Its memory in bytes, where it says so.
    pub memory: Option<u64>,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether it gets runs.
    pub mode: WorkerMode,
    /// Which of the two it is.
    pub place: BuildPlace,
    /// How fast it is, as far as its runs tell.
    pub speed: Speed,
    /// What it carries out, as far as that is known.
    pub under_way: Vec<UnderWay>,
}

/// All that a decision goes by.
#[derive(Debug, Clone)]
pub struct Situation<K> {
    /// Whether anything is handed out.
    pub mode: ServerMode,
    /// What may be handed out.
    pub ready: Vec<ReadyBuild<K>>,
    /// The shares of the namespaces; who is not named has none yet.
    pub shares: HashMap<i64, Share>,
    /// Where the account stands that is furthest behind of those that wait; it only grows.
    pub virtual_time: i64,
    /// The workers that were heard of lately.
    pub workers: Vec<Workplace>,
    /// Whether more is ready than is shown here.
    pub more: bool,
}

/// Why a worker gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// The server hands out nothing.
    Server(ServerMode),
    /// The worker is to get nothing.
    Worker(WorkerMode),
    /// Nothing is ready.
    NothingReady,
    /// It can carry out nothing of what is ready; this is what the first of it lacks.
    NothingFits(Misfit),
    /// What is ready failed on it before and is left to others.
    LeftToOthers,
    /// What is ready ends sooner on a faster worker, which is about to be free.
    LeftToFaster(Left),
}

impl<K: Copy + Ord> Situation<K> {
    /// Why a worker cannot carry out a build; `None` when it can.
    pub fn misfit(&self, build: &ReadyBuild<K>, worker: &Workplace) -> Option<Misfit> {
        misfit(&build.architecture, &build.requirements, worker)
    }

    /// Whether a build that the machinery failed on a worker is left to others: while there is
    /// another that can carry it out and did not fail it too.
    fn is_left_to_others(&self, build: &ReadyBuild<K>, worker: &Workplace) -> bool {
        let failed = |worker: &Workplace| build.failed_on.contains(&worker.key);
        failed(worker)
            && self.workers.iter().any(|other| {
                other.mode == WorkerMode::Active
                    && !failed(other)
                    && self.misfit(build, other).is_none()
            })
    }

    /// The builds that a worker may get, best first; or why there is none.
    ///
    /// What is evidence about a worker comes first, then the namespace whose turn it is by its share; within a namespace the longest path,
    /// then what most others wait for, then what is ready for longest. What ends sooner on a faster worker
    /// is left to that.
    ///
    /// # Errors
    ///
    /// Why the worker gets nothing.
    pub fn candidates(&self, worker: &Workplace) -> Result<Vec<K>, Idle> {
        if self.mode != ServerMode::Run {
            return Err(Idle::Server(self.mode));
        }
        if worker.mode != WorkerMode::Active {
            return Err(Idle::Worker(worker.mode));
        }
        let mut misfits = self.ready.iter().map(|build| self.misfit(build, worker));
        let mut fitting: Vec<&ReadyBuild<K>> = self
            .ready
            .iter()
            .filter(|build| self.misfit(build, worker).is_none())
            .collect();
        if fitting.is_empty() {
            let lacking = misfits.next().flatten();
            return Err(lacking.map_or(Idle::NothingReady, Idle::NothingFits));
        }
        fitting.retain(|build| !self.is_left_to_others(build, worker));
        if fitting.is_empty() {
            return Err(Idle::LeftToOthers);
        }
        let line = self.in_order(fitting);
        let mut decided = self.left(&line, worker).into_iter();
        let mut soonest: Option<Left> = None;
        let mut taken = Vec::with_capacity(line.len());
        for build in line {
            match decided.next().flatten() {
                Some(left) => {
                    let sooner = |other: &Left| left.again_ms < other.again_ms;
                    if soonest.as_ref().is_none_or(sooner) {
                        soonest = Some(left);
                    }
                }
                None => taken.push(build.key),
            }
        }
        match soonest {
            Some(left) if taken.is_empty() => Err(Idle::LeftToFaster(left)),
            _ => Ok(taken),
        }
    }

    /// For each of the first builds of a line, whether a worker leaves it to a faster one.
    fn left(&self, line: &[&ReadyBuild<K>], worker: &Workplace) -> Vec<Option<Left>> {
        let alone = |namespace| self.share(namespace).running == 0;
        let mut decided = left(line, worker, &self.workers, alone);
        // With so much to do nobody is idle: what presses least is begun at once.
        if self.more
            && line.len() >= WEIGHED
            && decided.iter().all(Option::is_some)
            && let Some(last) = decided.last_mut()
        {
            *last = None;
        }
        decided
    }

    /// The faster worker that a build waits for, although others are free that could carry it out;
    /// `None` where it waits for no such thing.
    pub fn waits_for_faster(&self, key: K) -> Option<Left> {
        let build = self.ready.iter().find(|build| build.key == key)?;
        let free = self.workers.iter().filter(|worker| {
            worker.mode == WorkerMode::Active
                && worker.running < worker.slots
                && self.misfit(build, worker).is_none()
        });
        let mut left_to = None;
        for worker in free {
            let fitting = self.ready.iter();
            let fitting = fitting.filter(|build| self.misfit(build, worker).is_none());
            let line = self.in_order(fitting.collect());
            let place = line.iter().position(|build| build.key == key)?;
            // Where one of them takes it, it waits for nobody.
            left_to = Some(self.left(&line, worker).into_iter().nth(place).flatten()?);
        }
        left_to
    }

    /// What a namespace has of the workers, and had.
    pub fn share(&self, namespace: i64) -> Share {
        self.shares.get(&namespace).copied().unwrap_or_default()
    }

    /// What the handing out of a ready build comes to: what its namespace was served then, and the
    /// virtual time.
    pub fn account(&self, key: K) -> Option<(i64, i64)> {
        let build = self.ready.iter().find(|build| build.key == key)?;
        let waiting = self.ready.iter().map(|build| self.share(build.namespace));
        let behind = waiting.map(|share| share.start(self.virtual_time)).min()?;
        let own = self.share(build.namespace);
        Some((
            own.served_after(build.weight.own_ms, self.virtual_time),
            behind,
        ))
    }

    pub(super) fn in_order<'a>(
        &self,
        mut builds: Vec<&'a ReadyBuild<K>>,
    ) -> Vec<&'a ReadyBuild<K>> {
        builds.sort_by_cached_key(|build| {
            (
                !build.evidence,
                self.share(build.namespace).turn(self.virtual_time),
                build.namespace,
                Reverse(build.weight.remaining_ms),
                Reverse(build.weight.unlocks),
                build.ready_since,
                build.key,
            )
        });
        builds
    }
}

#[cfg(test)]
mod tests;
