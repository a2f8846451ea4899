//! Why a build is not running now, and what would start it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::builds::Neighbour;
use crate::{BuildStatus, NamespaceStatus, OutcomeClass, ServerMode};

/// Why a build stands where it stands. There is no other reason than these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Explanation {
    /// It is over, and its dependents may go on.
    Done {
        /// `built`, `reused` or `waived`.
        status: BuildStatus,
        /// What was said when it came to that.
        message: Option<String>,
    },
    /// A worker builds it.
    Running {
        /// The worker's name.
        worker: Option<String>,
        /// Since when.
        #[schema(value_type = String)]
        since: Timestamp,
    },
    /// It is built, and its packages are about to be published.
    Publishing,
    /// A newer iteration took the place of its own.
    Superseded,
    /// Its namespace hands out no builds.
    NotActive {
        /// `paused`, `cancelled` or `archived`.
        status: NamespaceStatus,
    },
    /// Other builds come first.
    WaitsForBuilds {
        /// How many of them it waits for directly.
        count: u32,
        /// Those builds, what could go on first; not more than a person would read.
        #[serde(default)]
        direct: Vec<Neighbour>,
        /// The builds at the front of its chains: what they come to decides when it goes on.
        front: Vec<Neighbour>,
    },
    /// The build of the primary architecture makes its packages too.
    WaitsForArchitecture {
        /// The architecture.
        architecture: String,
    },
    /// The machinery failed, and it is tried again later.
    PutOff {
        /// Not before this time.
        #[schema(value_type = String)]
        until: Timestamp,
        /// What failed.
        message: Option<String>,
    },
    /// Another build of an equal input is under way; its packages will serve.
    WaitsForEqualInput {
        /// The namespace of that build.
        namespace: String,
        /// The iteration of that build.
        iteration: u32,
    },
    /// No worker was heard of lately.
    NoWorker,
    /// The server hands out no runs.
    ServerHandsOutNothing {
        /// `drain` or `stopped`.
        mode: ServerMode,
        /// What was said.
        message: Option<String>,
    },
    /// No worker that was heard of can build it.
    NoFittingWorker {
        /// Its architecture.
        architecture: String,
        /// How many workers there are.
        workers: u32,
        /// What those that build for its architecture lack; none where there is none of them.
        #[serde(default)]
        lacking: Option<String>,
    },
    /// The workers that could build it get no runs.
    WorkersNotActive {
        /// Each of them, with its mode.
        workers: Vec<String>,
    },
    /// Every slot of the workers that could build it is taken.
    WorkersBusy {
        /// How many slots they have.
        slots: u32,
        /// How many slots more there are, of workers that could build it and get no runs.
        #[serde(default)]
        resting: u32,
        /// How many ready builds come before it.
        ahead: u32,
    },
    /// It failed on a worker that is under suspicion for it, and is tried on another one before anything else.
    TriedElsewhere {
        /// The names of the workers under suspicion.
        suspects: Vec<String>,
        /// What it waits for now.
        #[schema(value_type = Object)]
        then: Box<Explanation>,
    },
    /// As many pipelines are open on GitLab as may be.
    PipelinesOpen {
        /// How many may be open.
        limit: u32,
        /// How many ready builds come before it.
        ahead: u32,
    },
    /// It is a pipeline on GitLab, or becomes one, and no runner has taken it.
    WaitsForRunner {
        /// What the pipeline is doing, in GitLab's word; none while it is not made.
        status: Option<String>,
        /// Since when it was handed over.
        #[schema(value_type = String)]
        since: Timestamp,
        /// Where people see the pipeline.
        url: Option<String>,
        /// Why GitLab could not be asked last, while that is so.
        message: Option<String>,
    },
    /// Workers are free, but it ends sooner on a faster one that is about to be.
    LeftToFaster {
        /// The name of that worker.
        worker: String,
        /// How many ready builds come before it.
        ahead: u32,
    },
    /// A worker is free and will take it when it asks next.
    NextInLine {
        /// How many ready builds come before it.
        ahead: u32,
    },
    /// Its last run failed.
    Failed {
        /// How the run was classed, where there was one.
        class: Option<OutcomeClass>,
        /// What was said.
        message: Option<String>,
    },
    /// Builds that it waits for failed or cannot be built.
    DependencyFailed {
        /// Those builds.
        causes: Vec<Neighbour>,
    },
    /// It was known beforehand that it cannot be built.
    Unbuildable {
        /// Why, and the ways out.
        message: Option<String>,
    },
    /// Somebody called it off.
    Cancelled {
        /// What was said.
        message: Option<String>,
    },
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |message: &Option<String>| match message {
            Some(message) => format!(": {message}"),
            None => String::new(),
        };
        match self {
            // What a person left out says so itself, and since when.
            Self::Done {
                message: Some(message),
                status: BuildStatus::Waived,
            } if message.starts_with(BuildStatus::Waived.as_str()) => write!(f, "it is {message}"),
            Self::Done { status, message } => write!(f, "it is {status}{}", said(message)),
            Self::Running { worker, .. } => match worker {
                Some(worker) => write!(f, "worker {worker} builds it"),
                None => write!(f, "it is being built"),
            },
            Self::Publishing => write!(f, "it is built; its packages are about to be published"),
            Self::Superseded => write!(f, "a newer iteration took the place of this one"),
            Self::NotActive { status } => write!(f, "its namespace is {status}"),
            Self::WaitsForBuilds {
                count,
                direct,
                front,
            } => f.write_str(&waits(*count, direct, front)),
            Self::WaitsForArchitecture { architecture } => {
                write!(f, "its packages come from the build for {architecture}")
            }
            Self::PutOff { until, message } => write!(
                f,
                "the machinery failed, and it is tried again after {until:.0}{}",
                said(message)
            ),
            Self::WaitsForEqualInput {
                namespace,
                iteration,
            } => write!(
                f,
                "iteration {iteration} of {namespace} builds it from an equal input, and its packages will serve"
            ),
            Self::NoWorker => write!(f, "no worker was heard of lately"),
            Self::ServerHandsOutNothing { mode, message } => write!(
                f,
                "the server hands out no runs (mode {mode}){}",
                said(message)
            ),
            Self::NoFittingWorker {
                lacking: Some(lacking),
                ..
            } => write!(f, "{lacking}"),
            Self::NoFittingWorker {
                architecture,
                workers,
                lacking: None,
            } => write!(f, "none of the {workers} workers builds for {architecture}"),
            Self::WorkersNotActive { workers } => write!(
                f,
                "the workers that could build it get no runs: {}",
                workers.join(", ")
            ),
            Self::WorkersBusy {
                slots,
                resting,
                ahead,
            } => write!(f, "{}{}", taken(*slots, *resting), come(*ahead)),
            Self::TriedElsewhere { suspects, then } => write!(
                f,
                "it may have failed by the fault of {}, and is tried on another worker next; {then}",
                suspects.join(" and ")
            ),
            Self::PipelinesOpen { limit, ahead } => write!(
                f,
                "all {limit} pipelines that may be open on GitLab are{}",
                come(*ahead)
            ),
            Self::WaitsForRunner {
                message: Some(message),
                ..
            } => write!(f, "it waits for GitLab: {message}"),
            Self::WaitsForRunner {
                status: Some(status),
                ..
            } => write!(
                f,
                "its pipeline on GitLab is {status}, and no runner has taken it"
            ),
            Self::WaitsForRunner { .. } => write!(f, "its pipeline on GitLab is being made"),
            Self::LeftToFaster { worker, ahead } => write!(
                f,
                "it ends sooner on {worker}, which is faster than the workers that are free and about \
                 to be free itself{}",
                come(*ahead)
            ),
            Self::NextInLine { ahead } => {
                write!(f, "it is ready and a worker is free{}", come(*ahead))
            }
            Self::Failed { class, message } => match class {
                Some(class) => write!(f, "it failed ({class}){}", said(message)),
                None => write!(f, "it failed{}", said(message)),
            },
            Self::DependencyFailed { causes } => {
                write!(f, "it needs what did not work out: {}", named(causes))
            }
            Self::Unbuildable { message } => write!(f, "it cannot be built{}", said(message)),
            Self::Cancelled { message } => write!(f, "it was called off{}", said(message)),
        }
    }
}

