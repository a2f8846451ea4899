//! Whether a worker can carry out a build at all.

use std::fmt;

use buildbtw_api::BuildPlace;
use buildbtw_graph::Architecture;

use super::Workplace;

/// What a build asks of a worker beside its architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Labels that the worker must have.
    pub labels: Vec<String>,
    /// Bytes of memory that the worker must have.
    pub memory: Option<u64>,
    /// Who is to carry it out.
    pub place: BuildPlace,
}

/// Why a worker cannot carry out a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// Others are to carry it out.
    Place(BuildPlace),
    /// It builds for other architectures.
    Architecture(Architecture),
    /// It lacks a label.
    Label(String),
    /// It has too little memory, or does not say how much it has.
    Memory {
        /// Bytes that the build needs.
        needs: u64,
        /// Bytes that the worker has.
        has: Option<u64>,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = |bytes: u64| bytes.div_ceil(1 << 30);
        match self {
            Self::Place(BuildPlace::GitLab) => write!(f, "what is ready goes to GitLab"),
            Self::Place(BuildPlace::Workers) => write!(f, "what is ready goes to workers"),
            Self::Architecture(architecture) => write!(f, "it does not build for {architecture}"),
            Self::Label(label) => write!(f, "it lacks the label {label}"),
            Self::Memory {
                needs,
                has: Some(has),
            } => write!(
                f,
                "it has {} GiB of memory, and {} are needed",
                has >> 30,
                gibibytes(*needs)
            ),
            Self::Memory { needs, has: None } => write!(
                f,
                "it does not say how much memory it has, and {} GiB are needed",
                gibibytes(*needs)
            ),
        }
    }
}

/// What comes closest of the reasons for which workers do not fit, in words; `None` where none builds
/// for the architecture.
pub(super) fn closest(misfits: impl Iterator<Item = Misfit>) -> Option<String> {
    let (mut largest, mut short, mut label) = (None, None, None);
    for misfit in misfits {
        match misfit {
            Misfit::Place(_) | Misfit::Architecture(_) => {}
            Misfit::Label(name) => label = Some(name),
            Misfit::Memory { needs, has } => {
                short = Some(needs);
                largest = largest.max(has);
            }
        }
    }
    let gibibytes = |bytes: u64| bytes.div_ceil(1 << 30);
    match (short, largest, label) {
        (Some(needs), Some(has), _) => Some(format!(
            "it needs {} GiB of memory; the largest worker has {}",
            gibibytes(needs),
            has >> 30
        )),
        (Some(needs), None, _) => Some(format!(
            "it needs {} GiB of memory, and no worker says how much it has",
            gibibytes(needs)
        )),
        (None, _, Some(label)) => Some(format!("no worker has the label {label}")),
        (None, _, None) => None,
    }
}

/// The first reason for which a worker cannot carry out a build; `None` when it can.
pub fn misfit(
    architecture: &Architecture,
    requirements: &Requirements,
    worker: &Workplace,
) -> Option<Misfit> {
    if requirements.place != worker.place {
        return Some(Misfit::Place(requirements.place));
    }
    if !worker.architectures.contains(architecture) {
        return Some(Misfit::Architecture(architecture.clone()));
    }
    let lacking = |label: &&String| !worker.labels.contains(label);
    if let Some(label) = requirements.labels.iter().find(lacking) {
        return Some(Misfit::Label(label.clone()));
    }
    let needs = requirements.memory?;
    match worker.memory {
        Some(has) if has >= needs => None,
        has => Some(Misfit::Memory { needs, has }),
    }
}
