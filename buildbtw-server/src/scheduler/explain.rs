//! Why a build is not running now: a pure function of what is known of it.

use buildbtw_api::builds::Neighbour;
use buildbtw_api::explanations::Explanation;
use buildbtw_api::modes::ServerModeNote;
use buildbtw_api::runs::RunPipeline;
use buildbtw_api::{
    BuildPlace, BuildStatus, IterationStatus, NamespaceStatus, OutcomeClass, ServerMode, WorkerMode,
};
use buildbtw_graph::Architecture;
use jiff::Timestamp;

use super::fits::{closest, misfit};
use super::{LONGEST_BACKOFF, Requirements, Workplace};

/// A run that is not over.
#[derive(Debug, Clone)]
pub struct OpenRun {
    /// The name of its worker.
    pub worker: Option<String>,
    /// When it was handed out.
    pub since: Timestamp,
    /// Whether its packages wait to be published.
    pub publishing: bool,
    /// Its pipeline, if it went to GitLab.
    pub pipeline: Option<RunPipeline>,
}

/// All that is known of a build.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where it stands.
    pub status: BuildStatus,
    /// Why, where that was said.
    pub message: Option<String>,
    /// Its architecture.
    pub architecture: Architecture,
    /// The architecture whose build it stands for.
    pub refers_to: Option<String>,
    /// Where its iteration stands.
    pub iteration: IterationStatus,
    /// Where its namespace stands.
    pub namespace: NamespaceStatus,
    /// How many needs are not met.
    pub waits_for: u32,
    /// The builds that it waits for directly and that are still to come, as far as a person would read.
    pub direct: Vec<Neighbour>,
    /// The builds at the front of its chains, or those that its failure comes from.
    pub front: Vec<Neighbour>,
    /// Its run, while it is not over.
    pub run: Option<OpenRun>,
    /// How its last run ended.
    pub class: Option<OutcomeClass>,
    /// Not handed out before this time.
    pub not_before: Option<Timestamp>,
    /// Namespace and iteration of another build of an equal input that is under way.
    pub equal_input: Option<(String, u32)>,
    /// The names of the workers that are under suspicion for its failure.
    pub suspects: Vec<String>,
    /// What it asks of a worker.
    pub requirements: Requirements,
    /// Workers on which the machinery failed it.
    pub failed_on: Vec<i64>,
    /// Whether the server hands out runs.
    pub server: ServerModeNote,
    /// The workers that were heard of lately.
    pub workers: Vec<Workplace>,
    /// How many ready builds come before it.
    pub ahead: u32,
    /// The faster worker that it is left to by those that are free.
    pub left_to: Option<String>,
}

/// Says why a build stands where it stands.
pub fn explain(facts: Facts, now: Timestamp) -> Explanation {
    let message = facts.message.clone();
    match facts.status {
        BuildStatus::Built | BuildStatus::Reused | BuildStatus::Waived => Explanation::Done {
            status: facts.status,
            message,
        },
        BuildStatus::Failed => Explanation::Failed {
            class: facts.class,
            message,
        },
        BuildStatus::Unbuildable => Explanation::Unbuildable { message },
        BuildStatus::DependencyFailed => Explanation::DependencyFailed {
            // What is still to come at the front is no cause.
            causes: facts
                .front
                .into_iter()
                .filter(|build| {
                    !matches!(
                        build.status,
                        BuildStatus::Pending | BuildStatus::Scheduled | BuildStatus::Building
                    )
                })
                .collect(),
        },
        BuildStatus::Scheduled | BuildStatus::Building => match facts.run {
            Some(run) if run.publishing => Explanation::Publishing,
            Some(OpenRun {
                worker: None,
                since,
                pipeline: Some(pipeline),
                ..
            }) => Explanation::WaitsForRunner {
                status: pipeline.status,
                since,
                url: pipeline.url,
                message: pipeline.problem,
            },
            Some(run) => Explanation::Running {
                worker: run.worker,
                since: run.since,
            },
            // Between the end of a run and what follows from it there is a moment.
            None => Explanation::Publishing,
        },
        BuildStatus::Cancelled if facts.iteration == IterationStatus::Superseded => {
            Explanation::Superseded
        }
        BuildStatus::Cancelled => match facts.namespace {
            NamespaceStatus::Active | NamespaceStatus::Finished => {
                Explanation::Cancelled { message }
            }
            status => Explanation::NotActive { status },
        },
        BuildStatus::Blocked | BuildStatus::Pending => waiting(facts, now),
    }
}