/// How many ready builds get a slot earlier, in words; nothing where it is the next.
fn come(ahead: u32) -> String {
    match ahead {
        0 => String::new(),
        1 => ", and 1 ready build comes before it".to_owned(),
        _ => format!(", and {ahead} ready builds come before it"),
    }
}

/// How many slots the workers have, all of which are taken, and how many more get nothing.
fn taken(slots: u32, resting: u32) -> String {
    let of = match resting {
        0 => "the workers",
        _ => "the workers that get runs",
    };
    let taken = match slots {
        1 => format!("the only slot of {of} is taken"),
        _ => format!("all {slots} slots of {of} are taken"),
    };
    match resting {
        0 => taken,
        1 => format!("{taken} (1 more slot gets none)"),
        _ => format!("{taken} ({resting} more slots get none)"),
    }
}

/// Builds with their statuses.
fn named(builds: &[Neighbour]) -> String {
    let names = builds
        .iter()
        .map(|build| format!("{} ({})", build.pkgbase, build.status));
    names.collect::<Vec<_>>().join(", ")
}

/// How many builds are named of those that one waits for.
const NAMED: usize = 3;

/// What a build waits for directly, and what comes first of that.
fn waits(count: u32, direct: &[Neighbour], front: &[Neighbour]) -> String {
    let all = usize::try_from(count).unwrap_or(usize::MAX);
    let what = match direct {
        [] => format!("{count} other build{}", if count == 1 { "" } else { "s" }),
        [one] if one.status == BuildStatus::Blocked => one.pkgbase.to_string(),
        _ => named(&direct[..direct.len().min(NAMED)]),
    };
    let more = match all.saturating_sub(direct.len().min(NAMED)) {
        0 => String::new(),
        _ if direct.is_empty() => String::new(),
        more => format!(" and {more} more"),
    };
    // Where all of them could go on, they are the first themselves.
    let waits = direct.is_empty()
        || direct.len() < all
        || direct
            .iter()
            .any(|build| build.status == BuildStatus::Blocked);
    let first = match (waits && !front.is_empty(), count) {
        (false, _) => String::new(),
        (true, 1) if !direct.is_empty() => format!(", which waits for {}", named(front)),
        (true, _) => format!("; the first to end: {}", named(front)),
    };
    format!("it waits for {what}{more}{first}")
}