fn waiting(facts: Facts, now: Timestamp) -> Explanation {
    if facts.iteration != IterationStatus::Current {
        return Explanation::Superseded;
    }
    if !matches!(
        facts.namespace,
        NamespaceStatus::Active | NamespaceStatus::Finished
    ) {
        return Explanation::NotActive {
            status: facts.namespace,
        };
    }
    if facts.waits_for > 0 {
        return Explanation::WaitsForBuilds {
            count: facts.waits_for,
            direct: facts.direct,
            front: facts.front,
        };
    }
    if let Some(architecture) = facts.refers_to {
        return Explanation::WaitsForArchitecture { architecture };
    }
    if let Some(until) = facts.not_before.filter(|until| puts_off(*until, now)) {
        return Explanation::PutOff {
            until,
            message: facts.message,
        };
    }
    if let Some((namespace, iteration)) = facts.equal_input {
        return Explanation::WaitsForEqualInput {
            namespace,
            iteration,
        };
    }
    if facts.server.mode != ServerMode::Run {
        return Explanation::ServerHandsOutNothing {
            mode: facts.server.mode,
            message: facts.server.note.reason,
        };
    }
    let reason = for_want_of_a_worker(&facts);
    match facts.suspects.is_empty() {
        true => reason,
        false => Explanation::TriedElsewhere {
            suspects: facts.suspects,
            then: Box::new(reason),
        },
    }
}

/// Whether a time until which a build is put off still holds. One that lies further ahead than any
/// wait can be was set by a clock that ran ahead.
fn puts_off(until: Timestamp, now: Timestamp) -> bool {
    now < until && until.duration_since(now).unsigned_abs() <= LONGEST_BACKOFF
}

/// Why a build that could be handed out is not.
fn for_want_of_a_worker(facts: &Facts) -> Explanation {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let place = facts.requirements.place;
    let workers = facts.workers.iter().filter(|worker| worker.place == place);
    let workers: Vec<&Workplace> = workers.collect();
    if workers.is_empty() && place == BuildPlace::GitLab {
        return Explanation::NoFittingWorker {
            architecture: facts.architecture.to_string(),
            workers: count(facts.workers.len()),
            lacking: Some(
                "it is to be built on GitLab, and this server hands nothing there".to_owned(),
            ),
        };
    }
    if workers.is_empty() {
        return Explanation::NoWorker;
    }
    let misfits: Vec<_> = workers
        .iter()
        .map(|worker| misfit(&facts.architecture, &facts.requirements, worker))
        .collect();
    let fitting: Vec<&Workplace> = workers
        .iter()
        .copied()
        .zip(&misfits)
        .filter_map(|(worker, misfit)| misfit.is_none().then_some(worker))
        .collect();
    if fitting.is_empty() {
        return Explanation::NoFittingWorker {
            architecture: facts.architecture.to_string(),
            workers: count(workers.len()),
            lacking: closest(misfits.into_iter().flatten()),
        };
    }
    let active: Vec<&Workplace> = fitting
        .iter()
        .copied()
        .filter(|worker| worker.mode == WorkerMode::Active)
        .collect();
    if active.is_empty() {
        return Explanation::WorkersNotActive {
            workers: fitting
                .iter()
                .map(|worker| format!("{} ({})", worker.name, worker.mode.in_words()))
                .collect(),
        };
    }
    // Where it failed already it goes again only when no other can take it.
    let fresh = || {
        let active = active.iter();
        active.filter(|worker| !facts.failed_on.contains(&worker.key))
    };
    let takers: Vec<&Workplace> = match fresh().next() {
        Some(_) => fresh().copied().collect(),
        None => active,
    };
    let ahead = facts.ahead;
    if takers.iter().all(|worker| worker.running >= worker.slots) {
        let slots = takers.iter().map(|worker| worker.slots).sum();
        match place {
            BuildPlace::Workers => {
                let resting = fitting
                    .iter()
                    .filter(|worker| worker.mode != WorkerMode::Active);
                Explanation::WorkersBusy {
                    slots,
                    resting: resting.map(|worker| worker.slots).sum(),
                    ahead,
                }
            }
            BuildPlace::GitLab => Explanation::PipelinesOpen {
                limit: slots,
                ahead,
            },
        }
    } else {
        match &facts.left_to {
            Some(worker) => Explanation::LeftToFaster {
                worker: worker.clone(),
                ahead,
            },
            None => Explanation::NextInLine { ahead },
        }
    }
}

#[cfg(test)]
mod tests;