impl Explanation {
    /// What would start it, or would have to be done by somebody; `None` where nothing is to be
    /// done but to wait, or it is done.
    pub fn remedy(&self, namespace: &str, pkgbase: &str) -> Option<String> {
        match self {
            Self::Superseded => Some(format!(
                "look at the newest iteration: `bbtw show {namespace}`"
            )),
            Self::NotActive {
                status: NamespaceStatus::Archived,
            } => Some("make a new namespace".to_owned()),
            Self::NotActive { .. } | Self::Cancelled { .. } => {
                Some(format!("`bbtw resume {namespace}` goes on with it"))
            }
            Self::NoWorker => {
                Some("start a worker; `bbtw workers` lists those that were there".to_owned())
            }
            Self::ServerHandsOutNothing { .. } => {
                Some("`bbtw mode run` hands out runs again".to_owned())
            }
            Self::NoFittingWorker { lacking: Some(_), .. } => Some(
                "start a worker that has what it needs (MEMORY_LIMIT, WORKER_LABELS), or change its hint"
                    .to_owned(),
            ),
            Self::NoFittingWorker { architecture, .. } => Some(format!(
                "start a worker that offers {architecture} (WORKER_ARCHITECTURES)"
            )),
            Self::WorkersNotActive { .. } => {
                Some("`bbtw workers` says why; `bbtw workers activate NAME` gives one runs again".to_owned())
            }
            Self::TriedElsewhere { then, .. } => then.remedy(namespace, pkgbase),
            Self::PipelinesOpen { .. } => Some(
                "it goes on when one of them ends; GITLAB_OPEN_PIPELINES says how many there may be"
                    .to_owned(),
            ),
            Self::WaitsForRunner {
                message: None,
                url: Some(url),
                ..
            } => Some(format!("GitLab says more of it: {url}")),
            Self::Failed { .. } => Some(format!(
                "`bbtw logs {namespace} {pkgbase}` shows what happened, `bbtw retry {namespace} {pkgbase}` tries again"
            )),
            Self::DependencyFailed { causes } => {
                let names: Vec<&str> = causes.iter().map(|build| build.pkgbase.as_str()).collect();
                Some(format!(
                    "mend them, or try again: `bbtw retry {namespace} {}`",
                    names.join(" ")
                ))
            }
            Self::Unbuildable { .. } => Some(format!(
                "mend it, or try it all the same: `bbtw retry --force {namespace} {pkgbase}`"
            )),
            _ => None,
        }
    }
}
